//! The end of instances: what holds them back, and what they do last.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use slapos_testkit::TestNode;

/// A node with an instance of the service, to be kept for that many days after it is destroyed.
fn served(days: &str) -> (TestNode, String) {
    let (node, profile) = deployed(days);
    node.ok(&["request", "one", &profile, "--state", "destroyed"]);
    (node, profile)
}

fn deployed(days: &str) -> (TestNode, String) {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["up"]);
    node.ok(&["supply", &profile, "local"]);
    node.ok(&["node", "software"]);
    let delay = format!("retention_delay={days}");
    node.ok(&["request", "one", &profile, "--node", &delay]);
    node.ok(&["node", "instance"]);
    (node, profile)
}

fn born(node: &TestNode) -> bool {
    node.partition(0).join("srv/born").exists()
}

/// Has `node report` remove nothing, and say that.
fn kept(node: &TestNode, words: &str) {
    let told = node.ok(&["node", "report"]).told();
    assert!(told.contains(words), "{told}");
    assert!(born(node));
}

fn gone(node: &TestNode) {
    node.ok(&["node", "report"]);
    assert_eq!(node.left_in(0), [""; 0]);
    assert_eq!(node.json(&["proxy", "show"])["instances"].as_array().unwrap().len(), 0);
}

#[test]
fn a_retention_lock_keeps_a_stopped_instance_until_its_date() {
    let (node, _) = served("1.5");
    let file = |name: &str| node.partition(0).join(name);
    let delay = std::fs::read_to_string(file(".slapos-retention-lock-delay")).unwrap();
    assert_eq!(delay, "1.5");
    let plan = node.ok(&["node", "report", "--dry-run"]).told();
    assert!(plan.contains("slappart0: nothing: kept by its retention lock until "), "{plan}");
    assert_ne!(node.pids()["sleeper-on-watch"], 0, "nothing was touched");
    assert!(!file(".slapos-retention-lock-date").exists());
    kept(&node, "slappart0: kept by its retention lock until ");
    assert!(!node.pids().contains_key("sleeper-on-watch"), "it is stopped");
    let date = std::fs::read_to_string(file(".slapos-retention-lock-date")).unwrap();
    kept(&node, "kept by its retention lock");
    let again = std::fs::read_to_string(file(".slapos-retention-lock-date")).unwrap();
    assert_eq!(again, date, "the first try settles it");
    // What is no date is no permission.
    std::fs::write(file(".slapos-retention-lock-date"), "whenever").unwrap();
    let run = node.fails(1, &["node", "report"]);
    assert!(run.told().contains("is no number: \"whenever\""), "{}", run.err);
    assert!(born(&node));
    std::fs::write(file(".slapos-retention-lock-date"), "1000000000.0").unwrap();
    let plan = node.ok(&["node", "report", "--dry-run"]).told();
    assert!(plan.contains("slappart0: destroy: the Master wants it destroyed"), "{plan}");
    gone(&node);
}

#[test]
fn destroy_says_whether_it_is_gone() {
    let (node, _) = deployed("3");
    let said = node.ok(&["destroy", "one"]).out;
    assert!(said.contains("one is stopped; `slapos node report` removes it"), "{said}");
    std::fs::write(node.partition(0).join(".slapos-retention-lock-date"), "1").unwrap();
    assert_eq!(node.json(&["destroy", "one"])["gone"], true);
    assert!(!born(&node));
    // Such as a slip of the pen: nobody is to believe that something is gone.
    let typo = node.fails(2, &["destroy", "noe"]);
    assert!(typo.told().contains("there is no instance `noe`"), "{}", typo.told());
}

#[test]
fn services_that_are_waited_for_end_before() {
    let (node, _) = served("0");
    let list = node.partition(0).join(".slapos-report-wait-service-list");
    // The Master's own service runs.
    std::fs::write(&list, "slappart0-prerm:none\nslapproxy:slapproxy\n").unwrap();
    kept(&node, "slappart0: waits for slapproxy:slapproxy to end");
    std::fs::write(&list, "slappart0-prerm:none\n").unwrap();
    gone(&node);
}

#[test]
fn an_instance_has_last_words() {
    let (node, _) = served("0");
    let program = node.partition(0).join("sbin/destroy");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let write = |script: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("echo farewell; exit 3");
    let run = node.fails(1, &["node", "report"]);
    assert!(run.told().contains("sbin/destroy failed: exit status: 3"), "{}", run.err);
    assert!(born(&node));
    let log = node.partition(0).join(".slapgrid/log/instance.log");
    assert!(std::fs::read_to_string(log).unwrap().contains("farewell"));
    let reported = node.json(&["proxy", "show"])["instances"][0]["reported"].clone();
    assert!(reported["message"].as_str().unwrap().contains("sbin/destroy"), "{reported}");

    let witness = node.path("witness");
    std::fs::write(&witness, "").unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&witness, PermissionsExt::from_mode(0o666)).unwrap();
    write(&format!("id -u > {0} && pwd >> {0}", witness.display()));
    gone(&node);
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(node.partition(0)).unwrap().uid().to_string();
    let words = std::fs::read_to_string(witness).unwrap();
    assert_eq!(words.lines().next(), Some(owner.as_str()), "as the partition's user: {words}");
}

#[test]
fn storage_outside_of_the_partition_goes_with_it() {
    let (node, _) = served("0");
    let home = node.path("storage");
    let room = home.join("data1/slappart0");
    std::fs::create_dir_all(&room).unwrap();
    std::fs::write(room.join("big"), "x").unwrap();
    // Whether or not the instance has a DATA that leads there.
    if slapos_testkit::is_root() {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(node.partition(0)).unwrap();
        for path in [&room, &room.join("big")] {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
    let option = format!("[slapos]\ninstance_storage_home = {}", home.display());
    node.configure("[slapos]", &option);
    gone(&node);
    assert_eq!(std::fs::read_dir(&room).unwrap().count(), 0);
}
