//! The kernel's table of processes: which of them belong to which service.
//!
//! Every process that the daemon starts carries two variables in its environment that its
//! descendants inherit: whose it is, and by which spawn. So a service can be found again by a
//! daemon that did not start it, and what it left behind can be told from what replaced it.

use std::collections::HashMap;

pub(crate) use slapos_sys::process::Entry;
use slapos_sys::process::{self, Environment, Signal};

/// Names the supervisor's instance root (hashed), the group and the process.
pub(crate) const TAG: &str = "SLAPOS_SUPERVISOR_ID";
/// Names one spawn of it.
pub(crate) const SPAWN: &str = "SLAPOS_SUPERVISOR_SPAWN";

/// What the environment of a process says about its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) instance: String,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) spawn: String,
}

/// One spawn of a service: what its processes are recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The leader's process id, which is its group's and session's too; 0 if unknown.
    pub(crate) leader: u32,
    /// When the leader started.
    pub(crate) start: u64,
    /// The spawn that made it.
    pub(crate) spawn: String,
}

/// All living processes.
pub(crate) fn list() -> Vec<Entry> {
    process::list().filter(Entry::is_alive).collect()
}

/// The origin that the environment of `pid` names, if it can be read and names one.
pub(crate) fn tag(pid: u32) -> Option<Tag> {
    parse_tag(&process::environment(pid)?)
}

fn parse_tag(environment: &Environment) -> Option<Tag> {
    let variable = |name: &str| String::from_utf8(environment.get(name)?.to_vec()).ok();
    let id = variable(TAG)?;
    let mut parts = id.splitn(3, ':');
    Some(Tag {
        instance: parts.next()?.to_owned(),
        group: parts.next()?.to_owned(),
        name: parts.next()?.to_owned(),
        spawn: variable(SPAWN).unwrap_or_default(),
    })
}

/// All living processes, arranged so that those of a spawn are found without looking at each.
#[derive(Debug, Default)]
pub(crate) struct Census {
    entries: Vec<Entry>,
    /// By which spawn each came, if its environment says so; in the order of `entries`.
    spawns: Vec<Option<String>>,
    by_pid: HashMap<u32, usize>,
    by_spawn: HashMap<String, Vec<usize>>,
    /// By group, and by session where that is another number.
    by_leader: HashMap<u32, Vec<usize>>,
}

impl Census {
    /// Counts the processes of this machine.
    pub(crate) fn take() -> Self {
        Self::of(list(), |pid| tag(pid).map(|tag| tag.spawn))
    }

    /// Arranges `entries`; `spawn` tells what the environment of a process names.
    pub(crate) fn of(entries: Vec<Entry>, spawn: impl Fn(u32) -> Option<String>) -> Self {
        let mut census = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let spawn = spawn(entry.pid);
            census.by_pid.insert(entry.pid, index);
            census.by_leader.entry(entry.group).or_default().push(index);
            if entry.session != entry.group {
                census.by_leader.entry(entry.session).or_default().push(index);
            }
            if let Some(spawn) = &spawn {
                census.by_spawn.entry(spawn.clone()).or_default().push(index);
            }
            census.spawns.push(spawn);
        }
        census.entries = entries;
        census
    }

    /// What lives of the spawn `origin` beside its leader: the members of the leader's group and
    /// session, and those that left both but carry the spawn's tag.
    pub(crate) fn survivors(&self, origin: &Origin) -> Vec<Entry> {
        let named = self.by_spawn.get(&origin.spawn).filter(|_| !origin.spawn.is_empty());
        let related = self.by_leader.get(&origin.leader).filter(|_| origin.leader != 0);
        let mut candidates: Vec<usize> =
            named.into_iter().chain(related).flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|index| self.belongs(*index, origin));
        candidates.into_iter().filter_map(|index| self.entries.get(index).copied()).collect()
    }

    fn belongs(&self, index: usize, origin: &Origin) -> bool {
        let Some(entry) = self.entries.get(index) else {
            return false;
        };
        let leader = entry.pid == origin.leader && entry.start == origin.start;
        // A descendant cannot be older than its ancestor.
        if leader || entry.start < origin.start {
            return false;
        }
        match self.spawns.get(index).and_then(Option::as_ref) {
            Some(spawn) if !origin.spawn.is_empty() => *spawn == origin.spawn,
            _ => {
                origin.leader != 0
                    && !self.is_reused(origin)
                    && (entry.group == origin.leader || entry.session == origin.leader)
            }
        }
    }

    /// The number of a group or session is not given to a new process while it has members. So if
    /// somebody else has the leader's number now, there are none left of ours.
    fn is_reused(&self, origin: &Origin) -> bool {
        let holder = self.by_pid.get(&origin.leader).and_then(|index| self.entries.get(*index));
        holder.is_some_and(|entry| entry.start != origin.start)
    }
}

/// Sends `signal` to the process that was seen as `entry`, and to nobody who may have got its
/// number since.
pub(crate) fn signal(entry: &Entry, signal: Signal) {
    let Ok(pidfd) = process::pidfd_open(entry.pid) else {
        return;
    };
    // The descriptor pins the process; only now is the start time a proof.
    if process::start_time(entry.pid) == Some(entry.start) {
        let _ = super::process::signal_by(&pidfd, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32, group: u32, session: u32, start: u64) -> Entry {
        Entry { pid, parent: 1, group, session, start, state: 'S' }
    }

    fn origin() -> Origin {
        Origin { leader: 10, start: 100, spawn: "n1".into() }
    }

    #[test]
    fn a_tag_is_read_whatever_stands_around_it() {
        let environ = b"XSLAPOS_SUPERVISOR_ID=no\0SLAPOS_SUPERVISOR_ID=i:g:p:q\0\
            SLAPOS_SUPERVISOR_SPAWN=n1\0PATH=\xff\0";
        let tag = parse_tag(&Environment::from(environ.to_vec())).unwrap();
        assert_eq!((tag.group.as_str(), tag.name.as_str()), ("g", "p:q"));
        assert_eq!(tag.spawn, "n1");
        assert_eq!(parse_tag(&Environment::from(b"PATH=/bin\0".to_vec())), None);
    }

    #[test]
    fn group_session_and_tag_make_a_survivor_and_age_and_replacement_do_not() {
        let all = [
            entry(10, 10, 10, 100),
            entry(11, 10, 10, 101),
            entry(12, 12, 10, 102),
            entry(13, 13, 13, 103),
            entry(14, 14, 14, 104),
            entry(15, 10, 10, 99),
        ];
        let spawn = |pid| match pid {
            13 => Some("n1".to_owned()),
            14 => Some("n2".to_owned()),
            _ => None,
        };
        let found = Census::of(all.to_vec(), spawn).survivors(&origin());
        assert_eq!(found.iter().map(|entry| entry.pid).collect::<Vec<_>>(), [11, 12, 13]);
    }

    #[test]
    fn a_reused_number_protects_its_new_group() {
        let all = [entry(10, 10, 10, 500), entry(11, 10, 10, 501)];
        assert_eq!(Census::of(all.to_vec(), |_| None).survivors(&origin()), []);
    }
}
