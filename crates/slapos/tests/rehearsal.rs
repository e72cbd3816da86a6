//! `--dry-run`: each command says what it would do and why, and touches nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use slapos_testkit::TestNode;

fn node_with_service() -> TestNode {
    let (node, profile) = TestNode::with_service(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--name", "svc", &profile]);
    node
}

/// Every file below `root` with when it was changed, but for logs and what the Master keeps.
fn state(root: &Path, found: &mut BTreeMap<String, std::time::SystemTime>) {
    for entry in std::fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().display().to_string();
        let apart = ["/master", "/log", ".log", ".pid", "/var/run"];
        if apart.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => state(&entry.path(), found),
            false => drop(found.insert(name, entry.metadata().unwrap().modified().unwrap())),
        }
    }
}

/// What the command says with `--dry-run`; nothing is touched and everything runs on.
fn rehearsed(node: &TestNode, words: &[&str]) -> String {
    let look = || {
        let mut found = BTreeMap::new();
        state(&node.root(), &mut found);
        (found, node.pids(), node.json(&["proxy", "show"]))
    };
    let before = look();
    let run = node.ok(&[words, &["--dry-run"]].concat());
    assert_eq!(look(), before, "{words:?}");
    format!("{}{}", run.told(), run.out)
}

#[test]
fn every_command_says_what_it_would_do_and_touches_nothing() {
    let node = node_with_service();
    let told = rehearsed(&node, &["node", "bang", "-m", "why"]);
    assert!(told.contains("to have every instance of local processed again: why"), "{told}");
    let told = rehearsed(&node, &["node", "promise"]);
    assert!(
        told.contains("slappart0: check all its promises (1 when last asked): asked for"),
        "{told}"
    );
    let told = rehearsed(&node, &["node", "promise", "--only", "slappart1"]);
    assert!(told.contains("slappart0: nothing: others are asked for"), "{told}");
    let told = rehearsed(&node, &["node", "boot"]);
    assert!(told.contains("boot: start the supervisor, and all services"), "{told}");
    assert!(told.contains("slappart0: have it processed by the next"), "{told}");
    let told = rehearsed(&node, &["destroy", "svc"]);
    assert!(told.contains("svc: ask http://"), "{told}");
    assert!(told.contains("slappart0: svc: stop its services; destroy: asked for"), "{told}");
    node.fails(2, &["destroy", "other", "--dry-run"]);
    let told = rehearsed(&node, &["node", "rollback", "slappart0", "1"]);
    assert!(told.contains("slappart0: put generation 1 in place, of "), "{told}");
    assert!(told.contains(": asked for"), "{told}");
    assert!(told.contains("slappart0: start its services anew"), "{told}");
    node.fails(1, &["node", "rollback", "slappart0", "7", "--dry-run"]);
    let told = node.fails(1, &["node", "rollback", "slappart0", "--dry-run"]).told();
    assert!(told.contains("no former generation that kept its promises"), "{told}");
    if slapos_sys::user::is_root() {
        let told = rehearsed(&node, &["node", "collect"]);
        assert!(told.contains("collect: measure this machine for 1 s, into "), "{told}");
        assert!(told.contains("collect: forget samples before "), "{told}");
    }
}
