//! Getting to know a Master's own authority from the Master itself, before anything vouches for it.
//!
//! Invariant: nothing is shown to whoever answers. What he gives is worth nothing until somebody who
//! knows compared its fingerprint.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use super::TlsIdentity;
use super::transport::Transport;
use crate::error::SlapError;

/// The certificate of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// As PEM: this one certificate, and nothing else.
    pub certificate: String,
    /// Its SHA-256, as `openssl x509 -fingerprint -sha256` shows it.
    pub fingerprint: String,
}

impl Authority {
    /// Asks whoever answers at that URL.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] or [`SlapError::Server`] when it has no authority of its own.
    pub fn ask(base_url: &str, timeout: Duration) -> Result<Authority, SlapError> {
        let transport = Transport::new(base_url, None, timeout, &TlsIdentity::of_anybody())?;
        let reply = transport.get("api/v1/authority", &[])?;
        Authority::of(&reply.body).map_err(|reason| SlapError::Protocol {
            url: transport.base_url().to_owned(),
            reason: format!("{}: {reason}", reply.route),
        })
    }

    /// The one whose certificate that is.
    ///
    /// # Errors
    /// Why it is none; more than one are refused, for a fingerprint speaks of one.
    pub fn of(pem: &str) -> Result<Authority, String> {
        let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
        let (Some(first), None) = (found.next(), found.next()) else {
            return Err("it is not one certificate in PEM".to_owned());
        };
        let der = first.map_err(|error| error.to_string())?;
        let digest = Sha256::digest(&der);
        let pairs: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Authority { certificate: pem_of(&der), fingerprint: pairs.join(":") })
    }

    /// Whether that is its fingerprint, with or without colons, in letters of either size.
    pub fn has(&self, fingerprint: &str) -> bool {
        let plain = |text: &str| {
            let digits = text.chars().filter(|c| !matches!(c, ':' | ' '));
            digits.collect::<String>().to_ascii_uppercase()
        };
        plain(&self.fingerprint) == plain(fingerprint)
    }
}

fn pem_of(der: &[u8]) -> String {
    const WIDTH: usize = 64;
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (index, c) in STANDARD.encode(der).chars().enumerate() {
        if index > 0 && index % WIDTH == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text + "\n-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_fingerprint_speaks_of_one_certificate() {
        let one = Authority::of(&format!("about it\n{BLOCK}")).unwrap();
        assert_eq!(one.certificate, BLOCK);
        // As `printf '\0\1\2' | sha256sum` has it.
        let sum = "ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc";
        assert!(one.has(sum) && one.has(&one.fingerprint) && !one.has(&sum[1..]), "{one:?}");
        assert!(!one.has(""));
        assert!(Authority::of(&BLOCK.repeat(2)).is_err());
        assert!(Authority::of("hello").is_err());
    }
}
