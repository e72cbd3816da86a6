//! What a node tells its Master beside reports, as the Master's API shows it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use slapos_testkit::TestNode;

/// The body of an answer of the node's own Master.
fn get(node: &TestNode, path: &str) -> String {
    let (status, body) = node.ask("GET", path);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn json(node: &TestNode, path: &str) -> Value {
    serde_json::from_str(&get(node, path)).unwrap()
}

fn promise(node: &TestNode, text: &str) {
    let path = node.partition(0).join("etc/promise/disk");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn builds_promises_and_the_machine_are_told() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["up", &profile]);
    // No promise has said anything yet.
    let own = json(&node, "/api/v1/computers")["items"][0]["id"].as_str().unwrap().to_owned();
    let shown = json(&node, &format!("/api/v1/computers/{own}"));
    assert!(shown["metrics"]["disk"]["total"].as_u64().unwrap() > 0, "{shown}");

    let software = &json(&node, "/api/v1/software")["items"][0];
    let progress = &software["progress"];
    assert!(progress["total"].as_u64().unwrap() > 0, "{software}");
    assert_eq!(progress["done"], progress["total"], "{software}");
    let (computer, url) = (software["computer"].as_str().unwrap(), &profile);
    let log = get(&node, &format!("/api/v1/software/log?computer={computer}&url={url}"));
    assert!(log.contains("INFO parts: "), "{log}");

    promise(&node, "echo there is room");
    node.ok(&["node", "instance", "--all"]);
    promise(&node, "echo full; exit 1");
    node.fails(2, &["node", "instance", "--all"]);
    let guid = json(&node, "/api/v1/instances")["items"][0]["guid"].as_str().unwrap().to_owned();
    let promises = json(&node, &format!("/api/v1/instances/{guid}/promises"));
    let disk = promises["promises"].as_array().unwrap();
    let disk = disk.iter().find(|promise| promise["name"] == "disk").unwrap();
    assert_eq!(disk["failed"], true, "{promises}");
    assert!(disk["message"].as_str().unwrap().contains("full"), "{disk}");
    let past = disk["history"].as_array().unwrap();
    assert_eq!(past.first().unwrap()["failed"], false, "{disk}");
    assert_eq!(past.last().unwrap()["failed"], true, "{disk}");

    let shown = json(&node, &format!("/api/v1/computers/{computer}"));
    assert_eq!(shown["state"], "ok");
    assert!(shown["metrics"]["memory"]["total"].as_u64().unwrap() > 0, "{shown}");
    assert!(shown["metrics"]["services"]["running"].as_u64().unwrap() > 0, "{shown}");
}
