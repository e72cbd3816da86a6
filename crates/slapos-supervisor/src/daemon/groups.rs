//! Which groups are active: adding, changing and removing them, and the end of all.

use super::background;
use super::core::{Active, Id, Mood, Supervisor};
use super::process::Process;
use super::waiters::{Goal, Item, Shape};
use crate::definitions::{self, DefinitionError, Definitions};
use crate::fault::{self, fault};
use crate::limits::GroupLimits;
use crate::spec::{Group, ProgramSpec};
use crate::state::{Event, State};
use crate::xmlrpc::{Fault, Value};
use std::sync::Arc;

/// How the definitions on disk differ from the active groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
}

/// The processes that an update touched, each with what becomes of it.
type Touched = Vec<(Id, &'static str)>;

impl Supervisor {
    /// Reads the definitions and activates all of them.
    pub(crate) fn start_afresh(&mut self) {
        let read = self.reread();
        for group in read.groups.values() {
            self.activate(group);
        }
        self.defined = read.groups;
    }

    /// Reads the definitions; what is wrong with them goes to the log, and what is left out of them once.
    pub(crate) fn reread(&mut self) -> Definitions {
        let read = definitions::read_dir(&self.paths.conf_dir());
        for error in &read.errors {
            self.journal.warn(&error.to_string());
        }
        // Definitions are read again and again, and work as they are.
        for remark in read.remarks.iter().filter(|remark| !self.remarked.contains(remark)) {
            self.journal.warn(remark);
        }
        self.remarked.clone_from(&read.remarks);
        read
    }

    /// `reloadConfig`: reads the definitions and tells the changes, but applies none.
    pub(crate) fn reload_config(&mut self) -> Result<Value, Fault> {
        let read = self.reread();
        if !read.errors.is_empty() {
            return Err(cannot_reread(&read.errors));
        }
        self.defined = read.groups;
        let changes = self.changes();
        let parts = [changes.added, changes.changed, changes.removed];
        let parts: Vec<Value> = parts.into_iter().map(Value::from).collect();
        Ok(Value::Array(vec![parts.into()]))
    }

    fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for (name, group) in &self.defined {
            match self.active_group(name) {
                None => changes.added.push(name.clone()),
                Some(active) if active != *group => changes.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = |name: &&String| !self.defined.contains_key(*name);
        changes.removed = self.groups.keys().filter(gone).cloned().collect();
        changes
    }

    /// The definition that the active group has, or will have once what was put off is done.
    fn active_group(&self, name: &str) -> Option<Group> {
        let active = self.groups.get(name).filter(|active| !active.retiring)?;
        let members = self.processes.values().filter(|p| p.group == name);
        let staying = members.filter(|process| !process.next.remove);
        let specs = staying.map(|p| (**p.next.spec.as_ref().unwrap_or(&p.spec)).clone());
        let mut programs: Vec<ProgramSpec> = specs.collect();
        // Order is that of the definition, which does not survive partial updates.
        if let Some(defined) = self.defined.get(name) {
            let place = |spec: &ProgramSpec| {
                let mut names = defined.programs.iter().map(|p| &p.process_name);
                names.position(|name| *name == spec.process_name)
            };
            programs.sort_by_key(place);
        }
        let limits = active.limits.clone();
        Some(Group { name: name.to_owned(), priority: active.priority, limits, programs })
    }

    /// Adds a group and starts what is to start with it.
    pub(crate) fn activate(&mut self, group: &Group) {
        self.add_group(&group.name, group.priority, &group.limits);
        self.emit("PROCESS_GROUP_ADDED", format!("groupname:{}", group.name));
        for spec in &group.programs {
            self.add_member(&group.name, spec);
        }
        self.journal.info(&format!("{}: group added", group.name));
    }

    pub(crate) fn add_group(&mut self, name: &str, priority: i32, limits: &GroupLimits) {
        let active = Active { priority, limits: limits.clone(), retiring: false };
        let former = self.groups.insert(name.to_owned(), active);
        if former.is_some_and(|former| former.limits != *limits) {
            self.apply_limits(name);
        }
        self.groups.sort_by(|_, a, _, b| a.priority.cmp(&b.priority));
        self.ledger_is_old();
    }

    fn add_member(&mut self, group: &str, spec: &ProgramSpec) -> Id {
        let id = self.add(group, spec.clone());
        if spec.autostart {
            self.feed(id, Event::Start);
        }
        id
    }

    /// `addProcessGroup`.
    pub(crate) fn add_process_group(&mut self, name: &str) -> Result<Value, Fault> {
        if self.groups.contains_key(name) {
            return Err(fault(fault::ALREADY_ADDED, name));
        }
        let group = self.defined.get(name).cloned();
        let group = group.ok_or_else(|| fault(fault::BAD_NAME, name))?;
        self.activate(&group);
        Ok(true.into())
    }

    /// `removeProcessGroup`.
    pub(crate) fn remove_process_group(&mut self, name: &str) -> Result<Value, Fault> {
        if !self.groups.contains_key(name) {
            return Err(fault(fault::BAD_NAME, name));
        }
        let mut members = self.processes.values().filter(|p| p.group == name);
        if members.any(|process| !process.machine.state().is_down()) {
            return Err(fault(fault::STILL_RUNNING, name));
        }
        self.processes.retain(|_, process| process.group != name);
        self.groups.shift_remove(name);
        self.emit("PROCESS_GROUP_REMOVED", format!("groupname:{name}"));
        self.forget_control(name);
        self.ledger_is_old();
        self.journal.info(&format!("{name}: group removed"));
        Ok(true.into())
    }

    /// Reads the definitions and makes these groups (all, if none is named) as they say: adds,
    /// stops and removes, and gives changed processes their new definition. A process whose
    /// definition is the same is left alone, and a changed one runs again if it ran.
    pub(crate) fn update(&mut self, names: &[String]) -> Result<(Vec<Item>, Shape), Fault> {
        let read = self.reread();
        // Whoever names groups is not to suffer from the files of others.
        let relevant: Vec<&DefinitionError> = match names {
            [] => read.errors.iter().collect(),
            names => names.iter().flat_map(|name| read.errors_of(name)).collect(),
        };
        if !relevant.is_empty() {
            return Err(cannot_reread(relevant));
        }
        if read.errors.is_empty() {
            self.defined = read.groups;
        } else {
            // A group in a file that cannot be read is not a removed one; a named one is known to
            // be gone if it is not there.
            let stays = |name: &String| read.groups.contains_key(name) || !names.contains(name);
            self.defined.retain(|name, _| stays(name));
            self.defined.extend(read.groups);
        }
        let chosen = |name: &String| names.is_empty() || names.contains(name);
        let mut changes = self.changes();
        for list in [&mut changes.added, &mut changes.changed, &mut changes.removed] {
            list.retain(chosen);
        }
        let mut touched = Touched::new();
        for name in changes.removed.iter().chain(&changes.changed) {
            self.change_group(name, &mut touched);
        }
        for name in &changes.added {
            self.change_group(name, &mut touched);
        }
        let shape = Shape::This(self.update_answer(changes, &touched));
        let items = touched.iter().filter_map(|(id, _)| self.item(*id, Goal::Settled));
        Ok((items.collect(), shape))
    }

    fn update_answer(&self, changes: Changes, touched: &Touched) -> Value {
        let named = touched.iter().filter_map(|(id, change)| {
            let process = self.processes.get(id)?;
            let name = process.spec.process_name.as_str();
            Some(Value::record([
                ("group", process.group.as_str().into()),
                ("name", name.into()),
                ("change", (*change).into()),
            ]))
        });
        Value::record([
            ("added", changes.added.into()),
            ("changed", changes.changed.into()),
            ("removed", changes.removed.into()),
            ("processes", Value::Array(named.collect())),
        ])
    }

    fn change_group(&mut self, name: &str, touched: &mut Touched) {
        let defined = self.defined.get(name).cloned();
        if !self.groups.contains_key(name) {
            self.emit("PROCESS_GROUP_ADDED", format!("groupname:{name}"));
        }
        match &defined {
            Some(group) => self.add_group(name, group.priority, &group.limits),
            None => {
                if let Some(active) = self.groups.get_mut(name) {
                    active.retiring = true;
                }
            }
        }
        let programs = defined.map_or(Vec::new(), |group| group.programs);
        for id in self.ids(|process| process.group == name) {
            let process = &self.processes[&id];
            let mut same_name = programs.iter();
            let new = same_name.find(|spec| spec.process_name == process.spec.process_name);
            if let Some(change) = self.change_member(id, new) {
                touched.push((id, change));
            }
        }
        for spec in &programs {
            let here = |p: &Process| p.group == name && p.spec.process_name == spec.process_name;
            if self.ids(here).is_empty() {
                touched.push((self.add_member(name, spec), "added"));
            }
        }
        self.journal.info(&format!("{name}: group updated"));
    }

    /// Gives a process its new definition, or none; the change takes place once it is at rest.
    fn change_member(&mut self, id: Id, new: Option<&ProgramSpec>) -> Option<&'static str> {
        let process = self.processes.get_mut(&id)?;
        let was_up = process.machine.state().is_up() || process.next.start;
        let was_leaving = std::mem::take(&mut process.next.remove);
        let change = match new {
            None => {
                process.next.remove = true;
                process.next.start = false;
                "removed"
            }
            Some(new) if *new == *process.spec && !was_leaving => {
                process.next.spec = None;
                return None;
            }
            Some(new) => {
                process.next.spec = Some(Arc::new(new.clone()));
                process.next.start = was_up || (was_leaving && new.autostart);
                "changed"
            }
        };
        self.feed(id, Event::Stop);
        Some(change)
    }

    /// What a waiter needs to know of a process.
    pub(crate) fn item(&self, id: Id, goal: Goal) -> Option<Item> {
        let process = self.processes.get(&id)?;
        Some(Item {
            id,
            group: process.group.clone(),
            name: process.spec.process_name.clone(),
            goal,
            outcome: None,
        })
    }

    /// Begins to stop everything, to end or to start afresh.
    pub(crate) fn stop_everything(&mut self, mood: Mood, reason: &str) {
        if matches!(self.mood, Mood::Up | Mood::Restarting) && self.mood != mood {
            self.journal.info(&format!("stopping everything: {reason}"));
            self.emit("SUPERVISOR_STATE_CHANGE_STOPPING", "");
            self.mood = mood;
        }
    }

    /// Stops the processes of the highest priority number, and those of the next when these are
    /// at rest, and so on.
    pub(crate) fn continue_shutdown(&mut self) {
        if !matches!(self.mood, Mood::Ending | Mood::Restarting) {
            return;
        }
        for process in self.processes.values_mut() {
            process.next.start = false;
        }
        let groups = &self.groups;
        let rank = |process: &Process| {
            let group = groups.get(&process.group).map_or(999, |active| active.priority);
            (group, process.spec.priority)
        };
        let alive = |process: &&Process| !process.machine.state().is_down();
        let last = self.processes.values().filter(alive).map(rank).max();
        let Some(last) = last else {
            return self.everything_stopped();
        };
        let up = |p: &Process| p.machine.state().is_up() && rank(p) == last;
        for id in self.ids(up) {
            self.feed(id, Event::Stop);
        }
    }

    fn everything_stopped(&mut self) {
        if self.mood == Mood::Ending {
            self.mood = Mood::Ended;
            return;
        }
        self.mood = Mood::Up;
        self.processes.clear();
        self.groups.clear();
        self.start_afresh();
        self.emit("SUPERVISOR_STATE_CHANGE_RUNNING", "");
        background::reap_strangers(self);
    }

    /// All processes, in the order in which people want to see them.
    pub(crate) fn ordered(&self) -> Vec<Id> {
        let mut ids = self.ids(|_| true);
        ids.sort_by_key(|id| {
            let process = &self.processes[id];
            let group = self.groups.get_index_of(&process.group);
            (group, process.spec.priority)
        });
        ids
    }

    /// Starts a process, or has it started once it is at rest.
    pub(crate) fn start(&mut self, id: Id) -> Result<(), Fault> {
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        match process.machine.state() {
            state if state.is_up() => Err(fault(fault::ALREADY_STARTED, process.display())),
            State::Stopping => {
                process.next.start = true;
                Ok(())
            }
            _ => {
                self.feed(id, Event::Start);
                Ok(())
            }
        }
    }

    /// Stops a process, and takes back a start that was put off.
    pub(crate) fn stop(&mut self, id: Id) -> Result<(), Fault> {
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        process.next.start = false;
        if process.machine.state().is_down() {
            return Err(fault(fault::NOT_RUNNING, process.display()));
        }
        self.feed(id, Event::Stop);
        Ok(())
    }
}

fn cannot_reread<'a>(errors: impl IntoIterator<Item = &'a DefinitionError>) -> Fault {
    let errors: Vec<_> = errors.into_iter().map(ToString::to_string).collect();
    fault(fault::CANT_REREAD, errors.join("; "))
}
