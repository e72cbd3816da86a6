//! The original formats a node, and ours takes it over: there must be nothing left to do.

use std::path::{Path, PathBuf};

use serde_json::Value;
use slapos_testkit::{python_with, skipped, wait_for};

use crate::support::{Namespace, Node, json};

const OPTIONS: &str = "partition_amount = 2
interface_name = eth0
ipv4_local_network = 10.0.0.0/16
tap_gateway_interface = gate0
create_tun = true";

/// The original, and what must not be newer for it.
const PACKAGES: [&str; 3] = ["setuptools==67.8.0", "zc.buildout==3.0.1", "slapos.core==1.26.1"];

/// Its program.
fn original(test: &str) -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("format-original");
    let found = python_with(&place, &PACKAGES).map_err(|why| skipped(test, &why)).ok();
    found.map(|bin| bin.join("slapos"))
}

fn network(test: &str) -> Option<Namespace> {
    let namespace = Namespace::new(test)?;
    namespace.cable("eth0", "peer0");
    namespace.cable("gate0", "peer1");
    namespace.ip("addr add 2001:db8:1:2::1/64 dev eth0 nodad");
    namespace.ip("addr add 10.9.0.1/24 dev gate0");
    // The original takes an address that the kernel still asks about for one of another machine.
    wait_for("the link", 30, || {
        let shown = namespace.ip("-6 addr show");
        (shown.contains("fe80") && !shown.contains("tentative")).then_some(())
    });
    Some(namespace)
}

/// What follows from the partition's number alone.
fn by_number(partition: &Value) -> [&Value; 3] {
    ["ipv6_range", "tap", "tun"].map(|key| &partition[key])
}

#[test]
fn a_node_of_the_original_is_taken_over_as_it_is() {
    let name = "a_node_of_the_original_is_taken_over_as_it_is";
    let Some(namespace) = network(name) else { return };
    let Some(original) = original(name) else { return };
    let node = Node::new(OPTIONS);
    let mut command = namespace.command(&original);
    command.args(["node", "format", "--now", "--cfg"]).arg(node.path("slapos.cfg"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let theirs = node.record();

    let plan = node.format(&namespace, 0, &["--dry-run"]);
    let root = node.path("");
    let record = format!("INFO format: write {}computer.", root.display());
    let cache = format!("INFO format: create directory {}soft/.cache", root.display());
    let known = |line: &&str| line.starts_with(&record) || line.starts_with(&cache);
    let steps: Vec<_> = plan.lines().filter(|line| !known(line)).collect();
    assert_eq!(steps, [""; 0], "only the versions in the record and our cache of downloads differ");
    node.format(&namespace, 3, &[]);
    let mut ours = node.record();
    for version in ["os_type", "python_version", "slapos_version"] {
        ours[version] = theirs[version].clone();
    }
    assert_eq!(ours, theirs);
    // The original's record is in the history now.
    assert!(node.path("computer.xml.zip").exists());

    // Ours from nothing gives the same, but for what the original draws by lot.
    drop(namespace);
    let Some(namespace) = network(name) else { return };
    let fresh = Node::new(OPTIONS);
    fresh.format(&namespace, 3, &[]);
    for index in 0..2 {
        let partition = &fresh.record()["partition_list"][index];
        assert_eq!(by_number(partition), by_number(&theirs["partition_list"][index]));
        let resource = json(&fresh.path(&format!("inst/slappart{index}/.slapos-resource")));
        assert_eq!(resource, *partition);
    }
}
