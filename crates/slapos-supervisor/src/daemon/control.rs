//! Control groups of services: where each runs, what its group may take, what it uses.
//!
//! `slapos-<instance root>/<group>.group/<process>.service`, at the top of the tree, where the
//! kernel has version 2 and the daemon is root. The limits are those of the group, so that a
//! partition's services share them. Limits that cannot be held are a reason not to start: a
//! service that takes what it was not to have is worse than one that says why it does not run.

use std::path::PathBuf;

use slapos_sys::cgroup::{self, Cgroups};

use super::core::{Id, Message, Supervisor};
use super::process::Process;
use crate::limits::GroupLimits;
use crate::xmlrpc::Value;

/// Where a process is to run.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    tree: Cgroups,
    names: [String; 3],
    limits: GroupLimits,
}

impl Place {
    /// Makes the group and limits it; the error is a text for people.
    pub(crate) fn make(&self) -> Result<PathBuf, String> {
        let [instance, group, process] = &self.names;
        let limited = self.tree.make(&[instance, group]);
        let limited = limited.map_err(|error| format!("cannot make its control group: {error}"))?;
        limit(&limited, &self.limits)?;
        let place = self.tree.make(&[instance, group, process]);
        place.map_err(|error| format!("cannot make its control group: {error}"))
    }
}

/// Sets all that can be set; the error names what cannot.
fn limit(directory: &std::path::Path, limits: &GroupLimits) -> Result<(), String> {
    let mut refused = Vec::new();
    for (file, default, value) in limits.files() {
        match value {
            Some(value) => {
                if let Err(error) = cgroup::set(directory, file, &value) {
                    refused.push(format!("{file} = {value} cannot be honoured: {error}"));
                }
            }
            // What the kernel does not have cannot limit anything.
            None if directory.join(file).exists() => {
                let _ = cgroup::set(directory, file, default);
            }
            None => {}
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused.join("; ")) }
}

impl Supervisor {
    /// Where a process is to run; `None` where there are no control groups and none are needed.
    pub(crate) fn place(&self, process: &Process) -> Result<Option<Place>, String> {
        let active = self.groups.get(&process.group);
        let limits = active.map(|active| active.limits.clone()).unwrap_or_default();
        match &self.cgroups {
            Some(tree) => {
                let names = self.control_names(&process.group, &process.spec.process_name);
                Ok(Some(Place { tree: tree.clone(), names, limits }))
            }
            None if limits.is_empty() => Ok(None),
            None => Err(limits.unsupported()),
        }
    }

    fn control_names(&self, group: &str, process: &str) -> [String; 3] {
        let instance = format!("slapos-{}", self.instance);
        [instance, format!("{group}.group"), format!("{process}.service")]
    }

    /// Changes the limits of a group that is there already; sends `Unlimited` if it does not have them.
    pub(crate) fn apply_limits(&mut self, group: &str) {
        let Some(active) = self.groups.get(group) else { return };
        let (limits, outbox) = (active.limits.clone(), self.outbox.clone());
        let [instance, name, _] = self.control_names(group, "");
        let (tree, group) = (self.cgroups.clone(), group.to_owned());
        tokio::task::spawn_blocking(move || {
            let directory = tree.map(|tree| tree.path(&[&instance, &name]));
            let held = match directory {
                None if limits.is_empty() => Ok(()),
                None => Err(limits.unsupported()),
                // Nothing runs in it: whatever is started makes it.
                Some(directory) if !directory.exists() => Ok(()),
                Some(directory) => limit(&directory, &limits),
            };
            if let Err(why) = held {
                let _ = outbox.send(Message::Unlimited(group, why));
            }
        });
    }

    pub(crate) fn on_unlimited(&mut self, group: &str, why: &str) {
        let text = format!(
            "{group}: what runs does not have its new limits, and no more of it is started: {why}"
        );
        self.journal.warn(&text);
    }

    /// Removes the control group of a group that is gone.
    pub(crate) fn forget_control(&self, group: &str) {
        if let Some(tree) = self.cgroups.clone() {
            let [instance, name, _] = self.control_names(group, "");
            tokio::task::spawn_blocking(move || cgroup::remove(&tree.path(&[&instance, &name])));
        }
    }

    /// Removes all control groups of this instance root, as far as nobody is in them.
    pub(crate) fn forget_all_control(&self) {
        if let Some(tree) = &self.cgroups {
            let [instance, ..] = self.control_names("", "");
            cgroup::remove(&tree.path(&[&instance]));
        }
    }

    /// What reads the usage of all processes: `slapos.usage`.
    pub(crate) fn usage(&self) -> impl FnOnce() -> Value + Send + 'static {
        let tree = self.cgroups.clone();
        let named = |(_, process): (&Id, &Process)| {
            let (group, name) = (process.group.clone(), process.spec.process_name.clone());
            let names = self.control_names(&group, &name);
            process.leader.as_ref().map(|_| (group, name, names))
        };
        let processes: Vec<_> = self.processes.iter().filter_map(named).collect();
        move || {
            let rows = tree.iter().flat_map(|tree| {
                processes.iter().map(|(group, name, names)| {
                    let [instance, above, own] = names;
                    let usage = cgroup::usage(&tree.path(&[instance, above, own]));
                    let number = |number: Option<u64>| {
                        number.and_then(|n| i64::try_from(n).ok()).map_or(Value::Nil, Value::Int)
                    };
                    Value::record([
                        ("group", group.as_str().into()),
                        ("name", name.as_str().into()),
                        ("memory", number(usage.memory)),
                        ("tasks", number(usage.tasks)),
                        ("cpu_seconds", usage.cpu_seconds.map_or(Value::Nil, Value::Double)),
                    ])
                })
            });
            Value::Array(rows.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests look at files directly")]
    use std::sync::Arc;

    use super::*;
    use crate::daemon::journal::Journal;
    use crate::daemon::launch::{self, Job};
    use crate::{Paths, ProgramSpec};

    fn job(place: Result<Option<Place>, String>) -> Job {
        let spec = ProgramSpec::new("p", ["/bin/sleep", "0"].map(String::from).to_vec());
        Job {
            spec: Arc::new(spec),
            tag: "i:g:p".into(),
            spawn: "n1".into(),
            open_files: (64, 64),
            place,
        }
    }

    fn limits() -> GroupLimits {
        let mut limits = GroupLimits::default();
        limits.set("memory_max", "1MB").unwrap();
        limits
    }

    #[test]
    fn a_process_is_in_its_group_from_its_beginning() {
        // An ordinary directory in place of the kernel's: what would be a command to it is there
        // to be read.
        let dir = tempfile::tempdir().unwrap();
        let names = ["slapos-1", "g.group", "p.service"].map(String::from);
        let place = Place { tree: Cgroups::at(dir.path()), names, limits: limits() };
        let leaf = place.make().unwrap();
        std::fs::write(leaf.join("cgroup.procs"), "").unwrap();
        let launched = launch::launch(&job(Ok(Some(place)))).unwrap();
        assert_eq!(std::fs::read_to_string(leaf.join("cgroup.procs")).unwrap(), "0");
        let group = dir.path().join("slapos-1/g.group");
        assert_eq!(std::fs::read_to_string(group.join("memory.max")).unwrap(), "1048576");
        assert!(!group.join("pids.max").exists());
        limit(&group, &GroupLimits::default()).unwrap();
        // As the kernel would have it after a shorter value.
        assert!(std::fs::read_to_string(group.join("memory.max")).unwrap().starts_with("max"));
        let _ = slapos_sys::process::kill(launched.pid, slapos_sys::process::Signal::SIGKILL);
        let _ =
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(launched.pid.cast_signed()), None);
    }

    /// What the journal says after the limits of a running group were changed.
    fn told_of_limits(cgroups: Option<&std::path::Path>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("log")).unwrap();
        let (outbox, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        let mut supervisor = Supervisor::new(Paths::new(dir.path()), journal, outbox, (64, 64));
        supervisor.cgroups = cgroups.map(Cgroups::at);
        if let Some(tree) = &supervisor.cgroups {
            let [instance, group, _] = supervisor.control_names("g", "");
            // The kernel takes the one, and not the other.
            std::fs::create_dir(tree.make(&[&instance, &group]).unwrap().join("cpu.max")).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            supervisor.add_group("g", 1, &GroupLimits::default());
            let mut both = limits();
            both.set("cpu_max", "50%").unwrap();
            supervisor.add_group("g", 1, &both);
            supervisor.take(inbox.recv().await.unwrap());
        });
        let said = std::fs::read_to_string(dir.path().join("log")).unwrap();
        said.split_once("WARN ").unwrap().1.to_owned()
    }

    #[test]
    fn limits_that_running_services_do_not_get_are_told() {
        let dir = tempfile::tempdir().unwrap();
        insta::assert_snapshot!(told_of_limits(Some(dir.path())), @"g: what runs does not have its new limits, and no more of it is started: cpu.max = 50000 100000 cannot be honoured: Is a directory (os error 21)");
        let mut found = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let instance = found.find(|path| path.is_dir()).unwrap();
        let memory = std::fs::read_to_string(instance.join("g.group/memory.max")).unwrap();
        assert_eq!(memory, "1048576", "what can be held is");
        insta::assert_snapshot!(told_of_limits(None), @"g: what runs does not have its new limits, and no more of it is started: cpu_max, memory_max cannot be honoured: there are no control groups of version 2 that the supervisor may change");
    }

    #[test]
    fn a_limit_that_cannot_be_held_is_a_reason_not_to_start() {
        let refused = launch::launch(&job(Err("memory_max cannot be honoured".into())));
        assert_eq!(refused.unwrap_err(), "memory_max cannot be honoured");
    }
}
