//! What the node remembers of each partition: the only truth about what was processed, and when.
//!
//! Kept under the instance root's `var`, where partitions cannot write. Written before a
//! partition is touched (`processing`) and after, so that a killed run is seen by the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_slap::{InstanceState, SoftwareUrl};
use slapos_sys::clock::Timestamp;
use slapos_sys::fs;

use crate::error::{IoContext, NodeError};
use crate::generation::{Histories, Wanted};
use crate::promise::{PromiseResult, Schedule};
use crate::watchdog::Marks;

/// A record longer than this is not ours.
const MAX_RECORD: u64 = 4 << 20;

/// One partition's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// What the instance is called; empty in records of versions that did not keep it.
    #[serde(default)]
    pub title: String,
    /// The Software Release of the instance.
    pub software: SoftwareUrl,
    /// Names the build of it: the content of its `.completed`.
    pub software_stamp: String,
    /// The Master's timestamp that was processed.
    pub timestamp: Option<String>,
    /// Names what was asked of the instance, as [`Wanted::wish`] does.
    #[serde(default)]
    pub wish: String,
    /// The state that was brought about.
    pub state: InstanceState,
    /// When processing began or ended.
    pub at: Timestamp,
    /// How it went.
    pub outcome: Outcome,
    /// When the Master last wanted its services started anew, and they were.
    #[serde(default)]
    pub restart: Option<String>,
    /// Whether its last whole run asked for no instance, and the Master knows. Never while it is processed:
    /// a killed run may have asked.
    #[serde(default)]
    pub asks_nothing: bool,
    /// Whether `.timestamp` was left in the partition; people remove it to have it processed.
    #[serde(default)]
    pub marked: bool,
    /// The last result of each promise.
    #[serde(default)]
    pub promises: BTreeMap<String, PromiseResult>,
    /// When promises were looked at, and are to be again; none if they never were, or there are none.
    #[serde(default)]
    pub schedule: Option<Schedule>,
}

impl PartitionRecord {
    /// What was wanted when it was processed.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            software: self.software.clone(),
            software_stamp: self.software_stamp.clone(),
            wish: self.wish.clone(),
            state: self.state,
        }
    }
}

/// How far the processing of a partition came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was begun. If no run is under way, it was interrupted.
    Processing,
    /// It came to its end.
    Done,
    /// It failed, with this message.
    Failed(String),
}

/// The records of a node, one file each.
#[derive(Clone, Debug)]
pub struct Records {
    directory: PathBuf,
    histories: Histories,
    marks: Marks,
}

impl Records {
    /// Those below `instance_root`; the directory is made when something is written.
    pub fn new(instance_root: &Path) -> Self {
        let histories = Histories::new(instance_root);
        let marks = Marks::new(instance_root);
        Self { directory: instance_root.join("var/slapgrid"), histories, marks }
    }

    /// The record of `partition`. One that cannot be understood counts as none: the partition is
    /// then processed again, which is always safe.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn load(&self, partition: &str) -> Result<Option<PartitionRecord>, NodeError> {
        let path = self.path(partition);
        match fs::read_to_string_limited(&path, MAX_RECORD) {
            Ok(text) => Ok(serde_json::from_str(&text).ok()),
            Err(error) if is_none(error.kind()) => Ok(None),
            Err(error) => Err(error).context("read", &path),
        }
    }

    /// Writes the record of `partition`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, partition: &str, record: &PartitionRecord) -> Result<(), NodeError> {
        fs::create_dir_all(&self.directory, 0o700).context("create", &self.directory)?;
        let path = self.path(partition);
        let text = serde_json::to_string(record)
            .map_err(|error| NodeError::user(format!("cannot word the record: {error}")))?;
        fs::write_replace(&path, text.as_bytes(), 0o600).context("write", &path)
    }

    /// The partitions that have a record.
    ///
    /// # Errors
    /// When the directory is there and cannot be read.
    pub(crate) fn partitions(&self) -> Result<Vec<String>, NodeError> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("read", &self.directory),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    /// Forgets `partition`, its generations and what was complained of included.
    ///
    /// # Errors
    /// When the file exists and cannot be removed.
    pub fn forget(&self, partition: &str) -> Result<(), NodeError> {
        let path = self.path(partition);
        fs::remove_tree(&path).context("remove", &path)?;
        self.marks.forget(partition)?;
        self.histories.forget(partition)
    }

    fn path(&self, partition: &str) -> PathBuf {
        self.directory.join(format!("{partition}.json"))
    }
}

/// What cannot be a record counts as none.
pub(crate) fn is_none(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{FileTooLarge, InvalidData, NotFound};
    matches!(kind, NotFound | FileTooLarge | InvalidData)
}
