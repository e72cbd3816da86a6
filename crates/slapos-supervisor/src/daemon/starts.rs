//! Starts in the order of priorities: of groups, and within a group of programs.
//!
//! A start waits until those before it have been made (not until they run, as in supervisor). One
//! that hangs, in a directory that its user made hang, is waited for only so long.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::background;
use super::core::{Id, Supervisor};
use super::launch::Job;
use super::process::Process;
use super::table::Origin;
use crate::state::{Event, Moment, State};

/// How long one start may keep others waiting.
const PATIENCE: Moment = Moment::from_secs(5);

/// The starts that were asked for and are not answered.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    /// Not yet announced.
    pub(crate) asked: Vec<Id>,
    /// Announced in the ledger, not begun.
    announced: Vec<Id>,
    /// Begun, at this time.
    begun: HashMap<Id, Moment>,
}

impl Starts {
    /// A start is answered.
    pub(crate) fn done(&mut self, id: Id) {
        self.begun.remove(&id);
    }

    /// When starts that wait go on though none is answered.
    pub(crate) fn due(&self) -> Option<Moment> {
        let first = self.begun.values().min().filter(|_| !self.announced.is_empty())?;
        Some(*first + PATIENCE)
    }
}

impl Supervisor {
    /// Gives each start that was asked for the name that is to be in the ledger before it is begun.
    /// Returns whether there is one.
    pub(crate) fn announce_starts(&mut self) -> bool {
        let asked = std::mem::take(&mut self.starts.asked);
        for id in &asked {
            if let Some(process) = self.processes.get_mut(id) {
                let spawn = slapos_sys::random::hex(8);
                process.origin = Origin {
                    spawn: spawn.unwrap_or_else(|_| format!("{id}-{:?}", Instant::now())),
                    ..Origin::default()
                };
            }
        }
        self.starts.announced.extend(&asked);
        !asked.is_empty()
    }

    /// Begins the starts whose turn it is.
    pub(crate) fn begin_starts(&mut self) {
        let announced = std::mem::take(&mut self.starts.announced);
        let (wanted, unwanted): (_, Vec<Id>) = announced.into_iter().partition(|id| {
            self.processes.get(id).is_some_and(|p| p.machine.state() != State::Stopping)
        });
        self.starts.announced = wanted;
        for id in unwanted {
            self.feed(id, Event::SpawnFailed("stopped before it was started".to_owned()));
        }
        for id in self.next_starts() {
            self.launch(id);
        }
    }

    /// Takes the starts whose turn it is from those that wait.
    fn next_starts(&mut self) -> Vec<Id> {
        let Starts { announced, begun, .. } = &self.starts;
        let now = self.now();
        let fresh = begun.iter().filter(|(_, since)| now.saturating_sub(**since) < PATIENCE);
        let pending = announced.iter().chain(fresh.map(|(id, _)| id));
        // The lowest group, and in each group the lowest program.
        let mut lowest_group = i32::MAX;
        let mut lowest: HashMap<&str, i32> = HashMap::new();
        for process in pending.filter_map(|id| self.processes.get(id)) {
            lowest_group = lowest_group.min(self.group_priority(process));
            let own = lowest.entry(process.group.as_str()).or_insert(i32::MAX);
            *own = (*own).min(process.spec.priority);
        }
        let is_next = |id: &Id| {
            self.processes.get(id).is_none_or(|process| {
                self.group_priority(process) == lowest_group
                    && lowest.get(process.group.as_str()) == Some(&process.spec.priority)
            })
        };
        let (next, later) = announced.iter().partition(|id| is_next(id));
        self.starts.announced = later;
        next
    }

    /// The priority of the group of a process.
    pub(crate) fn group_priority(&self, process: &Process) -> i32 {
        self.groups.get(&process.group).map_or(999, |active| active.priority)
    }

    fn launch(&mut self, id: Id) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        let job = Job {
            spec: Arc::clone(&process.spec),
            tag: format!("{}:{}", self.instance, process.display()),
            spawn: process.origin.spawn.clone(),
            open_files: self.open_files,
            place: self.place(process),
        };
        self.launching += 1;
        let now = self.now();
        self.starts.begun.insert(id, now);
        background::launch(self.outbox.clone(), id, job);
    }
}
