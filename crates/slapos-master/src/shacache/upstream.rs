//! The cache that ours takes from. What comes is verified before it has a name; entries are passed
//! on as they are, for whoever reads them checks who signed them.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::{Digest, Key, MAX_ENTRIES, Refused, Shacache, is_entry};

/// How long the other end may take to connect and to begin its answer, and between two pieces of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The means to ask; every call blocks.
pub(crate) struct Upstream {
    agent: Agent,
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It is not there either.
    #[error("not found upstream")]
    Absent,
    /// The other cache fails, or sends something else.
    #[error("Upstream error: {0}")]
    Upstream(String),
    /// Ours could not keep it.
    #[error(transparent)]
    Here(#[from] io::Error),
}

impl Upstream {
    pub(crate) fn new() -> Upstream {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .tls_config(tls)
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")))
            .build();
        Upstream { agent: config.into() }
    }

    /// Brings a content into our cache.
    pub(crate) fn content(&self, cache: &Shacache, digest: &Digest) -> Result<(), Failure> {
        let base = cache.config.upstream_cache.as_deref().ok_or(Failure::Absent)?;
        let mut reader = self.get(base, digest.as_str(), cache.config.largest)?;
        let mut incoming = cache.incoming()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let piece = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) => return Err(Failure::Upstream(error.to_string())),
            };
            incoming.take(piece).map_err(Failure::from)?;
        }
        incoming.finish(Some(digest)).map(drop).map_err(Failure::from)
    }

    /// The entries of a key.
    pub(crate) fn entries(&self, cache: &Shacache, key: &Key) -> Result<Vec<Json>, Failure> {
        let base = cache.config.upstream_dir.as_deref().ok_or(Failure::Absent)?;
        let mut text = String::new();
        let mut reader = self.get(base, key.as_str(), MAX_ENTRIES)?;
        reader.read_to_string(&mut text).map_err(|error| Failure::Upstream(error.to_string()))?;
        match serde_json::from_str(&text) {
            Ok(Json::Array(entries)) if entries.iter().all(is_entry) => Ok(entries),
            _ => Err(Failure::Upstream("it gives no list of entries".to_owned())),
        }
    }

    fn get(&self, base: &str, name: &str, largest: u64) -> Result<impl io::Read, Failure> {
        let url = format!("{}/{name}", base.trim_end_matches('/'));
        let response = self.agent.get(&url).call();
        let response = response.map_err(|error| Failure::Upstream(error.to_string()))?;
        match response.status().as_u16() {
            200..300 => Ok(response.into_body().into_with_config().limit(largest).reader()),
            404 => Err(Failure::Absent),
            status => Err(Failure::Upstream(format!("it answers {status}"))),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Io(error) => Failure::Here(error),
            other => Failure::Upstream(other.to_string()),
        }
    }
}
