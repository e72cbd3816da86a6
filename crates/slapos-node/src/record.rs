//! What the node remembers of each partition: the only truth about what was processed, and when.
//!
//! Kept on a shelf in `var/slapgrid`. Written before a partition is touched (`processing`) and after, so that a killed run is seen by the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slapos_slap::{InstanceState, SoftwareUrl};
use slapos_sys::clock::Timestamp;

use crate::history::Wanted;
use crate::limits::PartitionLimits;
use crate::promise::{PromiseResult, Schedule};
use crate::shelf::Kept;

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
    /// What its services may take since; none in records of versions that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PartitionLimits>,
    /// Whether a generation was brought back of which the Master has not heard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
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

impl Kept for PartitionRecord {
    const NAME: &'static str = "record";
    const LONGEST: u64 = 4 << 20;
    /// What `node report` is about to do.
    const OTHERS: &'static [&'static str] = &["usage"];

    /// That a partition may be half changed must be known whatever happens; that it is whole again
    /// costs no more than a repetition if it is lost.
    fn is_to_last(&self) -> bool {
        self.outcome == Outcome::Processing
    }
}
