//! A node of ours with instances of the profile.

use slapos_testkit::TestNode;

use crate::profile;

/// So many that are processed, each with its number as parameter.
pub(crate) fn node(count: u32) -> TestNode {
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
    node
}
