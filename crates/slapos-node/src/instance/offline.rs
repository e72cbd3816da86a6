//! A Master that does not answer, or not sensibly: what ran goes on running.

use slapos_slap::SlapError;

use super::Options;
use crate::error::{NodeError, exit, is_away};
use crate::node::Node;
use crate::services;

/// Starts what was defined when the Master was last heard, then says what is wrong with it.
pub(super) fn run(node: &Node<'_>, options: &Options, error: SlapError) -> Result<(), NodeError> {
    if options.dry_run {
        return Err(error.into());
    }
    if !is_away(&error) {
        // Its answer is final, and no reason to leave services down after the machine started.
        if let Err(unstarted) = services::as_defined(node) {
            node.reporter.failed("node", &unstarted);
        }
        return Err(error.into());
    }
    node.reporter.warn("node", &error.to_string());
    services::as_defined(node)?;
    Err(NodeError::user("the Master does not answer; services run as last known")
        .hint("they are processed when it answers again")
        .code(exit::OFFLINE))
}
