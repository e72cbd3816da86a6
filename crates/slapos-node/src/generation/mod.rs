//! Generations: what an instance's configuration was after each deployment, so that a former one can
//! be looked at, compared and brought back.
//!
//! A generation is what the parts of the instance made (as their ledgers record it), those ledgers,
//! `buildout.cfg` and the link to the Software Release; what it published and asked for is kept beside, and
//! told to the Master again. Data is not part of it: what services wrote
//! stays as it is whichever generation is in place, also in directories that parts made, and but for
//! what they changed in the very files that parts wrote.
//!
//! Two truths, each with one owner. The node's [`History`] says which generations there are, what
//! came of them and which one is in place; partitions cannot write it. Their content lies in the
//! partition, `.slapos/generations`, made and read by a worker that is the partition's user.
//!
//! A transaction is one deployment with its way back: what was in place before is known, the new
//! generation is judged by its promises, and [`Policy`](crate::config::Policy) says whether it may stay when it fails.
//! What was brought back is *held*: it stays until the Master wants something else or the operator
//! has the instance processed.

mod commands;
pub(crate) mod content;
mod restore;
mod told;
mod transaction;
mod words;

pub use crate::history::{Asked, Generation, History, Verdict, Wanted};
pub use commands::{Side, diff, list, rehearse_rollback, rollback};
pub(crate) use restore::{Home, Place, restore};
pub(crate) use told::{report_of, tell_again};
pub(crate) use transaction::{Published, Transaction};
pub use words::held_by;
pub(crate) use words::taken_back_by;
