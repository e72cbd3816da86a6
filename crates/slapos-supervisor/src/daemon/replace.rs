//! Taking another program's place in the same process, for an upgrade: `execve` without a fork.
//!
//! Services stay children of the same process, so that no exit is missed; the lock and the
//! listening socket are handed over, so that no second daemon comes in between and no client is
//! turned away. What the daemon knows goes through its ledger, as it does when it is killed.
//!
//! Order: the new program shows that it can run at all; calls that wait are answered; starts under
//! way are finished and new ones only announced; the ledger is written; then there is no way back.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use slapos_sys::lock::FileLock;
use slapos_sys::process::{self, Command};

use super::core::{Message, Mood, Supervisor};
use crate::Paths;
use crate::fault::{self, fault};
use crate::state::Moment;
use crate::xmlrpc::{Fault, Value};

/// Names what is handed over, in the environment of the new program.
const HANDOVER: &str = "SLAPOS_SUPERVISOR_HANDOVER";
/// How long the new program may take to print its help.
const CHECK_LIMIT: Duration = Duration::from_secs(20);
/// How long calls that wait for processes may hold the change up, then starts under way.
const WAITERS_LIMIT: Moment = Moment::from_secs(10);
const STARTS_LIMIT: Moment = Moment::from_secs(5);
/// How often it is looked whether it can go on.
const LOOK_EVERY: Moment = Moment::from_millis(20);

/// How far the change is.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    None,
    Checking,
    /// For calls that wait for processes.
    Waiting {
        since: Moment,
    },
    /// For starts under way; no new ones are begun.
    Holding {
        since: Moment,
    },
}

/// A change of the daemon's program.
#[derive(Debug, Default)]
pub(crate) struct Replacement {
    phase: Phase,
    /// How many programs this process has been before.
    pub(crate) generation: u64,
    /// Why the last change did not take place; empty if it did.
    refused: String,
}

impl Replacement {
    /// Of a daemon that took over from so many others.
    pub(crate) fn after(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Whether starts are announced and left to the successor.
    pub(crate) fn holds_starts(&self) -> bool {
        matches!(self.phase, Phase::Holding { .. })
    }
}

impl Supervisor {
    /// `slapos.replace`: begins the change; the answer is the present generation.
    pub(crate) fn replace(&mut self, reason: &str) -> Value {
        if matches!(self.replacement.phase, Phase::None) && self.mood == Mood::Up {
            self.journal.info(&format!("looking at the program that is to take over: {reason}"));
            self.replacement.phase = Phase::Checking;
            self.replacement.refused.clear();
            let outbox = self.outbox.clone();
            // It has a child of which nobody else is to ask how it ended.
            self.launching += 1;
            tokio::task::spawn_blocking(move || {
                let _ = outbox.send(Message::Checked(check()));
            });
        }
        generation_value(self.replacement.generation)
    }

    /// `slapos.generation`: which program of this process is running.
    pub(crate) fn generation(&self) -> Result<Value, Fault> {
        match self.replacement.refused.as_str() {
            "" => Ok(generation_value(self.replacement.generation)),
            reason => Err(fault(fault::FAILED, reason)),
        }
    }

    pub(crate) fn on_checked(&mut self, result: Result<(), String>) {
        self.launching -= 1;
        match result {
            Ok(()) => self.replacement.phase = Phase::Waiting { since: self.now() },
            Err(reason) => self.refuse_replacement(reason),
        }
    }

    fn refuse_replacement(&mut self, reason: String) {
        self.journal.warn(&format!("the program stays as it is: {reason}"));
        self.replacement.phase = Phase::None;
        self.replacement.refused = reason;
    }

    /// When [`Supervisor::continue_replacement`] is to be called again.
    pub(crate) fn replace_due(&self) -> Option<Moment> {
        let under_way =
            matches!(self.replacement.phase, Phase::Waiting { .. } | Phase::Holding { .. });
        under_way.then(|| self.now() + LOOK_EVERY)
    }

    /// Goes on with the change as far as possible.
    pub(crate) fn continue_replacement(&mut self) {
        let now = self.now();
        let overdue = |since: Moment, limit: Moment| now.saturating_sub(since) > limit;
        match self.replacement.phase {
            Phase::None | Phase::Checking => {}
            _ if self.mood != Mood::Up => {
                self.refuse_replacement("everything is being stopped".to_owned());
            }
            Phase::Waiting { since } => {
                if self.waiters.is_empty() || overdue(since, WAITERS_LIMIT) {
                    self.replacement.phase = Phase::Holding { since: now };
                }
            }
            Phase::Holding { since } => {
                let quiet = self.launching == 0 && self.rotating.is_empty();
                if quiet || overdue(since, STARTS_LIMIT) {
                    self.hand_over();
                }
            }
        }
    }

    fn hand_over(&mut self) {
        self.write_ledger();
        if self.ledger_is_written() {
            self.mood = Mood::Replaced;
        } else {
            let path = self.paths.state();
            self.refuse_replacement(format!("{} cannot be written", path.display()));
        }
    }
}

fn generation_value(generation: u64) -> Value {
    i64::try_from(generation).unwrap_or(i64::MAX).into()
}

/// Whether the program at our path can run. It may be of another version, and print whatever help
/// it has.
fn check() -> Result<(), String> {
    let path =
        process::executable().map_err(|error| format!("our program has no path: {error}"))?;
    let failed = |reason: String| format!("{} --help: {reason}", path.display());
    let mut command = Command::new(&path);
    command.arg("--help").envs(std::env::vars_os());
    for null in [Command::stdin, Command::stdout, Command::stderr] {
        null(&mut command, std::process::Stdio::null());
    }
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    match process::wait_within(&mut child, CHECK_LIMIT) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(failed(status.to_string())),
        Ok(None) | Err(_) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(failed(format!("no answer within {} s", CHECK_LIMIT.as_secs())))
        }
    }
}

/// What one program of the process hands over to the next.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) lock: FileLock,
    pub(crate) listener: UnixListener,
    /// The limits of open files (soft, hard) that children get.
    pub(crate) open_files: (u64, u64),
    pub(crate) generation: u64,
}

impl Handover {
    /// What a former program of this very process left for us, if there was one.
    pub(crate) fn receive(paths: &Paths) -> Option<Self> {
        let text = std::env::var(HANDOVER).ok()?;
        let numbers: Option<Vec<u64>> = text.split(',').map(|number| number.parse().ok()).collect();
        let [pid, lock, listener, soft, hard, generation] = numbers?[..] else {
            return None;
        };
        if pid != u64::from(std::process::id()) {
            return None;
        }
        let fd = |number: u64| process::inherited_fd(RawFd::try_from(number).ok()?).ok();
        let lock = FileLock::inherited(&paths.lock(), fd(lock)?).ok()?;
        let listener: OwnedFd = fd(listener)?;
        Some(Self { lock, listener: listener.into(), open_files: (soft, hard), generation })
    }

    /// Executes the program at our path with our arguments; returns only if that failed.
    pub(crate) fn execute(&self) -> std::io::Error {
        let path = match process::executable() {
            Ok(path) => path,
            Err(error) => return error,
        };
        let fds = [self.lock.as_fd().as_raw_fd(), self.listener.as_raw_fd()];
        let (soft, hard) = self.open_files;
        let [lock, listener] = fds;
        let generation = self.generation + 1;
        let pid = std::process::id();
        let mut arguments = std::env::args_os();
        let mut command = Command::new(&path);
        command
            .arg0(arguments.next().unwrap_or_default())
            .args(arguments)
            .envs(std::env::vars_os())
            .env(HANDOVER, format!("{pid},{lock},{listener},{soft},{hard},{generation}"))
            .pass_fds(&fds)
            .stdin(std::process::Stdio::inherit())
            .exec()
    }
}
