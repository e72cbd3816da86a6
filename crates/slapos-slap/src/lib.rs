//! The SLAP vocabulary: what a node, a recipe, a user and a Master say to each other.
//!
//! Three layers, each usable alone: the typed words ([`Computer`], [`InstanceRequest`], …), the
//! wire forms ([`marshal`], [`instance_xml`], [`convert`], [`proof`]) and the blocking
//! [`SlapClient`].
//! The Master uses the first two, so that both ends share one vocabulary.
//!
//! Absent here, on purpose: any state, any retry policy, any knowledge of the file system.

mod change;
pub mod client;
pub mod convert;
mod description;
mod error;
pub mod instance_xml;
pub mod marshal;
mod news;
mod overview;
mod port;
pub mod proof;
mod settings;
pub mod sla;
mod title;
pub mod token;
mod told;
mod types;
pub mod usage;
mod words;
mod xml;

pub use change::{Change, ChangeKind, EVENTS_ROUTE, RESYNC};
pub use client::{
    Authority, ComputerSummary, DEFAULT_TIMEOUT, EventStream, Heard, ListedForwarded,
    ListedInstance, ListedTree, Outlook, OutlookError, OutlookPlace, OutlookSchema,
    PartitionCertificate, SlapClient, TlsIdentity, Verb, told_url,
};
pub use description::{
    Address, ComputerDescription, InterfaceDescription, Ipv6Range, MachineDescription,
    PartitionDescription, Route, TapDescription, UserDescription,
};
pub use error::SlapError;
pub use marshal::Value;
pub use news::InstanceNews;
pub use overview::{
    Overview, OverviewComputer, OverviewInstance, OverviewPartition, OverviewShared,
    OverviewSoftware, Report,
};
pub use port::{PartitionPort, PortError, RequestError};
pub use settings::{ComputerSettings, Remaining, SetComputer};
pub use title::{check_title, steers};
pub use told::{
    BuildProgress, NodeMetrics, PartitionPromises, PromiseReport, PromiseResult, Room, Services,
};
pub use types::{
    Computer, ComputerPartition, InstanceAnswer, InstanceInfo, InstanceRequest, InstanceSummary,
    SoftwareRelease,
};
pub use words::{
    AllocationScope, ComputerId, DEFAULT_SOFTWARE_TYPE, InstanceState, InstanceTitle, PartitionId,
    SoftwareState, SoftwareUrl, UnknownWord,
};
