//! Asking a Master of ours: whether it is the one, whether it accepts the token, and, by https, for
//! the certificate that a node shows instead of the token from then on.

use serde_json::json;
use slapos_slap::client::person::KeyPair;
use slapos_slap::{ComputerId, SlapClient, SlapError, TlsIdentity, Verb};
use slapos_sys::Secret;

use super::trust::{Trust, is_secret};
use super::{MasterUrls, PATIENCE};
use crate::error::NodeError;
use crate::reporter::Reporter;

/// A Master that accepts the token.
pub(super) struct Host {
    client: SlapClient,
    master: String,
    /// Its authority as PEM, unless the machine knows it.
    pub(super) authority: Option<String>,
}

impl Host {
    /// Proves that it is the Master, and that it accepts the token.
    pub(super) fn meet(
        master: &str,
        urls: &MasterUrls,
        token: &Secret,
        reporter: &dyn Reporter,
    ) -> Result<Host, NodeError> {
        let authority = urls.trust.authority(master, reporter)?;
        let identity = identity(authority.as_deref())?;
        let client = SlapClient::with_identity(master, Some(token.clone()), PATIENCE, &identity)?;
        client.ping().map_err(|error| not_met(error, master, &urls.trust))?;
        Ok(Host { client, master: master.to_owned(), authority })
    }

    /// The certificate for the node of a computer, which is made known if need be. `None` where the
    /// token is to be kept: without https, and where a certificate does not get through.
    pub(super) fn certificate(
        &self,
        computer: &str,
        reporter: &dyn Reporter,
    ) -> Result<Option<KeyPair>, NodeError> {
        if !is_secret(&self.master) {
            return Ok(None);
        }
        let keep = |why: &str| reporter.note("register", &format!("the token is kept: {why}"));
        let computer = ComputerId::new(computer);
        let given = match self.client.computer_certificate(&computer) {
            Err(SlapError::NotFound { .. }) => {
                self.make_known(&computer)?;
                self.client.computer_certificate(&computer)
            }
            other => other,
        };
        let pair = match given {
            Ok(pair) => pair,
            Err(SlapError::Server { status: 409, .. }) => {
                keep("the Master has no TLS of its own, and gives out no certificates");
                return Ok(None);
            }
            Err(SlapError::Unauthorised { status: 403, .. }) => {
                return Err(NodeError::user(format!("the token is not that of {computer}"))
                    .hint(format!("`slapos proxy token create --computer {computer}` makes one")));
            }
            Err(other) => return Err(other.into()),
        };
        if self.knows(&pair)? {
            return Ok(Some(pair));
        }
        keep("the Master does not see the certificate, perhaps because of a proxy before it");
        Ok(None)
    }

    /// Whether the certificate alone is enough.
    fn knows(&self, pair: &KeyPair) -> Result<bool, NodeError> {
        let identity = identity(self.authority.as_deref())?;
        let key = pair.key.expose().as_bytes();
        let identity = identity.with_certificate(pair.certificate.as_bytes(), key)?;
        match SlapClient::with_identity(&self.master, None, PATIENCE, &identity)?.ping() {
            Ok(()) => Ok(true),
            Err(SlapError::Unauthorised { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// As people may. The token that comes with a new computer is not needed.
    fn make_known(&self, computer: &ComputerId) -> Result<(), NodeError> {
        self.client.json(Verb::Post, &["computers"], Some(&json!({ "title": computer })))?;
        self.client.json(Verb::Delete, &["computers", computer.as_str(), "token"], None)?;
        Ok(())
    }
}

fn identity(authority: Option<&str>) -> Result<TlsIdentity, NodeError> {
    let identity = TlsIdentity::default();
    Ok(match authority {
        Some(authority) => identity.with_authorities(authority.as_bytes())?,
        None => identity,
    })
}

fn not_met(error: SlapError, master: &str, trust: &Trust) -> NodeError {
    let unknown = matches!(error, SlapError::Unreachable { .. });
    let told = NodeError::from(error);
    match trust {
        Trust::Machine if unknown && is_secret(master) => told.hint(
            "if this machine does not know the Master's authority, give its fingerprint \
             (`slapos proxy ca show --fingerprint` at the Master) by --ca-fingerprint",
        ),
        _ => told,
    }
}
