//! What a node and its worker say to each other: one JSON object per line.
//!
//! The node writes a [`Job`] to the worker's standard input; the worker answers with any number of
//! [`Message::Event`], [`Message::Publish`] and [`Message::Request`] (each of the latter two waits
//! for its [`Reply`]) and ends the job with [`Message::Done`] or [`Message::Failed`]. Then the next
//! job may come. End of input ends the worker.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use slapos_engine::Event;
use slapos_slap::{
    ComputerPartition, InstanceAnswer, InstanceRequest, PartitionId, RequestError, SoftwareUrl,
};
use slapos_sys::clock::Timestamp;

use super::pruned;
use super::usage::{Gathered, UsageJob};
use crate::binary::BinaryCache;
use crate::promise::{Mode, PromiseResult};

/// A piece of work that must be done as another user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
pub enum Job {
    /// Build a Software Release; as the owner of the software root.
    Software(SoftwareJob),
    /// Process an instance; as the partition's user.
    Instance(Box<InstanceJob>),
    /// Check the promises of an instance; as the partition's user.
    Promises(PromiseJob),
    /// Keep, bring back or compare generations; as the partition's user.
    Generation(GenerationJob),
    /// Leave in a partition how its processing ended; as the partition's user.
    Mark(MarkJob),
    /// Say whether something holds back the end of an instance; as the partition's user.
    Inspect(InspectJob),
    /// Let an instance end, before its partition is emptied; as the partition's user.
    Destroy(DestroyJob),
    /// Take what the node keeps out of a free partition; as the partition's user.
    Tidy(TidyJob),
    /// Have usage reports made, or take them away; as the partition's user.
    Usage(UsageJob),
    /// Remove a directory, or only what is in it.
    Remove(RemoveJob),
    /// Pack a Software Release for others; as the owner of the software root.
    Pack(PackJob),
    /// Say which shared parts a partition refers to; as the partition's user.
    Mentions(MentionsJob),
    /// Remove shared parts that nothing needs; as the owner of the software root.
    Prune(PruneJob),
}

/// See [`Job::Software`].
#[derive(Debug, Serialize, Deserialize)]
pub struct SoftwareJob {
    /// The Software Release.
    pub url: SoftwareUrl,
    /// Where it goes: `<software_root>/<md5 of url>`.
    pub directory: PathBuf,
    /// Where shared parts are looked for and made.
    pub shared_part_list: Vec<PathBuf>,
    /// Archives by hash.
    pub download_cache: PathBuf,
    /// Bytes that must be free.
    pub min_free_space: u64,
    /// How many parts may be built at once, and how many processes `make` may run in all.
    pub parallel: usize,
    /// As the profile is told.
    pub build_time_part_list: Vec<PathBuf>,
    /// The log is to say everything.
    pub verbose: bool,
    /// A local profile tree whose directories the worker's user may be unable to pass.
    pub tree: Option<TreeAlias>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// After a part failed, others that do not need it are still built.
    #[serde(default)]
    pub keep_going: bool,
    /// Where to look for it before it is built.
    #[serde(default)]
    pub binary: Option<BinaryCache>,
}

/// A directory that the node opened for the worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct TreeAlias {
    /// Its path.
    pub prefix: PathBuf,
    /// The number of the descriptor in the worker.
    pub fd: i32,
}

/// See [`Job::Instance`].
#[derive(Debug, Serialize, Deserialize)]
pub struct InstanceJob {
    /// What the Master wants.
    pub partition: ComputerPartition,
    /// The partition's directory.
    pub directory: PathBuf,
    /// Where the Software Release was built.
    pub software_directory: PathBuf,
    /// The Master, as the instance's profile is told.
    pub master_url: String,
    /// As the instance's profile is told.
    pub shared_part_list: Vec<PathBuf>,
    /// As the instance's profile is told.
    pub build_time_part_list: Vec<PathBuf>,
    /// The key and the certificate of the partition, as the instance's profile is told.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// As the instance's profile is told; empty if there is none.
    pub storage_home: PathBuf,
    /// As the instance's profile is told; empty if there is none.
    pub global_ipv4_network: String,
    /// The log is to say everything.
    pub verbose: bool,
    /// Bytes that must be free.
    pub min_free_space: u64,
}

/// See [`Job::Mark`].
#[derive(Debug, Serialize, Deserialize)]
pub struct MarkJob {
    /// The partition's directory.
    pub directory: PathBuf,
    /// The partition.
    pub partition: PartitionId,
    /// How it ended.
    pub mark: Mark,
}

/// How the processing of an instance ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Well.
    Done {
        /// The Master's timestamp that was processed; none if it is to be processed again.
        timestamp: Option<String>,
    },
    /// It failed.
    Failed {
        /// Why.
        text: String,
    },
}

/// See [`Job::Inspect`].
#[derive(Debug, Serialize, Deserialize)]
pub struct InspectJob {
    /// The partition's directory.
    pub directory: PathBuf,
    /// Settle the date until which the instance is kept, if that is not done yet.
    pub settle: bool,
}

/// See [`Job::Destroy`].
#[derive(Debug, Serialize, Deserialize)]
pub struct DestroyJob {
    /// The partition's directory.
    pub directory: PathBuf,
    /// The directories that it has outside of that.
    pub storage: Vec<PathBuf>,
}

/// See [`Job::Tidy`].
#[derive(Debug, Serialize, Deserialize)]
pub struct TidyJob {
    /// The partition's directory.
    pub directory: PathBuf,
}

/// See [`Job::Promises`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PromiseJob {
    /// The partition's directory.
    pub directory: PathBuf,
    /// Where the Software Release was built: its Python runs the plugins.
    pub software_directory: Option<PathBuf>,
    /// What is asked.
    pub mode: Mode,
    /// Also promises that are not due.
    pub force: bool,
    /// What plugins are told of where they are, beside the partition's own directories.
    pub config: BTreeMap<String, String>,
    /// How long one promise may take, seconds.
    pub timeout: f64,
    /// For how long a failing promise is tried again, seconds: services need time to start.
    pub grace: f64,
}

/// See [`Job::Generation`]. Each names the partition's directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "generation", rename_all = "kebab-case")]
pub enum GenerationJob {
    /// Keep what is in place.
    Capture {
        /// The partition's directory.
        directory: PathBuf,
        /// The number that it gets.
        number: u32,
        /// The digest of the generation in place, whose content need not be kept again.
        known: Option<String>,
        /// The numbers of those that stay.
        kept: Vec<u32>,
    },
    /// Put one in place again.
    Restore {
        /// The partition's directory.
        directory: PathBuf,
        /// Its number.
        number: u32,
        /// The one in place, if any: what was changed since it was made is nobody's to take away.
        in_place: Option<u32>,
    },
    /// Say how one differs from another, or from what is in place.
    Differences {
        /// The partition's directory.
        directory: PathBuf,
        /// The number of the one.
        from: u32,
        /// That of the other.
        to: Option<u32>,
    },
}

/// See [`Job::Remove`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveJob {
    /// Which directory.
    pub directory: PathBuf,
    /// Whether the directory itself stays, empty.
    pub keep_directory: bool,
    /// Whether all processes of the worker's user are ended first: for a user that exists for this
    /// directory alone, so that nobody of the former instance lives on in the next.
    pub end_processes: bool,
}

/// See [`Job::Pack`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PackJob {
    /// Where it is.
    pub directory: PathBuf,
    /// The lists of shared parts, which others do not have.
    pub shared_part_list: Vec<PathBuf>,
    /// The number of the descriptor of the archive in the worker.
    pub fd: i32,
}

/// See [`Job::Mentions`].
#[derive(Debug, Serialize, Deserialize)]
pub struct MentionsJob {
    /// The partition's directory.
    pub directory: PathBuf,
    /// The hashes that are asked for.
    pub hashes: Vec<String>,
}

/// See [`Job::Prune`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PruneJob {
    /// The lists of shared parts, in order of preference.
    pub shared_part_list: Vec<PathBuf>,
    /// Holds one directory for each Software Release.
    pub software_root: PathBuf,
    /// Is not looked into.
    pub download_cache: PathBuf,
    /// More directories that shared parts are used from.
    pub additional: Vec<PathBuf>,
    /// Hash of a part that nothing seems to need → the partition that refers to it, if one does.
    /// Only these may go. `None`: the partitions were not asked yet.
    pub asked: Option<BTreeMap<String, Option<String>>>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum Message {
    /// Something happened.
    Event {
        /// What.
        what: Event,
    },
    /// The instance publishes its connection parameters; [`Reply::Publish`] is awaited.
    Publish {
        /// All of them.
        connection: IndexMap<String, String>,
        /// The shared instance of this partition that they are of; `None` for its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shared: Option<String>,
    },
    /// The instance asks for another one; [`Reply::Request`] is awaited.
    Request {
        /// What it wants. The node asks in the name of the partition that it started the worker
        /// for, whoever is named here.
        request: Box<InstanceRequest>,
    },
    /// The job is done.
    Done {
        /// With what result.
        done: Done,
    },
    /// The job failed.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// The result of a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Done {
    /// Of [`Job::Software`]: the plan as text, when it was only asked for.
    Software {
        /// The plan.
        plan: Option<String>,
        /// Whether something was built.
        #[serde(default)]
        built: bool,
        /// What else is worth a line.
        notes: Vec<String>,
    },
    /// Of [`Job::Instance`].
    Instance {
        /// What is to run.
        services: Vec<Service>,
    },
    /// Of [`Job::Promises`].
    Promises {
        /// One for each promise that has said something, plugins first, by name.
        results: Vec<PromiseResult>,
        /// How many were not looked at.
        skipped: usize,
        /// What is wrong, but not with a promise.
        warnings: Vec<String>,
        /// When the first promise is due.
        due: Option<Timestamp>,
    },
    /// Of [`GenerationJob::Capture`].
    Captured {
        /// Names the content.
        digest: String,
    },
    /// Of [`GenerationJob::Restore`].
    Restored {
        /// What is to run.
        services: Vec<Service>,
        /// Why nothing was done: the generation is not whole any more.
        lost: Option<String>,
    },
    /// Of [`GenerationJob::Differences`].
    Differences {
        /// In the unified format.
        text: String,
    },
    /// Of [`Job::Mark`].
    Marked,
    /// Of [`Job::Inspect`].
    Inspected {
        /// Until when the instance is to be kept, seconds since 1970.
        kept_until: Option<f64>,
        /// The services (`group:name`) that must have ended before.
        wait_for: Vec<String>,
    },
    /// Of [`Job::Destroy`].
    Destroyed,
    /// Of [`Job::Tidy`].
    Tidied {
        /// How many things of a former instance are still there.
        left: usize,
    },
    /// Of [`Job::Usage`].
    Usage {
        /// What the partition reports.
        gathered: Gathered,
    },
    /// Of [`Job::Remove`], and of [`Job::Usage`] when reports were taken away.
    Removed,
    /// Of [`Job::Pack`].
    Packed {
        /// Why there is no archive: what it needs beside itself.
        needs: Option<String>,
    },
    /// Of [`Job::Mentions`].
    Mentions {
        /// Those of the hashes that occur.
        hashes: Vec<String>,
    },
    /// Of [`Job::Prune`].
    Pruned {
        /// What was done, or would be; `None` if nothing was because a build uses shared parts.
        report: Option<pruned::Report>,
    },
}

/// A program that a partition wants supervised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// File name.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// From `etc/service`: it is to run for ever. Else from `etc/run`: it may end.
    pub watched: bool,
}

/// Why a job failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// One line.
    pub message: String,
    /// The place and more, laid out in lines.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The node's answer to a question of the worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Message::Publish`].
    Publish {
        /// Why the Master did not take it; `None` if it did.
        refused: Option<String>,
    },
    /// To [`Message::Request`].
    Request {
        /// The Master's answer; none when the instance is not allocated yet.
        outcome: Result<Option<Box<InstanceAnswer>>, RequestError>,
    },
}
