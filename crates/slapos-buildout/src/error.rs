//! What can go wrong before, beside and in a run.

use std::io;
use std::path::PathBuf;

use slapos_engine::BuildError;
use slapos_profile::ProfileError;

/// Why the command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The words make no sense, or ask for what cannot be done.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do instead.
        help: String,
    },
    /// The profile is wrong. `ProfileError::render` shows more.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The run failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The operating system refused something.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// A verb: what was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: help.into() }
    }

    pub(crate) fn io(what: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }

    /// What to do about it, where the error itself does not show it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Usage { help, .. } => Some(help),
            _ => None,
        }
    }
}
