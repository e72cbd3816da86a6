//! What an operator says of a computer, and of an instance: whether it takes new ones, and that
//! services start anew.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and connections directly"
)]

use slapos_testkit::TestNode;

fn node_with_service() -> (TestNode, String) {
    TestNode::with_service(env!("CARGO_BIN_EXE_slapos"))
}

#[test]
fn a_computer_that_is_to_become_empty_takes_nothing_new() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "kept", "--partitions", "3"]);
    let said = node.json(&["proxy", "computer", "set", "local", "--label", "disk=ssd", "rack=7"]);
    assert_eq!(said["labels"]["rack"], "7", "{said:#}");
    let said = node.ok(&["proxy", "computer", "set", "local", "--scope", "drain"]).out;
    assert!(said.contains("1 remain there:\n  slappart0 kept (tree kept)"), "{said}");
    assert!(said.contains("disk=ssd"), "what is not given stays: {said}");
    let refused = node.fails(1, &["request", "new", &profile]).told();
    let words = "No free computer partition found for: new. Computer local is to become empty";
    assert!(refused.contains(words), "{refused}");
    node.ok(&["request", "kept", &profile, "--parameters", "word=still"]);
    let shown = node.ok(&["proxy", "show", "--computers"]).out;
    assert!(shown.contains("drain"), "{shown}");
    node.ok(&["proxy", "computer", "set", "local", "--scope", "open", "--capacity", "1"]);
    let refused = node.fails(1, &["request", "new", &profile]).told();
    assert!(refused.contains("as many instances as its capacity, 1"), "{refused}");
    node.ok(&["proxy", "computer", "set", "local", "--no-capacity", "--no-labels"]);
    let refused = node.fails(1, &["request", "new", &profile, "--node", "label_disk=ssd"]).told();
    assert!(refused.contains("Computer local is not one with"), "{refused}");
    node.ok(&["request", "new", &profile]);
    let unknown = node.fails(1, &["proxy", "computer", "set", "x", "--scope", "open"]).told();
    assert!(unknown.contains("computer x is not known"), "{unknown}");
}

#[test]
fn services_start_anew_once_when_somebody_wants_that() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let service = || node.pids()["sleeper-on-watch"];
    let before = service();
    let (status, body) = node.ask("POST", "/api/v1/instances/local-slappart0/restart");
    assert_eq!(status, 204, "{body}");
    let told = node.ok(&["node", "instance"]).told();
    assert!(told.contains("restarted, as somebody asked for at the Master"), "{told}");
    let after = service();
    assert_ne!(after, before);
    node.ok(&["node", "instance", "--all"]);
    assert_eq!(service(), after, "once is enough");
}
