//! Instances that ask for instances: the real node, its Master and two Software Releases, with either
//! kind of database.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::process::Stdio;

use slapos_testkit::{SERVICE_PROFILE, TestNode};

/// Asks for a backend and publishes what it got.
const FRONT: &str = r"[buildout]
parts = publish

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = hello

[backend]
<= slap-connection
recipe = slapos.cookbook:RECIPE
name = Backend
software-url = BACK
software-type = echo
config-word = $${slap-configuration:configuration.word}
return = echoed secret-word

[publish]
recipe = slapos.cookbook:publish
echoed = $${backend:connection-echoed}
secret-word = $${backend:connection-secret-word}
state = $${backend:requested-state}
";

/// Publishes its parameter, but only as the type it was asked for.
const BACK: &str = r"[buildout]
parts = switch

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration

[switch]
recipe = slapos.cookbook:switch-softwaretype
default = none.cfg
echo = inner:output

[inner]
recipe = slapos.recipe.template
output = $${buildout:directory}/echo.cfg
inline =
  [buildout]
  parts = publish
  [publish]
  recipe = slapos.cookbook:publish
  echoed = $${slap-configuration:configuration.word}, $${slap-configuration:root-instance-title}
  secret-word = mellon
";

struct Pair {
    node: TestNode,
    front: String,
    back: String,
}

impl Pair {
    /// A node with both Software Releases; the front asks by that recipe.
    fn new(recipe: &str, partitions: &str) -> Self {
        let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
        let back = node.tree.add_software("back", SERVICE_PROFILE).display().to_string();
        node.tree.write("software/back/instance.cfg.in", BACK);
        let front = node.tree.add_software("front", SERVICE_PROFILE).display().to_string();
        let text = FRONT.replace("RECIPE", recipe).replace("BACK", &back);
        node.tree.write("software/front/instance.cfg.in", text);
        node.ok(&["up", "--partitions", partitions]);
        node.ok(&["supply", &front, "local"]);
        node.ok(&["supply", &back, "local"]);
        node.ok(&["node", "software"]);
        Self { node, front, back }
    }

    fn published(&self, title: &str) -> serde_json::Value {
        self.node.json(&["service", "info", title])["connection-parameters"].clone()
    }

    /// Runs `node instance` until no partition is due, four times at most.
    fn settle(&self) {
        let due = || self.node.ok(&["node", "instance", "--dry-run"]).told().contains("process:");
        for _ in 0..4 {
            self.node.run(&["node", "instance"]);
            if !due() {
                return;
            }
        }
        panic!("a partition is still due: {}", self.node.ok(&["node", "instance"]).err);
    }
}

#[test]
fn an_instance_gets_another_and_publishes_what_that_one_publishes() {
    let pair = Pair::new("request", "3");
    let node = &pair.node;
    node.ok(&["request", "front", &pair.front, "--parameters", "word=bonjour"]);
    let first = node.ok(&["node", "instance"]);
    assert!(
        first.told().contains("instance `Backend` does not publish `echoed`, `secret-word`"),
        "{}",
        first.err
    );
    // The one that was asked for, and then the one that waits for it, are processed in the same run.
    let published = pair.published("front");
    assert_eq!(published["echoed"], "bonjour, front", "{published}");
    assert_eq!(published["secret-word"], "mellon");
    assert_eq!(published["state"], "started");
    let shown = node.json(&["proxy", "show"]);
    let backend = &shown["instances"][1];
    assert_eq!((&backend["root_title"], &backend["title"]), (&"front".into(), &"Backend".into()));
    assert_eq!(backend["software"], pair.back.as_str());
    assert_eq!(shown["instances"].as_array().unwrap().len(), 2, "each run asks for the same");
    let told = node.ok(&["node", "instance", "-v"]).told();
    assert!(!told.contains("process:"), "{told}");
    let ledger = node.partition(0).join(".slapos/installed.json");
    assert!(!std::fs::read_to_string(ledger).unwrap().contains("mellon"));

    // A parameter travels down, and what comes of it up.
    node.ok(&["request", "front", &pair.front, "--parameters", "word=salve"]);
    pair.settle();
    assert_eq!(pair.published("front")["echoed"], "salve, front");

    // The other one is stopped with the tree, and goes with it, at once.
    node.ok(&["request", "front", &pair.front, "--state", "stopped"]);
    node.ok(&["node", "instance"]);
    assert_eq!(node.json(&["proxy", "show"])["instances"][1]["requested_state"], "stopped");
    node.ok(&["destroy", "front"]);
    assert_eq!(node.json(&["proxy", "show"])["instances"].as_array().unwrap().len(), 0);
}

/// Asks for nothing.
const ALONE: &str = r"[buildout]
parts = publish

[publish]
recipe = slapos.cookbook:publish
alone = yes
";

#[test]
fn one_that_is_asked_for_no_more_is_an_orphan_until_somebody_has_it_destroyed() {
    let pair = Pair::new("request", "3");
    let node = &pair.node;
    node.ok(&["request", "front", &pair.front]);
    pair.settle();
    let orphans = || {
        let told = node.json(&["proxy", "orphans"])["orphans"].clone();
        let titles =
            told.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap().to_owned());
        titles.collect::<Vec<_>>()
    };
    assert_eq!(orphans(), [""; 0]);
    node.tree.write("software/front/instance.cfg.in", ALONE);
    node.ok(&["node", "software", "--all"]);
    node.ok(&["node", "instance"]);
    assert_eq!(orphans(), ["Backend"]);
    assert_eq!(node.json(&["proxy", "show"])["instances"][1]["requested_state"], "started");
    node.ok(&["proxy", "orphans", "--destroy"]);
    node.ok(&["node", "report"]);
    assert_eq!(node.json(&["proxy", "show"])["instances"].as_array().unwrap().len(), 1);
    assert_eq!(pair.published("front"), serde_json::json!({"alone": "yes"}));
}

/// Ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_settles_a_tree_without_cron() {
    let pair = Pair::new("request", "3");
    let mut agent = pair.node.command(&["node", "agent"]);
    let _agent = Ended(agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    pair.node.ok(&["request", "front", &pair.front, "--parameters", "word=bonjour"]);
    slapos_testkit::wait_for("what comes from below", 60, || {
        (pair.published("front")["echoed"] == "bonjour, front").then_some(())
    });
}

#[test]
fn up_brings_the_whole_tree_up() {
    let pair = Pair::new("request", "3");
    pair.node.ok(&["up", &pair.front, "--parameters", "word=ciao"]);
    assert_eq!(pair.published("front")["echoed"], "ciao, front");
    let due = pair.node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(!due.contains("process:"), "{due}");
}

#[test]
fn an_optional_instance_that_never_comes_keeps_nobody_waiting() {
    let pair = Pair::new("requestoptional", "1");
    let node = &pair.node;
    node.ok(&["request", "front", &pair.front]);
    for _ in 0..2 {
        let run = node.ok(&["node", "instance", "--all"]);
        let told = run.told();
        assert!(told.contains("No free computer partition found for: Backend"), "{told}");
        assert_eq!(pair.published("front")["echoed"], "");
    }
    // Once there is room for it, the next run finds out by itself, and who asked is told.
    node.configure("partition_amount = 1", "partition_amount = 2");
    node.ok(&["node", "format"]);
    node.ok(&["node", "instance", "--all"]);
    pair.settle();
    assert_eq!(pair.published("front")["echoed"], "hello, front");
}

/// Publishes for each shared instance that it hosts.
const HOST: &str = r"[buildout]
parts = switch

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.greeting = hello

[switch]
recipe = slapos.cookbook:switch-softwaretype
default = inner:output

[inner]
recipe = slapos.recipe.template:jinja2
output = $${buildout:directory}/default.cfg
context =
  key shared slap-configuration:slave-instance-list
  key greeting slap-configuration:configuration.greeting
inline =
  [buildout]
  parts = {% for one in shared %} p{{ loop.index }}{% endfor %}
  {% for one in shared %}
  [p{{ loop.index }}]
  recipe = slapos.cookbook:publish
  -slave-reference = {{ one['slave_reference'] }}
  url = {{ greeting }} {{ one['who'] }}
  {% endfor %}
";

/// Asks for a shared instance, and publishes what it got.
const GUEST: &str = r"[buildout]
parts = publish

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration

[place]
<= slap-connection
recipe = slapos.cookbook:request
name = Place
software-url = BACK
shared = true
config-who = world
return = url

[publish]
recipe = slapos.cookbook:publish
url = $${place:connection-url}
";

#[test]
fn a_host_publishes_for_the_shared_instances_in_it() {
    let pair = Pair::new("request", "3");
    let node = &pair.node;
    node.tree.write("software/back/instance.cfg.in", HOST);
    node.tree.write("software/front/instance.cfg.in", GUEST.replace("BACK", &pair.back));
    node.ok(&["node", "software", "--all"]);
    node.ok(&["request", "host", &pair.back]);
    node.ok(&["node", "instance"]);
    node.ok(&["request", "guest", &pair.front]);
    pair.settle();
    assert_eq!(pair.published("guest")["url"], "hello world");
    assert_eq!(pair.published("host"), serde_json::json!({}), "what is not its own is not there");
    // What they were told is told again with the generation that told it.
    node.ok(&["request", "host", &pair.back, "--parameters", "greeting=goodbye"]);
    pair.settle();
    assert_eq!(pair.published("guest")["url"], "goodbye world");
    let instances = node.json(&["proxy", "show"])["instances"].clone();
    let mut instances = instances.as_array().unwrap().iter();
    let host = instances.find(|instance| instance["title"] == "host").unwrap()["partition"].clone();
    node.ok(&["node", "rollback", host.as_str().unwrap(), "2"]);
    node.ok(&["node", "instance"]);
    assert_eq!(pair.published("guest")["url"], "hello world");
}

#[test]
fn the_same_on_postgresql() {
    slapos_testkit::again_on_postgresql("the_same_on_postgresql", &[], 5);
}
