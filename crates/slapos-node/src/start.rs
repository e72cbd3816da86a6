//! What comes before a command that cron runs does anything: whether it may, and when.

use std::time::Duration;

use slapos_sys::{random, user};

use crate::error::{NodeError, exit};
use crate::node::Node;

/// Refuses where root is wanted and missing, then waits for the random time that keeps the nodes
/// of a Master from asking all at once; not with `now`.
///
/// # Errors
/// With exit code [`exit::NOT_ROOT`]; when the kernel gives no random number.
pub fn begin(node: &Node<'_>, now: bool) -> Result<(), NodeError> {
    let grid = &node.config.grid;
    if grid.root_check && !user::is_root() {
        return Err(NodeError::user("This slapos command must be run as root.")
            .hint("become root, or take `root_check = true` out of slapos.cfg")
            .code(exit::NOT_ROOT));
    }
    if now || grid.maximal_delay.is_zero() {
        return Ok(());
    }
    let text = random::hex(4)
        .map_err(|error| NodeError::user(format!("cannot draw a random delay: {error}")))?;
    let delay = delay(u32::from_str_radix(&text, 16).unwrap_or(0), grid.maximal_delay);
    let text = format!("waits for {} s (maximal_delay; --now begins at once)", delay.as_secs());
    node.reporter.note("node", &text);
    std::thread::sleep(delay);
    Ok(())
}

/// From one second to `most`, by `drawn`.
fn delay(drawn: u32, most: Duration) -> Duration {
    Duration::from_secs(1 + u64::from(drawn) % most.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_between_one_second_and_the_most() {
        let seconds = |drawn, most| delay(drawn, Duration::from_secs(most)).as_secs();
        assert_eq!(seconds(0, 10), 1);
        assert_eq!(seconds(9, 10), 10);
        assert_eq!(seconds(10, 10), 1);
        assert_eq!(seconds(u32::MAX, 1), 1);
    }
}
