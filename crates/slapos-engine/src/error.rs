//! What can go wrong, said so that a person can act on it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_profile::ProfileError;

use crate::ledger::LedgerError;
use crate::secret::Secrets;

/// Why a part could not be installed or updated, as its recipe says it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct PartError {
    message: String,
    command: Option<String>,
    detail: Vec<String>,
    said: Option<Box<[String]>>,
    help: Option<String>,
    cancelled: bool,
}

impl PartError {
    /// An error that reads `message` (no trailing full stop).
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            command: None,
            detail: Vec::new(),
            said: None,
            help: None,
            cancelled: false,
        }
    }

    /// An error of the operating system while doing `what` (a verb and its object) with `path`.
    pub fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot {what} {}: {error}", path.display()))
    }

    /// The run was asked to stop.
    pub fn cancelled() -> Self {
        Self { cancelled: true, ..Self::new("stopped because the run was asked to stop") }
    }

    /// Names the command that failed.
    #[must_use]
    pub fn with_command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Adds lines that tell the whole story, for example the errors of a buildout that the part
    /// ran.
    #[must_use]
    pub fn with_detail<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.detail.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Gives the last lines of what the failed command said, where the end of the log may be what
    /// others said.
    #[must_use]
    pub fn with_said(mut self, lines: Vec<String>) -> Self {
        self.said = Some(lines.into_boxed_slice());
        self
    }

    /// What [`Self::with_said`] gave.
    pub fn said(&self) -> Option<&[String]> {
        self.said.as_deref()
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// True when the part did not fail by itself but was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    pub(crate) fn into_failure(
        self,
        part: &str,
        tail: Vec<String>,
        log: PathBuf,
        at: String,
    ) -> PartFailure {
        PartFailure {
            part: part.to_owned(),
            message: self.message,
            command: self.command,
            detail: self.detail,
            of_command: self.said.is_some(),
            tail,
            log,
            at,
            help: self.help,
            cancelled: self.cancelled,
        }
    }
}

/// A part that failed, with all that is needed to find out why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFailure {
    /// Name of the part.
    pub part: String,
    /// What went wrong.
    pub message: String,
    /// The command that failed, if it was one.
    pub command: Option<String>,
    /// The whole story, line by line, where `message` is not all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// The last lines of its log, at most 30.
    pub tail: Vec<String>,
    /// They are the last that the failed command said, wherever in the log they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_command: bool,
    /// The whole log; the file may not exist when nothing was logged.
    pub log: PathBuf,
    /// `file:line` of the section that defines the part.
    pub at: String,
    /// What to do about it, if known.
    pub help: Option<String>,
    /// It was stopped and did not fail by itself.
    pub cancelled: bool,
}

impl PartFailure {
    /// The same without secrets.
    pub(crate) fn redacted(self, secrets: &Secrets) -> Self {
        if secrets.is_empty() {
            return self;
        }
        let text = |text: String| secrets.redact(&text);
        let lines = |lines: Vec<String>| lines.iter().map(|line| secrets.redact(line)).collect();
        Self {
            message: text(self.message),
            command: self.command.map(text),
            detail: lines(self.detail),
            tail: lines(self.tail),
            help: self.help.map(text),
            ..self
        }
    }
}

impl fmt::Display for PartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part `{}` failed: {}\n  defined at: {}", self.part, self.message, self.at)?;
        if let Some(command) = &self.command {
            write!(f, "\n  command: {}", command.replace('\n', "\n    "))?;
        }
        for line in &self.detail {
            write!(f, "\n    {line}")?;
        }
        if !self.tail.is_empty() {
            let ends =
                if self.of_command { "where the command ends with" } else { "which ends with" };
            write!(f, "\n  log: {}, {ends}:", self.log.display())?;
            for line in &self.tail {
                write!(f, "\n    | {line}")?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {}", help.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

/// Why a build did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The profile is wrong, or a recipe refused its options. `ProfileError::render` shows more.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Parts failed: the first in the order of the plan, then the others that were running.
    #[error("{}", list(.0))]
    Part(Vec<PartFailure>),
    /// The run was asked to stop; what was finished is recorded, and a new run goes on from there.
    #[error("stopped before the end because the run was asked to stop; run again to go on")]
    Cancelled,
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Another run works in the same directory.
    #[error("another run is working in {} (its lock: {})", .directory.display(), .lock.display())]
    Busy {
        /// The directory.
        directory: PathBuf,
        /// The locked file; it holds the process id of the other run.
        lock: PathBuf,
    },
    /// What is installed changed between making the plan and executing it.
    #[error("what is installed in {} changed since the plan was made; run again", .0.display())]
    Stale(PathBuf),
    /// The operating system refused something outside any part.
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

impl BuildError {
    /// The parts that failed; empty for every other kind of error.
    pub fn failures(&self) -> &[PartFailure] {
        match self {
            Self::Part(failures) => failures,
            _ => &[],
        }
    }
}

fn list(failures: &[PartFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_where_and_how_to_go_on() {
        let failure =
            PartError::new("`make` ended with status 2").with_command("make install").into_failure(
                "nginx",
                vec!["a.c:1: error: x".into(), "make: *** [all] Error 1".into()],
                "/b/.slapos/log/nginx.log".into(),
                "/p/software.cfg:12".into(),
            );
        insta::assert_snapshot!(BuildError::Part(vec![failure]), @r"
        part `nginx` failed: `make` ended with status 2
          defined at: /p/software.cfg:12
          command: make install
          log: /b/.slapos/log/nginx.log, which ends with:
            | a.c:1: error: x
            | make: *** [all] Error 1
        ");
    }
}
