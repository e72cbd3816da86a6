//! Why distributions could not be had, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EggError {
    /// The run was asked to stop.
    #[error("stopped because the run was asked to stop")]
    Cancelled,
    /// A file or directory could not be used.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A Python could not be asked what it is.
    #[error("{} cannot be used as Python: {reason}", executable.display())]
    Interpreter {
        /// The program.
        executable: PathBuf,
        /// What happened.
        reason: String,
    },
    /// Text that is no requirement, version or pin.
    #[error("{text}{}", by(required_by))]
    Text {
        /// What is wrong with it.
        text: String,
        /// Who says so; may be empty.
        required_by: String,
    },
    /// A pin contradicts a requirement.
    #[error(
        "{requirement}, {}, is not what [versions] says: `{name} = {pin}`",
        wanted(required_by)
    )]
    PinRefused {
        /// What is wanted.
        requirement: String,
        /// By whom; empty for the profile.
        required_by: String,
        /// The name in `[versions]`.
        name: String,
        /// The pin.
        pin: String,
    },
    /// What was chosen contradicts a requirement.
    #[error("{requirement}, {}, contradicts {chosen}, {}", wanted(required_by), wanted(chosen_by))]
    Conflict {
        /// What is wanted.
        requirement: String,
        /// By whom.
        required_by: String,
        /// The distribution that was chosen before.
        chosen: String,
        /// For whom.
        chosen_by: String,
    },
    /// No pin, and none may be picked.
    #[error(
        "`{name}`, {}, has no version in [versions], and `allow-picked-versions = false`",
        wanted(required_by)
    )]
    NotPinned {
        /// The distribution.
        name: String,
        /// Who needs it.
        required_by: String,
        /// The version that would be picked, if known.
        version: Option<String>,
    },
    /// Nothing satisfies a requirement.
    #[error("no distribution of {requirement}, {}: {reason}", wanted(required_by))]
    NotFound {
        /// What is wanted.
        requirement: String,
        /// By whom.
        required_by: String,
        /// Where it was looked for, and what was found.
        reason: String,
    },
    /// A distribution lacks an extra.
    #[error("{distribution} has no extra `{extra}`, {}", wanted(required_by))]
    UnknownExtra {
        /// The distribution.
        distribution: String,
        /// The extra.
        extra: String,
        /// Who wants it.
        required_by: String,
    },
    /// Building or installing failed.
    #[error("cannot {what}: {reason}")]
    Build {
        /// What was tried.
        what: String,
        /// Why not.
        reason: String,
        /// The last lines of what the program said that failed, unless `reason` has them.
        said: Vec<String>,
    },
}

impl EggError {
    /// What to do about it, if that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::PinRefused { name, .. } => {
                Some(format!("change `{name}` in [versions], or the requirement"))
            }
            Self::NotPinned { name, version, .. } => {
                let version = version.as_deref().unwrap_or("...");
                Some(format!("add `{name} = {version}` to [versions]"))
            }
            Self::UnknownExtra { .. } => {
                Some("`allow-unknown-extras = true` in [buildout] takes it without".to_owned())
            }
            Self::Conflict { .. } => Some("pin a version in [versions] that suits both".to_owned()),
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { action, path, error }
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers hand over errors and texts alike")]
    /// A failure of what was to be done, and why.
    pub fn build(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Build { what: what.into(), reason: reason.to_string(), said: Vec::new() }
    }

    /// The same, saying that it was for the distribution `name`.
    pub(crate) fn of(self, name: &str) -> Self {
        match &self {
            Self::Build { said, .. } if !said.is_empty() => {
                let (what, said) = (format!("build {name}"), said.clone());
                Self::Build { what, reason: self.to_string(), said }
            }
            _ => self,
        }
    }

    pub(crate) fn text(error: &dyn std::error::Error, required_by: &str) -> Self {
        Self::Text { text: error.to_string(), required_by: required_by.to_owned() }
    }
}

fn wanted(by: &str) -> String {
    if by.is_empty() { "asked for by the profile".into() } else { format!("required by {by}") }
}

fn by(by: &str) -> String {
    if by.is_empty() { String::new() } else { format!(" (required by {by})") }
}
