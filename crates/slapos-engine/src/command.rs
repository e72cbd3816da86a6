//! A command that a recipe wants run, as plain data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A program with all that it gets: arguments, directory and the whole environment. Nothing is
/// inherited from this process except, where wanted, the jobserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) shown: Option<String>,
    pub(crate) jobserver: bool,
    pub(crate) apart: bool,
}

impl CommandSpec {
    /// The program at `program` (looked up in this process's `PATH` if it has no `/`).
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            shown: None,
            jobserver: false,
            apart: false,
        }
    }

    /// `text` run by `/bin/sh`, which stops at the first command that fails. Error messages and
    /// the log show `text` alone.
    pub fn shell(text: &str) -> Self {
        Self::new("/bin/sh").arg("-c").arg(format!("set -e;{text}")).shown_as(text)
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets the working directory; default: the buildout directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.environment.extend(variables.into_iter().map(|(n, v)| (n.into(), v.into())));
        self
    }

    /// Sets what people see instead of the program and its arguments.
    #[must_use]
    pub fn shown_as(mut self, text: &str) -> Self {
        self.shown = Some(text.trim().to_owned());
        self
    }

    /// Lets the command take part in the run's jobserver: `MAKEFLAGS` is set and two descriptors
    /// are inherited, unless the run has one job only.
    #[must_use]
    pub fn with_jobserver(mut self) -> Self {
        self.jobserver = true;
        self
    }

    /// Keeps its output apart from that of other commands of the same part that run at the same
    /// time: it comes to the log in whole lines, and an error shows the end of its own.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// The command as people read it.
    pub fn display(&self) -> String {
        self.shown.clone().unwrap_or_else(|| {
            let words = std::iter::once(&self.program).chain(&self.args);
            words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        })
    }
}
