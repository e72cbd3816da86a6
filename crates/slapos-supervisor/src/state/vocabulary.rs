//! The words in which the machine and its driver speak: states, events, actions.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use slapos_sys::process::Signal;

use crate::spec::{AutoRestart, ProgramSpec};

/// The states of supervisor, under its names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Stopped on request, or never started.
    Stopped,
    /// Started, but not yet for `startsecs`.
    Starting,
    /// Running.
    Running,
    /// Ended; will be started again after a while, and when what it left behind is gone.
    Backoff,
    /// Asked to stop, not yet gone; or gone, and what it left behind is being killed.
    Stopping,
    /// Ended by itself and is not started again.
    Exited,
    /// Ended too early too often; given up.
    Fatal,
}

impl State {
    /// The number that the XML-RPC face shows.
    pub fn code(self) -> i32 {
        match self {
            Self::Stopped => 0,
            Self::Starting => 10,
            Self::Running => 20,
            Self::Backoff => 30,
            Self::Stopping => 40,
            Self::Exited => 100,
            Self::Fatal => 200,
        }
    }

    /// The name that the XML-RPC face shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Backoff => "BACKOFF",
            Self::Stopping => "STOPPING",
            Self::Exited => "EXITED",
            Self::Fatal => "FATAL",
        }
    }

    /// The state of that number, if there is one.
    pub fn from_code(code: i32) -> Option<Self> {
        let all = [
            Self::Stopped,
            Self::Starting,
            Self::Running,
            Self::Backoff,
            Self::Stopping,
            Self::Exited,
            Self::Fatal,
        ];
        all.into_iter().find(|state| state.code() == code)
    }

    /// Running or about to: what can be stopped, and what cannot be started.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Backoff)
    }

    /// At rest: no process is there and none will come unless asked for.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Stopped | Self::Exited | Self::Fatal)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was not our child (adopted), so nobody told.
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "terminated by {signal}"),
                Err(_) => write!(f, "terminated by signal {number}"),
            },
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// What the machine needs to know of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a process must live to count as running.
    pub start_after: Duration,
    /// How many early ends are forgiven before `FATAL`.
    pub retries: u32,
    /// Whether an end is answered by a new start.
    pub restart: AutoRestart,
    /// Exit codes that are no failure.
    pub expected: Vec<i32>,
    /// The signal that asks for the end.
    pub stop_signal: Signal,
    /// How long the end may take before the group is killed.
    pub stop_wait: Duration,
    /// The stop signal goes to the whole group.
    pub stop_as_group: bool,
    /// What a failed process leaves behind of its group is killed.
    pub kill_as_group: bool,
}

impl From<&ProgramSpec> for Policy {
    fn from(spec: &ProgramSpec) -> Self {
        Self {
            start_after: Duration::from_secs(spec.startsecs.into()),
            retries: spec.startretries,
            restart: spec.autorestart,
            expected: spec.exitcodes.clone(),
            stop_signal: spec.stopsignal.0,
            stop_wait: Duration::from_secs(spec.stopwaitsecs.into()),
            stop_as_group: spec.stopasgroup,
            kill_as_group: spec.killasgroup,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it to run.
    Start,
    /// Somebody wants it to end.
    Stop,
    /// The spawn that was asked for made this process.
    Spawned(u32),
    /// The spawn that was asked for failed.
    SpawnFailed(String),
    /// A process of a former daemon was found running, started `age` ago.
    Adopted {
        /// Its process id.
        pid: u32,
        /// How long it has been running.
        age: Duration,
    },
    /// A process that a former daemon had in this state, or saw on its way there, is no longer
    /// there.
    Vanished(State),
    /// The process ended.
    Exited(Exit),
    /// Whether processes remain of a service whose leader ended.
    Survivors(bool),
    /// Time passed.
    Tick,
}

/// What the driver must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process and answer with `Spawned` or `SpawnFailed`.
    Spawn,
    /// Send a signal to the process, or to its whole group.
    Signal {
        /// The leader, which lives.
        pid: u32,
        /// The signal.
        signal: Signal,
        /// To the whole group.
        group: bool,
    },
    /// The leader is gone: look whether others remain, now and again, and answer `Survivors`
    /// until the state changes.
    Sweep,
    /// Send a signal to what remains of the service.
    SignalSurvivors {
        /// The signal.
        signal: Signal,
        /// Only to those that left the leader's group.
        strays_only: bool,
    },
}

/// One change of state, with its reason, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why, for people.
    pub reason: String,
}

/// The answer to an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To be carried out in this order.
    pub actions: Vec<Action>,
    /// What changed.
    pub transitions: Vec<Transition>,
}
