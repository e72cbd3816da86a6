//! Why a fetch failed: every place that was asked, what it answered, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Digest;

/// A fetch that did not bring the bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The source says nowhere what its bytes are.
    #[error(
        "{place} has no digest: add #sha256=HEX to it (or a digest option), so that what arrives \
         can be verified"
    )]
    NoDigest {
        /// The place without a digest.
        place: String,
    },
    /// No place had the bytes.
    #[error(transparent)]
    Failed(#[from] Box<Attempts>),
    /// The cache directory itself cannot be used.
    #[error("cannot {action} {path:?} in the download cache: {error}; check its owner and space")]
    Cache {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The watcher asked to stop. What arrived so far is kept and resumed next time.
    #[error("the fetch was cancelled")]
    Cancelled,
}

/// All places that were asked for one source, in order.
#[derive(Debug)]
pub struct Attempts {
    /// The place named first by the profile.
    pub source: String,
    /// The places and what went wrong at each.
    pub attempts: Vec<Attempt>,
    /// True when nothing but the cache and local files could be asked.
    pub offline: bool,
}

/// One place that was asked.
#[derive(Debug)]
pub struct Attempt {
    /// The place, passwords left out.
    pub place: String,
    /// What went wrong there.
    pub failure: Failure,
}

/// What went wrong at one place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server answered with a status other than success.
    #[error("the server answered {status} {reason}")]
    Status {
        /// HTTP status code.
        status: u16,
        /// Its usual name.
        reason: &'static str,
    },
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Transport(String),
    /// The bytes are others than they should be. Nothing of them was kept.
    #[error("wrong digest: expected {expected}, got {got}")]
    WrongDigest {
        /// What was asked for.
        expected: Box<Digest>,
        /// What arrived.
        got: Box<Digest>,
    },
    /// It is larger than the fetcher accepts.
    #[error("it is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Largest size accepted, in bytes.
        limit: u64,
    },
    /// The disk of the cache is full.
    #[error("no space left in {directory:?}: {free} bytes are free{}", needs(*.needed))]
    NoSpace {
        /// Where it was written.
        directory: PathBuf,
        /// Bytes still free for this user.
        free: u64,
        /// Bytes still to come, if known.
        needed: Option<u64>,
    },
    /// A file of this machine could not be read or written.
    #[error("cannot {action} {path:?}: {error}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A registry or its client does not lead to the file.
    #[error("{0}")]
    Registry(String),
    /// Nobody may be asked.
    #[error("not asked, because the fetcher is offline")]
    Offline,
    /// The watcher asked to stop.
    #[error("cancelled")]
    Cancelled,
}

fn needs(needed: Option<u64>) -> String {
    needed.map_or_else(String::new, |bytes| format!(", {bytes} more bytes were to come"))
}

impl Failure {
    /// True when asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Status { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// What a failed write to `path` means, with `needed` bytes still to come.
    pub(crate) fn from_write(error: io::Error, path: &Path, needed: Option<u64>) -> Self {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if !full.contains(&error.kind()) {
            return Self::file("write", path)(error);
        }
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        Self::NoSpace {
            free: slapos_sys::fs::free_space(&directory).unwrap_or(0),
            directory,
            needed,
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { action, path, error }
    }
}

impl std::error::Error for Attempts {}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be fetched", self.source)?;
        for Attempt { place, failure } in &self.attempts {
            write!(f, "\n  {place}: {failure}")?;
        }
        write!(f, "\n  help: {}", self.help())
    }
}

impl Attempts {
    /// What the reader should do, from what went wrong.
    pub fn help(&self) -> &'static str {
        let any = |test: fn(&Failure) -> bool| self.attempts.iter().any(|a| test(&a.failure));
        if any(|failure| matches!(failure, Failure::NoSpace { .. })) {
            "make room on that disk, or put the download cache on another one"
        } else if any(|failure| matches!(failure, Failure::WrongDigest { .. })) {
            "find out which digest upstream published: either the one in the profile is wrong, or \
             the place no longer holds the file that was released"
        } else if self.offline {
            "run once with access to the network, or put the file into the download cache as \
             sha256/HEX"
        } else if any(|failure| matches!(failure, Failure::Transport(_))) {
            "check the network and the proxy settings (http_proxy, https_proxy, no_proxy), or add \
             an alternate place"
        } else {
            "correct the address, or add an alternate place that still has the file"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_place_and_what_to_do() {
        let attempts = Attempts {
            source: "http://h/a".into(),
            attempts: vec![
                Attempt {
                    place: "http://h/a".into(),
                    failure: Failure::Status { status: 404, reason: "Not Found" },
                },
                Attempt {
                    place: "/mnt/a".into(),
                    failure: Failure::WrongDigest {
                        expected: Box::new(Digest::Md5([0; 16])),
                        got: Box::new(Digest::Md5([1; 16])),
                    },
                },
                Attempt {
                    place: "/full".into(),
                    failure: Failure::NoSpace {
                        directory: "/c".into(),
                        free: 12,
                        needed: Some(99),
                    },
                },
            ],
            offline: false,
        };
        insta::assert_snapshot!(attempts, @r#"
        http://h/a could not be fetched
          http://h/a: the server answered 404 Not Found
          /mnt/a: wrong digest: expected md5:00000000000000000000000000000000, got md5:01010101010101010101010101010101
          /full: no space left in "/c": 12 bytes are free, 99 more bytes were to come
          help: make room on that disk, or put the download cache on another one
        "#);
    }
}
