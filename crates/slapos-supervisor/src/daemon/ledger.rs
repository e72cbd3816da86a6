//! What the daemon leaves for its successor in case it is killed: which groups are active, with
//! the definitions they run by, in what state each process is, and who it is.
//!
//! It is written before each spawn (that it is under way) and after (who came of it), and removed
//! when the daemon has stopped everything. One of an earlier boot means nothing.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::events::Notice;
use crate::limits::GroupLimits;
use crate::spec::ProgramSpec;
use crate::state::{Exit, State};

const VERSION: u32 = 1;
const MAX_BYTES: u64 = 64 << 20;

/// All that is known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ledger {
    version: u32,
    boot: String,
    pub(crate) groups: Vec<GroupRecord>,
}

/// One active group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub(crate) name: String,
    pub(crate) priority: i32,
    #[serde(default, skip_serializing_if = "GroupLimits::is_empty")]
    pub(crate) limits: GroupLimits,
    pub(crate) processes: Vec<ProcessRecord>,
}

/// One process of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    pub(crate) spec: ProgramSpec,
    pub(crate) state: State,
    pub(crate) exit: Option<Exit>,
    pub(crate) error: String,
    /// The last spawn, under way or done; empty if it was never started.
    pub(crate) spawn: String,
    /// The process id of the last leader, 0 while the spawn is under way.
    pub(crate) pid: u32,
    /// Its start, in clock ticks since boot.
    pub(crate) start: u64,
    /// When it was last started and ended, in seconds since 1970; 0: never.
    pub(crate) started: i64,
    pub(crate) stopped: i64,
    /// Where it comes to rest once what it left behind is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rest: Option<State>,
    /// Early ends in a row.
    #[serde(default)]
    pub(crate) failures: u32,
    /// What is to be done once it is at rest.
    #[serde(default, skip_serializing_if = "NextRecord::is_nothing")]
    pub(crate) next: NextRecord,
    /// Of a listener: the events that it has not acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Notice>,
}

/// What was put off until a process is at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NextRecord {
    /// It gets this definition.
    pub(crate) spec: Option<ProgramSpec>,
    /// It is started.
    pub(crate) start: bool,
    /// It is forgotten.
    pub(crate) remove: bool,
}

impl NextRecord {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Ledger {
    /// A ledger of this boot.
    pub(crate) fn new(groups: Vec<GroupRecord>) -> Self {
        Self { version: VERSION, boot: boot_id(), groups }
    }

    /// Replaces the ledger at `path`, and keeps the one that was there at `old`, if given. It is
    /// not synced: it is only good for this boot.
    pub(crate) fn write(&self, path: &Path, old: Option<&Path>) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        if let Some(old) = old {
            // A second name for the file: whatever damages one of the two under its name, by
            // writing into it, is another file by then. Without it there is only less to fall
            // back to.
            let _ = std::fs::remove_file(old);
            let _ = std::fs::hard_link(path, old);
        }
        slapos_sys::fs::write_replace(path, &bytes, 0o600)
    }

    /// The ledger at `path`, if there is one of this boot and version.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match slapos_sys::fs::read_to_string_limited(path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let ledger: Self = serde_json::from_str(&text).map_err(io::Error::other)?;
        Ok((ledger.version == VERSION && ledger.boot == boot_id()).then_some(ledger))
    }
}

fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(vec![GroupRecord {
            name: "g".into(),
            priority: 999,
            limits: GroupLimits::default(),
            processes: vec![ProcessRecord {
                spec: ProgramSpec::new("g_p", vec!["/bin/true".into()]),
                state: State::Running,
                exit: Some(Exit::Signal(9)),
                error: String::new(),
                spawn: "n1".into(),
                pid: 7,
                start: 70,
                started: 1_700_000_000,
                stopped: 0,
                rest: None,
                failures: 2,
                next: NextRecord { start: true, ..NextRecord::default() },
                events: Vec::new(),
            }],
        }])
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert!(Ledger::read(&path).unwrap().is_none());
        ledger().write(&path, None).unwrap();
        let read = Ledger::read(&path).unwrap().unwrap();
        assert_eq!(format!("{:?}", read.groups), format!("{:?}", ledger().groups));
    }

    #[test]
    fn the_generation_before_is_kept_and_survives_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("state.json"), dir.path().join("state.json.old"));
        ledger().write(&path, Some(&old)).unwrap();
        assert!(!old.exists());
        Ledger::new(Vec::new()).write(&path, Some(&old)).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Ledger::read(&old).unwrap().unwrap().groups.len(), 1);
        // A damaged one does not take the good one's place.
        Ledger::new(Vec::new()).write(&path, None).unwrap();
        assert_eq!(Ledger::read(&old).unwrap().unwrap().groups.len(), 1);
    }

    #[test]
    fn one_of_a_version_that_noted_less_is_understood() {
        let mut old = serde_json::to_value(ledger()).unwrap();
        let record = old.pointer_mut("/groups/0/processes/0").and_then(|r| r.as_object_mut());
        let record = record.unwrap();
        for newer in ["failures", "next"] {
            assert!(record.shift_remove(newer).is_some(), "{newer}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        std::fs::write(&path, old.to_string()).unwrap();
        let read = Ledger::read(&path).unwrap().unwrap();
        assert_eq!(read.groups[0].processes[0].failures, 0);
    }

    #[test]
    fn another_boot_or_garbage_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let mut old = ledger();
        old.boot = "another".into();
        old.write(&path, None).unwrap();
        assert!(Ledger::read(&path).unwrap().is_none());
        std::fs::write(&path, "{").unwrap();
        assert!(Ledger::read(&path).is_err());
    }
}
