//! Changed definitions.

use slapos_supervisor::fault;
use slapos_supervisor::state::State;

use crate::support::{Node, PATIENCE, alive, service};

#[test]
fn an_update_restarts_only_what_changed() {
    let node = Node::new();
    let same = service("same", "exec sleep 1000");
    let mut changing = service("changing", "exec sleep 1000");
    node.define("p", &[same.clone(), changing.clone(), service("leaving", "exec sleep 1000")]);
    node.define("q", &[service("other", "exec sleep 1000")]);
    let client = node.client();
    client.start_all(Some(PATIENCE)).unwrap();
    let pid_of = |name: &str| client.process_info(name).unwrap().pid;
    let old = ["p:same", "p:changing", "p:leaving", "q:other"].map(|name| pid_of(name).unwrap());
    assert!(client.update(None, PATIENCE).unwrap().is_empty());
    changing.environment.insert("NEW".into(), "1".into());
    let mut coming = service("coming", "exec sleep 1000");
    coming.autostart = true;
    node.define("p", &[same, changing, coming]);
    slapos_supervisor::remove_group(&node.paths.conf_dir(), "q").unwrap();
    let update = client.update(Some("p"), PATIENCE).unwrap();
    assert_eq!(update.changed, ["p"]);
    assert_eq!((update.added.len(), update.removed.len()), (0, 0));
    node.await_state("p:changing", State::Running);
    node.await_state("p:coming", State::Running);
    assert_eq!(pid_of("p:same"), Some(old[0]));
    assert_ne!(pid_of("p:changing"), Some(old[1]));
    assert!(!alive(old[1]) && !alive(old[2]));
    assert!(client.process_info("p:leaving").is_err());
    assert_eq!(pid_of("q:other"), Some(old[3]));
    assert_eq!(client.update(None, PATIENCE).unwrap().removed, ["q"]);
    assert!(client.process_info("q:other").is_err());
    assert!(!alive(old[3]));
}

#[test]
fn a_wrong_definition_is_refused_and_hides_no_other() {
    let node = Node::new();
    node.define("p", &[service("web", "exec sleep 1000")]);
    let client = node.client();
    client.start("p:web", Some(PATIENCE)).unwrap();
    std::fs::write(node.paths.conf_dir().join("bad.conf"), "[program:x]\nstartsecs=soon\n")
        .unwrap();
    let refused = client.update(None, PATIENCE).unwrap_err();
    assert_eq!(refused.fault_code(), Some(fault::CANT_REREAD));
    assert!(
        refused.to_string().contains("bad.conf:2: `startsecs` must be a whole number"),
        "{refused}"
    );
    assert!(client.update(Some("p"), PATIENCE).unwrap().is_empty());
    node.await_state("p:web", State::Running);
}

#[test]
fn an_option_that_nobody_knows_keeps_nothing_from_running_and_is_told_once() {
    let node = Node::new();
    let client = node.client();
    let text = "[program:x]\ncommand=/bin/sleep 1000\ncolour=red\n";
    std::fs::write(node.paths.conf_dir().join("x.conf"), text).unwrap();
    assert_eq!(client.update(None, PATIENCE).unwrap().added, ["x"]);
    node.await_state("x:x", State::Running);
    assert!(client.update(None, PATIENCE).unwrap().is_empty());
    let log = std::fs::read_to_string(node.paths.log()).unwrap();
    let words = "x.conf:3: unknown option `colour` in [program:x] is left out";
    let remarks = client.remarks().unwrap();
    assert!(remarks.len() == 1 && remarks[0].contains(words), "who asks is told: {remarks:?}");
    assert_eq!(log.matches(words).count(), 1, "{log}");
}

#[test]
fn a_named_group_is_removed_whatever_is_wrong_with_other_files() {
    let node = Node::new();
    node.define("p", &[service("web", "exec sleep 1000")]);
    node.define("q", &[service("other", "exec sleep 1000")]);
    let client = node.client();
    client.start_all(Some(PATIENCE)).unwrap();
    let pid_of = |name: &str| client.process_info(name).unwrap().pid.unwrap();
    let (gone, stays) = (pid_of("p:web"), pid_of("q:other"));
    std::fs::write(node.paths.conf_dir().join("q.conf"), "[group:q]\npriority=soon\n").unwrap();
    slapos_supervisor::remove_group(&node.paths.conf_dir(), "p").unwrap();
    assert_eq!(client.update(Some("p"), PATIENCE).unwrap().removed, ["p"]);
    assert!(client.process_info("p:web").is_err() && !alive(gone));
    // The wrong one is neither removed nor changed, but told.
    let refused = client.update(Some("q"), PATIENCE).unwrap_err();
    assert!(
        refused.to_string().contains("q.conf:2: `priority` must be a whole number"),
        "{refused}"
    );
    assert_eq!(pid_of("q:other"), stays);
    // A new group comes whatever is wrong with others.
    node.define("r", &[service("new", "exec sleep 1000")]);
    assert_eq!(client.update(Some("r"), PATIENCE).unwrap().added, ["r"]);
}
