//! What the API shows: the answers of `/api/v1`, as the store fills them and the OpenAPI document
//! describes them. Times are RFC 3339 text in UTC; what is not known is `null`.

mod elsewhere;
mod identity;

use std::collections::BTreeMap;

use serde::Serialize;
use slapos_slap::{Report, Room, Services};
use utoipa::ToSchema;

pub(crate) use self::elsewhere::{Elsewhere, Forwarded};
pub(crate) use self::identity::{
    MadeCertificate, MadeComputer, MadeToken, Person, Project, Revoked,
};

/// Words with their values: parameters, what is published, labels.
pub(crate) type Texts = BTreeMap<String, String>;

/// A part of a list, and where the next part begins.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The value of `after` for the next part; `null` at the end.
    pub(crate) next: Option<String>,
}

/// Who asks, and whom.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Me {
    /// `operator`, `user`, `computer` or `partition`.
    pub(crate) kind: &'static str,
    /// A user's name, a computer, or a partition's guid; empty for the operator.
    pub(crate) name: String,
    /// The projects whose things the caller sees; the operator sees all.
    pub(crate) projects: Vec<String>,
    pub(crate) master: MasterInfo,
}

/// Which Master answers.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct MasterInfo {
    pub(crate) version: &'static str,
    /// `sqlite` or `postgresql`.
    pub(crate) database: &'static str,
    /// Tells this database from another.
    pub(crate) era: String,
}

/// How much of something is in use.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct PartitionCounts {
    pub(crate) total: i64,
    pub(crate) busy: i64,
}

/// How the Software Releases of a computer are.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct SoftwareCounts {
    pub(crate) total: i64,
    pub(crate) error: i64,
    pub(crate) building: i64,
}

/// A computer.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Computer {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) project: String,
    /// Its own address, as it was formatted.
    pub(crate) address: String,
    pub(crate) formatted_at: Option<String>,
    /// When its node was last heard of, within five minutes.
    pub(crate) last_contact_at: Option<String>,
    /// `open`, `closed` or `drain`.
    pub(crate) allocation_scope: String,
    #[schema(value_type = HashMap<String, String>)]
    pub(crate) labels: Texts,
    pub(crate) network: String,
    /// How many instances it may have; its partitions limit it if `null`.
    pub(crate) capacity: Option<i64>,
    pub(crate) partitions: PartitionCounts,
    pub(crate) software: SoftwareCounts,
    /// `ok`, `silent` (for more than 15 minutes) or `never` heard of.
    pub(crate) state: &'static str,
}

/// A computer with all that is on it.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ComputerDetail {
    #[serde(flatten)]
    pub(crate) computer: Computer,
    /// In the order of formatting.
    pub(crate) partition_list: Vec<Partition>,
    pub(crate) software_list: Vec<Software>,
    pub(crate) metrics: Option<Metrics>,
}

/// How a computer is, by its node's words.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Metrics {
    /// The load average over one minute.
    pub(crate) load: f64,
    /// Memory, in bytes.
    pub(crate) memory: Room,
    /// The file system of the instance root, in bytes.
    pub(crate) disk: Room,
    /// Services of all partitions, as far as they are known.
    pub(crate) services: Option<Services>,
    pub(crate) at: String,
}

/// A computer in numbers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NodeNumbers {
    /// When its node was heard of last, in microseconds since 1970.
    pub(crate) contact_at: Option<i64>,
    pub(crate) partitions: i64,
    /// Its instances by what is wanted of them, or `error`.
    pub(crate) instances: BTreeMap<String, i64>,
    /// Software Releases that could not be built.
    pub(crate) releases_failed: i64,
    /// Promises, and those of them that failed, as told lately.
    pub(crate) promises: Option<(i64, i64)>,
    /// How its machine was lately.
    pub(crate) machine: Option<Metrics>,
}

/// A partition.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Partition {
    pub(crate) id: String,
    pub(crate) addresses: Vec<Address>,
    pub(crate) instance: Option<Instance>,
}

/// An address of a partition.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Address {
    pub(crate) interface: String,
    pub(crate) address: String,
}

/// The last thing that a node reported about something.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Reported {
    pub(crate) state: String,
    /// The node's words; empty unless the state is `error`.
    pub(crate) message: String,
    pub(crate) at: String,
}

impl From<Report> for Reported {
    fn from(report: Report) -> Reported {
        Reported { state: report.state, message: report.message, at: report.at }
    }
}

/// How far a build is.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Progress {
    pub(crate) done: i64,
    pub(crate) total: i64,
    /// The parts that are being made, or the one that failed; empty when there is none.
    pub(crate) part: String,
    pub(crate) at: String,
}

/// A Software Release on a computer.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Software {
    pub(crate) computer: String,
    pub(crate) url: String,
    /// The name of its directory under the software root.
    pub(crate) md5: String,
    /// `available` or `destroyed`.
    pub(crate) requested_state: String,
    pub(crate) reported: Option<Reported>,
    pub(crate) progress: Option<Progress>,
}

/// How many promises there are, and how many of them are broken.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PromiseCounts {
    pub(crate) total: i64,
    pub(crate) failed: i64,
}

/// Which instance tree.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TreeName {
    pub(crate) project: String,
    /// The title of its root.
    pub(crate) title: String,
}

/// An instance, shared or not.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Instance {
    /// `COMPUTER-PARTITION`; of a shared instance its reference.
    pub(crate) guid: String,
    pub(crate) title: String,
    pub(crate) project: String,
    pub(crate) tree: TreeName,
    pub(crate) root: bool,
    pub(crate) shared: bool,
    /// Where it lives; a shared instance where its host does.
    pub(crate) computer: String,
    pub(crate) partition: String,
    pub(crate) software_release: String,
    pub(crate) software_type: String,
    /// What is wanted: `started`, `stopped` or `destroyed`.
    pub(crate) state: String,
    /// Of a shared instance what its host reported, without words, once something was published for it or
    /// the host has an error.
    pub(crate) reported: Option<Reported>,
    /// `null` when its node tells nothing of promises.
    pub(crate) promises: Option<PromiseCounts>,
    /// When something wanted of it changed.
    pub(crate) changed_at: Option<String>,
    /// The instance that serves a shared one.
    pub(crate) host: Option<String>,
    /// The instance that asked for it last; `null` for what a person asked for.
    pub(crate) asked_by: Option<String>,
    /// Since when that one does not ask for it any more.
    pub(crate) orphan_since: Option<String>,
}

/// An instance with all that belongs to it.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct InstanceDetail {
    #[serde(flatten)]
    pub(crate) instance: Instance,
    #[schema(value_type = HashMap<String, String>)]
    pub(crate) parameters: Texts,
    /// What it published last.
    #[schema(value_type = HashMap<String, String>)]
    pub(crate) connection: Texts,
    /// What was asked about its place.
    #[schema(value_type = HashMap<String, String>)]
    pub(crate) sla: Texts,
    pub(crate) addresses: Vec<Address>,
    /// Those that it serves.
    pub(crate) shared_instances: Vec<Instance>,
    /// In the answer to a request or a change, sentences: what of it is not followed, such as another
    /// place, that nobody supplies its Software Release to its computer, and which shared instances of
    /// others end with the instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) remarks: Vec<String>,
}

/// An instance tree in short.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Tree {
    pub(crate) project: String,
    pub(crate) title: String,
    pub(crate) root: Instance,
    /// How many there are, the root included, shared ones not.
    pub(crate) instances: i64,
    /// How many of them are wanted how.
    pub(crate) states: BTreeMap<String, i64>,
    /// How many of them reported an error last.
    pub(crate) failed: i64,
}

/// An instance tree with its members, the root first.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TreeDetail {
    pub(crate) root: Instance,
    pub(crate) instances: Vec<Instance>,
}

/// What is found by a text, at most ten of each kind.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Found {
    pub(crate) computers: Vec<Computer>,
    pub(crate) software: Vec<Software>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) instances: Vec<Instance>,
}

/// The promises of an instance.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Promises {
    pub(crate) promises: Vec<Promise>,
}

/// A promise, and what came of it lately.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Promise {
    pub(crate) name: String,
    pub(crate) failed: bool,
    pub(crate) message: String,
    /// When it was checked last.
    pub(crate) at: String,
    /// Oldest first: the last hundred results, and before them those that differ from the one before.
    pub(crate) history: Vec<PromisePast>,
}

/// What came of a promise once.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PromisePast {
    pub(crate) at: String,
    pub(crate) failed: bool,
    pub(crate) seconds: f64,
}

/// What was used, as nodes reported it last.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Usage {
    pub(crate) usage: Vec<Used>,
}

/// How much of a resource was used.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Used {
    /// By whom: a partition, the computer itself, or what else its node counts for.
    pub(crate) by: String,
    pub(crate) resource: String,
    pub(crate) title: String,
    /// A number, as it was written.
    pub(crate) quantity: String,
    /// The time that it is about, as it was written; may be empty.
    pub(crate) start: String,
    pub(crate) stop: String,
    /// When it was reported.
    pub(crate) told_at: String,
}

/// Computers, counted.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ComputerSummary {
    pub(crate) total: i64,
    pub(crate) ok: i64,
    pub(crate) silent: i64,
    pub(crate) never: i64,
}

/// Software Releases on computers, counted by what was reported last.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct SoftwareSummary {
    pub(crate) total: i64,
    pub(crate) available: i64,
    pub(crate) building: i64,
    pub(crate) error: i64,
}

/// Instances, counted. A list of them has `total` and `shared` together.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct InstanceSummary {
    /// Those that have a partition, which shared ones do not.
    pub(crate) total: i64,
    /// How many of `total` are wanted so.
    pub(crate) started: i64,
    /// How many of `total` reported an error last, or have a broken promise. A list of those in the state
    /// `error` has the former, and the shared ones that they serve.
    pub(crate) failed: i64,
    /// Shared ones, which are in none of the other numbers.
    pub(crate) shared: i64,
}

/// What fails, at most twenty of each kind.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Failing {
    /// Silent ones.
    pub(crate) computers: Vec<Computer>,
    pub(crate) software: Vec<Software>,
    pub(crate) instances: Vec<Instance>,
    /// For each of these instances that has broken promises, the first of them by name.
    pub(crate) promises: Vec<BrokenPromise>,
}

/// A promise that is broken.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct BrokenPromise {
    /// The instance.
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) message: String,
}

/// How all is.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Summary {
    pub(crate) computers: ComputerSummary,
    pub(crate) software: SoftwareSummary,
    /// Those of these computers, whoever has them.
    pub(crate) partitions: PartitionCounts,
    /// Instance trees whose root has a partition. A list of trees has `shared_trees`, too.
    pub(crate) trees: i64,
    /// Shared instances that a person asked for, each of which is a tree of one.
    pub(crate) shared_trees: i64,
    pub(crate) instances: InstanceSummary,
    pub(crate) failing: Failing,
}
