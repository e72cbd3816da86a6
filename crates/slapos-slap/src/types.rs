//! What SLAP talks about: computers, Computer Partitions, Software Releases, requests and their
//! answers. Plain data without behaviour; the wire forms are in [`crate::convert`].

use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::description::Route;
use crate::marshal::Value;
use crate::news::InstanceNews;
use crate::words::{
    ComputerId, DEFAULT_SOFTWARE_TYPE, InstanceState, InstanceTitle, PartitionId, SoftwareState,
    SoftwareUrl,
};

/// Everything a Master wants of one computer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Computer {
    /// The computer's reference.
    pub id: ComputerId,
    /// The Software Releases supplied to it, in the Master's order.
    pub software: Vec<SoftwareRelease>,
    /// Its partitions, free ones included, in the order in which they were formatted.
    pub partitions: Vec<ComputerPartition>,
}

/// A Software Release as wanted on one computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftwareRelease {
    /// Where its profile is.
    pub url: SoftwareUrl,
    /// Whether it is to be there.
    pub state: SoftwareState,
}

/// A Computer Partition with what is wanted of the instance in it, if any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComputerPartition {
    /// The computer that holds the partition.
    pub computer: ComputerId,
    /// The partition's reference.
    pub id: PartitionId,
    /// The Master's own identifier of the instance.
    pub guid: String,
    /// What is wanted; `Destroyed` for a free partition.
    pub requested_state: InstanceState,
    /// The Software Release of the instance; `None` for a free partition.
    pub software: Option<SoftwareUrl>,
    /// Which of the Software Release's types; empty for a free partition.
    pub software_type: String,
    /// The user's parameters, without those that SLAP adds itself.
    pub parameters: IndexMap<String, String>,
    /// What the instance published last.
    pub connection: IndexMap<String, String>,
    /// Network interface name and address, in the order in which they were formatted.
    pub ip_list: Vec<(String, IpAddr)>,
    /// The addresses that its tap interface is routed by, where it has one and a gateway.
    #[serde(default)]
    pub full_ip_list: Vec<Route>,
    /// Changes whenever something wanted of the instance changes; opaque, compared as text.
    pub timestamp: Option<String>,
    /// The instance's title; empty for a free partition.
    pub instance_title: String,
    /// The title of the root of the instance's tree; its own title for a root.
    pub root_instance_title: String,
    /// The last report: starts with `#error` when it was an error; `None` before any report.
    pub access_status: Option<String>,
    /// Where the instance was asked to live and for how long to be kept (`retention_delay`, days).
    #[serde(default)]
    pub filter: IndexMap<String, String>,
    /// When its services were last wanted to start anew; opaque, compared as text. Only our own
    /// Master tells it.
    #[serde(default)]
    pub restart: Option<String>,
    /// The shared instances that this instance hosts.
    pub slave_instance_list: Vec<IndexMap<String, Value>>,
}

impl ComputerPartition {
    /// A partition without an instance.
    pub fn free(computer: ComputerId, id: PartitionId) -> ComputerPartition {
        ComputerPartition {
            guid: format!("{computer}-{id}"),
            computer,
            id,
            requested_state: InstanceState::Destroyed,
            software: None,
            software_type: String::new(),
            parameters: IndexMap::new(),
            connection: IndexMap::new(),
            ip_list: Vec::new(),
            full_ip_list: Vec::new(),
            timestamp: None,
            instance_title: String::new(),
            root_instance_title: String::new(),
            access_status: None,
            filter: IndexMap::new(),
            restart: None,
            slave_instance_list: Vec::new(),
        }
    }

    /// All its addresses with the names of their interfaces, those that it is routed by last.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, IpAddr)> {
        let own = self.ip_list.iter().map(|(interface, addr)| (interface.as_str(), *addr));
        own.chain(self.full_ip_list.iter().map(|route| (route.interface.as_str(), route.addr)))
    }

    /// Whether no instance lives here (no Software Release, and wanted destroyed).
    pub fn is_free(&self) -> bool {
        self.software.is_none() && self.requested_state == InstanceState::Destroyed
    }

    /// Whether the last report of the instance was an error.
    pub fn is_in_error(&self) -> bool {
        self.access_status.as_deref().is_some_and(|status| status.starts_with("#error"))
    }
}

/// A wish for an instance: made, or changed when one of that title exists in the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceRequest {
    /// The instance's title within its tree.
    pub title: InstanceTitle,
    /// The Software Release it is an instance of.
    pub software: SoftwareUrl,
    /// Which of the Software Release's types.
    pub software_type: String,
    /// The user's parameters; they replace the former ones altogether.
    pub parameters: IndexMap<String, String>,
    /// The wanted state; `None` keeps it, or starts a new instance.
    pub state: Option<InstanceState>,
    /// Whether a shared (slave) instance is asked for: a place in an instance that exists.
    pub shared: bool,
    /// Where it may live, such as `computer_guid`.
    pub sla: IndexMap<String, String>,
    /// The instance that asks, by its partition; `None` when a user asks for a root.
    pub requester: Option<(ComputerId, PartitionId)>,
}

impl InstanceRequest {
    /// A user's request for an instance of the default type, without parameters.
    pub fn new(
        title: impl Into<InstanceTitle>,
        software: impl Into<SoftwareUrl>,
    ) -> InstanceRequest {
        InstanceRequest {
            title: title.into(),
            software: software.into(),
            software_type: DEFAULT_SOFTWARE_TYPE.to_owned(),
            parameters: IndexMap::new(),
            state: None,
            shared: false,
            sla: IndexMap::new(),
            requester: None,
        }
    }
}

/// The Master's answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceAnswer {
    /// The partition that holds the instance (of a shared one: its host).
    pub partition: PartitionId,
    /// The computer of that partition.
    pub computer: ComputerId,
    /// The Master's identifier of the instance; `None` for a shared one.
    pub guid: Option<String>,
    /// What the instance published last.
    pub connection: IndexMap<String, String>,
    /// The parameters now stored.
    pub parameters: IndexMap<String, String>,
    /// The state now wanted.
    pub state: InstanceState,
    /// Network interface name and address of the partition.
    pub ip_list: Vec<(String, IpAddr)>,
    /// The software type now stored.
    pub software_type: String,
    /// The Software Release now stored.
    pub software_url: SoftwareUrl,
    /// See [`ComputerPartition::timestamp`].
    pub timestamp: Option<String>,
    /// See [`ComputerPartition::access_status`]; `None` for a shared instance.
    pub access_status: Option<String>,
    /// The Master that serves it, when that is not the one that was asked.
    #[serde(default)]
    pub master_url: Option<String>,
}

impl InstanceAnswer {
    /// The answer that what was asked for is started there, of which nothing else is known.
    pub fn to(
        request: &InstanceRequest,
        computer: impl Into<ComputerId>,
        partition: impl Into<PartitionId>,
    ) -> InstanceAnswer {
        InstanceAnswer {
            partition: partition.into(),
            computer: computer.into(),
            guid: None,
            connection: IndexMap::new(),
            parameters: request.parameters.clone(),
            state: InstanceState::Started,
            ip_list: Vec::new(),
            software_type: request.software_type.clone(),
            software_url: request.software.clone(),
            timestamp: None,
            access_status: None,
            master_url: None,
        }
    }
}

/// One line of `slapos service list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSummary {
    /// The title of the root instance.
    pub title: String,
    /// Its Software Release.
    pub software: SoftwareUrl,
}

/// What `slapos service info` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// The title of the root instance.
    pub title: String,
    /// Its project, where that is told; else empty.
    pub project: String,
    /// Its Software Release.
    pub software: SoftwareUrl,
    /// Its software type.
    pub software_type: String,
    /// Whether it is a shared instance.
    pub shared: bool,
    /// The wanted state as the Master words it: an [`InstanceState`], or `unused`.
    pub requested_state: String,
    /// The user's parameters.
    pub parameters: IndexMap<String, String>,
    /// What the instance published last.
    pub connection: IndexMap<String, String>,
    /// What was last heard of each instance of its tree; `None` where that is not told.
    pub news: Option<Vec<InstanceNews>>,
}
