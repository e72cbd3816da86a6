//! Instances that ask for others, and are brought back: who was asked for is asked for again.

use slapos_testkit::{SERVICE_PROFILE, TestNode};

use crate::{GATED, ask};

/// Asks for others with its parameter, and for one that is called by it.
const PARENT: &str = r#"[buildout]
parts = promise backend second

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = good

[child]
<= slap-connection
recipe = slapos.cookbook:request
software-url = CHILD
config-word = $${slap-configuration:configuration.word}

[backend]
<= child
name = Backend

[second]
<= child
name = Second-$${slap-configuration:configuration.word}

[promise]
recipe = slapos.recipe.template
inline =
  #!/bin/sh
  test $${slap-configuration:configuration.word} != bad || { echo "the word is bad"; exit 1; }
output = $${buildout:directory}/etc/promise/word-is-good
mode = 0755
"#;

/// Writes its parameter down.
const CHILD: &str = r"[buildout]
parts = word

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration

[word]
recipe = slapos.recipe.template
inline = $${slap-configuration:configuration.word}
output = $${buildout:directory}/etc/word.txt
";

/// An instance `word` that has asked for two others.
fn family(options: &str) -> (TestNode, String) {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.tree.write("software/child/instance.cfg.in", CHILD);
    let child = node.tree.add_software("child", SERVICE_PROFILE).display().to_string();
    node.tree.write("software/word/instance.cfg.in", PARENT.replace("CHILD", &child));
    let profile = node.tree.add_software("word", SERVICE_PROFILE).display().to_string();
    node.ok(&["up", "--partitions", "4"]);
    node.configure("[slapformat]", &format!("{options}\n[slapformat]"));
    node.ok(&["supply", &child, "local"]);
    node.ok(&["node", "software"]);
    node.ok(&["up", &profile]);
    (node, profile)
}

/// What the first child was asked for, as far as it came to that.
fn of_child(node: &TestNode) -> String {
    std::fs::read_to_string(node.partition(1).join("etc/word.txt")).unwrap().trim().to_owned()
}

#[test]
fn who_was_asked_for_is_asked_for_again() {
    let (node, profile) = family(GATED);
    assert_eq!(of_child(&node), "good");
    ask(&node, &profile, "bad");
    let told = node.fails(2, &["node", "instance"]).told();
    assert!(told.contains("generation 2 was taken back, generation 1 restored"), "{told}");
    assert!(told.contains("asked for Backend, Second-good as generation 1 did"), "{told}");
    let left = "only generation 2 asked for Second-bad, and it stays as it is";
    assert!(told.contains(left), "{told}");
    assert_eq!(of_child(&node), "good", "it was processed in the same run");
    assert_eq!(node.json(&["proxy", "show"])["instances"].as_array().unwrap().len(), 4);
}

#[test]
fn what_is_brought_back_by_hand_is_told_to_the_master_and_to_who_was_asked_for() {
    let (node, profile) = family("");
    ask(&node, &profile, "bad");
    node.fails(2, &["node", "instance"]);
    assert_eq!(of_child(&node), "bad");
    let told = node.ok(&["node", "rollback", "slappart0", "--dry-run"]).told();
    assert!(told.contains("ask again for Backend, Second-good"), "{told}");
    let info = || node.json(&["service", "info", "word"]);
    let back = || node.ok(&["node", "rollback", "slappart0", "1"]).told();
    let told = back();
    assert!(told.contains("asked for Backend, Second-good as generation 1 did"), "{told}");
    let held = |info: serde_json::Value| {
        assert_eq!(
            (&info["held-generation"], &info["reported-state"]),
            (&1.into(), &"error".into())
        );
        let message = info["reported-message"].as_str().unwrap().to_owned();
        let words = "the word is bad; generation 2 was taken back, generation 1 restored";
        assert!(message.contains(words), "{message}");
    };
    held(info());
    node.ok(&["node", "instance"]);
    assert_eq!(of_child(&node), "good");
    held(info());
    // What is wanted is nobody's to take back.
    node.fails(2, &["node", "rollback", "slappart0", "2"]);
    let again = info();
    assert!(again["held-generation"].is_null() && again["reported-state"] == "error", "{again:#}");
    // A Master that does not answer is told later.
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    let told = back();
    assert!(told.contains("the Master was not told of generation 1"), "{told}");
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    assert!(info()["held-generation"].is_null());
    node.ok(&["node", "instance"]);
    held(info());
    assert_eq!(of_child(&node), "good", "it was processed in the same run");
    // So is that what is wanted is in place again.
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    let told = node.fails(2, &["node", "rollback", "slappart0", "2"]).told();
    assert!(told.contains("the Master was not told of generation 2"), "{told}");
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    node.fails(2, &["node", "instance"]);
    let again = info();
    assert!(again["held-generation"].is_null() && again["reported-state"] == "error", "{again:#}");
    assert_eq!(of_child(&node), "bad");
}

#[test]
fn who_was_asked_for_is_never_made_as_what_was_taken_back_had_asked() {
    let (node, profile) = family("");
    ask(&node, &profile, "bad");
    // Before the others' turn has come.
    node.fails(2, &["node", "instance", "--only", "slappart0"]);
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    node.ok(&["node", "rollback", "slappart0", "1"]);
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    let words = "slappart0: tell the Master that a former generation was restored";
    assert!(plan.contains(words), "{plan}");
    node.ok(&["node", "instance"]);
    assert_eq!(of_child(&node), "good");
    let made = node.json(&["node", "generations", "slappart1"]);
    let made = made["generations"].as_array().unwrap();
    let same = |one: &serde_json::Value| one["wanted"]["wish"] == made[0]["wanted"]["wish"];
    assert!(made.iter().all(same), "{made:#?}");
}

#[test]
fn a_stopped_instance_that_was_brought_back_is_told_later_too() {
    let (node, profile) = family("");
    ask(&node, &profile, "fine");
    node.ok(&["node", "instance"]);
    let stopped = ["--parameters", "word=fine", "--state", "stopped"];
    node.ok(&[&["request", "word", &profile][..], &stopped].concat());
    node.ok(&["node", "instance"]);
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    let told = node.ok(&["node", "rollback", "slappart0", "1"]).told();
    let later = "the next `slapos node instance` that reaches it does";
    assert!(told.contains(later), "{told}");
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    node.ok(&["node", "instance"]);
    let info = node.json(&["service", "info", "word"]);
    assert_eq!(info["held-generation"], 1, "{info:#}");
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("a former generation was restored, and it is stopped"), "{plan}");
}
