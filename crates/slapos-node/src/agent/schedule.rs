//! When the commands of a node run: a pure state machine, to which time is a number that grows.
//!
//! Invariants: no command runs twice at a time, nor `instance` beside `report`, which take the same
//! lock, or beside `format`, which gives it the addresses that a machine has lost when it starts; before
//! the first `format` nothing runs, because there may be neither addresses nor directories;
//! what the Master says is followed at once, and by one run however often it was said before
//! that run began; a run of `instance` that is under way is told to look again, too, which is only a hint:
//! the other run comes all the same; instances that change each other for ever get a quarter of the time,
//! not all of the machine; what is due by time comes whatever is said. The time of day does not occur, so
//! that it may jump.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use slapos_slap::{Change, ChangeKind};

use super::jitter::{Jitter, backoff};
use crate::routine::Job;

/// Time since the agent started, which no clock changes.
pub(super) type Moment = Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long to wait at first for the Master to say whether it tells of changes.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// How long runs for what the Master says may take in a row. Afterwards they may go on for one
/// part in [`SHARE`] of the time. Hundreds of quick ones come at once; instances that change each
/// other for ever do not take the machine.
pub(super) const BUDGET: Duration = MINUTE;
pub(super) const SHARE: u32 = 4;
/// What a run counts for at least.
pub(super) const LEAST: Duration = Duration::from_millis(250);
/// What a word that a run under way heard counts for at most.
const MOST_HINT: Duration = Duration::from_secs(10);
/// Where the Master tells of changes, software is looked at so much less often by time.
const SELDOM: u32 = 10;
/// A software run that took longer has probably built something that instances wait for.
const WORTH_A_LOOK: Duration = Duration::from_secs(1);
/// The longest wait for another run to end, and for a Master that does not answer.
const MOST_BUSY: Duration = MINUTE;
const MOST_AWAY: Duration = Duration::from_secs(600);

impl Job {
    /// Whether both may run at a time.
    fn excludes(self, other: Job) -> bool {
        let apart = |one, two| one == Job::Instance && matches!(two, Job::Report | Job::Format);
        apart(self, other) || apart(other, self)
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It did what there was to do; promises may have failed.
    Done,
    /// Something of it failed.
    Failed,
    /// Another such command was running.
    Busy,
    /// The Master did not answer.
    Away,
    /// The node is down on purpose.
    Down,
}

/// How the agent hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing is known yet, or the Master does not answer.
    Away,
    /// The Master tells of them.
    Told,
    /// This kind of Master has to be asked.
    Asked,
}

/// What happens to the agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// Time went on.
    Time,
    /// How changes are heard of from now on.
    Source(Source),
    /// The Master says that something changed.
    Change(Change),
    /// Something may have been missed.
    Resync,
    /// The configuration was read again: how often to ask, and whether to collect.
    Config { poll: Duration, collects: bool },
    /// A command ended.
    Ended(Job, Ending),
}

/// Why a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its time has come.
    Time,
    /// The Master said so.
    Said(ChangeKind),
    /// Something may have been missed.
    Missed,
    /// Software was looked at, which instances may wait for.
    Software,
    /// Another such command was running when it was tried.
    Again,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Time => f.write_str("it is time"),
            Why::Said(kind) => write!(f, "the Master says `{}`", kind.as_str()),
            Why::Missed => f.write_str("something may have been missed"),
            Why::Software => f.write_str("software was looked at"),
            Why::Again => f.write_str("another one was running when it was tried"),
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A command starts, for that reason.
    Start(Job, Why),
    /// The run of `instance` that is under way hears that something is wanted.
    Hint,
}

/// How long runs for what the Master says took lately.
#[derive(Clone, Debug, Default)]
struct Spent {
    time: Duration,
    at: Moment,
}

impl Spent {
    fn forget(&mut self, now: Moment) {
        self.time = self.time.saturating_sub(now.saturating_sub(self.at) / SHARE);
        self.at = now;
    }

    /// From when on one more is allowed.
    fn from(&self) -> Moment {
        self.at + self.time.saturating_sub(BUDGET) * SHARE
    }
}

/// What is known of one command.
#[derive(Clone, Debug)]
struct Desk {
    /// Since when it runs, and why.
    running: Option<(Moment, Why)>,
    /// When the Master last said something that concerns the run under way.
    said: Option<Moment>,
    /// When it runs whatever is said.
    due: Moment,
    /// Why it is to run before that.
    wanted: Option<Why>,
    /// Not before that, although it is wanted.
    not_before: Moment,
    /// Endings in a row that were not its own doing.
    misses: u32,
    failed: bool,
    spent: Spent,
}

impl Desk {
    fn new(due: Moment) -> Self {
        Self {
            running: None,
            said: None,
            due,
            wanted: None,
            not_before: Moment::ZERO,
            misses: 0,
            failed: false,
            spent: Spent::default(),
        }
    }

    /// The moment from which it may start, and why it does; `None` while it runs.
    fn ready(&self) -> Option<(Moment, Why)> {
        if self.running.is_some() {
            return None;
        }
        let by_time = (self.due, Why::Time);
        let Some(why) = self.wanted else { return Some(by_time) };
        let allowed = match why {
            Why::Said(_) => self.spent.from(),
            _ => Moment::ZERO,
        };
        let by_word = (self.not_before.max(allowed), why);
        Some(if by_word.0 <= by_time.0 { by_word } else { by_time })
    }

    /// Whether the run under way is to look again for `why`. What the Master says is passed on as long as runs
    /// may follow it, and the time between two such words counts as that of a run.
    fn hint(&mut self, now: Moment, why: Why) -> bool {
        if self.running.is_none() {
            return false;
        }
        if let Why::Said(_) = why {
            let last = self.said.replace(now).unwrap_or(now);
            if self.spent.time > BUDGET {
                return false;
            }
            self.spent.time += now.saturating_sub(last).min(MOST_HINT);
        }
        true
    }

    /// Takes note of the end of a run; gives when it began, and why.
    fn end(&mut self, now: Moment) -> Option<(Moment, Why)> {
        let (since, why) = self.running.take()?;
        if let Why::Said(_) = why {
            self.spent.time += now.saturating_sub(since).max(LEAST);
        }
        Some((since, why))
    }

    fn start(&mut self, now: Moment, why: Why) {
        self.running = Some((now, why));
        self.said = None;
        // A run serves all that was wanted before it.
        self.wanted = None;
        self.not_before = Moment::ZERO;
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    desks: BTreeMap<Job, Desk>,
    source: Source,
    poll: Duration,
    /// Whether `node collect` runs at all.
    collects: bool,
    /// Whether the machine was brought in order once, or could not be.
    formatted: bool,
    /// Whether the run of `instance` that is under way is to be told something.
    hint: bool,
    jitter: Jitter,
}

impl Schedule {
    /// The schedule of an agent that starts now: `format`, and then all but what only tidies up.
    pub(super) fn new(poll: Duration, collects: bool, seed: u64) -> Self {
        let mut jitter = Jitter::new(seed);
        let report = MINUTE + jitter.below(MINUTE * 10);
        let due = |job| match job {
            Job::Format => Moment::ZERO,
            Job::Report => report,
            _ => FIRST_WORD,
        };
        let desks = Job::ALL.into_iter().map(|job| (job, Desk::new(due(job)))).collect();
        Self { desks, source: Source::Away, poll, collects, formatted: false, hint: false, jitter }
    }

    /// Takes note of `input` and says what to do.
    pub(super) fn step(&mut self, now: Moment, input: Input) -> Vec<Act> {
        self.desks.values_mut().for_each(|desk| desk.spent.forget(now));
        self.absorb(now, input);
        let mut acts = Vec::new();
        if std::mem::take(&mut self.hint) {
            acts.push(Act::Hint);
        }
        for job in Job::ALL {
            if self.is_excluded(job) {
                continue;
            }
            let Some(desk) = self.desks.get_mut(&job) else { continue };
            if let Some((from, why)) = desk.ready()
                && from <= now
            {
                desk.start(now, why);
                acts.push(Act::Start(job, why));
            }
        }
        acts
    }

    /// When to call [`step`](Self::step) again if nothing happens before.
    pub(super) fn wake(&self) -> Option<Moment> {
        let free = self.desks.iter().filter(|(job, _)| !self.is_excluded(**job));
        free.filter_map(|(_, desk)| desk.ready()).map(|(from, _)| from).min()
    }

    fn is_excluded(&self, job: Job) -> bool {
        (job == Job::Collect && !self.collects)
            || (job != Job::Format && !self.formatted)
            || self.desks.iter().any(|(other, desk)| desk.running.is_some() && job.excludes(*other))
    }

    fn absorb(&mut self, now: Moment, input: Input) {
        match input {
            Input::Time => {}
            Input::Source(source) => self.hear_by(now, source),
            Input::Change(change) => {
                if let Some(job) = job_for(&change) {
                    self.want(now, job, Why::Said(change.kind));
                }
            }
            Input::Resync => {
                for job in [Job::Software, Job::Report, Job::Instance] {
                    self.want(now, job, Why::Missed);
                }
            }
            Input::Config { poll, collects } => {
                (self.poll, self.collects) = (poll, collects);
                self.hear_by(now, self.source);
                self.want(now, Job::Instance, Why::Missed);
            }
            Input::Ended(job, ending) => self.ended(now, job, ending),
        }
    }

    /// Nothing waits longer than the new intervals say.
    fn hear_by(&mut self, now: Moment, source: Source) {
        self.source = source;
        for job in [Job::Software, Job::Instance] {
            let latest = now + self.jitter.about(self.interval(job));
            if let Some(desk) = self.desks.get_mut(&job) {
                desk.due = desk.due.min(latest);
            }
        }
    }

    fn want(&mut self, now: Moment, job: Job, why: Why) {
        if let Some(desk) = self.desks.get_mut(&job) {
            // What is not limited in number wins.
            desk.wanted = match desk.wanted {
                Some(former) if !matches!(former, Why::Said(_)) => Some(former),
                _ => Some(why),
            };
            self.hint |= job == Job::Instance && desk.hint(now, why);
        }
    }

    fn interval(&self, job: Job) -> Duration {
        let failed = self.desks.get(&job).is_some_and(|desk| desk.failed);
        match job {
            job if job.is_hourly() => HOUR,
            Job::Collect => MINUTE,
            Job::Software if self.source == Source::Told && !failed => self.poll * SELDOM,
            _ => self.poll,
        }
    }

    fn ended(&mut self, now: Moment, job: Job, ending: Ending) {
        // Who meets another one, such as that of `node boot`, has to wait for its end.
        self.formatted |= job == Job::Format && ending != Ending::Busy;
        let Some(desk) = self.desks.get_mut(&job) else { return };
        let ran = desk.end(now);
        desk.failed = ending == Ending::Failed;
        let misses = desk.misses;
        desk.misses = match ending {
            Ending::Busy | Ending::Away => misses.saturating_add(1),
            _ => 0,
        };
        let interval = match ending {
            Ending::Away => backoff(self.poll, misses, MOST_AWAY.max(self.poll)),
            _ => self.interval(job),
        };
        let due = now + self.jitter.about(interval);
        let retry = now + self.jitter.about(backoff(2 * SECOND, misses, MOST_BUSY));
        let Some(desk) = self.desks.get_mut(&job) else { return };
        desk.due = due;
        match ending {
            Ending::Busy => {
                desk.wanted = Some(Why::Again);
                desk.not_before = retry;
            }
            // `slapos up` looks at everything itself.
            Ending::Down => desk.wanted = None,
            _ => {}
        }
        let built = |(since, why): (Moment, Why)| {
            matches!(why, Why::Said(_)) || now.saturating_sub(since) >= WORTH_A_LOOK
        };
        let looked = matches!(ending, Ending::Done | Ending::Failed);
        if job == Job::Software && looked && ran.is_some_and(built) {
            self.want(now, Job::Instance, Why::Software);
        }
    }
}

/// Which command follows what the Master says, if any does.
fn job_for(change: &Change) -> Option<Job> {
    match change.kind {
        ChangeKind::Supply => Some(Job::Software),
        ChangeKind::Request if change.state.as_deref() == Some("destroyed") => Some(Job::Report),
        ChangeKind::Request | ChangeKind::Bang | ChangeKind::Connection | ChangeKind::Restart => {
            Some(Job::Instance)
        }
        // What this node itself did, or what changes nothing on it.
        ChangeKind::Free
        | ChangeKind::Format
        | ChangeKind::Report
        | ChangeKind::Rename
        | ChangeKind::Settings => None,
        ChangeKind::Other => Some(Job::Instance),
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
