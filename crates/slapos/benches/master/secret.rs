//! The client's half of TLS.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Target;
use crate::http::{Connection, Request};

/// What the Master's certificate is for.
pub(crate) const NAME: &str = "localhost";

/// What makes connections to a Master secret.
pub(crate) struct Secret(TlsConnector);

impl Secret {
    /// That of a Master, which is believed.
    ///
    /// # Panics
    /// When it has no authority of its own.
    pub(crate) async fn of(target: &Target) -> Secret {
        let mut connection = Connection::new(target.address);
        let request = Request::get("/api/v1/authority", &target.words.token);
        let pem = connection.exchange(&request).await.expect("a Master with TLS has an authority");
        let certificate = CertificateDer::from_pem_slice(pem).expect("it is a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("it is an authority's");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("it knows some")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Secret(TlsConnector::from(Arc::new(config)))
    }

    /// The connection, once it is secret.
    ///
    /// # Errors
    /// When the handshake fails.
    pub(crate) async fn over(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
