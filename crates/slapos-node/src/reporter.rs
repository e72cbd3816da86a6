//! Who watches the commands of a node.

use slapos_engine::Event;

use crate::error::NodeError;

/// Watches a command. Called from several threads.
pub trait Reporter: Sync {
    /// Something worth a line was done or decided about `subject` (a partition, a Software
    /// Release, or the node itself).
    fn note(&self, subject: &str, text: &str);
    /// Something is wrong but the command goes on.
    fn warn(&self, subject: &str, text: &str);
    /// A part of `subject` made progress.
    fn part(&self, subject: &str, event: &Event);
    /// `subject` failed; the command goes on with others.
    fn failed(&self, subject: &str, error: &NodeError);
}

/// For tests: somebody who is told nothing.
#[cfg(test)]
pub(crate) struct Deaf;

#[cfg(test)]
impl Reporter for Deaf {
    fn note(&self, _: &str, _: &str) {}
    fn warn(&self, _: &str, _: &str) {}
    fn part(&self, _: &str, _: &Event) {}
    fn failed(&self, _: &str, _: &NodeError) {}
}
