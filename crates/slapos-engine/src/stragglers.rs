//! Processes that outlive the run that started them, found and ended before their place is used
//! again.
//!
//! The kernel kills a command when its run is killed, but not what the command has started: a
//! compiler would go on writing where the next run builds. So each command has [`VARIABLE`] in its
//! environment, which its children inherit: a hash of the place it works for, and a random number
//! of the run for people who look. Whoever is about to clear that place ends all of this user's
//! processes that carry its hash. Spared are this process, its ancestors and its descendants.
//! What hides its environment is not found.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use slapos_sys::process::{self, Entry, Signal};

use crate::error::PartError;
use crate::identity::hex;

/// Names the place that a process works for: `<hash>:<random of the run>`.
pub(crate) const VARIABLE: &str = "SLAPOS_BUILD_ID";
/// How long killed processes have to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at them.
const POLL: Duration = Duration::from_millis(5);

/// A place that commands work for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(String);

impl Place {
    /// A part of the buildout that keeps its record at `ledger`.
    pub(crate) fn part(ledger: &Path, part: &str) -> Self {
        Self::hash([ledger.as_os_str(), OsStr::new(part)])
    }

    /// A shared part.
    pub(crate) fn shared(location: &Path) -> Self {
        Self::hash([location.as_os_str(), OsStr::new("")])
    }

    fn hash(names: [&OsStr; 2]) -> Self {
        let mut hash = Sha256::new();
        for name in names {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        Self(hex(&hash.finalize()[..16]))
    }

    /// Value of [`VARIABLE`] for commands of the run called `run`.
    pub(crate) fn value(&self, run: &str) -> String {
        format!("{}:{run}", self.0)
    }

    /// Ends all processes that still work for this place; returns how many there were.
    ///
    /// # Errors
    /// When some cannot be ended.
    pub(crate) fn clear(&self) -> Result<usize, PartError> {
        let deadline = Instant::now() + PATIENCE;
        let mut ended = BTreeSet::new();
        loop {
            // Again and again: one that is about to die may just have started another.
            let found = self.find();
            if found.is_empty() {
                return Ok(ended.len());
            }
            for (pid, start) in &found {
                if process::alive(*pid, *start) {
                    process::kill(*pid, Signal::SIGKILL).map_err(|error| survives(*pid, &error))?;
                }
            }
            for (pid, start) in found {
                while process::alive(pid, start) {
                    if Instant::now() > deadline {
                        return Err(survives(pid, &"it was killed and is still there"));
                    }
                    std::thread::sleep(POLL);
                }
                ended.insert((pid, start));
            }
        }
    }

    /// Pid and start time of all processes that are to be ended.
    fn find(&self) -> Vec<(u32, u64)> {
        let own = std::process::id();
        let Some(user) = process::uids(own) else { return Vec::new() };
        let mut carriers = Vec::new();
        let mut parents = BTreeMap::new();
        // Each may go away at any time while it is looked at.
        for Entry { pid, parent, start, .. } in process::list() {
            parents.insert(pid, parent);
            let acts = process::uids(pid).map(|uids| uids.effective);
            if acts == Some(user.effective) && self.is_of(pid) {
                carriers.push((pid, start));
            }
        }
        let ancestors = line(own, &parents);
        carriers
            .retain(|(pid, _)| !ancestors.contains(pid) && !line(*pid, &parents).contains(&own));
        carriers
    }

    /// Whether `pid` works for this place. It may have changed its user since, or forbid looking.
    fn is_of(&self, pid: u32) -> bool {
        let environment = process::environment(pid);
        let value = environment.as_ref().and_then(|environment| environment.get(VARIABLE));
        value
            .and_then(|value| value.strip_prefix(self.0.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b":"))
    }
}

fn survives(pid: u32, why: &dyn std::fmt::Display) -> PartError {
    PartError::new(format!(
        "process {pid} of an earlier run still works for this part and cannot be ended: {why}"
    ))
    .with_help("end it, then run again")
}

/// `pid` and its ancestors.
fn line(pid: u32, parents: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
    let mut line = BTreeSet::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| line.insert(*pid)) {
        next = parents.get(&pid).copied();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_has_started_is_spared() {
        let place = Place::part(Path::new("/x/installed.json"), "a");
        let mut command = slapos_sys::process::Command::new("/bin/sleep");
        let mut child = command.arg("600").env(VARIABLE, place.value("r")).spawn().unwrap();
        // Between fork and exec it has another environment; then it is found, and spared.
        while !place.is_of(child.id()) {
            std::thread::yield_now();
        }
        assert_eq!(place.clear().unwrap(), 0);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn places_have_different_names() {
        let names = [
            Place::part(Path::new("/x"), "a"),
            Place::part(Path::new("/x"), "b"),
            Place::part(Path::new("/y"), "a"),
            Place::shared(Path::new("/x")),
        ];
        let distinct: BTreeSet<String> = names.iter().map(|place| place.value("r")).collect();
        assert_eq!(distinct.len(), names.len());
    }
}
