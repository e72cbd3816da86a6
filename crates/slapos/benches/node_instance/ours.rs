//! Our side.

use crate::{FORCED_RUNS, NOOP_RUNS, Pass, deployed, median};

/// Deploys `count` instances and measures further passes.
pub(crate) fn measure(count: u32) -> Pass {
    let node = deployed::node(count);
    Pass {
        noop: median(NOOP_RUNS, || node.command(&["node", "instance"])),
        forced: median(FORCED_RUNS, || node.command(&["node", "instance", "--all"])),
    }
}
