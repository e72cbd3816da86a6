//! Taking over from a daemon that was killed: what still runs is adopted, what ended meanwhile is
//! treated as if it had been seen, and nothing is started twice or left alone.
//!
//! The ledger is the first source, or the one before it if it is damaged. What it cannot know, a
//! spawn that was under way, is found by the tags in the environment of processes, and for those
//! that wiped their environment by `likeness`. A process counts as ours only if it runs as the user
//! that its definition names, since anybody can put any tag into his own environment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use slapos_sys::clock;

use super::background;
use super::core::{Id, Supervisor, now_seconds};
use super::launch;
use super::ledger::{GroupRecord, Ledger, ProcessRecord};
use super::likeness::{self, Missing};
use super::pool::Pool;
use super::process::Process;
use super::table::{self, Entry, Origin, Tag};
use crate::spec::{Group, ProgramSpec};
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
        let (ledger, current) = self.read_ledger();
        let mut found = self.tagged();
        let read = self.reread();
        let missing = missing(ledger.as_ref(), current, &read.groups, &found);
        let records = ledger.iter().flat_map(|ledger| &ledger.groups).flat_map(|g| &g.processes);
        let taken: Vec<u32> = records.map(|record| record.pid).collect();
        found.extend(self.recognised(missing, taken));
        if let Some(ledger) = ledger {
            if !self.was_handed_over() {
                self.journal.info("the daemon before was killed: taking over");
            }
            for group in ledger.groups {
                self.restore_group(group, &found);
            }
        }
        for group in read.groups.values() {
            if !self.groups.contains_key(&group.name) {
                self.add_group(&group.name, group.priority, &group.limits);
                for spec in &group.programs {
                    self.start_or_adopt(&group.name, spec, &found);
                }
            }
        }
        self.defined = read.groups;
        self.end_twins(&found);
    }

    /// The ledger, and whether it is the newest; the generation before it may be one step behind.
    fn read_ledger(&mut self) -> (Option<Ledger>, bool) {
        let path = self.paths.state();
        let error = match Ledger::read(&path) {
            Ok(ledger) => return (ledger, true),
            Err(error) => error,
        };
        self.ledger_good = false;
        self.journal.warn(&format!("{} is of no use: {error}", path.display()));
        (Ledger::read(&self.paths.old_state()).ok().flatten(), false)
    }

    /// What looks like these programs, as if it had the tag that it lost.
    fn recognised(&mut self, missing: Vec<Missing>, taken: Vec<u32>) -> Vec<Found> {
        let Some(entries) = likeness::find(missing.clone(), taken) else {
            self.journal.warn("cannot look for processes without a tag: it takes too long");
            return Vec::new();
        };
        let pairs = missing.into_iter().zip(entries);
        let recognised = pairs.filter_map(|(program, entry)| {
            let entry = entry?;
            let name = program.spec.process_name;
            let (group, pid) = (program.group, entry.pid);
            self.journal.info(&format!("{group}:{name}: recognised process {pid} without a tag"));
            let (instance, spawn) = (self.instance.clone(), String::new());
            Some(Found { entry, tag: Tag { instance, group, name, spawn } })
        });
        recognised.collect()
    }

    fn tagged(&self) -> Vec<Found> {
        let tagged = table::list().into_iter().filter_map(|entry| {
            let tag = table::tag(entry.pid)?;
            Some(Found { entry, tag })
        });
        tagged.filter(|found| found.tag.instance == self.instance).collect()
    }

    fn restore_group(&mut self, group: GroupRecord, found: &[Found]) {
        self.add_group(&group.name, group.priority, &group.limits);
        for record in group.processes {
            let policy = Policy::from(&record.spec);
            let (exit, error) = (record.exit, record.error.clone());
            let state = record.rest.unwrap_or(record.state);
            let machine = Machine::resting(policy, state, exit, error);
            let machine = machine.after_failures(record.failures);
            let id = self.add_with(&group.name, record.spec.clone(), machine);
            if let Some(process) = self.processes.get_mut(&id) {
                process.origin =
                    Origin { leader: record.pid, start: record.start, spawn: record.spawn.clone() };
                process.started = record.started;
                process.stopped = record.stopped;
                process.next = record.next.clone().into();
                process.pool = Pool::holding(record.events.clone());
            }
            self.resume(id, &group.name, &record, found);
        }
    }

    fn resume(&mut self, id: Id, group: &str, record: &ProcessRecord, found: &[Found]) {
        let leader = match self.is_unreaped_child(record) {
            true => Some(origin_in(record)),
            false => leader_of(group, record, found),
        };
        if let Some(origin) = leader
            && self.adopt(id, origin, record.started)
        {
            if record.state == State::Stopping {
                self.feed(id, Event::Stop);
            } else if record.spec.listener.is_some() {
                self.start_again(id);
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
        let was_wanted = record.rest.is_none() && record.state != State::Stopping;
        if record.spec.listener.is_some() && was_wanted {
            // It ends with the daemon that it hears, by no fault of its own.
            self.feed(id, Event::Start);
            return;
        }
        let unseen = record.state != State::Backoff && record.rest.is_none();
        if let Some(process) = self.processes.get_mut(&id).filter(|_| unseen) {
            process.stopped = now_seconds();
        }
        self.feed(id, Event::Vanished(record.rest.unwrap_or(record.state)));
    }

    fn start_or_adopt(&mut self, group: &str, spec: &ProgramSpec, found: &[Found]) {
        let id = self.add(group, spec.clone());
        let candidates = found.iter().filter(|f| f.leads() && f.is_of(group, spec));
        let ours = candidates.filter(|f| runs_as_named(spec, f.entry.pid));
        let leader = ours.min_by_key(|found| found.entry.start).map(origin);
        let adopted = leader.is_some_and(|origin| self.adopt(id, origin, 0));
        if adopted && spec.listener.is_some() {
            self.start_again(id);
        } else if !adopted && spec.autostart {
            self.feed(id, Event::Start);
        }
    }

    /// An adopted listener cannot be spoken to.
    fn start_again(&mut self, id: Id) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.next.start = true;
        }
        self.feed(id, Event::Stop);
    }

    /// Whether a former program of this very process was in charge.
    fn was_handed_over(&self) -> bool {
        self.replacement.generation > 0
    }

    /// Whether the process of a record ended while the program was replaced. It is our child, and
    /// how it ended is still to be asked.
    fn is_unreaped_child(&self, record: &ProcessRecord) -> bool {
        self.was_handed_over()
            && record.pid != 0
            && !record.state.is_down()
            && slapos_sys::process::start_time(record.pid) == Some(record.start)
    }

    /// Takes over a running process; false if it is gone after all.
    fn adopt(&mut self, id: Id, origin: Origin, started: i64) -> bool {
        let pid = origin.leader;
        let Ok(pidfd) = slapos_sys::process::pidfd_open(pid) else {
            return false;
        };
        // The descriptor pins the process; only now is the start time a proof.
        let is_it = match self.was_handed_over() {
            true => slapos_sys::process::start_time(pid) == Some(origin.start),
            false => slapos_sys::process::alive(pid, origin.start),
        };
        if !is_it {
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
        let names = self.processes.values();
        let by_name: HashMap<(&str, &str), &Process> = names
            .map(|process| ((process.group.as_str(), process.spec.process_name.as_str()), process))
            .collect();
        let mut strangers = Vec::new();
        for stranger in found {
            let group = &stranger.tag.group;
            let place = by_name.get(&(group.as_str(), stranger.tag.name.as_str()));
            let doomed = match place {
                None => true,
                Some(process) => {
                    // By which spawn a recognised one came is not known.
                    process.leader.is_some()
                        && !process.origin.spawn.is_empty()
                        && stranger.leads()
                        && stranger.tag.spawn != process.origin.spawn
                        && stranger.entry.start > process.origin.start
                }
            };
            if doomed {
                strangers.push(stranger);
            }
        }
        for stranger in &strangers {
            let (pid, Tag { group, name, .. }) = (stranger.entry.pid, &stranger.tag);
            self.journal.warn(&format!("{group}:{name}: ending stray process {pid}"));
        }
        let strangers: Vec<Entry> = strangers.into_iter().map(|stranger| stranger.entry).collect();
        if !strangers.is_empty() {
            background::end_strangers(strangers, PATIENCE);
        }
    }
}

/// The programs of which no living process is known, though there may be one. A current ledger
/// names each process, but for those whose spawn was under way: what it says is at rest, or ended
/// unseen, is not to be mistaken for something that it left behind.
fn missing(
    ledger: Option<&Ledger>,
    current: bool,
    defined: &IndexMap<String, Group>,
    found: &[Found],
) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut add = |group: &str, spec: &ProgramSpec, after: u64| {
        if let Ok(uid) = uid_named(spec) {
            missing.push(Missing { group: group.to_owned(), spec: spec.clone(), uid, after });
        }
    };
    let recorded = ledger.map(|ledger| ledger.groups.as_slice()).unwrap_or_default();
    for (group, record) in recorded.iter().flat_map(|g| g.processes.iter().map(|p| (&g.name, p))) {
        let under_way = record.pid == 0 && !record.spawn.is_empty() && !record.state.is_down();
        if (under_way || !current) && leader_of(group, record, found).is_none() {
            add(group, &record.spec, record.start);
        }
    }
    let is_recorded = |name: &String| recorded.iter().any(|group| group.name == *name);
    for group in defined.values().filter(|group| !is_recorded(&group.name)) {
        for spec in &group.programs {
            let ours = |f: &&Found| {
                f.leads() && f.is_of(&group.name, spec) && runs_as_named(spec, f.entry.pid)
            };
            if !found.iter().any(|f| ours(&f)) {
                add(&group.name, spec, 0);
            }
        }
    }
    missing
}

/// The leader that a record speaks of, or that must have come of the spawn it announces.
fn leader_of(group: &str, record: &ProcessRecord, found: &[Found]) -> Option<Origin> {
    if record.pid != 0 && slapos_sys::process::alive(record.pid, record.start) {
        return Some(origin_in(record));
    }
    let leaders = found.iter().filter(|f| f.leads() && f.is_of(group, &record.spec));
    let candidates = leaders.filter(|found| {
        if found.tag.spawn.is_empty() {
            // Recognised, not tagged: it was looked for because the record knows none.
            true
        } else if record.pid == 0 && !record.spawn.is_empty() {
            found.tag.spawn == record.spawn
        } else {
            // The ledger is behind, its disk was full: something newer than it knows.
            found.tag.spawn != record.spawn && found.entry.start > record.start
        }
    });
    let ours = candidates.filter(|found| runs_as_named(&record.spec, found.entry.pid));
    ours.min_by_key(|found| found.entry.start).map(origin)
}

fn origin_in(record: &ProcessRecord) -> Origin {
    Origin { leader: record.pid, start: record.start, spawn: record.spawn.clone() }
}

fn origin(found: &Found) -> Origin {
    Origin { leader: found.entry.pid, start: found.entry.start, spawn: found.tag.spawn.clone() }
}

/// True if the process runs as the user that the definition names.
fn runs_as_named(spec: &ProgramSpec, pid: u32) -> bool {
    let Ok(named) = uid_named(spec) else {
        return false;
    };
    slapos_sys::process::uids(pid).is_some_and(|uids| uids.real == named)
}

fn uid_named(spec: &ProgramSpec) -> Result<u32, String> {
    let identity = launch::identity(spec)?;
    Ok(identity.map_or_else(|| nix::unistd::geteuid().as_raw(), |identity| identity.uid))
}

/// How long ago a start time was.
fn age(start: u64) -> Duration {
    clock::since_boot().saturating_sub(Duration::from_secs(start / TICKS_PER_SECOND))
}
