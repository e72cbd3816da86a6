//! What a node survives: at every system call that changes or makes a file, starts a process or tells
//! others, in a run of `node software` and of `node instance`, the process is killed, or the call
//! fails: the disk is full or broken, there may be no more processes, who listened is gone. Then the
//! command is run again, undisturbed, and the tree, the node's records and the supervisor's definitions
//! must be what a run that was never disturbed leaves: nothing missing, nothing half-written, nothing
//! left over; and of the service exactly one process runs, which was started with the last word.
//!
//! The faults are injected from outside, by `strace`, so that what is tested is what is shipped. Of
//! the many points some are tried; all with `SLAPOS_FAULTS=all`.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

mod inject;
mod processes;
mod tree;

use inject::{Points, injected};
use processes::one_with;
use slapos_testkit::{Entry, TestNode, tar_gz};
use tree::Tree;

const INSTANCE: &str = r#"[buildout]
parts = directory word deep service promise publish

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = none

[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
srv = $${buildout:directory}/srv

[word]
recipe = slapos.recipe.template
inline = $${slap-configuration:configuration.word}
output = $${directory:etc}/word.txt

[deep]
recipe = plone.recipe.command
command = mkdir -p $${:location}/deep && echo $${word:inline} > $${:location}/deep/file
update-command = $${:command}
location = $${buildout:parts-directory}/deep
stop-on-error = true

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${directory:etc}/service/sleeper-$${word:inline}
command-line = /bin/sleep 1000000
environment = WORD=$${word:inline}

[promise]
recipe = slapos.recipe.template
inline =
  #!/bin/sh
  grep -q $${word:inline} $${word:output}
output = $${directory:etc}/promise/word
mode = 0755

[publish]
recipe = slapos.cookbook:publish
word = $${word:inline}
"#;

const SOFTWARE: &str = r"
[buildout]
parts = made shared instance

[made]
recipe = slapos.recipe.cmmi
url = ${:_profile_base_location_}/made.tar.gz
configure-command = sh ./build.sh @@LOCATION@@
make-binary = /bin/true

[shared]
<= made
shared = true

[instance]
recipe = slapos.recipe.template
url = ${:_profile_base_location_}/instance.cfg.in
output = ${buildout:directory}/instance.cfg
";

/// Copies of the Software Release, so that each point has one of its own that was never built.
fn add_software(node: &TestNode, name: &str) -> String {
    let build =
        "mkdir -p $1/bin $1/share/deep && echo made > $1/bin/program && echo x > $1/share/deep/x";
    let archive = tar_gz(&[Entry::file("made-1/build.sh", 0o755, build)]);
    node.tree.write(&format!("software/{name}/made.tar.gz"), archive);
    node.tree.write(&format!("software/{name}/instance.cfg.in"), INSTANCE);
    node.tree.add_software(name, SOFTWARE).display().to_string()
}

fn node() -> TestNode {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--partitions", "1"]);
    node
}

/// Runs `command` until it does what it should, as cron would.
fn until_it_works(node: &TestNode, command: &[&str], what: &str) {
    let mut told = String::new();
    for _ in 0..3 {
        let run = node.run(command);
        if run.code == 0 {
            return;
        }
        told = run.told();
    }
    panic!("{what}: it does not come back\n{told}");
}

/// The partition, what the node has written down of it, and what the supervisor is to run.
fn everything(node: &TestNode) -> Tree {
    let root = node.root().join("instance");
    let places = ["slappart0", "var/slapgrid", "etc/supervisord.conf.d"];
    Tree::below(&root, &places)
}

#[test]
fn an_instance_is_what_it_should_be_after_any_fault() {
    let Some(points) = Points::find("an_instance_is_what_it_should_be_after_any_fault") else {
        return;
    };
    let node = node();
    let profile = add_software(&node, "s");
    node.ok(&["up", &profile, "--name", "one", "--parameters", "word=w0"]);
    let change = |word: &str| {
        let parameter = format!("word={word}");
        node.ok(&["request", "one", &profile, "--parameters", &parameter]);
    };
    let tree = |word: &str| everything(&node).with(word, "WORD").without_history();
    change("w1");
    node.ok(&["node", "instance"]);
    let expected = tree("w1");
    change("w2");
    let shots = points.of(&node, &["node", "instance"]);
    assert_eq!(tree("w2").differences(&expected), "", "an undisturbed run is always the same");
    let mut survived = 0;
    for (number, shot) in shots.iter().enumerate() {
        let word = format!("w{}", number + 3);
        change(&word);
        injected(&node, &["node", "instance"], *shot);
        let what = shot.to_string();
        until_it_works(&node, &["node", "instance"], &what);
        assert_eq!(tree(&word).differences(&expected), "", "{what}");
        one_with(&word, &node.partition(0), &what);
        assert_eq!(node.json(&["service", "info", "one"])["connection-parameters"]["word"], *word);
        assert_eq!(Tree::temporaries(&node.root()), [""; 0], "{what}");
        survived += 1;
    }
    points.report("node instance, a change", &shots, survived);
}

#[test]
fn a_rollback_comes_to_its_end_after_any_fault() {
    let Some(points) = Points::find("a_rollback_comes_to_its_end_after_any_fault") else { return };
    let node = node();
    let profile = add_software(&node, "s");
    node.ok(&["up", &profile, "--name", "one", "--parameters", "word=w1"]);
    node.ok(&["request", "one", &profile, "--parameters", "word=w2"]);
    node.ok(&["node", "instance"]);
    let tree = || Tree::of(&node.partition(0)).without_history();
    let second = tree();
    let back = ["node", "rollback", "slappart0", "1"];
    let shots = points.of(&node, &back);
    let first = tree();
    let again = || node.ok(&["node", "rollback", "slappart0", "2"]);
    again();
    assert_eq!(tree().differences(&second), "", "there and back is where one was");
    let mut survived = 0;
    for shot in &shots {
        injected(&node, &back, *shot);
        let what = shot.to_string();
        until_it_works(&node, &["node", "instance"], &what);
        let history = node.json(&["node", "generations", "slappart0"]);
        assert!(history.get("restoring").is_none(), "{what}: {history:#}");
        let (expected, word) =
            if history["current"] == 1 { (&first, "w1") } else { (&second, "w2") };
        assert_eq!(tree().differences(expected), "", "{what}");
        one_with(word, &node.partition(0), &what);
        again();
        survived += 1;
    }
    points.report("node rollback", &shots, survived);
}

#[test]
fn a_new_instance_is_what_it_should_be_after_any_fault() {
    let Some(points) = Points::find("a_new_instance_is_what_it_should_be_after_any_fault") else {
        return;
    };
    let node = node();
    let profile = add_software(&node, "s");
    node.ok(&["supply", &profile, "local"]);
    node.ok(&["node", "software"]);
    let ask = |state: &str| {
        node.ok(&["request", "one", &profile, "--parameters", "word=w", "--state", state]);
    };
    let remove = || {
        ask("destroyed");
        node.ok(&["node", "report"]);
    };
    let tree = || everything(&node).without_history();
    ask("started");
    let shots = points.of(&node, &["node", "instance"]);
    let expected = tree();
    remove();
    let mut survived = 0;
    for shot in &shots {
        ask("started");
        injected(&node, &["node", "instance"], *shot);
        let what = shot.to_string();
        until_it_works(&node, &["node", "instance"], &what);
        assert_eq!(tree().differences(&expected), "", "{what}");
        one_with("w", &node.partition(0), &what);
        assert_eq!(Tree::temporaries(&node.root()), [""; 0], "{what}");
        remove();
        survived += 1;
    }
    points.report("node instance, a new one", &shots, survived);
}

#[test]
fn a_software_release_is_whole_after_any_fault() {
    let Some(points) = Points::find("a_software_release_is_whole_after_any_fault") else {
        return;
    };
    let node = node();
    let tree = |url: &str| {
        let name = slapos_slap::SoftwareUrl::new(url).md5_hex();
        let folder = node.root().join("software").join(&name);
        let profile = std::path::Path::new(url).parent().unwrap().display().to_string();
        Tree::of(&folder).with(&name, "MD5").with(&profile, "PROFILE").without_history()
    };
    let supply = |name: &str| {
        let url = add_software(&node, name);
        node.ok(&["supply", &url, "local"]);
        url
    };
    let remove = |url: &str| {
        node.ok(&["remove", url, "local"]);
        node.ok(&["node", "software"]);
        node.ok(&["node", "prune"]);
    };
    let url = supply("undisturbed");
    let shots = points.of(&node, &["node", "software"]);
    let expected = tree(&url);
    let shared = || Tree::of(&node.root().join("shared")).without_history();
    let expected_shared = shared();
    remove(&url);
    let mut survived = 0;
    for (number, shot) in shots.iter().enumerate() {
        let url = supply(&format!("s{number}"));
        injected(&node, &["node", "software"], *shot);
        let what = shot.to_string();
        until_it_works(&node, &["node", "software"], &what);
        assert_eq!(tree(&url).differences(&expected), "", "{what}");
        assert_eq!(shared().differences(&expected_shared), "", "{what}");
        assert_eq!(Tree::temporaries(&node.root()), [""; 0], "{what}");
        remove(&url);
        survived += 1;
    }
    points.report("node software", &shots, survived);
}
