//! The cache that ours takes from. Entries are passed on as they are, for whoever reads them checks
//! who signed them.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use ureq::Agent;

use super::{Digest, Key, MAX_ENTRIES, Refused, Shacache, is_entry};
use crate::outward;

/// How long it may take to find and reach the other end, each.
const REACH: Duration = Duration::from_secs(20);
/// How long the other end may take to begin its answer, and between two pieces of it: together with
/// [`REACH`] less than who asks us waits for a byte.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long entries may take, and a content.
const ENTRIES: Duration = Duration::from_secs(90);
const CONTENT: Duration = Duration::from_secs(6 * 3600);

/// The means to ask; every call blocks.
pub(crate) struct Upstream {
    agent: Agent,
}

/// Why nothing came.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// It is not there either.
    #[error("not found upstream")]
    Absent,
    /// The other cache fails, or sends something else.
    #[error("Upstream error: {0}")]
    Upstream(String),
    /// Ours could not keep it.
    #[error("{0}")]
    Here(Arc<io::Error>),
    /// Too much is under way.
    #[error("this cache waits for another one too often at present: ask again")]
    Busy,
}

impl Failure {
    /// The thread that was at it is gone.
    pub(super) fn interrupted() -> Failure {
        io::Error::other("taking over a content was interrupted").into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Here(Arc::new(error))
    }
}

impl Upstream {
    /// What asks for entries.
    pub(crate) fn for_entries() -> Upstream {
        Upstream::within(ENTRIES)
    }

    /// What asks for contents.
    pub(super) fn for_contents() -> Upstream {
        Upstream::within(CONTENT)
    }

    fn within(time: Duration) -> Upstream {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(time))
            .timeout_resolve(Some(REACH))
            .timeout_connect(Some(REACH))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .tls_config(outward::tls())
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")))
            .build();
        Upstream { agent: config.into() }
    }

    /// A content as it comes, and its length if that is told.
    pub(super) fn content(
        &self,
        cache: &Shacache,
        digest: &Digest,
    ) -> Result<(Option<u64>, impl io::Read + use<>), Failure> {
        let base = cache.config.upstream_cache.as_deref().ok_or(Failure::Absent)?;
        let largest = cache.config.largest;
        let (length, reader) = self.get(base, digest.as_str(), largest)?;
        match length {
            Some(length) if length > largest => Err(Refused::TooLarge(largest).into()),
            length => Ok((length, reader)),
        }
    }

    /// The entries of a key.
    pub(crate) fn entries(&self, cache: &Shacache, key: &Key) -> Result<Vec<Json>, Failure> {
        let base = cache.config.upstream_dir.as_deref().ok_or(Failure::Absent)?;
        let mut text = String::new();
        let (_, mut reader) = self.get(base, key.as_str(), MAX_ENTRIES)?;
        reader.read_to_string(&mut text).map_err(|error| Failure::Upstream(error.to_string()))?;
        match serde_json::from_str(&text) {
            Ok(Json::Array(entries)) if entries.iter().all(is_entry) => Ok(entries),
            _ => Err(Failure::Upstream("it gives no list of entries".to_owned())),
        }
    }

    fn get(
        &self,
        base: &str,
        name: &str,
        largest: u64,
    ) -> Result<(Option<u64>, impl io::Read + use<>), Failure> {
        let url = format!("{}/{name}", base.trim_end_matches('/'));
        let response = self.agent.get(&url).call();
        let response = response.map_err(|error| Failure::Upstream(error.to_string()))?;
        match response.status().as_u16() {
            200..300 => {
                let body = response.into_body();
                Ok((body.content_length(), body.into_with_config().limit(largest).reader()))
            }
            404 => Err(Failure::Absent),
            status => Err(Failure::Upstream(format!("it answers {status}"))),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Io(error) => error.into(),
            other => Failure::Upstream(other.to_string()),
        }
    }
}
