//! What hooks are shown: the node at work, and one of its partitions.

use std::path::PathBuf;

use slapos_slap::{ComputerPartition, SlapClient};
use slapos_sys::user::Identity;

use crate::action::Action;
use crate::error::NodeError;
use crate::node::Node;
use crate::place::partition_owner;
use crate::shelf::{Kept, Shelf};

/// A command of the node, as its hooks see it.
pub struct Scene<'a, 'n> {
    /// The node.
    pub node: &'a Node<'n>,
    /// Its Master; `None` in `node format`, which works without.
    pub master: Option<&'a SlapClient>,
}

/// Why a hook is called about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Its instance is due and processed in this run.
    Process,
    /// Its instance is up to date.
    Current,
    /// Its instance is to be destroyed: its services are stopped and it waits for `node report`.
    Going,
}

impl Occasion {
    /// The occasion of what was decided about a partition; `None` for one without an instance, and
    /// for one that cannot be processed.
    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Process(_) | Action::Restore(_) => Some(Self::Process),
            Action::Check | Action::Tell | Action::Nothing(_) => Some(Self::Current),
            Action::Stop => Some(Self::Going),
            _ => None,
        }
    }
}

/// A partition with an instance in it.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// What the Master wants of it.
    pub partition: &'a ComputerPartition,
    /// Why the hook is called.
    pub occasion: Occasion,
}

impl Member<'_> {
    /// The partition's name.
    pub fn id(&self) -> &str {
        self.partition.id.as_str()
    }

    /// The partition's directory.
    pub fn directory(&self, scene: &Scene<'_, '_>) -> PathBuf {
        scene.node.config.instance_root.join(self.id())
    }

    /// The partition's user.
    ///
    /// # Errors
    /// When the partition is missing, or open to others.
    pub fn owner(&self, scene: &Scene<'_, '_>) -> Result<Identity, NodeError> {
        partition_owner(&self.directory(scene))
    }
}

impl<'a> Scene<'a, '_> {
    /// Tells something about a partition that is worth a line.
    pub fn note(&self, member: &Member<'_>, text: &str) {
        self.node.reporter.note(member.id(), text);
    }

    /// Tells something about a partition that is wrong, and goes on.
    pub fn warn(&self, member: &Member<'_>, text: &str) {
        self.node.reporter.warn(member.id(), text);
    }

    /// Where a hook keeps its own records, out of reach of partitions.
    pub(super) fn records(&self, hook: &str) -> PathBuf {
        self.node.config.instance_root.join("var/slapgrid").join(hook)
    }

    /// The shelf of a hook's records of partitions.
    pub(super) fn shelf<T: Kept>(&self, hook: &str) -> Shelf<'a, T> {
        Shelf::new(self.records(hook), self.node.reporter)
    }
}
