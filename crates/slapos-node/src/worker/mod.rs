//! Workers: children of this same program that have become another user and do that user's work.
//!
//! Invariant: code that a Software Release or a partition brings runs in a worker and nowhere
//! else, and a worker never runs as root. It has a clean environment, no descriptor but the pipes
//! to its node, and no token: what it may ask of the Master goes through its node.

mod build;
mod child;
mod deploy;
mod farewell;
mod keeper;
mod log;
mod marks;
mod netrc;
mod parent;
mod protocol;
mod python;
mod tree;

pub use child::serve;
pub(crate) use log::words;
pub(crate) use marks::TIMESTAMP;
pub use parent::{Listener, Purpose, Worker};
pub use protocol::{
    DestroyJob, Done, Failure, GenerationJob, InspectJob, InstanceJob, Job, Mark, MarkJob,
    MentionsJob, Message, PackJob, PromiseJob, PruneJob, RemoveJob, Reply, Service, SoftwareJob,
    TidyJob, TreeAlias,
};
pub(crate) use python::recorded as recorded_python;
pub use slapos_engine::Event;
pub use tree::Tree;
