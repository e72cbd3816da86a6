//! Bytes by name and hash: downloads, registries, the cache, and archives.
//!
//! A profile names a [`Source`]: places, and the [`Digest`] of what they hold. A [`Fetcher`]
//! brings those bytes from wherever they are, verified, into a content-addressed cache:
//! from the cache, the primary place, the alternates, or Debian's source archive, whose indexes
//! list files by digest. [`archive::extract`] then unpacks them so that nothing can escape its
//! directory. [`LocalFiles`] reads files of this machine.
//!
//! # Spellings
//!
//! | spelling | place | digest |
//! | --- | --- | --- |
//! | `https://...`, `http://...` | a web server | needed, unless the caller allows none |
//! | `file:///path`, `/path` | this machine | optional |
//! | `debian:PACKAGE=VERSION/FILE` | a file of a Debian source package | needed |
//! | `pypi:NAME=VERSION/FILE` | a file of a Python release | needed |
//! | `crate:NAME=VERSION` | a Rust crate | needed |
//! | `npm:NAME=VERSION`, `npm:@SCOPE/NAME=VERSION` | a JavaScript package | needed |
//!
//! Each may end in `#sha256=HEX`, `#sha512=HEX` or `#md5=HEX`. Registries are reached through
//! the machine's own clients (apt, pip, cargo, npm) and the mirrors they are configured for: no
//! host name is written in a profile, nor here. What is absent: no client ever builds or runs
//! anything of a package, nothing is handed out that was not verified when it has a digest, and
//! nothing incomplete has a final name.

pub mod archive;
mod cache;
mod digest;
mod download;
mod error;
mod fetcher;
mod http;
mod local;
mod networkcache;
mod progress;
mod registry;
mod source;
mod spelling;

/// Variables by which the user of a machine says how networks are reached: proxies, certificates.
pub const NETWORK_VARIABLES: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

pub use digest::{Digest, DigestError};
pub use error::{Attempt, Attempts, Failure, FetchError};
pub use fetcher::{Fetched, Fetcher, FetcherConfig};
pub use http::Patience;
pub use local::LocalFiles;
pub use networkcache::{CacheEntry, Machine, Signers, lookup};
pub use progress::{Progress, Silent};
pub use registry::{DebianSettings, PythonFile, PythonPlaces};
pub use source::{Alternate, Source};
pub use spelling::{SourceUrl, SpellingError};
