//! Taking over from a daemon that was killed: what still runs is adopted, what ended meanwhile is
//! treated as if it had been seen, and nothing is started twice or left alone.
//!
//! The ledger is the first source. What it cannot know, a spawn that was under way, is found by
//! the tags in the environment of processes. A process counts as ours only if it runs as the user
//! that its definition names, since anybody can put any tag into his own environment.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::background;
use super::core::{Id, Supervisor, now_seconds};
use super::launch;
use super::ledger::{GroupRecord, Ledger, ProcessRecord};
use super::table::{self, Entry, Origin, Tag};
use crate::spec::ProgramSpec;
use crate::state::{Event, Machine, Policy, State};

/// The unit of a start time: the kernel shows hundredths of a second to programs, whatever its
/// own clock is.
const TICKS_PER_SECOND: u64 = 100;
/// How long strangers that carry our tag may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process of this instance root, found by its tag.
#[derive(Debug)]
struct Found {
    entry: Entry,
    tag: Tag,
}

impl Found {
    /// It leads its session, as what the daemon starts does.
    fn leads(&self) -> bool {
        self.entry.session == self.entry.pid
    }

    fn is_of(&self, group: &str, spec: &ProgramSpec) -> bool {
        self.tag.group == group && self.tag.name == spec.process_name
    }
}

impl Supervisor {
    /// Brings the daemon to where its predecessor was, or to the definitions if there was none.
    pub(crate) fn recover(&mut self) {
        let path = self.paths.state();
        let ledger = Ledger::read(&path).unwrap_or_else(|error| {
            let text = format!("{} is of no use: {error}", path.display());
            self.journal.warn(&text);
            None
        });
        let found = self.tagged();
        if let Some(ledger) = ledger {
            self.journal.info("the daemon before was killed: taking over");
            for group in ledger.groups {
                self.restore_group(group, &found);
            }
        }
        let read = self.reread();
        for group in read.groups.values() {
            if !self.groups.contains_key(&group.name) {
                self.add_group(&group.name, group.priority);
                for spec in &group.programs {
                    self.start_or_adopt(&group.name, spec, &found);
                }
            }
        }
        self.defined = read.groups;
        self.end_twins(&found);
    }

    fn tagged(&self) -> Vec<Found> {
        let tagged = table::list().into_iter().filter_map(|entry| {
            let tag = table::tag(entry.pid)?;
            Some(Found { entry, tag })
        });
        tagged.filter(|found| found.tag.instance == self.instance).collect()
    }

    fn restore_group(&mut self, group: GroupRecord, found: &[Found]) {
        self.add_group(&group.name, group.priority);
        for record in group.processes {
            let policy = Policy::from(&record.spec);
            let (exit, error) = (record.exit, record.error.clone());
            let machine = Machine::resting(policy, record.state, exit, error);
            let id = self.add_with(&group.name, record.spec.clone(), machine);
            if let Some(process) = self.processes.get_mut(&id) {
                process.origin =
                    Origin { leader: record.pid, start: record.start, spawn: record.spawn.clone() };
                process.started = record.started;
                process.stopped = record.stopped;
            }
            self.resume(id, &group.name, &record, found);
        }
    }

    fn resume(&mut self, id: Id, group: &str, record: &ProcessRecord, found: &[Found]) {
        let leader = leader_of(group, record, found);
        if let Some(origin) = leader
            && self.adopt(id, origin, record.started)
        {
            if record.state == State::Stopping {
                self.feed(id, Event::Stop);
            }
            return;
        }
        if record.state.is_down() {
            return;
        }
        if record.pid == 0 && record.state != State::Backoff {
            // The spawn was announced and not begun.
            if record.state == State::Starting {
                self.feed(id, Event::Start);
            }
            return;
        }
        if let Some(process) = self.processes.get_mut(&id)
            && record.state != State::Backoff
        {
            process.stopped = now_seconds();
        }
        self.feed(id, Event::Vanished(record.state));
    }

    fn start_or_adopt(&mut self, group: &str, spec: &ProgramSpec, found: &[Found]) {
        let id = self.add(group, spec.clone());
        let candidates = found.iter().filter(|f| f.leads() && f.is_of(group, spec));
        let ours = candidates.filter(|f| runs_as_named(spec, f.entry.pid));
        let leader = ours.min_by_key(|found| found.entry.start).map(origin);
        let adopted = leader.is_some_and(|origin| self.adopt(id, origin, 0));
        if !adopted && spec.autostart {
            self.feed(id, Event::Start);
        }
    }

    /// Takes over a running process; false if it is gone after all.
    fn adopt(&mut self, id: Id, origin: Origin, started: i64) -> bool {
        let pid = origin.leader;
        let Ok(pidfd) = slapos_sys::process::pidfd_open(pid) else {
            return false;
        };
        // The descriptor pins the process; only now is the start time a proof.
        if !slapos_sys::process::alive(pid, origin.start) {
            return false;
        }
        let age = age(origin.start);
        let seconds = i64::try_from(age.as_secs()).unwrap_or(0);
        let started = if started == 0 { now_seconds() - seconds } else { started };
        self.attach(id, origin, Arc::new(pidfd), started);
        self.feed(id, Event::Adopted { pid, age });
        true
    }

    /// Ends what carries our tag but has no place: second copies (newer than what was adopted),
    /// and services that nothing defines any more.
    fn end_twins(&mut self, found: &[Found]) {
        let mut strangers = Vec::new();
        for stranger in found {
            let group = &stranger.tag.group;
            let mut named = self.processes.values().filter(|p| stranger.is_of(group, &p.spec));
            let place = named.find(|process| process.group == *group);
            let doomed = match place {
                None => true,
                Some(process) => {
                    process.leader.is_some()
                        && stranger.leads()
                        && stranger.tag.spawn != process.origin.spawn
                        && stranger.entry.start > process.origin.start
                }
            };
            if doomed {
                let (pid, name) = (stranger.entry.pid, &stranger.tag.name);
                self.journal.warn(&format!("{group}:{name}: ending stray process {pid}"));
                strangers.push(stranger.entry);
            }
        }
        if !strangers.is_empty() {
            background::end_strangers(strangers, PATIENCE);
        }
    }
}

/// The leader that a record speaks of, or that must have come of the spawn it announces.
fn leader_of(group: &str, record: &ProcessRecord, found: &[Found]) -> Option<Origin> {
    if record.pid != 0 && slapos_sys::process::alive(record.pid, record.start) {
        return Some(Origin {
            leader: record.pid,
            start: record.start,
            spawn: record.spawn.clone(),
        });
    }
    let leaders = found.iter().filter(|f| f.leads() && f.is_of(group, &record.spec));
    let candidates = leaders.filter(|found| {
        if record.pid == 0 && !record.spawn.is_empty() {
            found.tag.spawn == record.spawn
        } else {
            // The ledger is behind, its disk was full: something newer than it knows.
            found.tag.spawn != record.spawn && found.entry.start > record.start
        }
    });
    let ours = candidates.filter(|found| runs_as_named(&record.spec, found.entry.pid));
    ours.min_by_key(|found| found.entry.start).map(origin)
}

fn origin(found: &Found) -> Origin {
    Origin { leader: found.entry.pid, start: found.entry.start, spawn: found.tag.spawn.clone() }
}

/// True if the process runs as the user that the definition names.
fn runs_as_named(spec: &ProgramSpec, pid: u32) -> bool {
    let named = match launch::identity(spec) {
        Ok(Some(identity)) => identity.uid,
        Ok(None) => nix::unistd::geteuid().as_raw(),
        Err(_) => return false,
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let real = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    real == Some(named)
}

/// How long ago a start time was.
fn age(start: u64) -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds.saturating_sub(start / TICKS_PER_SECOND))
}
