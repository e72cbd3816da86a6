//! TLS: the certificate that the Master shows, and those that it believes.
//!
//! A caller may show a certificate of the Master's own authority; whether it is revoked is asked of
//! the store for each request. Who shows none may still have a token. A certificate that others
//! signed, or that has expired, ends the handshake; of whom is heard by [`crate::refused`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use slapos_sys::clock::Clock;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, ServerPair};
use crate::error::MasterError;
use crate::refused::Overheard;

/// After so long the Master's certificate is looked at again: files may have been replaced, and one
/// of our own is made anew.
const FRESH: Duration = Duration::from_secs(600);

/// Where the Master's own certificate comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The own authority, for these host names and addresses.
    Own(Vec<String>),
    /// Files in PEM, the certificate with its chain.
    Files { certificate: PathBuf, key: PathBuf },
}

/// What makes connections secret.
pub(crate) fn acceptor(
    authority: Arc<Authority>,
    source: Source,
    clock: Arc<dyn Clock>,
) -> Result<TlsAcceptor, MasterError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    let own = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).map_err(tls)?;
    roots.add(own).map_err(tls)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(tls)?;
    let certificates = Certificates::new(authority, source, clock)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_client_cert_verifier(Arc::new(Overheard(verifier)))
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The serial number of the certificate that the other end has shown, and has the key of.
pub(crate) fn serial_of(connection: &ServerConnection) -> Option<String> {
    let shown = connection.peer_certificates()?.first()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(shown).ok()?;
    Some(hex(certificate.raw_serial()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tls(error: impl fmt::Display) -> MasterError {
    MasterError::Tls(error.to_string())
}

/// The Master's own certificate, kept fresh.
struct Certificates {
    authority: Arc<Authority>,
    source: Source,
    clock: Arc<dyn Clock>,
    present: Mutex<(Arc<CertifiedKey>, Instant)>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({:?})", self.source)
    }
}

impl Certificates {
    fn new(
        authority: Arc<Authority>,
        source: Source,
        clock: Arc<dyn Clock>,
    ) -> Result<Certificates, MasterError> {
        let first = load(&authority, &source, &*clock)?;
        let present = Mutex::new((Arc::new(first), Instant::now()));
        Ok(Certificates { authority, source, clock, present })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let (certified, at) = &mut *present;
        if at.elapsed() >= FRESH {
            *at = Instant::now();
            match load(&self.authority, &self.source, &*self.clock) {
                Ok(fresh) => *certified = Arc::new(fresh),
                Err(error) => tracing::error!("the former certificate stays in use: {error}"),
            }
        }
        Some(Arc::clone(certified))
    }
}

fn load(
    authority: &Authority,
    source: &Source,
    clock: &dyn Clock,
) -> Result<CertifiedKey, MasterError> {
    let (chain, key) = match source {
        Source::Own(names) => authority.server(names, clock.now().as_microsecond())?,
        Source::Files { certificate, key } => read(certificate, key)?,
    };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(tls)?;
    certified.keys_match().map_err(|error| match source {
        Source::Files { key, .. } => {
            tls(format!("{} is not the key of `certificate_file`: {error}", key.display()))
        }
        Source::Own(_) => tls(error),
    })?;
    Ok(certified)
}

fn read(certificate: &Path, key: &Path) -> Result<ServerPair, MasterError> {
    let bytes = |path: &Path| {
        slapos_sys::fs::read(path).map_err(|error| tls(format!("{}: {error}", path.display())))
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| tls(format!("{}: {error}", certificate.display())))?;
    if chain.is_empty() {
        return Err(tls(format!("{}: there is no certificate in it", certificate.display())));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?)
        .map_err(|error| tls(format!("{}: {error}", key.display())))?;
    Ok((chain, private))
}
