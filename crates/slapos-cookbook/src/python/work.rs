//! Finding and building distributions for the host: it can be stopped, and what it started is found.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use slapos_eggs::{Call, EggError, Work};
use slapos_engine::Cancellation;
use slapos_sources::Progress;
use slapos_sys::process::{Command, Signal, kill_group, wait_within};

/// How often a running program is looked at, to see whether the run was stopped.
const POLL: Duration = Duration::from_millis(100);
/// How many of the last lines of a program's output an error shows.
const LAST_LINES: usize = 30;

/// Work for a run that may be stopped.
#[derive(Clone)]
pub(super) struct Stoppable {
    pub(super) cancellation: Cancellation,
    /// Marks what is started.
    pub(super) tag: (&'static str, String),
}

impl Progress for Stoppable {
    fn cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }
}

impl Stoppable {
    /// Runs `command` to its end, or until the run is stopped.
    fn wait(&self, command: &mut Command, what: &str) -> Result<ExitStatus, EggError> {
        let failed = |error: std::io::Error| EggError::build(what, error);
        let mut child = command.spawn().map_err(failed)?;
        loop {
            if self.cancelled() {
                // It may have ended just now.
                let _ = kill_group(child.id(), Signal::SIGKILL);
                let _ = child.wait();
                return Err(EggError::Cancelled);
            }
            if let Some(status) = wait_within(&mut child, POLL).map_err(failed)? {
                return Ok(status);
            }
        }
    }
}

impl Work for Stoppable {
    fn run(&self, call: &Call) -> Result<(), EggError> {
        let words: Vec<_> = call.args.iter().map(|arg| arg.to_string_lossy()).collect();
        let what = format!("run {} {}", call.program.display(), words.join(" "));
        let failed = |error: std::io::Error| EggError::build(&*what, error);
        let room = std::env::temp_dir();
        let room = slapos_sys::fs::temp_dir_in(&room, "slapos-python-").map_err(failed)?;
        let log = room.path().join("log");
        let output = slapos_sys::fs::open_append(&log, 0o600).map_err(failed)?;
        let mut command = Command::new(&call.program);
        command.args(&call.args).envs(&call.environment).env(self.tag.0, &self.tag.1);
        command.current_dir(&call.directory).stdin(Stdio::null());
        command.stdout(output.try_clone().map_err(failed)?).stderr(output);
        let status = self.wait(command.process_group().die_with_parent(), &what)?;
        if status.success() {
            return Ok(());
        }
        let said = slapos_sys::fs::read(&log).map_err(failed)?;
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        Err(EggError::build(&*what, format!("it ended with {status}\n{last}")))
    }

    fn warn(&self, _text: &str) {}
}
