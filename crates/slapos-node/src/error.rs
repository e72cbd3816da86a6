//! What can go wrong in the node, with what to do about it and what exit code it means.

use std::fmt;
use std::io;
use std::path::Path;

use slapos_config::ConfigError;
use slapos_slap::SlapError;

/// Exit codes of the commands, as the original has them.
pub mod exit {
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// Only promises failed.
    pub const PROMISE: u8 = 2;
    /// The computer is formatted, and the Master did not take what it was told.
    pub const FORMAT_UNTOLD: u8 = 2;
    /// The Master did not answer, or not sensibly. `node instance` has started services as last
    /// known.
    pub const OFFLINE: u8 = 3;
    /// `node status` was asked about a service that there is not, as `supervisorctl` ends.
    pub const UNKNOWN_SERVICE: u8 = 4;
    /// The command needs root.
    pub const NOT_ROOT: u8 = 5;
    /// Another such command runs.
    pub const BUSY: u8 = 10;
}

/// An error of the node.
#[derive(Debug)]
pub struct NodeError {
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    code: u8,
    lasting: bool,
}

impl NodeError {
    /// An error that reads `message`; the exit code is [`exit::FAILED`].
    pub fn user(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            detail: None,
            hint: None,
            code: exit::FAILED,
            lasting: false,
        }
    }

    /// Another process does the same thing at this moment.
    pub fn busy(what: &str, lock: &Path) -> Self {
        let holder = slapos_sys::lock::FileLock::holder(lock)
            .map_or_else(String::new, |pid| format!(" (process {pid})"));
        let error = Self::user(format!("another `{what}` is running{holder}"));
        Self { code: exit::BUSY, ..error }.hint("wait until it ends; nothing was changed")
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds lines that show the error in its place, already laid out.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says what came of it, after the message.
    #[must_use]
    pub fn and(self, what: &str) -> Self {
        Self { message: format!("{}; {what}", self.message), ..self }
    }

    /// Changes the exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Says that no waiting mends it: a person must.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// Whether it is known that waiting does not mend it.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// The exit code that tells this error from others.
    pub fn exit_code(&self) -> u8 {
        self.code
    }

    /// Lines to show after the message.
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NodeError {}

impl From<ConfigError> for NodeError {
    fn from(error: ConfigError) -> Self {
        let missing = matches!(&error, ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound);
        let error = Self::user(error.to_string());
        if missing {
            return error.hint(
                "`slapos up SOFTWARE` writes a configuration; or name yours with --cfg or SLAPOS_CONFIGURATION",
            );
        }
        error
    }
}

impl From<SlapError> for NodeError {
    /// The exit code tells a Master that is away from one that says no.
    fn from(error: SlapError) -> Self {
        let code = if is_away(&error) { exit::OFFLINE } else { exit::FAILED };
        Self { lasting: !error.is_temporary(), code, ..Self::user(error.to_string()) }
    }
}

/// Whether the Master is away or out of its mind, as opposed to saying no.
pub(crate) fn is_away(error: &SlapError) -> bool {
    match error {
        SlapError::Server { status, .. } => *status >= 500,
        SlapError::Protocol { .. } => true,
        other => other.is_temporary(),
    }
}

/// Says what was tried, and with which file, when the operating system refused.
pub(crate) trait IoContext<T> {
    /// `what` is a verb, such as `create`.
    fn context(self, what: &str, path: &Path) -> Result<T, NodeError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, what: &str, path: &Path) -> Result<T, NodeError> {
        self.map_err(|error| NodeError::user(format!("cannot {what} {}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_says_no_is_not_away() {
        let code = |status| {
            let (url, route, body) = Default::default();
            NodeError::from(SlapError::Server { url, route, status, body }).exit_code()
        };
        assert_eq!([500, 503].map(code), [exit::OFFLINE; 2]);
        assert_eq!(code(409), exit::FAILED);
    }
}
