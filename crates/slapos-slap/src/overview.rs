//! All that a Master knows, in one document: the body of `GET /api/v1/overview`, shown by
//! `slapos proxy show`. Times are RFC 3339 text in UTC, such as `2026-11-23T10:00:00.5Z`.

use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::convert::partition_id;
use crate::settings::ComputerSettings;
use crate::words::{ComputerId, InstanceState, PartitionId, SoftwareState, SoftwareUrl};

/// The whole of a Master's knowledge, each list in a stable order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// By reference.
    pub computers: Vec<OverviewComputer>,
    /// By computer, then in the order of formatting.
    pub partitions: Vec<OverviewPartition>,
    /// By computer, then URL.
    pub software: Vec<OverviewSoftware>,
    /// By computer, then in the order of their partitions.
    pub instances: Vec<OverviewInstance>,
    /// Shared instances, by title.
    pub shared: Vec<OverviewShared>,
}

/// A computer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverviewComputer {
    /// Its reference.
    pub reference: ComputerId,
    /// Its own address, as it was formatted.
    pub address: String,
    /// The netmask of the address.
    pub netmask: String,
    /// When it was last formatted; `None` before.
    pub formatted_at: Option<String>,
    /// What it may be used for; `None` from a Master that does not say.
    #[serde(default)]
    pub settings: Option<ComputerSettings>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverviewPartition {
    /// Its computer.
    pub computer: ComputerId,
    /// Its reference.
    #[serde(deserialize_with = "checked")]
    pub reference: PartitionId,
    /// Whether an instance lives in it.
    pub busy: bool,
    /// Network interface name and address.
    pub ip_list: Vec<(String, IpAddr)>,
}

/// A Software Release on a computer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverviewSoftware {
    /// The computer.
    pub computer: ComputerId,
    /// The Software Release.
    pub url: SoftwareUrl,
    /// The name of its directory under the software root.
    pub md5: String,
    /// What is wanted.
    pub requested_state: SoftwareState,
    /// What the node said last: `building`, `available` or `error`.
    pub reported: Option<Report>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverviewInstance {
    /// The computer it lives on.
    pub computer: ComputerId,
    /// The partition it lives in.
    #[serde(deserialize_with = "checked")]
    pub partition: PartitionId,
    /// Its title.
    pub title: String,
    /// The title of its tree's root: its own for a root.
    pub root_title: String,
    /// Its Software Release.
    pub software: SoftwareUrl,
    /// Its software type.
    pub software_type: String,
    /// What is wanted.
    pub requested_state: InstanceState,
    /// The user's parameters.
    pub parameters: IndexMap<String, String>,
    /// What it published last.
    pub connection: IndexMap<String, String>,
    /// See [`crate::ComputerPartition::timestamp`].
    pub timestamp: Option<String>,
    /// What the node said last: `started`, `stopped` or `error`.
    pub reported: Option<Report>,
    /// The project of its tree; empty for the operator's.
    #[serde(default)]
    pub project: String,
    /// Since when the instance that asked for it does not any more.
    #[serde(default)]
    pub orphan_since: Option<String>,
}

/// A shared instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverviewShared {
    /// Its reference: the requester's root title, `_`, its title.
    pub reference: String,
    /// The computer of its host.
    pub computer: ComputerId,
    /// The partition of its host.
    #[serde(deserialize_with = "checked")]
    pub partition: PartitionId,
    /// Its Software Release.
    pub software: SoftwareUrl,
    /// Its software type.
    pub software_type: String,
    /// The user's parameters.
    pub parameters: IndexMap<String, String>,
    /// What its host published for it last.
    pub connection: IndexMap<String, String>,
    /// The project of its tree; empty for the operator's.
    #[serde(default)]
    pub project: String,
    /// Since when the instance that asked for it does not any more.
    #[serde(default)]
    pub orphan_since: Option<String>,
}

/// The last thing that a node reported about something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The reported state.
    pub state: String,
    /// The node's words; empty unless the state is `error`.
    pub message: String,
    /// When it arrived.
    pub at: String,
}

/// Reads the name of a partition, with the check that all names from the wire have.
fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PartitionId, D::Error> {
    partition_id(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_list_of_the_overview_makes_a_partition_of_a_path() {
        let partition = r#"{"computer": "c", "reference": "NAME", "busy": true, "ip_list": []}"#;
        let instance = r#"{"computer": "c", "partition": "NAME", "title": "t", "root_title": "t",
            "software": "s", "software_type": "", "requested_state": "started", "parameters": {},
            "connection": {}, "timestamp": null, "reported": null}"#;
        let shared = r#"{"reference": "r", "computer": "c", "partition": "NAME", "software": "s",
            "software_type": "", "parameters": {}, "connection": {}}"#;
        let reason = |error: serde_json::Error| {
            let error = error.to_string();
            assert!(error.starts_with("\"../x\" cannot name a partition"), "{error}");
        };
        let (good, bad) = ("slappart0", "../x");
        serde_json::from_str::<OverviewPartition>(&partition.replace("NAME", good)).unwrap();
        serde_json::from_str::<OverviewInstance>(&instance.replace("NAME", good)).unwrap();
        serde_json::from_str::<OverviewShared>(&shared.replace("NAME", good)).unwrap();
        reason(
            serde_json::from_str::<OverviewPartition>(&partition.replace("NAME", bad)).unwrap_err(),
        );
        reason(
            serde_json::from_str::<OverviewInstance>(&instance.replace("NAME", bad)).unwrap_err(),
        );
        reason(serde_json::from_str::<OverviewShared>(&shared.replace("NAME", bad)).unwrap_err());
    }
}
