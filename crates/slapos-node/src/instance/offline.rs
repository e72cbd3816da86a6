//! A Master that does not answer, or not sensibly: what ran goes on running.

use slapos_slap::SlapError;

use super::Options;
use crate::error::{NodeError, exit};
use crate::node::Node;
use crate::services;

/// Whether the Master is away or out of its mind, as opposed to saying no.
pub(super) fn is_away(error: &SlapError) -> bool {
    match error {
        SlapError::Server { status, .. } => *status >= 500,
        SlapError::Protocol { .. } => true,
        other => other.is_temporary(),
    }
}

/// The error of a call to the Master, with the exit code that tells that it is away.
pub(super) fn told(error: SlapError) -> NodeError {
    let away = is_away(&error);
    let error = NodeError::from(error);
    if away { error.code(exit::OFFLINE) } else { error }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_says_no_is_not_away() {
        let server = |status| SlapError::Server {
            url: String::new(),
            route: String::new(),
            status,
            body: String::new(),
        };
        assert!(is_away(&server(500)) && is_away(&server(503)));
        assert!(!is_away(&server(409)));
        assert_eq!(told(server(500)).exit_code(), exit::OFFLINE);
        assert_eq!(told(server(409)).exit_code(), exit::FAILED);
    }
}
