//! Software Releases that others have built, from a cache that a signature vouches for
//! (`[networkcache]`).
//!
//! A directory of entries (`shadir`) tells by the MD5 of a Software Release's URL which archives
//! there are of it; each entry is signed, and names its archive by SHA-512, the URL, and for what
//! machine and directory it was built. The archives lie in a store (`shacache`) under that SHA-512. Whatever is wrong with them is
//! a reason to build, unless the URL is one that must come from the cache.
//!
//! Invariants: no byte of an archive is unpacked before it has the digest of an entry that one of
//! the operator's certificates signed; archives are unpacked by the guard of all archives, to a
//! directory that was not there; all of it as the builder.
//!
//! What was built here goes the other way (`upload`), if the operator gave a key to vouch for it.

mod config;
mod entry;

use std::path::Path;

use serde::{Deserialize, Serialize};
use slapos_slap::SoftwareUrl;
use slapos_sources::archive::{Limits, Strip, extract};
use slapos_sources::{Fetcher, FetcherConfig, Machine, Signers, Silent, Source};
use slapos_sys::fs;

pub use config::BinaryConfig;
pub(crate) use config::{Face, Upload};
use entry::Wanted;

/// A directory of entries is no longer than this, bytes.
const LONGEST_LIST: u64 = 4 << 20;

/// Where a worker looks for a Software Release before it builds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryCache {
    /// The directory of entries.
    pub directory_url: String,
    /// The store of archives.
    pub cache_url: String,
    /// PEM: entries that one of these certificates signed are trusted.
    pub certificates: Vec<String>,
    /// What does not come from there is not built either.
    pub forced: bool,
}

impl BinaryCache {
    /// Brings the Software Release at `url` to `directory`, which must not be there; archives are
    /// kept in `download_cache`.
    ///
    /// # Errors
    /// Words for why it does not come from here; nothing is at `directory` then.
    pub(crate) fn bring(
        &self,
        url: &SoftwareUrl,
        directory: &Path,
        download_cache: &Path,
    ) -> Result<(), String> {
        let signers = Signers::of(&self.certificates.join("\n"));
        if signers.is_empty() {
            return Err("no certificate of signature-certificate-list can be used".to_owned());
        }
        let list = self.list(url, download_cache)?;
        let root = directory.parent().unwrap_or(directory).display().to_string();
        let wanted = Wanted { url: url.as_str(), root: &root, machine: Machine::this() };
        let found = entry::find(&list, &signers, &wanted)?;
        let store = fetcher(download_cache, FetcherConfig::new(download_cache).max_bytes);
        let place = joined(&self.cache_url, &found.hex());
        let source = source(&place)?.with_digest(found);
        let archive = store.fetch(&source, &Silent).map_err(|error| error.to_string())?;
        extract(&archive.path, directory, &Limits::default(), Strip::Always, &Silent)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// The entries that there are of `url`.
    fn list(&self, url: &SoftwareUrl, download_cache: &Path) -> Result<String, String> {
        let fetcher = fetcher(download_cache, LONGEST_LIST);
        let source = source(&joined(&self.directory_url, &url.md5_hex()))?.allow_unverified();
        let list = fetcher.fetch(&source, &Silent).map_err(|error| error.to_string())?;
        fs::read_to_string_limited(&list.path, LONGEST_LIST).map_err(|error| error.to_string())
    }
}

fn fetcher(cache: &Path, max_bytes: u64) -> Fetcher {
    Fetcher::new(FetcherConfig { max_bytes, by_hash: false, ..FetcherConfig::new(cache) })
}

fn source(place: &str) -> Result<Source, String> {
    place.parse().map(Source::new).map_err(|error| format!("{error}"))
}

/// The address of `name` in what is at `base`.
pub(crate) fn joined(base: &str, name: &str) -> String {
    format!("{}/{name}", base.trim_end_matches('/'))
}
