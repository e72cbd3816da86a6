//! Who we are to a Master that is reached by https, and whom we take for it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::error::SlapError;

/// The certificates of a connection by https, all as PEM. The default: none of our own, and the
/// Master's must be one that the machine trusts.
#[derive(Clone, Default)]
pub struct TlsIdentity {
    own: Option<ClientCert>,
    authorities: Option<Vec<Certificate<'static>>>,
    /// Whoever answers is taken for the Master: only to ask for what is judged by other means.
    anybody: bool,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authorities = self.authorities.as_ref().map_or(0, Vec::len);
        write!(f, "TlsIdentity {{ own: {}, authorities: {authorities} }}", self.own.is_some())
    }
}

impl TlsIdentity {
    /// Shows a certificate, with the chain that may follow it, for which we have the key.
    ///
    /// # Errors
    /// [`SlapError::Identity`] when one of them is not what it should be.
    pub fn with_certificate(mut self, certificate: &[u8], key: &[u8]) -> Result<Self, SlapError> {
        let chain = certificates(certificate, "the node's certificate (`cert_file`)")?;
        let unread = |error: &dyn std::fmt::Display| wrong(KEY, &error.to_string());
        belong_together(certificate, key)?;
        let key = PrivateKey::from_pem(key).map_err(|error| unread(&error))?;
        self.own = Some(ClientCert::new_with_certs(&chain, key));
        Ok(self)
    }

    /// Takes for the Master only who has a certificate signed by one of these.
    ///
    /// # Errors
    /// [`SlapError::Identity`] when there is none.
    pub fn with_authorities(mut self, authorities: &[u8]) -> Result<Self, SlapError> {
        self.authorities =
            Some(certificates(authorities, "the Master's authorities (`master_ca_file`)")?);
        Ok(self)
    }

    /// Takes whoever answers for the Master.
    pub(super) fn of_anybody() -> Self {
        Self { anybody: true, ..Self::default() }
    }

    /// What helps when the Master does not accept who we are.
    pub(super) fn advice(&self, token: bool) -> &'static str {
        match (token, &self.own) {
            (true, _) => {
                "check that the token of the configuration is the one that the Master was started with"
            }
            (false, Some(_)) => {
                "check that the certificate of the configuration (`cert_file`) is one that the Master gave, and is valid still"
            }
            (false, None) => {
                "nothing was shown: name the file of a token as `master_token_file` in [slapos], or a certificate as `cert_file` and `key_file`"
            }
        }
    }

    /// As what speaks https takes it.
    pub fn config(&self) -> TlsConfig {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let roots = match &self.authorities {
            Some(authorities) => RootCerts::new_with_certs(authorities),
            None => RootCerts::PlatformVerifier,
        };
        TlsConfig::builder()
            .root_certs(roots)
            .client_cert(self.own.clone())
            .disable_verification(self.anybody)
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            .build()
    }
}

const KEY: &str = "the node's key (`key_file`)";

/// Asked before, because the transport takes that for granted.
fn belong_together(certificate: &[u8], key: &[u8]) -> Result<(), SlapError> {
    let unread = |error: &dyn std::fmt::Display| wrong(KEY, &error.to_string());
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unread(&error))?;
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>();
    let chain = chain.map_err(|error| unread(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unread(&error))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(chain, key)
        .map(drop)
        .map_err(|error| wrong(KEY, &format!("it is not that of `cert_file`: {error}")))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<Certificate<'static>>, SlapError> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| wrong(what, &error.to_string()))?
        {
            found.push(certificate);
        }
    }
    match found.is_empty() {
        true => Err(wrong(what, "there is no PEM block `CERTIFICATE` in it")),
        false => Ok(found),
    }
}

fn wrong(what: &str, reason: &str) -> SlapError {
    SlapError::Identity { what: what.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let error = TlsIdentity::default().with_authorities(b"hello").unwrap_err();
        insta::assert_snapshot!(error, @"the Master's authorities (`master_ca_file`) cannot be used: there is no PEM block `CERTIFICATE` in it");
        let error = TlsIdentity::default().with_certificate(b"", b"").unwrap_err();
        insta::assert_snapshot!(error, @"the node's certificate (`cert_file`) cannot be used: there is no PEM block `CERTIFICATE` in it");
    }
}
