//! `--dry-run`: each command says what it would do and why, and touches nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use slapos_testkit::TestNode;

fn node_with_service() -> TestNode {
    let (node, profile) = TestNode::with_service(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--name", "svc", &profile]);
    node
}

/// Everything below `root` with its mode and when it was changed, but for logs and what the Master
/// keeps.
fn state(root: &Path, found: &mut BTreeMap<String, (u32, std::time::SystemTime)>) {
    for entry in std::fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().display().to_string();
        let apart = ["/master", "/log", ".log", ".pid", "/var/run"];
        if apart.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let meta = entry.metadata().unwrap();
        found.insert(name, (meta.permissions().mode(), meta.modified().unwrap()));
        if meta.is_dir() {
            state(&entry.path(), found);
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
    the_works(&node);
    what_is_composed_of_them(&node);
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

/// `up` and `down`, for a node that is there.
fn what_is_composed_of_them(node: &TestNode) {
    let told = rehearsed(node, &["up"]);
    assert!(told.contains("master: nothing: it runs and answers"), "{told}");
    assert!(told.contains("service: nothing: it is built and frozen"), "{told}");
    let profile = node.tree.add_service().display().to_string();
    let told = rehearsed(node, &["up", &profile, "--name", "svc"]);
    assert!(told.contains("svc: ask for it again"), "{told}");
    let told = rehearsed(node, &["up", &profile, "--name", "more"]);
    assert!(told.contains("more: ask for an instance of it, and deploy that"), "{told}");
    let told = rehearsed(node, &["down"]);
    assert!(told.contains("node: leave a mark"), "{told}");
    assert!(told.contains("slapproxy: stop it: asked for"), "{told}");
    assert!(told.contains("supervisor: end it: asked for"), "{told}");
}

#[test]
fn a_node_that_is_not_there_is_not_made_by_a_rehearsal() {
    let (node, profile) = TestNode::with_service(env!("CARGO_BIN_EXE_slapos"));
    let told = node.ok(&["up", "--dry-run", &profile]).told();
    assert!(told.contains("etc/slapos.cfg: there is none"), "{told}");
    assert!(told.contains("master: start the supervisor, and in it the Master"), "{told}");
    assert!(told.contains("service: build: it is not there"), "{told}");
    assert!(told.contains("service: ask for an instance of it"), "{told}");
    assert!(!node.root().exists());
    node.fails(1, &["down", "--dry-run"]);
    assert!(!node.root().exists());
}

/// What cron runs, with something to do for each.
fn the_works(node: &TestNode) {
    let told = rehearsed(node, &["node", "instance", "--all"]);
    assert!(told.contains("slappart0: process: asked for (--all)"), "{told}");
    let told = rehearsed(node, &["node", "software", "--all"]);
    assert!(told.contains("service: build: asked for (--all)"), "{told}");
    node.configure("partition_amount = 3", "partition_amount = 4");
    let told = rehearsed(node, &["node", "format"]);
    assert!(told.contains("slappart3"), "{told}");
    node.configure("partition_amount = 4", "partition_amount = 3");
    let rubble = node.root().join("shared/tool/0123456789abcdef0123456789abcdef");
    std::fs::create_dir_all(&rubble).unwrap();
    let told = rehearsed(node, &["node", "prune"]);
    assert!(told.contains(rubble.to_str().unwrap()), "{told}");
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["request", "gone", &profile]);
    node.ok(&["node", "instance"]);
    node.ok(&["request", "gone", &profile, "--state", "destroyed"]);
    let told = rehearsed(node, &["node", "report"]);
    assert!(told.contains("slappart1: ") && told.contains("destroy"), "{told}");
}
