//! What is noted and told as a partition's records change, at a Master that does not answer.

use std::collections::BTreeMap;
use std::path::Path;

use slapos_slap::InstanceState;
use slapos_sys::clock::SystemClock;

use super::*;
use crate::NodeConfig;
use crate::generation::History;
use crate::record::{Outcome, PartitionRecord};
use crate::reporter::Deaf;
use crate::retire;

/// Calls `test` with a node whose Master is away.
fn with_node(test: impl FnOnce(&Node<'_>, &Marks<'_>, &SlapClient)) {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[slapos]\nsoftware_root = /s\ninstance_root = {}\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n",
        dir.path().display()
    );
    let parsed = slapos_config::Config::parse(&text, "s").unwrap();
    let config = NodeConfig::from_config(&parsed, Path::new("s")).unwrap();
    let node = Node { config: &config, reporter: &Deaf, clock: &SystemClock };
    let master = master_within(&config, Duration::from_secs(1)).unwrap();
    test(&node, &Marks::of(&node), &master);
}

fn record(node: &Node<'_>, at: &str, outcome: Outcome) {
    let record = PartitionRecord {
        title: String::new(),
        software: "/s.cfg".into(),
        software_stamp: "b1".into(),
        timestamp: Some("1".into()),
        wish: "1".into(),
        state: InstanceState::Started,
        at: at.parse().unwrap(),
        outcome,
        asks_nothing: false,
        limits: None,
        marked: true,
        promises: BTreeMap::new(),
        restart: None,
        untold: false,
        schedule: None,
    };
    node.records().store("p", &record).unwrap();
}

/// What the Master is still to be told.
fn untold(marks: &Marks<'_>) -> Option<String> {
    let message = |notes: &mut Notes| Ok(notes.untold().map(|mark| mark.message.clone()));
    marks.update("p", message).unwrap()
}

const ONE: &str = "2026-01-01T00:00:00Z";
const TWO: &str = "2026-01-02T00:00:00Z";

#[test]
fn promises_and_services_complain_once_and_are_heard_later() {
    with_node(|node, marks, master| {
        record(node, ONE, Outcome::Done);
        bang(node, master, "p", "a promise");
        assert!(!note(node, marks, "p", "a service").unwrap());
        assert_eq!(untold(marks).as_deref(), Some("a promise"));
        assert_eq!(marks.left().unwrap(), ["p"]);
        retire::forget(node, "p").unwrap();
        assert_eq!(marks.left().unwrap(), [""; 0], "the next instance there begins anew");
    });
}

#[test]
fn who_is_given_up_while_its_deployment_goes_on_is_told_when_that_is_done() {
    with_node(|node, marks, master| {
        record(node, ONE, Outcome::Done);
        assert!(note(node, marks, "p", "the first").unwrap());
        let mark = marks.update("p", |notes| Ok(notes.untold().cloned())).unwrap().unwrap();
        marks.told("p", &mark).unwrap();
        record(node, TWO, Outcome::Processing);
        assert!(note(node, marks, "p", "given up").unwrap());
        assert!(!tell(node, marks, master, "p").unwrap());
        assert_eq!(untold(marks), None);
        record(node, TWO, Outcome::Done);
        tell(node, marks, master, "p").unwrap_err();
        assert_eq!(untold(marks).as_deref(), Some("given up"));
    });
}

#[test]
fn a_restored_generation_is_held_against_what_failed_only() {
    with_node(|node, marks, master| {
        record(node, ONE, Outcome::Failed("no".into()));
        let record = node.records().load("p").unwrap().unwrap();
        let mut history = History::default();
        history.held = Some(record.wanted());
        node.histories().store("p", &history).unwrap();
        bang(node, master, "p", "a promise");
        assert_eq!(marks.left().unwrap(), [""; 0]);
        history.held.as_mut().unwrap().wish = "another".into();
        node.histories().store("p", &history).unwrap();
        bang(node, master, "p", "a promise");
        assert_eq!(marks.left().unwrap(), ["p"]);
    });
}
