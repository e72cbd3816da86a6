//! What a program is: the options of a `[program:...]` section, typed.

use std::path::PathBuf;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use slapos_sys::process::Signal;

use crate::events::Listener;
use crate::limits::{GroupLimits, Limits};

/// One program to supervise. The defaults of [`ProgramSpec::new`] are supervisor's.
///
/// Standard output and error always go to one log file; there is no separate error log. Of an event
/// listener it holds the errors, since its output is for the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// The name of the section, unique on the node but for the processes of one with `numprocs`.
    pub program: String,
    /// The name of the process within its group.
    pub process_name: String,
    /// The program's path and its arguments. A name without `/` is looked up in `PATH`.
    pub command: Vec<String>,
    /// The working directory; the daemon's own (`/`) if absent.
    pub directory: Option<PathBuf>,
    /// The user, by name or number; the daemon's own if absent.
    pub user: Option<String>,
    /// The primary group, by name or number; the user's if absent.
    pub group: Option<String>,
    /// The whole environment of the process (two `SLAPOS_SUPERVISOR_*` variables are added).
    pub environment: IndexMap<String, String>,
    /// Started with the daemon and when its group is added.
    pub autostart: bool,
    /// What an end of the process is answered with.
    pub autorestart: AutoRestart,
    /// Seconds that it must stay up to count as running.
    pub startsecs: u32,
    /// Early ends that are forgiven before it is given up.
    pub startretries: u32,
    /// Exit codes that are no failure.
    pub exitcodes: Vec<i32>,
    /// The signal that asks it to end.
    pub stopsignal: StopSignal,
    /// Seconds that the end may take before the whole group is killed.
    pub stopwaitsecs: u32,
    /// The stop signal goes to the whole group.
    pub stopasgroup: bool,
    /// What a failed process leaves behind of its group is killed.
    pub killasgroup: bool,
    /// Where output and errors are appended; discarded if absent.
    pub stdout_logfile: Option<PathBuf>,
    /// Size in bytes above which the log is rotated; 0: never.
    pub stdout_logfile_maxbytes: u64,
    /// How many rotated logs are kept.
    pub stdout_logfile_backups: u32,
    /// The mask of file modes.
    pub umask: u32,
    /// Lower starts earlier and stops later.
    pub priority: i32,
    /// Limits of resources.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// It is told events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
}

impl ProgramSpec {
    /// A program with supervisor's defaults, whose process bears the program's name.
    pub fn new(program: impl Into<String>, command: Vec<String>) -> Self {
        let program = program.into();
        Self {
            process_name: program.clone(),
            program,
            command,
            directory: None,
            user: None,
            group: None,
            environment: IndexMap::new(),
            autostart: true,
            autorestart: AutoRestart::Unexpected,
            startsecs: 1,
            startretries: 3,
            exitcodes: vec![0],
            stopsignal: StopSignal::default(),
            stopwaitsecs: 10,
            stopasgroup: false,
            killasgroup: false,
            stdout_logfile: None,
            stdout_logfile_maxbytes: 50 << 20,
            stdout_logfile_backups: 10,
            umask: 0o022,
            priority: 999,
            limits: Limits::default(),
            listener: None,
        }
    }
}

/// `autorestart`: what the end of a running process is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoRestart {
    /// `true`: a new start, always.
    Always,
    /// `false`: nothing.
    Never,
    /// `unexpected`: a new start, unless its exit code is among `exitcodes`.
    Unexpected,
}

/// A signal as supervisor's configuration writes it: `TERM`, `SIGTERM` or `15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StopSignal(pub Signal);

impl Default for StopSignal {
    fn default() -> Self {
        Self(Signal::SIGTERM)
    }
}

impl FromStr for StopSignal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim().to_ascii_uppercase();
        let parsed = match name.parse::<i32>() {
            Ok(number) => Signal::try_from(number).ok(),
            Err(_) if name.starts_with("SIG") => name.parse().ok(),
            Err(_) => format!("SIG{name}").parse().ok(),
        };
        let known = parsed.map(Self);
        known.ok_or_else(|| format!("`{text}` is not a signal; write for example TERM"))
    }
}

impl TryFrom<String> for StopSignal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StopSignal> for String {
    fn from(signal: StopSignal) -> Self {
        signal.to_string()
    }
}

impl std::fmt::Display for StopSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str().trim_start_matches("SIG"))
    }
}

/// A named set of processes that are added, started, stopped and removed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name: in SlapOS, the partition's.
    pub name: String,
    /// Lower is listed and started earlier.
    pub priority: i32,
    /// What its processes may take together.
    pub limits: GroupLimits,
    /// Its programs, in start order.
    pub programs: Vec<ProgramSpec>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_in_all_three_spellings() {
        for text in ["TERM", "sigterm", "15"] {
            assert_eq!(text.parse::<StopSignal>().unwrap(), StopSignal::default());
        }
        insta::assert_snapshot!(
            "PUNCH".parse::<StopSignal>().unwrap_err(),
            @"`PUNCH` is not a signal; write for example TERM"
        );
        assert_eq!(StopSignal(Signal::SIGUSR1).to_string(), "USR1");
    }
}
