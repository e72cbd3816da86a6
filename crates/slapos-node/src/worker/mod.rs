//! Workers: children of this same program that have become another user and do that user's work.
//!
//! Invariant: code that a Software Release or a partition brings runs in a worker and nowhere
//! else, and a worker never runs as root. It has a clean environment, no descriptor but the pipes
//! to its node, and no token: what it may ask of the Master goes through its node. What is done in it
//! is in [`jobs`](crate::jobs); here is what both ends say to each other, and the node's end.

mod nursery;
mod parent;
mod protocol;
pub mod pruned;
mod tree;
mod usage;
mod words;

pub(crate) use nursery::Nursery;
pub use nursery::WORD as NURSERY;
pub(crate) use parent::Quiet;
pub use parent::{Listener, Purpose, Worker};
pub use protocol::{
    DestroyJob, Done, Failure, GenerationJob, InspectJob, InstanceJob, Job, Mark, MarkJob,
    MentionsJob, Message, PackJob, PromiseJob, PruneJob, RemoveJob, Reply, Service, SoftwareJob,
    TidyJob, TreeAlias,
};
pub use slapos_engine::Event;
pub use tree::Tree;
pub use usage::{Gathered, ReportFile, UsageJob};
pub(crate) use words::words;

/// The exit code of a worker that could not end all that it had started.
pub(crate) const SURVIVED: i32 = 70;
