//! Servers whose certificate is trusted by itself.
//!
//! Instances often have one certificate that is its own authority, and promises name it as what is
//! to be trusted. OpenSSL takes that; rustls, by principle, takes no authority for a server. So where
//! a check fails for that reason alone, a handshake of our own finds out whether the server has
//! exactly that certificate.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// How the refusal reads of which this is about. Dates and the like have been found good before it.
const REFUSAL: &str = "CaUsedAsEndEntity";

/// Whether `error` is the refusal of an authority as a server.
pub(super) fn is_refusal(error: &impl ToString) -> bool {
    error.to_string().contains(REFUSAL)
}

/// Finds out whether the server of `url` has one of the certificates `trusted`, and the name for it.
pub(super) fn check(url: &str, trusted: &[Vec<u8>], limit: Duration) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let uri: ureq::http::Uri = url.parse().map_err(|error| wrong(&error))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Alone::new(trusted, provider.clone()).map_err(|error| wrong(&error))?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone()).map_err(|error| wrong(&error))?;
    let connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| wrong(&error))?;
    let shaken = shake_hands(connection, &host, port, limit);
    // It may go wrong later, as when the server wants a certificate of ours: that is not our question.
    match (verifier.accepted.load(Ordering::SeqCst), shaken) {
        (true, _) => Ok(()),
        (false, Err(error)) => Err(wrong(&error)),
        (false, Ok(())) => Err(wrong(&"it showed no certificate")),
    }
}

fn shake_hands(
    mut connection: ClientConnection,
    host: &str,
    port: u16,
    limit: Duration,
) -> std::io::Result<()> {
    let mut addresses = (host, port).to_socket_addrs()?;
    let address = addresses.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Alone {
    trusted: Vec<CertificateDer<'static>>,
    usual: Arc<WebPkiServerVerifier>,
    accepted: AtomicBool,
}

impl Alone {
    fn new(trusted: &[Vec<u8>], provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let trusted: Vec<_> = trusted.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let usual = usual.map_err(|error| error.to_string())?;
        Ok(Self { trusted, usual, accepted: AtomicBool::new(false) })
    }
}

impl ServerCertVerifier for Alone {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let usual = self.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let own = self.trusted.iter().any(|trusted| trusted.as_ref() == end_entity.as_ref());
        match usual {
            Err(error) if own && is_refusal(&error) => {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
            }
            other => {
                other?;
            }
        }
        self.accepted.store(true, Ordering::SeqCst);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
