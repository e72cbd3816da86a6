//! Promises of instances: plugins in Python and executables, run by the real binary.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

mod original;
mod toolbox;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use slapos_testkit::{TestNode, kill, runs, wait_for};

/// A plugin of which `body` is the methods of the class.
fn plugin(body: &str) -> String {
    format!(
        "import os, subprocess, sys, time
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise, TestResult, AnomalyResult

@implementer(interface.IPromise)
class RunPromise(GenericPromise):
{body}"
    )
}

/// A node with a running instance.
fn node() -> (TestNode, String) {
    TestNode::serving(env!("CARGO_BIN_EXE_slapos"))
}

fn write(node: &TestNode, name: &str, text: &str) {
    let path = node.partition(0).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn file(node: &TestNode, name: &str) -> String {
    let path = node.partition(0).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A plugin that is due at once again and finds what the file `state` says.
fn watch() -> String {
    plugin(
        "    def __init__(self, config):
        GenericPromise.__init__(self, config)
        self.setPeriodicity(0.00001)
    def sense(self):
        found = open('state').read()
        (self.logger.info if found == 'ok' else self.logger.error)('found ' + found)
",
    )
}

#[test]
fn node_promise_checks_plugins_as_the_partitions_user() {
    let (node, _) = node();
    let who = "    def sense(self):\n        self.logger.info('%d %s', os.getuid(), os.getcwd())\n";
    write(&node, "etc/plugin/who.py", &plugin(who));
    let promises = node.json(&["node", "promise"]);
    let own = std::fs::metadata(node.partition(0)).unwrap().uid();
    let who = &promises[0]["promises"][0];
    assert_eq!(who["message"], format!("{own} {}", node.partition(0).display()));
    assert_eq!((&who["failed"], &who["kind"]), (&false.into(), &"Test Result".into()));
    let filed = node.partition(0).join(".slapgrid/promise/result/who.status.json");
    assert_eq!(std::fs::metadata(filed).unwrap().uid(), own);

    let hang = "    def sense(self):\n        time.sleep(600)\n";
    write(&node, "etc/plugin/hang.py", &plugin(hang));
    let run =
        node.fails(2, &["node", "promise", "--promise-timeout", "5", "--only-cp", "slappart0"]);
    assert!(run.out.contains("Error: Promise timed out after 5 seconds"), "{}", run.out);
    assert!(
        run.out.lines().any(|line| line.contains(" who ") && line.contains(" ok ")),
        "{}",
        run.out
    );
    node.fails(1, &["node", "promise", "--only-cp", "slappart9"]);
}

/// Is not kept once, if there is a file `broken`.
const ONCE: &str = "#!/bin/sh\ntest ! -e broken || { rm broken; echo it is broken; exit 1; }\n";

#[test]
fn a_failing_promise_is_waited_for_only_where_something_was_started() {
    let (node, _) = node();
    write(&node, "etc/promise/once", ONCE);
    let again = ["node", "instance", "--all"];
    write(&node, "broken", "");
    let told = node.fails(2, &again).told();
    assert!(told.contains("it is broken"), "{told}");
    node.ok(&["node", "instance"]);
    // What was just started may need another moment.
    node.ok(&["node", "stop", "slappart0:sleeper-on-watch"]);
    write(&node, "broken", "");
    node.ok(&again);
    assert!(!node.partition(0).join("broken").exists(), "it was asked twice");
}

#[test]
fn nothing_that_a_promise_starts_outlives_the_check() {
    let (node, _) = node();
    let body = "    def sense(self):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                with open('daemon', 'w') as f:
                    f.write('%d' % os.getpid())
                time.sleep(600)
            os._exit(0)
        while not os.path.exists('daemon') or not open('daemon').read():
            time.sleep(0.01)
        self.logger.info('begun')
";
    write(&node, "etc/plugin/daemon.py", &plugin(body));
    node.ok(&["node", "promise"]);
    assert!(!runs(file(&node, "daemon").parse().unwrap()));
}

#[test]
fn a_killed_check_leaves_no_promise_running() {
    let (node, _) = node();
    let hang = "    def sense(self):
        child = subprocess.Popen(['sleep', '600'], start_new_session=True)
        with open('pids.new', 'w') as f:
            f.write('%d %d' % (os.getpid(), child.pid))
        os.rename('pids.new', 'pids')
        time.sleep(600)
";
    write(&node, "etc/plugin/hang.py", &plugin(hang));
    let mut check = node.start(&["node", "promise", "--promise-timeout", "300"]);
    let path = node.partition(0).join("pids");
    let pids = wait_for("the promise", 60, || std::fs::read_to_string(&path).ok());
    kill(i64::from(check.id()));
    check.wait().unwrap();
    let pids: Vec<i64> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
    wait_for("what it started to end", 60, || (!pids.iter().any(|pid| runs(*pid))).then_some(()));
}

#[test]
fn an_anomaly_bangs_and_the_instance_is_processed_again() {
    let (node, _) = node();
    write(&node, "state", "ok");
    write(&node, "etc/plugin/watch.py", &watch());
    node.ok(&["node", "instance", "--all"]);
    assert!(file(&node, ".slapgrid/promise/result/watch.status.json").contains("Test Result"));
    write(&node, "state", "fire");
    let run = node.fails(2, &["node", "instance"]);
    let told = run.told();
    assert!(!told.contains("process:"), "it is up to date: {told}");
    assert!(told.contains("Promise 'watch.py' failed with output: found fire"), "{told}");
    assert!(told.contains("INFO slappart0: bang: Promise watch is failing"), "{told}");
    assert!(told.contains("1 promises did not need to be checked"), "{told}");
    assert!(file(&node, ".slapgrid/promise/result/watch.status.json").contains("Anomaly Result"));
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("process: the Master changed something"), "{plan}");
    write(&node, "state", "ok");
    node.ok(&["node", "instance"]);
    let told = node.ok(&["node", "instance"]).told();
    assert!(!told.contains("process:"), "{told}");
}

#[test]
fn a_partition_that_cannot_be_checked_does_not_stop_the_others() {
    let (node, profile) = node();
    node.ok(&["up", &profile, "--name", "second"]);
    let closed = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(node.partition(0), closed).unwrap();
    let run = node.fails(2, &["node", "promise"]);
    assert!(run.err.contains("has mode 0755, not 0750"), "{}", run.err);
    assert!(run.out.contains("slappart1") && !run.out.contains("slappart0"), "{}", run.out);
    let open = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(node.partition(0), open).unwrap();
    node.ok(&["node", "promise"]);
}

#[test]
fn an_instances_profile_makes_plugins_of_files() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let profile = node.tree.add_service().display().to_string();
    let check = "    def sense(self):\n        self.logger.info('the moon is ' + self.getConfig('phase'))\n";
    let check = plugin(check).replace("class RunPromise(", "class Check(");
    let file = node.tree.root().join("software/service/check.py");
    std::fs::write(&file, check).unwrap();
    let instance = format!(
        "[buildout]
parts = promise

[promise]
recipe = slapos.cookbook:promise.plugin
eggs = slapos.toolbox
file = {}
class = Check
output = $${{buildout:directory}}/etc/plugin/moon.py
config-phase = full
",
        file.display()
    );
    std::fs::write(node.tree.root().join("software/service/instance.cfg.in"), instance).unwrap();
    let up = node.json(&["up", &profile]);
    let promise = &up["promises"][0];
    assert_eq!((&promise["name"], &promise["state"]), (&"moon".into(), &"ok".into()), "{up:#}");
    assert_eq!(promise["message"], "the moon is full");
}
