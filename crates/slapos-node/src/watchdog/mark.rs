//! What the watchdog remembers of each partition: the last bang, and for which deployment it was.
//!
//! Kept in the instance root's `var`, where partitions cannot write.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_sys::fs;

use crate::error::{IoContext, NodeError};
use crate::record::{Outcome, PartitionRecord};

/// A mark longer than this is not ours.
const LONGEST: u64 = 64 << 10;

/// The last bang of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which deployment was complained of: when it ended. `None` if there was none without error.
    pub(super) deployment: Option<String>,
    /// What the Master is told.
    pub(super) message: String,
    /// The Master knows.
    pub(super) told: bool,
}

/// What to do about the end of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The Master is to be told; about this deployment.
    Bang(Option<String>),
    /// It was told already, or will be.
    Known(&'static str),
}

/// Decides by what is recorded of the partition, and its last mark.
pub(super) fn judge(record: Option<&PartitionRecord>, mark: Option<&Mark>) -> Verdict {
    let done = record.filter(|record| record.outcome == Outcome::Done);
    let deployment = done.map(|record| record.at.to_string());
    match mark {
        None => Verdict::Bang(deployment),
        Some(_) if deployment.is_none() => {
            Verdict::Known("it was not deployed without an error since the last one")
        }
        Some(mark) if mark.deployment == deployment => {
            Verdict::Known("it was not deployed again since the last one")
        }
        Some(_) => Verdict::Bang(deployment),
    }
}

/// The marks of a node, one file each.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    directory: PathBuf,
}

impl Marks {
    /// Those below `instance_root`; the directory is made when something is written.
    pub(super) fn new(instance_root: &Path) -> Self {
        Self { directory: instance_root.join("var/watchdog") }
    }

    /// The mark of `partition`. One that cannot be understood counts as none.
    pub(super) fn load(&self, partition: &str) -> Result<Option<Mark>, NodeError> {
        let path = self.path(partition);
        match fs::read_to_string_limited(&path, LONGEST) {
            Ok(text) => Ok(serde_json::from_str(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("read", &path),
        }
    }

    /// Writes the mark of `partition`.
    pub(super) fn store(&self, partition: &str, mark: &Mark) -> Result<(), NodeError> {
        fs::create_dir_all(&self.directory, 0o700).context("create", &self.directory)?;
        let path = self.path(partition);
        let text = serde_json::to_string(mark)
            .map_err(|error| NodeError::user(format!("cannot word the mark: {error}")))?;
        fs::write_atomic(&path, text.as_bytes(), 0o600).context("write", &path)
    }

    /// The partitions about which the Master does not know yet.
    pub(super) fn untold(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten();
        let names = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".json").map(str::to_owned)
        });
        let mut untold: Vec<String> = names
            .filter(|partition| matches!(self.load(partition), Ok(Some(mark)) if !mark.told))
            .collect();
        untold.sort();
        untold
    }

    fn path(&self, partition: &str) -> PathBuf {
        self.directory.join(format!("{partition}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use slapos_slap::InstanceState;

    use super::*;

    fn record(at: &str, outcome: Outcome) -> PartitionRecord {
        PartitionRecord {
            software: "/s.cfg".into(),
            software_stamp: String::new(),
            timestamp: None,
            wish: String::new(),
            state: InstanceState::Started,
            at: at.parse().unwrap(),
            outcome,
            marked: true,
            promises: BTreeMap::new(),
            schedule: None,
        }
    }

    fn mark(deployment: Option<&str>) -> Mark {
        Mark { deployment: deployment.map(str::to_owned), message: "m".into(), told: true }
    }

    const ONE: &str = "2026-01-01T00:00:00Z";
    const TWO: &str = "2026-01-02T00:00:00Z";

    #[test]
    fn one_bang_for_one_deployment() {
        let bang = |at: &str| Verdict::Bang(Some(at.to_owned()));
        let done = |at: &str| record(at, Outcome::Done);
        assert_eq!(judge(Some(&done(ONE)), None), bang(ONE));
        assert!(matches!(judge(Some(&done(ONE)), Some(&mark(Some(ONE)))), Verdict::Known(_)));
        assert_eq!(judge(Some(&done(TWO)), Some(&mark(Some(ONE)))), bang(TWO));
        // The clock may be set back.
        assert_eq!(judge(Some(&done(ONE)), Some(&mark(Some(TWO)))), bang(ONE));
    }

    #[test]
    fn what_never_succeeds_bangs_once() {
        let failed = record(ONE, Outcome::Failed("no".into()));
        assert_eq!(judge(Some(&failed), None), Verdict::Bang(None));
        assert_eq!(judge(None, None), Verdict::Bang(None));
        for record in [None, Some(&failed), Some(&record(TWO, Outcome::Processing))] {
            assert!(matches!(judge(record, Some(&mark(None))), Verdict::Known(_)));
        }
        assert_eq!(
            judge(Some(&record(TWO, Outcome::Done)), Some(&mark(None))),
            Verdict::Bang(Some(TWO.to_owned()))
        );
    }

    #[test]
    fn what_is_noted_is_read_and_only_the_untold_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let marks = Marks::new(dir.path());
        assert_eq!(marks.load("p").unwrap(), None);
        let untold = Mark { told: false, ..mark(Some(ONE)) };
        marks.store("p", &untold).unwrap();
        marks.store("q", &mark(None)).unwrap();
        assert_eq!(marks.load("p").unwrap(), Some(untold));
        assert_eq!(marks.untold(), ["p"]);
    }
}
