//! What became of shared parts, and why.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a part stays or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", content = "of", rename_all = "kebab-case")]
pub enum Reason {
    /// Stays: this directory or partition refers to it.
    Used(String),
    /// Stays: this shared part, which stays, refers to it.
    UsedByPart(String),
    /// Stays: a build is at it.
    Building,
    /// Stays: it was not there yet when the partitions were asked.
    New,
    /// Goes: nothing refers to it.
    Unused,
    /// Goes: only this part refers to it (and perhaps others), which goes too.
    UsedByUnused(String),
    /// Goes: its build was cut short, and nobody is at it.
    Unfinished,
    /// Goes: an earlier run took it away and did not come to remove it.
    Pruned,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Used(who) => write!(f, "{who} refers to it"),
            Self::UsedByPart(part) => write!(f, "the shared part {part} refers to it"),
            Self::Building => f.write_str("a build is at it"),
            Self::New => f.write_str("it is new"),
            Self::Unused => f.write_str("nothing refers to it"),
            Self::UsedByUnused(part) => {
                write!(f, "only what goes too refers to it, such as {part}")
            }
            Self::Unfinished => f.write_str("its build was cut short, and nobody is at it"),
            Self::Pruned => f.write_str("an earlier prune did not come to remove it"),
        }
    }
}

/// A part that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Where it lies.
    pub location: PathBuf,
    /// Name of its section.
    pub name: String,
    /// Its hash.
    pub hash: String,
    /// Why it goes.
    pub reason: Reason,
    /// Its size on disk.
    pub bytes: u64,
}

/// A part that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it lies.
    pub location: PathBuf,
    /// Why it stays.
    pub reason: Reason,
}

/// What was done, or is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The list that was tidied.
    pub directory: PathBuf,
    /// Nothing was removed: this is the plan.
    pub dry_run: bool,
    /// What goes, or went.
    pub removed: Vec<Removal>,
    /// What stays.
    pub kept: Vec<Kept>,
    /// What was to go and did not, and why.
    pub failed: Vec<(PathBuf, String)>,
}

impl Report {
    /// Bytes on disk that are freed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|removal| removal.bytes).sum()
    }
}
