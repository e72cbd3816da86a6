//! What a node does beside building and deploying: the managers of the original, its firewall.
//!
//! All of them stand behind one interface, [`Hook`], whose methods say when they are called, what
//! they may rely on and what happens when they fail. Three laws hold for each method of each hook:
//!
//! - **Idempotent.** It is called at every run, and again after a run that was killed at any
//!   instant. It looks at what is, decides by a pure function, and does what is missing; where all
//!   is in place it does nothing.
//! - **Believes a partition only about itself.** What a partition plants is read with that
//!   partition's own rights, no link followed, bounded in size (`planted`), and checked entry by
//!   entry. An entry that is wrong, or asks for what the partition may not have, is told and left
//!   out; it is no error.
//! - **Ends.** Programs of others are run with a time limit and without a terminal.

mod cpuset;
mod devperm;
mod firewall;
mod firewalld;
mod planted;
mod portredir;
mod prerm;
mod scene;
mod set;
mod whitelistfirewall;

use slapos_slap::PartitionId;

use crate::error::NodeError;

pub use scene::{Member, Occasion, Scene};
pub use set::Hooks;

/// What a hook says to the removal of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It may go on.
    Now,
    /// Not in this run, for this reason; `node report` asks again.
    Later(String),
}

/// Something that a node does at fixed points of its commands. Hooks are called in the order of
/// `manager_list`, the firewall before them. See the module for the laws of all methods.
///
/// Methods about one partition are called from several threads, for different partitions.
#[allow(unused_variables, reason = "the defaults do nothing")]
pub trait Hook: Sync {
    /// The name under which `manager_list` selects it.
    fn name(&self) -> &'static str;

    /// Before `node instance` touches the first of `members`, which are the partitions of this
    /// run; again for those that are to be processed since, also while promises of others are being asked.
    /// For what is done once for all of them. An error ends the run; what concerns one
    /// partition only must be kept for [`instance`](Self::instance) instead.
    fn begin(&self, scene: &Scene<'_, '_>, members: &[Member<'_>]) -> Result<(), NodeError> {
        Ok(())
    }

    /// When `node format` has made users and directories, before the Master is told. An error ends
    /// the command.
    fn format(&self, scene: &Scene<'_, '_>) -> Result<(), NodeError> {
        Ok(())
    }

    /// Before `node instance` does anything with a partition that holds an instance, whether it is
    /// due or not; its services may run. An error counts as that of the partition, which is not
    /// processed then; [`instance_tear_down`](Self::instance_tear_down) is called all the same.
    fn instance(&self, scene: &Scene<'_, '_>, member: &Member<'_>) -> Result<(), NodeError> {
        Ok(())
    }

    /// After that, whether it went well or not: what the instance has just planted can be read.
    /// An error counts as that of the partition, unless it has failed already; it is tried again
    /// at the next run, due or not.
    fn instance_tear_down(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
    ) -> Result<(), NodeError> {
        Ok(())
    }

    /// When `node report` is about to remove an instance: its services are stopped, its files are
    /// still there. `may_destroy` tells whether nothing else forbids the removal now. An error, or
    /// [`Removal::Later`] of any hook, keeps the instance for this run: what it may still need until
    /// it goes is not taken away here, but in [`removed`](Self::removed).
    fn report(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
        may_destroy: &dyn Fn() -> Result<bool, NodeError>,
    ) -> Result<Removal, NodeError> {
        Ok(Removal::Now)
    }

    /// When the files and processes of an instance are gone, before the Master is told so: whatever
    /// the hook holds for `partition` goes. An error keeps the partition from becoming free; the
    /// removal is repeated at the next run.
    fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        Ok(())
    }

    /// At the end of `node instance`, `node report` and `node rollback`, whether they went well or not, and
    /// whether or not [`begin`](Self::begin) did. For what is done once after all partitions. An error
    /// fails the run.
    fn end(&self, scene: &Scene<'_, '_>) -> Result<(), NodeError> {
        Ok(())
    }
}
