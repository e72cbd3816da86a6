//! Generations of instances: kept, compared, brought back by hand and by themselves, and not lost by
//! a kill.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

mod family;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use slapos_testkit::{SERVICE_PROFILE, TestNode, wait_for};

const INSTANCE: &str = r#"[buildout]
parts = word extra service promise check publish

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = good

[word]
recipe = slapos.recipe.template
inline = $${slap-configuration:configuration.word}
output = $${buildout:directory}/etc/word.txt

[extra]
recipe = slapos.recipe.template
inline = $${slap-configuration:configuration.word}
output = $${buildout:directory}/etc/$${slap-configuration:configuration.word}.d

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${buildout:directory}/etc/service/reader-$${slap-configuration:configuration.word}
command-line = /bin/sh -c "cat etc/word.txt > srv-word; exec sleep 1000000"
environment = WORD=$${slap-configuration:configuration.word}

[promise]
recipe = slapos.recipe.template
inline =
  #!/bin/sh
  word=$(cat $${word:output})
  test "$word" = good -o "$word" = fine || { echo "the word is $word"; exit 1; }
output = $${buildout:directory}/etc/promise/word-is-good
mode = 0755

[publish]
recipe = slapos.cookbook:publish
word = $${slap-configuration:configuration.word}

[check]
recipe = plone.recipe.command
command = test $${slap-configuration:configuration.word} != refused
update-command = $${:command}
stop-on-error = true
"#;

fn node(options: &str) -> (TestNode, String) {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.tree.write("software/word/instance.cfg.in", INSTANCE);
    let profile = node.tree.add_software("word", SERVICE_PROFILE).display().to_string();
    node.ok(&["up", "--partitions", "1"]);
    node.configure("[slapformat]", &format!("{options}\n[slapformat]"));
    node.ok(&["up", &profile]);
    (node, profile)
}

fn ask(node: &TestNode, profile: &str, word: &str) {
    node.ok(&["request", "word", profile, "--parameters", &format!("word={word}")]);
}

fn read(node: &TestNode, name: &str) -> String {
    std::fs::read_to_string(node.partition(0).join(name)).unwrap().trim().to_owned()
}

/// What the Master was told last.
fn reported(node: &TestNode) -> String {
    node.json(&["proxy", "show"])["instances"][0]["reported"].to_string()
}

const GATED: &str = "rollback = promise-gated\nrollback_deadline = 2\n";

#[test]
fn one_that_breaks_its_promises_is_taken_back_and_not_tried_again() {
    let (node, profile) = node(GATED);
    ask(&node, &profile, "bad");
    let told = node.fails(2, &["node", "instance"]).told();
    assert!(told.contains("the word is bad"), "{told}");
    assert!(told.contains("generation 2 was taken back, generation 1 restored"), "{told}");
    assert_eq!(read(&node, "etc/word.txt"), "good");
    assert!(!node.partition(0).join("etc/bad.d").exists(), "what only the other one had is gone");
    wait_for("it to be so", 60, || (read(&node, "srv-word") == "good").then_some(()));
    let published = |node: &TestNode| {
        node.json(&["service", "info", "word"])["connection-parameters"]["word"].clone()
    };
    assert_eq!(published(&node), "good", "others are told what is there again");
    let report = reported(&node);
    assert!(report.contains("generation 1 restored"), "the Master knows: {report}");
    let info = node.json(&["service", "info", "word"]);
    assert_eq!((&info["status"], &info["reported-state"]), (&"red".into(), &"error".into()));
    assert_eq!(info["held-generation"], 1, "{info:#}");
    assert!(info["reported-message"].as_str().unwrap().contains("the word is bad"), "{info:#}");
    let shown = node.ok(&["service", "info", "word"]).out;
    assert!(shown.contains("reported state") && shown.contains("the word is bad"), "{shown}");
    assert!(shown.contains("held generation") && shown.contains("1, until another"), "{shown}");
    // Cron's next runs leave it at that.
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("up to date"), "{plan}");
    node.ok(&["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "good");
    assert_eq!(reported(&node), report, "it is not told that all is well");
    // A bang asks for the same once more; that is no reason to break it once more.
    node.ok(&["node", "bang", "-m", "again"]);
    node.ok(&["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "good");
    // What is restored and then stopped is left alone.
    node.ok(&["request", "word", &profile, "--parameters", "word=bad", "--state", "stopped"]);
    node.ok(&["node", "instance"]);
    node.ok(&["node", "rollback", "slappart0", "1"]);
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("a former generation was restored, and it is stopped"), "{plan}");
    // Another wish is another deployment.
    node.ok(&["request", "word", &profile, "--parameters", "word=fine", "--state", "started"]);
    node.ok(&["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "fine");
    assert!(reported(&node).contains("started"), "{}", reported(&node));
    let info = node.json(&["service", "info", "word"]);
    assert_eq!((&info["status"], &info["reported-state"]), (&"green".into(), &"started".into()));
    assert!(info["held-generation"].is_null(), "{info:#}");
    let history = node.json(&["node", "generations", "slappart0"]);
    assert_eq!(history["current"], 4);
    let table = node.ok(&["node", "generations", "slappart0"]).out;
    assert!(table.contains("broken: Promise 'word-is-good' failed"), "{table}");
}

/// Where the instance takes its Software Release from, by the link that it has to it.
fn release(node: &TestNode) -> String {
    let link = std::fs::read_link(node.partition(0).join("software_release")).unwrap();
    link.file_name().unwrap().to_string_lossy().into_owned()
}

/// The same Software Release with a promise that is not kept.
fn broken() -> String {
    INSTANCE.replace("test \"$word\" = good -o", "test \"$word\" = nothing -a")
}

#[test]
fn a_change_of_the_software_release_is_taken_back_with_it() {
    let (node, profile) = node(GATED);
    let first = release(&node);
    node.tree.write("software/other/instance.cfg.in", broken());
    let other = node.tree.add_software("other", SERVICE_PROFILE).display().to_string();
    node.ok(&["supply", &other, "local"]);
    node.ok(&["node", "software"]);
    node.ok(&["request", "word", &other, "--parameters", "word=fine"]);
    let told = node.fails(2, &["node", "instance"]).told();
    assert!(told.contains("generation 2 was taken back, generation 1 restored"), "{told}");
    assert_eq!(release(&node), first);
    assert_eq!(read(&node, "etc/word.txt"), "good");
    wait_for("its service alone", 60, || {
        let pids = node.pids();
        let runs = pids.get("reader-good-on-watch").is_some_and(|pid| *pid != 0);
        (runs && !pids.contains_key("reader-fine-on-watch")).then_some(())
    });
    // It stays, and the former Software Release is what `slapos request` with its URL means.
    node.ok(&["node", "instance"]);
    assert_eq!(release(&node), first);
    ask(&node, &profile, "fine");
    node.ok(&["node", "instance"]);
    assert_eq!((release(&node), read(&node, "etc/word.txt")), (first, "fine".to_owned()));
}

#[test]
fn a_build_that_is_no_more_is_not_called_restored() {
    let (node, _) = node(GATED);
    node.tree.write("software/word/instance.cfg.in", broken());
    node.ok(&["node", "software", "--all"]);
    let told = node.fails(2, &["node", "instance"]).told();
    let words = "was built again since, and the build of generation 1 is no more";
    assert!(told.contains("and generation 1 cannot be restored") && told.contains(words), "{told}");
    assert!(!told.contains("taken back"), "{told}");
    let info = node.json(&["service", "info", "word"]);
    assert!(info["held-generation"].is_null(), "{info:#}");
    assert_eq!(node.json(&["node", "generations", "slappart0"])["current"], 2);
    // A person may have the configuration back, and is told that it is no more than that.
    let told = node.ok(&["node", "rollback", "slappart0", "1"]).told();
    assert!(told.contains("its configuration comes back, that build does not"), "{told}");
}

#[test]
fn without_being_told_nothing_is_taken_back() {
    let (node, profile) = node("promise_timeout = 5");
    ask(&node, &profile, "bad");
    node.fails(2, &["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "bad");
    // An instance may be requested so that it is.
    node.ok(&[
        "request",
        "word",
        &profile,
        "--parameters",
        "word=fine",
        "--node",
        "rollback=promise-gated",
    ]);
    node.ok(&["node", "instance"]);
    ask_gated(&node, &profile, "worse");
    node.fails(2, &["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "fine");
    // Only as long as each request says so.
    let words = ["request", "word", &profile, "--parameters", "word=fine"];
    let checked = node.ok(&[&words[..], &["--check"]].concat()).told();
    assert!(checked.contains("rollback=promise-gated, which would end with this"), "{checked}");
    let told = node.ok(&words).told();
    assert!(told.contains("rollback=promise-gated, which ends with this request"), "{told}");
    let told = node.ok(&words).told();
    assert!(!told.contains("ends with this request"), "{told}");
}

fn ask_gated(node: &TestNode, profile: &str, word: &str) {
    let parameter = format!("word={word}");
    let words = ["request", "word", profile, "--parameters", &parameter];
    node.ok(&[&words[..], &["--node", "rollback=promise-gated"]].concat());
}

#[test]
fn half_of_a_configuration_does_not_stay() {
    let (node, profile) = node("rollback = configuration");
    let service = node.pids()["reader-good-on-watch"];
    ask(&node, &profile, "refused");
    let told = node.fails(1, &["node", "instance"]).told();
    assert!(told.contains("generation 1 was restored"), "{told}");
    assert_eq!(read(&node, "etc/word.txt"), "good");
    assert_eq!(node.pids()["reader-good-on-watch"], service, "services were not switched");
    // What failed is tried again, as always.
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("process: the last run failed"), "{plan}");
}

#[test]
fn generations_are_compared_and_brought_back_by_hand() {
    let (node, profile) = node("");
    ask(&node, &profile, "fine");
    node.ok(&["node", "instance"]);
    let diff = node.ok(&["node", "diff", "slappart0"]).out;
    assert!(diff.contains("-good\n") && diff.contains("+fine\n"), "{diff}");
    std::fs::write(node.partition(0).join("etc/word.txt"), "by hand").unwrap();
    let diff = node.ok(&["node", "diff", "slappart0", "2", "now"]).out;
    assert!(diff.contains("-fine") && diff.contains("+by hand"), "{diff}");
    node.ok(&["node", "rollback", "slappart0"]);
    assert_eq!(read(&node, "etc/word.txt"), "good");
    wait_for("it to be so", 60, || (read(&node, "srv-word") == "good").then_some(()));
    // It stays, also when the Master does not answer meanwhile.
    node.ok(&["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "good");
    let published = || node.json(&["service", "info", "word"])["connection-parameters"].clone();
    assert_eq!(published()["word"], "good");
    node.ok(&["node", "rollback", "slappart0", "2"]);
    assert_eq!(read(&node, "etc/word.txt"), "fine");
    assert_eq!(published()["word"], "fine", "there and back");
    node.ok(&["node", "instance", "--all"]);
    let told = node.fails(1, &["node", "rollback", "slappart0", "7"]).told();
    assert!(told.contains("generation 7 of slappart0 is not kept"), "{told}");
    node.fails(1, &["node", "rollback", "../x"]);
    let story = node.ok(&["explain", "slappart0"]).out;
    assert!(story.contains("process: asked for (--all)"), "{story}");
    // The instance has the name of its part.
    let story = node.ok(&["explain", "word"]).out;
    assert!(story.contains("option `") && story.contains("part word of slappart0"), "{story}");
    assert!(story.starts_with("partition slappart0 (word)\n"), "{story}");
    assert!(story.contains("process: asked for (--all)"), "{story}");
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    assert_eq!(node.ok(&["explain", "word"]).out, story, "by what the node knows itself");
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    let story = node.ok(&["explain", "reader-fine"]).out;
    assert!(story.contains("slappart0:reader-fine-on-watch: STOPPED -> STARTING"), "{story}");
    node.fails(2, &["explain", "moon"]);
    node.ok(&["destroy", "word"]);
    let story = node.ok(&["explain", "slappart0"]).out;
    assert!(story.starts_with("partition slappart0") && story.contains("destroyed"), "{story}");
    node.ok(&["request", "moon", &profile]);
    let story = node.ok(&["explain", "moon"]).out;
    assert!(story.starts_with("partition slappart0 (moon)\n  it was not processed yet"), "{story}");
}

#[test]
fn a_generation_whose_content_is_lost_stops_nobody() {
    let (node, profile) = node(GATED);
    ask(&node, &profile, "fine");
    node.ok(&["node", "instance"]);
    std::fs::remove_dir_all(node.partition(0).join(".slapos/generations")).unwrap();
    ask(&node, &profile, "bad");
    let told = node.fails(2, &["node", "instance"]).told();
    assert!(told.contains("generation 2 of slappart0 is not whole any more"), "{told}");
    assert!(told.contains("generation 1 of slappart0 is not whole any more"), "{told}");
    ask(&node, &profile, "fine");
    node.ok(&["node", "instance"]);
    assert_eq!(read(&node, "etc/word.txt"), "fine");
}

/// Takes its time while there is a file `hold`.
const SLOW: &str =
    "#!/bin/sh\ntest ! -e hold || touch asked\nwhile test -e hold; do sleep 0.1; done\n";

#[test]
fn a_rollback_that_is_killed_while_promises_are_asked_is_told() {
    let (node, profile) = node("");
    ask(&node, &profile, "fine");
    node.ok(&["node", "instance"]);
    let file = |name: &str| node.partition(0).join(name);
    std::fs::write(file("etc/promise/slow"), SLOW).unwrap();
    std::fs::set_permissions(file("etc/promise/slow"), Permissions::from_mode(0o755)).unwrap();
    std::fs::write(file("hold"), "").unwrap();
    let mut rollback = node.start(&["node", "rollback", "slappart0", "1"]);
    wait_for("the promise to be asked", 60, || file("asked").exists().then_some(()));
    rollback.kill().unwrap();
    rollback.wait().unwrap();
    std::fs::remove_file(file("hold")).unwrap();
    node.ok(&["node", "instance"]);
    let info = node.json(&["service", "info", "word"]);
    assert_eq!(info["held-generation"], 1, "{info:#}");
    assert_eq!(read(&node, "etc/word.txt"), "good");
}
