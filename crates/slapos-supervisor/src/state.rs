//! What becomes of one process: a pure function of events and time.
//!
//! There is no clock and no I/O here. The driver (the daemon) feeds [`Machine::handle`] with what
//! happened and when, and carries out the [`Action`]s that come back. Invariants, tested below:
//! at most one process is ever asked for at a time, and none while what its predecessor left
//! behind is being killed; a stop request wins over everything that was under way; `STOPPING` ends
//! in bounded time once the kernel obeys `SIGKILL`.

mod view;
mod vocabulary;

use std::time::Duration;

use slapos_sys::process::Signal;

use crate::spec::AutoRestart;

pub use vocabulary::{Action, Event, Exit, Policy, State, Step, Transition};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

/// A point on a monotonic clock: the time since an origin that the driver chose.
pub type Moment = Duration;

/// A service that ran this long before it ended is healthy: it is restarted at once.
const HEALTHY: Duration = Duration::from_secs(10);
/// No restart waits longer than this.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// How often a process that does not die of `SIGKILL` (it hangs in the kernel) is killed again.
const KILL_AGAIN: Duration = Duration::from_secs(2);
/// After so many kills the survivors of a service whose leader is gone are given up.
const SURVIVOR_KILLS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down(State),
    /// A spawn was asked for and not yet answered; `stop` when it is no longer wanted.
    Spawning {
        stop: bool,
    },
    Starting {
        pid: u32,
        until: Moment,
    },
    Running {
        pid: u32,
        since: Moment,
    },
    Backoff {
        until: Moment,
    },
    Stopping {
        pid: u32,
        kill_at: Moment,
    },
    /// The leader is gone, others of its group may remain.
    Draining {
        kill_at: Moment,
        kills: u32,
        asked: bool,
    },
    /// The leader ended by itself; what it left behind is being killed before it goes on.
    Clearing {
        kill_at: Moment,
        kills: u32,
        then: Then,
    },
}

/// What comes after the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Rest(State),
    Again { not_before: Moment },
}

/// The state of one process.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: Policy,
    phase: Phase,
    /// Early ends in a row since the last request or healthy run.
    failures: u32,
    exit: Option<Exit>,
    error: String,
    runs: u64,
}

impl Machine {
    /// A process that was never started.
    pub fn new(policy: Policy) -> Self {
        Self::resting(policy, State::Stopped, None, String::new())
    }

    /// A process at rest as a former daemon left it. A state that is not at rest counts as
    /// `STOPPED`.
    pub fn resting(policy: Policy, state: State, exit: Option<Exit>, error: String) -> Self {
        let state = if state.is_down() { state } else { State::Stopped };
        Self { policy, phase: Phase::Down(state), failures: 0, exit, error, runs: 0 }
    }

    /// The same machine, with so many early ends in a row as a former daemon counted.
    pub fn after_failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Takes note of `event` at `now` and says what to do. Events that make no sense in the
    /// present state change nothing.
    pub fn handle(&mut self, event: Event, now: Moment) -> Step {
        let mut step = Step::default();
        match event {
            Event::Start => self.on_start(&mut step),
            Event::Stop => self.on_stop(now, &mut step),
            Event::Spawned(pid) => self.on_spawned(pid, now, &mut step),
            Event::SpawnFailed(reason) => self.on_spawn_failed(reason, now, &mut step),
            Event::Adopted { pid, age } => self.on_adopted(pid, age, now, &mut step),
            Event::Vanished(state) => self.on_vanished(state, now, &mut step),
            Event::Exited(exit) => self.on_exited(exit, now, &mut step),
            Event::Survivors(remain) => self.on_survivors(remain, now, &mut step),
            Event::Tick => self.on_tick(now, &mut step),
        }
        step
    }

    fn on_start(&mut self, step: &mut Step) {
        if matches!(self.phase, Phase::Down(_)) {
            self.failures = 0;
            self.spawn("start requested", step);
        }
    }

    fn on_stop(&mut self, now: Moment, step: &mut Step) {
        match self.phase {
            Phase::Spawning { stop: false } => {
                self.enter(Phase::Spawning { stop: true }, "stop requested", step);
            }
            Phase::Starting { pid, .. } | Phase::Running { pid, .. } => {
                self.ask_to_stop(pid, now, step);
            }
            Phase::Backoff { .. } => {
                self.enter(Phase::Down(State::Stopped), "stop requested", step);
            }
            Phase::Clearing { kill_at, kills, then: Then::Again { .. } } => {
                let phase = Phase::Draining { kill_at, kills, asked: true };
                self.enter(phase, "stop requested", step);
            }
            _ => {}
        }
    }

    fn on_spawned(&mut self, pid: u32, now: Moment, step: &mut Step) {
        match self.phase {
            Phase::Spawning { stop: true } => self.ask_to_stop(pid, now, step),
            Phase::Spawning { stop: false } if self.policy.start_after.is_zero() => {
                self.run(pid, now, format!("spawned with pid {pid}"), step);
            }
            Phase::Spawning { stop: false } => {
                let until = now + self.policy.start_after;
                self.enter(Phase::Starting { pid, until }, format!("spawned with pid {pid}"), step);
            }
            // Nobody asked for it: there must not be two.
            _ => step.actions.push(kill(pid)),
        }
    }

    fn on_spawn_failed(&mut self, reason: String, now: Moment, step: &mut Step) {
        match self.phase {
            Phase::Spawning { stop: false } => self.fail(reason, false, now, step),
            Phase::Spawning { stop: true } => {
                self.enter(Phase::Down(State::Stopped), reason, step);
            }
            _ => {}
        }
    }

    fn on_adopted(&mut self, pid: u32, age: Duration, now: Moment, step: &mut Step) {
        if !matches!(self.phase, Phase::Down(_)) {
            step.actions.push(kill(pid));
            return;
        }
        let reason = format!("found running with pid {pid}");
        match self.policy.start_after.checked_sub(age) {
            Some(left) if !left.is_zero() => {
                let until = now + left;
                self.enter(Phase::Starting { pid, until }, reason, step);
            }
            _ => self.run(pid, now.saturating_sub(age), reason, step),
        }
    }

    fn on_vanished(&mut self, state: State, now: Moment, step: &mut Step) {
        if !matches!(self.phase, Phase::Down(_)) {
            return;
        }
        match state {
            State::Starting => {
                self.exit = Some(Exit::Unknown);
                self.fail("ended while nobody watched".into(), true, now, step);
            }
            // Its failure is counted already.
            State::Backoff => {
                let words = "ended while nobody watched".to_owned();
                let error = Some(std::mem::take(&mut self.error)).filter(|error| !error.is_empty());
                self.back_off(error.unwrap_or(words), true, now, step);
            }
            State::Running => {
                self.exit = Some(Exit::Unknown);
                self.ended(Exit::Unknown, Duration::ZERO, now, step);
            }
            State::Stopping => {
                self.exit = Some(Exit::Unknown);
                self.drain(now + self.policy.stop_wait, "stopped unwatched", step);
            }
            // What it left behind was being killed.
            State::Exited | State::Fatal => {
                let error = std::mem::take(&mut self.error);
                self.clear_then(Then::Rest(state), true, "its end was seen", now, step);
                self.error = error;
            }
            State::Stopped => {}
        }
    }

    fn on_exited(&mut self, exit: Exit, now: Moment, step: &mut Step) {
        match self.phase {
            Phase::Starting { .. } => {
                self.exit = Some(exit);
                self.fail(format!("exited too quickly ({exit})"), true, now, step);
            }
            Phase::Running { since, .. } => {
                self.exit = Some(exit);
                self.ended(exit, now.saturating_sub(since), now, step);
            }
            Phase::Stopping { kill_at, .. } => {
                self.exit = Some(exit);
                self.drain(kill_at, "", step);
            }
            _ => {}
        }
    }

    fn on_survivors(&mut self, remain: bool, now: Moment, step: &mut Step) {
        if let Phase::Clearing { then, .. } = self.phase
            && !remain
        {
            return self.go_on(then, "what was left behind is gone", now, step);
        }
        let Phase::Draining { kill_at, asked, .. } = self.phase else {
            return;
        };
        if !remain {
            let reason = self.exit.map_or(String::new(), |exit| exit.to_string());
            self.enter(Phase::Down(State::Stopped), reason, step);
        } else if !asked {
            let kills = 0;
            let asked = true;
            self.phase = Phase::Draining { kill_at, kills, asked };
            step.actions.push(Action::SignalSurvivors {
                signal: self.policy.stop_signal,
                strays_only: self.policy.stop_as_group,
            });
        }
    }

    fn on_tick(&mut self, now: Moment, step: &mut Step) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Starting { pid, .. } => {
                let seconds = self.policy.start_after.as_secs();
                let reason = format!("stayed up for {seconds} s (startsecs)");
                self.run(pid, now, reason, step);
            }
            Phase::Backoff { .. } => self.spawn("trying again", step),
            Phase::Stopping { pid, .. } => {
                step.actions.push(kill(pid));
                let kill_at = now + KILL_AGAIN;
                let reason = "did not stop within stopwaitsecs: killed";
                self.enter(Phase::Stopping { pid, kill_at }, reason, step);
            }
            Phase::Draining { kills, .. } if kills >= SURVIVOR_KILLS => {
                let reason = "left processes behind that do not die of SIGKILL";
                self.enter(Phase::Down(State::Stopped), reason, step);
            }
            Phase::Draining { kills, .. } => {
                step.actions.push(kill_survivors());
                self.phase =
                    Phase::Draining { kill_at: now + KILL_AGAIN, kills: kills + 1, asked: true };
            }
            Phase::Clearing { kills, then: then @ Then::Rest(_), .. }
                if kills >= SURVIVOR_KILLS =>
            {
                let reason = "left processes behind that do not die of SIGKILL";
                self.go_on(then, reason, now, step);
            }
            // A new start waits as long as it takes, or until somebody stops it.
            Phase::Clearing { kills, then, .. } => {
                step.actions.push(kill_survivors());
                let kill_at = now + KILL_AGAIN;
                self.phase = Phase::Clearing { kill_at, kills: kills.saturating_add(1), then };
            }
            Phase::Down(_) | Phase::Spawning { .. } | Phase::Running { .. } => {}
        }
    }

    /// The running process ended by itself after `lived`.
    fn ended(&mut self, exit: Exit, lived: Duration, now: Moment, step: &mut Step) {
        let expected = self.expects(exit);
        let restart = match self.policy.restart {
            AutoRestart::Always => true,
            AutoRestart::Never => false,
            AutoRestart::Unexpected => !expected,
        };
        let word = if expected { "expected" } else { "not expected" };
        let words = format!("{exit}; {word}");
        if !restart {
            let then = Then::Rest(State::Exited);
            return self.clear_then(then, !expected, &words, now, step);
        }
        self.enter(Phase::Down(State::Exited), words, step);
        if lived >= HEALTHY {
            self.failures = 0;
            let then = Then::Again { not_before: now };
            return self.clear_then(then, true, "autorestart", now, step);
        }
        self.failures = self.failures.saturating_add(1);
        self.back_off(format!("ended soon after its start ({exit})"), true, now, step);
    }

    /// An attempt came to nothing; `ran` if there was a process.
    fn fail(&mut self, reason: String, ran: bool, now: Moment, step: &mut Step) {
        self.failures = self.failures.saturating_add(1);
        if self.failures > self.policy.retries {
            let words = format!("{reason}; gave up after {} attempts", self.failures);
            self.clear_then(Then::Rest(State::Fatal), ran, &words, now, step);
            self.error = reason;
        } else {
            self.back_off(reason, ran, now, step);
        }
    }

    fn back_off(&mut self, reason: String, ran: bool, now: Moment, step: &mut Step) {
        let delay = backoff(self.failures);
        let words = format!("{reason}; next attempt in {} s", delay.as_secs());
        let then = Then::Again { not_before: now + delay };
        self.clear_then(then, ran, &words, now, step);
        self.error = reason;
    }

    /// Goes on with `then`; but first, if `ran` and so defined, what the process left behind is
    /// killed, and has to be gone.
    fn clear_then(&mut self, then: Then, ran: bool, reason: &str, now: Moment, step: &mut Step) {
        if !(ran && self.policy.kill_as_group) {
            return self.go_on(then, reason, now, step);
        }
        let phase = Phase::Clearing { kill_at: now + KILL_AGAIN, kills: 1, then };
        self.enter(phase, reason, step);
        step.actions.push(kill_survivors());
        step.actions.push(Action::Sweep);
    }

    fn go_on(&mut self, then: Then, reason: &str, now: Moment, step: &mut Step) {
        match then {
            Then::Rest(state) => self.enter(Phase::Down(state), reason, step),
            Then::Again { not_before } if not_before <= now => self.spawn(reason, step),
            Then::Again { not_before } => {
                // Already told if there was something to clear.
                let words = if self.state() == State::Backoff { "" } else { reason };
                self.enter(Phase::Backoff { until: not_before }, words, step);
            }
        }
    }

    fn spawn(&mut self, reason: &str, step: &mut Step) {
        self.enter(Phase::Spawning { stop: false }, reason, step);
        step.actions.push(Action::Spawn);
    }

    fn run(&mut self, pid: u32, since: Moment, reason: String, step: &mut Step) {
        self.runs += 1;
        self.enter(Phase::Running { pid, since }, reason, step);
    }

    fn ask_to_stop(&mut self, pid: u32, now: Moment, step: &mut Step) {
        let signal = self.policy.stop_signal;
        let kill_at = now + self.policy.stop_wait;
        let reason = format!("stop requested: {signal} to pid {pid}");
        self.enter(Phase::Stopping { pid, kill_at }, reason, step);
        step.actions.push(Action::Signal { pid, signal, group: self.policy.stop_as_group });
    }

    fn drain(&mut self, kill_at: Moment, reason: &str, step: &mut Step) {
        let phase = Phase::Draining { kill_at, kills: 0, asked: false };
        self.enter(phase, reason, step);
        step.actions.push(Action::Sweep);
    }

    fn enter(&mut self, phase: Phase, reason: impl Into<String>, step: &mut Step) {
        let from = self.state();
        self.phase = phase;
        let to = self.state();
        if !matches!(to, State::Backoff | State::Fatal) {
            self.error.clear();
        }
        let reason = reason.into();
        // Within a state, what is worth telling has a reason.
        if from != to || !reason.is_empty() {
            step.transitions.push(Transition { from, to, reason });
        }
    }
}

fn kill(pid: u32) -> Action {
    Action::Signal { pid, signal: Signal::SIGKILL, group: true }
}

fn kill_survivors() -> Action {
    Action::SignalSurvivors { signal: Signal::SIGKILL, strays_only: false }
}

/// 1, 2, 4 ... seconds, never more than a minute.
fn backoff(failures: u32) -> Duration {
    let exponent = failures.saturating_sub(1).min(16);
    Duration::from_secs(1 << exponent).min(MAX_BACKOFF)
}
