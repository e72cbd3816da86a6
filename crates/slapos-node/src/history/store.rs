//! Where the node keeps the histories: on a shelf beside its records.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::History;
use crate::error::NodeError;
use crate::reporter::Reporter;
use crate::shelf::{Kept, Shelf};

/// Version of the file's form that this program writes.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    #[serde(flatten)]
    history: History,
}

impl Kept for Document {
    const NAME: &'static str = "history of generations";
    const LONGEST: u64 = 4 << 20;
    const VERSION: Option<u32> = Some(VERSION);
}

/// The histories of a node.
pub(crate) struct Histories<'a>(Shelf<'a, Document>);

impl<'a> Histories<'a> {
    /// Those below `instance_root`.
    pub(crate) fn new(instance_root: &Path, reporter: &'a dyn Reporter) -> Self {
        Self(Shelf::new(instance_root.join("var/slapgrid/generations"), reporter))
    }

    /// The history of `partition`; empty where there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is of a later version of this program.
    pub(crate) fn load(&self, partition: &str) -> Result<History, NodeError> {
        Ok(self.0.load(partition)?.map(|document| document.history).unwrap_or_default())
    }

    /// The same for who only says what there is, as [`Shelf::look`].
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn look(&self, partition: &str) -> Result<History, NodeError> {
        Ok(self.0.look(partition)?.map(|document| document.history).unwrap_or_default())
    }

    /// The partitions that have a history, by name.
    ///
    /// # Errors
    /// As [`Shelf::partitions`].
    pub(crate) fn partitions(&self) -> Result<Vec<String>, NodeError> {
        self.0.partitions()
    }

    /// The files of which nobody can tell which generations they were, as [`Shelf::damaged`].
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn damaged(&self) -> Result<Vec<PathBuf>, NodeError> {
        self.0.damaged()
    }

    /// Writes the history of `partition`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn store(&self, partition: &str, history: &History) -> Result<(), NodeError> {
        self.0.store(partition, &Document { version: VERSION, history: history.clone() })
    }

    /// Forgets the generations of `partition`, whose content goes with its directory.
    ///
    /// # Errors
    /// When the file exists and cannot be removed.
    pub(crate) fn forget(&self, partition: &str) -> Result<(), NodeError> {
        self.0.forget_all(partition)
    }
}
