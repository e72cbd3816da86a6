//! Our side.

use slapos_testkit::TestNode;

use crate::{FORCED_RUNS, NOOP_RUNS, Pass, median, profile};

/// Deploys `count` instances and measures further passes.
pub(crate) fn measure(count: u32) -> Pass {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let software = profile::write(&node.tree.root().join("software/bench"));
    let software = software.display().to_string();
    node.ok(&["up", "--partitions", &count.to_string()]);
    node.ok(&["supply", &software, "local"]);
    node.ok(&["node", "software"]);
    for index in 0..count {
        let parameter = format!("foo=bar{index}");
        node.ok(&["request", &format!("bench{index}"), &software, "--parameters", &parameter]);
    }
    node.ok(&["node", "instance"]);
    Pass {
        noop: median(NOOP_RUNS, || node.command(&["node", "instance"])),
        forced: median(FORCED_RUNS, || node.command(&["node", "instance", "--all"])),
    }
}
