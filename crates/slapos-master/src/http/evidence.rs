//! By what a caller has proved who he is, so that it can be asked again whether it still is good: who
//! listens stays for long after his one request.
//!
//! That a computer is recognised is a sign that its node is there: whatever it asks for, and as long
//! as it listens, this is the one place where that is noted. People who look at a computer are none.

use slapos_slap::ComputerId;

use super::App;
use super::access::Caller;
use crate::error::StoreError;

/// What was shown, as far as it may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The operator's token, which is good for as long as the process lives.
    Operator,
    /// The digest of a token.
    Token(String),
    /// The serial number of a certificate.
    Certificate(String),
    /// What somebody gave who may make computers.
    Voucher(String),
}

impl Evidence {
    /// The digest of the token that was shown, if it was one that was given out.
    pub(super) fn token(&self) -> Option<&str> {
        match self {
            Evidence::Token(digest) => Some(digest),
            _ => None,
        }
    }

    /// Whom it stands for at present; nobody once it is revoked or has expired.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(super) async fn caller(&self, app: &App) -> Result<Option<Caller>, StoreError> {
        let holder = match self {
            Evidence::Operator => return Ok(Some(Caller::Operator)),
            Evidence::Voucher(voucher) => return Ok(app.vouched(voucher)),
            Evidence::Token(digest) => app.store.token_holder(digest).await?,
            Evidence::Certificate(serial) => app.store.certificate_holder(serial).await?,
        };
        Ok(holder.map(Caller::from))
    }
}

impl App {
    /// Takes note of the node of a single machine, which has the operator's token: only what it asks
    /// for, and no person does, says which computer it is.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(super) async fn node_of_operator(
        &self,
        caller: &Caller,
        computer: &ComputerId,
    ) -> Result<(), StoreError> {
        match caller {
            Caller::Operator => self.store.contact(computer).await,
            _ => Ok(()),
        }
    }
}
