//! Running programs for whoever asked for distributions.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use slapos_sources::Progress;
use slapos_sys::process::Command;

use crate::EggError;

/// A program with all that it gets; nothing is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The program; one without `/` is looked for in this process's `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: PathBuf,
}

impl Call {
    pub(crate) fn new(program: &Path, directory: &Path) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            environment: BTreeMap::new(),
            directory: directory.to_owned(),
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn envs(mut self, environment: &BTreeMap<String, String>) -> Self {
        self.environment.extend(environment.iter().map(|(k, v)| (k.clone(), v.clone())));
        self
    }
}

/// What is needed from whoever asked: to run programs, to be told what happens, to say stop.
pub trait Work: Progress {
    /// Runs a program to its end. Its output goes to a log that people find.
    ///
    /// # Errors
    /// [`EggError::Cancelled`] when the run was stopped, [`EggError::Build`] when the program
    /// cannot be started or fails.
    fn run(&self, call: &Call) -> Result<(), EggError>;

    /// Tells of something suspicious that does not fail the work.
    fn warn(&self, text: &str);
}

/// Runs programs as children that end with this thread; errors hold the end of their output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Progress for Direct {}

impl Work for Direct {
    fn run(&self, call: &Call) -> Result<(), EggError> {
        let mut command = Command::new(&call.program);
        command.args(&call.args).envs(&call.environment).current_dir(&call.directory);
        command.stdin(Stdio::null()).die_with_parent();
        let what = format!("run {}", command.display());
        let output = command.output().map_err(|error| EggError::build(&what, error))?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = told.lines().collect();
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        Err(EggError::build(what, format!("it ended with {}\n{last}", output.status)))
    }

    fn warn(&self, _text: &str) {}
}
