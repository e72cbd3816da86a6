//! What a machine tells about itself.

use super::{Exit, Machine, Moment, Phase, State, Then};

impl Machine {
    /// The state as the world sees it.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Down(state) => state,
            Phase::Spawning { stop: false } | Phase::Starting { .. } => State::Starting,
            Phase::Running { .. } => State::Running,
            Phase::Backoff { .. } | Phase::Clearing { then: Then::Again { .. }, .. } => {
                State::Backoff
            }
            Phase::Spawning { stop: true }
            | Phase::Stopping { .. }
            | Phase::Draining { .. }
            | Phase::Clearing { then: Then::Rest(_), .. } => State::Stopping,
        }
    }

    /// The process id of the living leader.
    pub fn pid(&self) -> Option<u32> {
        match self.phase {
            Phase::Starting { pid, .. }
            | Phase::Running { pid, .. }
            | Phase::Stopping { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// True while the driver owes the answer to a sweep.
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. } | Phase::Clearing { .. })
    }

    /// Where it comes to rest once what it left behind is gone, if it ended by itself for good.
    pub fn rest_after(&self) -> Option<State> {
        match self.phase {
            Phase::Clearing { then: Then::Rest(state), .. } => Some(state),
            _ => None,
        }
    }

    /// How it last ended, if it did.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Why it is in `BACKOFF` or `FATAL`, or on the way there; empty otherwise.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Early ends in a row, since it was last asked to start or ran in good health.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Since when it is `RUNNING`.
    pub fn running_since(&self) -> Option<Moment> {
        match self.phase {
            Phase::Running { since, .. } => Some(since),
            _ => None,
        }
    }

    /// When it is started again, while it is in `BACKOFF` for that.
    pub fn next_attempt(&self) -> Option<Moment> {
        match self.phase {
            Phase::Backoff { until } => Some(until),
            Phase::Clearing { then: Then::Again { not_before }, .. } => Some(not_before),
            _ => None,
        }
    }

    /// Whether its last end is none that its exit codes expect.
    pub fn ended_badly(&self) -> bool {
        !self.expects(self.exit.unwrap_or(Exit::Unknown))
    }

    pub(super) fn expects(&self, exit: Exit) -> bool {
        matches!(exit, Exit::Code(code) if self.policy.expected.contains(&code))
    }

    /// How many times it became `RUNNING`; lets a waiter see a run that is already over.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// When a [`Tick`](super::Event::Tick) is due.
    pub fn deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Starting { until, .. } | Phase::Backoff { until } => Some(until),
            Phase::Stopping { kill_at, .. }
            | Phase::Draining { kill_at, .. }
            | Phase::Clearing { kill_at, .. } => Some(kill_at),
            _ => None,
        }
    }
}
