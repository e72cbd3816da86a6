//! What a node tells its Master beside the reports of classic SLAP: how far a build is, what came of
//! promises, and how the machine is. The bodies of `POST /api/v1/computers/{id}/...`, which only our
//! own Master has. Times are RFC 3339 text in UTC.

use serde::{Deserialize, Serialize};

/// How far the build of a Software Release is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BuildProgress {
    /// The Software Release.
    pub url: String,
    /// Parts that are done.
    pub done: u32,
    /// All parts.
    pub total: u32,
    /// The parts that are being made, or the one that failed; empty when there is none.
    #[serde(default)]
    pub part: String,
    /// The end of the build's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What came of promises, of as many partitions as were looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PromiseReport {
    /// By partition.
    pub partitions: Vec<PartitionPromises>,
}

/// What came of the promises of a partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PartitionPromises {
    /// The partition.
    pub partition: String,
    /// Of those that were checked.
    pub results: Vec<PromiseResult>,
    /// All promises that the partition has: others are forgotten. Absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
}

/// What came of one promise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PromiseResult {
    /// Its name: that of its file.
    pub name: String,
    /// Whether it is broken.
    pub failed: bool,
    /// What it said.
    #[serde(default)]
    pub message: String,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// When it was checked.
    pub at: String,
}

/// How a node's machine is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeMetrics {
    /// The load average over one minute.
    pub load: f64,
    /// Memory, in bytes.
    pub memory: Room,
    /// The file system of the instance root, in bytes.
    pub disk: Room,
    /// Services of all partitions, as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// All of it.
    pub total: u64,
    /// What is left.
    pub available: u64,
}

/// How many services are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Those that run.
    pub running: u32,
    /// Those that could not be kept running.
    pub failed: u32,
}
