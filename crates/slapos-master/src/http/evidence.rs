//! By what a caller has proved who he is, so that it can be asked again whether it still is good: who
//! listens stays for long after his one request.

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
