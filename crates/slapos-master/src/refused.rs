//! Certificates that are refused in the handshake of TLS, for those who keep the log: rustls ends the
//! connection, and says nobody whose certificate it was.
//!
//! Invariant: who is let in is decided by the verifier of [`super::tls`] alone; here is only heard what
//! it says.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// The longest subject that is told, in characters.
const LONGEST: usize = 100;

thread_local! {
    /// What was refused last in this thread. A step of a handshake is taken by one thread, from its
    /// beginning to its end.
    static LAST: RefCell<Option<RefusedCertificate>> = const { RefCell::new(None) };
}

/// A certificate that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedCertificate {
    /// Whose it says it is, which anybody can write.
    pub(crate) subject: String,
    /// What is wrong with it.
    pub(crate) why: String,
}

impl fmt::Display for RefusedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate of {}: {}", self.subject, self.why)
    }
}

/// Takes a step of a handshake; tells also whose certificate was refused in it.
pub(crate) fn heard<T>(step: impl FnOnce() -> T) -> (T, Option<RefusedCertificate>) {
    LAST.take();
    let result = step();
    (result, LAST.take())
}

/// A verifier of which it is heard what it refuses.
#[derive(Debug)]
pub(crate) struct Overheard(pub(crate) Arc<dyn ClientCertVerifier>);

impl Overheard {
    fn note<T>(&self, shown: &CertificateDer<'_>, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            let (subject, why) = (subject(shown), reason(error));
            LAST.replace(Some(RefusedCertificate { subject, why }));
        }
        result
    }
}

impl ClientCertVerifier for Overheard {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.note(shown, self.0.verify_client_cert(shown, chain, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.note(shown, self.0.verify_tls12_signature(message, shown, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.note(shown, self.0.verify_tls13_signature(message, shown, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}

/// The subject of a certificate, as one short line.
fn subject(shown: &CertificateDer<'_>) -> String {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(shown) else {
        return "nobody: it cannot be read".to_owned();
    };
    let plain = |c: char| if c.is_control() { '?' } else { c };
    match certificate.subject().to_string() {
        empty if empty.is_empty() => "nobody".to_owned(),
        subject => subject.chars().take(LONGEST).map(plain).collect(),
    }
}

fn reason(error: &Error) -> String {
    let known = match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
            CertificateError::UnknownIssuer => "this Master's authority did not sign it",
            CertificateError::BadSignature => "its key was not shown to be there",
            _ => return error.to_string(),
        },
        other => return other.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn named(name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn whoever_a_certificate_names_is_one_short_line() {
        assert_eq!(subject(&named("COMP-A")), "CN=COMP-A");
        assert_eq!(subject(&named("a\nb")), "CN=a?b");
        assert_eq!(subject(&named(&"x".repeat(500))).chars().count(), LONGEST);
        assert_eq!(subject(&CertificateDer::from(vec![1, 2, 3])), "nobody: it cannot be read");
    }

    #[test]
    fn only_what_happened_in_the_step_is_heard() {
        let refused = RefusedCertificate { subject: "CN=a".to_owned(), why: "b".to_owned() };
        LAST.replace(Some(refused.clone()));
        assert_eq!(heard(|| 1), (1, None));
        let ((), told) = heard(|| drop(LAST.replace(Some(refused.clone()))));
        assert_eq!(told.unwrap().to_string(), "the certificate of CN=a: b");
    }
}
