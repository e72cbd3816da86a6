//! The web face of the original's Master, where people get certificates for their computers and for
//! themselves.
//!
//! What is shown there (a token, a password) is good for that address only: no redirection is
//! followed, and the server has to have a certificate that this machine trusts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use slapos_sys::Secret;

use super::TlsIdentity;
use super::transport::Transport;
use crate::error::SlapError;

/// A certificate and its key, both in PEM.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The certificate, perhaps with its description as text before it.
    pub certificate: String,
    /// The private key.
    pub key: Secret,
}

/// How people show who they are.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A token that the web face gave them for this.
    Token(Secret),
    /// Name and password.
    Login {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
}

impl Credential {
    /// The header that shows it.
    fn header(&self) -> (&'static str, String) {
        match self {
            Credential::Token(token) => ("X-Access-Token", token.expose().to_owned()),
            Credential::Login { name, password } => {
                let pair = STANDARD.encode(format!("{name}:{}", password.expose()));
                ("Authorization", format!("Basic {pair}"))
            }
        }
    }
}

/// Registers a computer of that title, and gets its certificate.
///
/// # Errors
/// [`SlapError::Unauthorised`] when the credential is not accepted, [`SlapError::Server`] with the
/// Master's words when the title is in use.
pub fn request_computer(
    web_url: &str,
    title: &str,
    credential: &Credential,
    timeout: Duration,
) -> Result<KeyPair, SlapError> {
    ask(web_url, "Person_requestComputer", &[("title", title)], credential, timeout)
}

/// Gets a certificate for the person whose token it is.
///
/// # Errors
/// [`SlapError::Unauthorised`] when the token is not accepted.
pub fn request_certificate(
    web_url: &str,
    token: &Secret,
    timeout: Duration,
) -> Result<KeyPair, SlapError> {
    ask(web_url, "Person_getCertificate", &[], &Credential::Token(token.clone()), timeout)
}

fn ask(
    web_url: &str,
    route: &str,
    form: &[(&str, &str)],
    credential: &Credential,
    timeout: Duration,
) -> Result<KeyPair, SlapError> {
    let transport = Transport::new(web_url, None, timeout, &TlsIdentity::default())?;
    let (name, value) = credential.header();
    let reply = match credential {
        Credential::Token(_) => transport.post_once(route, form, (name, &value))?,
        Credential::Login { .. } => transport.get_once(route, form, (name, &value))?,
    };
    let not_understood = |reason: &str| SlapError::Protocol {
        url: transport.base_url().to_owned(),
        reason: format!("{route}: {reason}"),
    };
    let answer = serde_json::from_str(&reply.body).unwrap_or_default();
    pair_of(answer).map_err(not_understood)
}

/// A certificate and its key out of a Master's answer, or what is wrong with it.
pub(super) fn pair_of(answer: serde_json::Value) -> Result<KeyPair, &'static str> {
    let pair: Pair = serde_json::from_value(answer)
        .map_err(|_| "it is not a certificate and its key in JSON")?;
    // Nothing else is written where certificates are looked for.
    if !pair.certificate.contains("-----BEGIN") || !pair.key.contains("-----BEGIN") {
        return Err("what it calls certificate and key is not PEM");
    }
    Ok(KeyPair { certificate: pair.certificate, key: Secret::new(pair.key) })
}

#[derive(Deserialize)]
struct Pair {
    certificate: String,
    key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_sent_as_rfc_7617_has_it() {
        let login =
            Credential::Login { name: "Aladdin".into(), password: Secret::new("open sesame") };
        let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned();
        assert_eq!(login.header(), ("Authorization", basic));
        assert!(!format!("{login:?}").contains("sesame"));
    }
}
