//! What a Python is: version, binary interface, platform; asked by running it once.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use slapos_sys::process::Command;

use crate::build::short_hash;
use crate::tags::Tags;
use crate::{EggError, MarkerValues};

const QUESTION: &str = include_str!("interpreter.py");

/// A Python that distributions are for.
#[derive(Debug, Clone)]
pub struct Interpreter {
    /// Its own idea of where it is; scripts name it.
    pub executable: PathBuf,
    /// `3` of 3.11.
    pub major: u64,
    /// `11` of 3.11.
    pub minor: u64,
    /// What compiled modules must fit: `cpython-311-x86_64-linux-gnu`.
    pub abi: String,
    /// What conditions of requirements refer to.
    pub markers: MarkerValues,
    pub(crate) tags: Tags,
    /// Stands for where it is and how it compiles modules.
    pub(crate) build: String,
}

/// The answer to the question.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    executable: PathBuf,
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) short: String,
    pub(crate) abi: String,
    key: String,
    pub(crate) platform: String,
    pub(crate) libc: Option<(u64, u64)>,
    markers: MarkerValues,
    build: Vec<String>,
}

impl Interpreter {
    /// Runs `executable` (looked for in this process's `PATH` if it has no `/`) to learn what it
    /// is. Neither the environment nor files of the user have a say.
    ///
    /// # Errors
    /// [`EggError::Interpreter`] when it cannot be run or gives another answer than a Python.
    pub fn examine(executable: &Path) -> Result<Self, EggError> {
        let failed =
            |reason: String| EggError::Interpreter { executable: executable.to_owned(), reason };
        let mut command = Command::new(executable);
        command.args(["-E", "-s", "-c", QUESTION]).current_dir("/").stdin(Stdio::null());
        // What stands in `PATH` may be a launcher that looks there itself.
        command.inherit_env(&["PATH", "HOME"]).die_with_parent();
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let last = told.lines().rev().find(|line| !line.trim().is_empty());
            let last = last.map_or_else(|| output.status.to_string(), str::to_owned);
            return Err(failed(last));
        }
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .map_err(|error| failed(format!("it gave no sensible answer ({error})")))?;
        Ok(Self {
            tags: Tags::of(&answer),
            build: short_hash(answer.build.iter().map(String::as_bytes)),
            executable: answer.executable,
            major: answer.major,
            minor: answer.minor,
            abi: answer.key,
            markers: answer.markers,
        })
    }

    /// As names of eggs say it: `py3.11`.
    pub fn egg_tag(&self) -> String {
        format!("py{}.{}", self.major, self.minor)
    }

    pub(crate) fn version(&self) -> Option<crate::Version> {
        self.markers.get("python_full_version")?.parse().ok()
    }
}
