//! The life of an instance whose Software Release builds in a moment: parameters, states, data,
//! promises, retries, and what happens when commands are killed.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::io::{BufRead as _, BufReader};

use slapos_testkit::{TestNode, kill, runs, wait_for};

fn node_with_service() -> (TestNode, String) {
    TestNode::with_service(env!("CARGO_BIN_EXE_slapos"))
}

fn word(node: &TestNode) -> String {
    std::fs::read_to_string(node.partition(0).join("etc/word.txt")).unwrap()
}

#[test]
fn up_is_a_composition_of_the_commands_of_cron() {
    let (node, profile) = node_with_service();
    // `up` without a Software Release: configuration, partitions, Master.
    node.ok(&["up", "--partitions", "2"]);
    node.ok(&["supply", &profile, "local"]);
    let plan = node.ok(&["node", "software", "--dry-run"]).told();
    assert!(plan.contains("INFO service: build: it is not there"), "{plan}");
    node.ok(&["node", "software"]);
    let answer = node.json(&["request", "one", &profile, "--parameters", "word=bonjour"]);
    assert_eq!(answer["partition"], "slappart0");
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("INFO slappart0: process: it is new"), "{plan}");
    node.ok(&["node", "instance"]);
    assert_eq!(word(&node), "bonjour");
    let info = node.json(&["service", "info", "one"]);
    assert_eq!(info["connection-parameters"]["word"], "bonjour");
    let shown = node.ok(&["proxy", "show"]).out;
    assert!(shown.contains("slappart0") && shown.contains("bonjour"), "{shown}");
    // The same state, by `up`: nothing to do.
    let up = node.json(&["up", &profile, "--name", "one"]);
    assert_eq!(up["parameters"]["word"], "bonjour", "parameters not given stay: {up:#}");
    let told = node.ok(&["node", "instance", "-v"]).told();
    assert!(!told.contains("process:"), "{told}");
}

#[test]
fn stopped_started_and_destroyed_as_requested() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let born = std::fs::read(node.partition(0).join("srv/born")).unwrap();
    let service = node.pids()["sleeper-on-watch"];
    assert!(runs(service));

    node.ok(&["request", "service", &profile, "--state", "stopped"]);
    node.ok(&["node", "instance"]);
    assert!(!runs(service));

    node.ok(&["request", "service", &profile, "--state", "started"]);
    node.ok(&["node", "instance"]);
    assert!(runs(node.pids()["sleeper-on-watch"]));
    assert_eq!(std::fs::read(node.partition(0).join("srv/born")).unwrap(), born);

    node.ok(&["request", "service", &profile, "--state", "destroyed"]);
    node.ok(&["node", "instance"]);
    assert!(node.partition(0).join("srv/born").exists(), "only `report` removes data");
    node.ok(&["node", "report"]);
    assert_eq!(node.left_in(0), [""; 0]);
    assert!(node.partition(0).join(".slapos-resource").exists(), "that is of the place");
    // The partition is free for another.
    node.ok(&["up", &profile, "--name", "another"]);
    assert_eq!(node.json(&["service", "info", "another"])["requested-state"], "started");
    node.fails(2, &["service", "info", "service"]);
}

#[test]
fn a_broken_promise_is_told_and_tried_again() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    std::fs::remove_file(node.partition(0).join("etc/word.txt")).unwrap();
    let run = node.fails(2, &["node", "promise"]);
    assert!(run.out.contains("FAILED") && run.out.contains("no word"), "{}", run.out);
    // Processing makes the file again, because the ledger says it should be there.
    node.ok(&["node", "instance", "--all"]);
    node.ok(&["node", "promise"]);
}

#[test]
fn services_that_die_are_started_again_and_never_twice() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let first = node.pids()["sleeper-on-watch"];
    kill(first);
    let second = node.another("sleeper-on-watch", first);
    kill(i64::from(node.supervisor_pid()));
    node.ok(&["node", "instance"]);
    assert_eq!(node.pids()["sleeper-on-watch"], second, "adopted, not started again");
    kill(second);
    node.another("sleeper-on-watch", second);
}

#[test]
fn the_master_keeps_everything_when_killed() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--parameters", "word=kept"]);
    let master = node.pids()["slapproxy"];
    kill(master);
    node.another("slapproxy", master);
    let info = wait_for("an answer", 60, || {
        let run = node.run(&["service", "info", "service", "--json"]);
        (run.code == 0).then_some(run.out)
    });
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["instance-parameters"]["word"], "kept");
}

#[test]
fn without_its_master_a_node_keeps_its_services() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let service = node.pids()["sleeper-on-watch"];
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    kill(i64::from(node.supervisor_pid()));
    let run = node.fails(3, &["node", "instance"]);
    assert_eq!(node.pids()["sleeper-on-watch"], service);
    assert!(run.told().contains("does not answer"), "{}", run.err);
}

#[test]
fn a_killed_instance_run_is_taken_up_again() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    // A part that takes its time, to be killed in.
    let slow = node.tree.write(
        "software/service/instance.cfg.in",
        "[buildout]\nparts = slow\n[slow]\nrecipe = plone.recipe.command\ncommand = touch $${buildout:directory}/begun; while test -e $${buildout:directory}/begun; do sleep 0.1; done\n",
    );
    node.ok(&["node", "software", "--all"]);
    let mut child = node.start(&["node", "instance"]);
    let begun = node.partition(0).join("begun");
    wait_for("the slow part to begin", 30, || begun.exists().then_some(()));
    kill(i64::from(child.id()));
    child.wait().unwrap();
    std::fs::remove_file(&begun).unwrap();
    std::fs::write(slow, "[buildout]\nparts = quick\n[quick]\nrecipe = plone.recipe.command\ncommand = touch $${buildout:directory}/ended\n").unwrap();
    node.ok(&["node", "software", "--all"]);
    node.ok(&["node", "instance"]);
    assert!(node.partition(0).join("ended").exists());
}

#[test]
fn a_run_killed_before_it_told_the_supervisor_is_made_good() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let service = node.pids()["sleeper-on-watch"];
    // What such a run leaves behind: the definition is gone, the service runs on.
    let definition = node.root().join("instance/etc/supervisord.conf.d/slappart0.conf");
    let text = std::fs::read(&definition).unwrap();
    std::fs::remove_file(&definition).unwrap();
    node.ok(&["request", "service", &profile, "--state", "stopped"]);
    node.ok(&["node", "instance"]);
    assert!(!runs(service), "told stopped, and it runs");
    // And the other way round: defined, and never started.
    std::fs::write(&definition, text).unwrap();
    node.ok(&["request", "service", &profile, "--state", "started"]);
    node.ok(&["node", "instance"]);
    assert!(runs(node.pids()["sleeper-on-watch"]));
}

#[test]
fn a_failed_rebuild_is_not_taken_for_whole() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let text = std::fs::read_to_string(&profile).unwrap();
    let broken =
        "\n[broken]\nrecipe = plone.recipe.command\ncommand = false\nstop-on-error = true\n";
    std::fs::write(&profile, text.replace("parts = instance", "parts = broken instance") + broken)
        .unwrap();
    node.fails(1, &["node", "software", "--all"]);
    let plan = node.ok(&["node", "software", "--dry-run"]).told();
    assert!(plan.contains("build: its build did not end"), "{plan}");
    std::fs::write(&profile, text).unwrap();
    node.ok(&["node", "software"]);
    let plan = node.ok(&["node", "software", "--dry-run"]).told();
    assert!(plan.contains("nothing: it is built and frozen"), "{plan}");
}

#[test]
fn down_lasts_until_up() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    // A Master without TLS says so in words.
    let told = node.fails(1, &["proxy", "ca", "show"]).told();
    assert!(told.contains("TLS") && !told.contains('{'), "{told}");
    let partly = node.fails(4, &["node", "status", "sleeper-on-watch", "nosuch"]);
    assert!(partly.out.contains(":sleeper-on-watch"), "{partly:?}");
    assert!(partly.err.contains("there is no service nosuch"), "{partly:?}");
    let before = node.pids()["sleeper-on-watch"];
    let told = node.ok(&["down"]).out;
    assert!(told.contains(&format!("`slapos up --root {}`", node.root().display())), "{told}");
    assert!(!runs(before));
    // Neither cron nor looking brings anything back.
    for command in ["software", "instance", "report", "format", "promise"] {
        let run = node.ok(&["node", command]);
        assert!(run.err.contains("`slapos up` brings it back"), "{}", run.err);
    }
    node.fails(1, &["node", "status"]);
    // What a person starts runs, and the others go on doing nothing.
    let run = node.ok(&["node", "supervisord"]);
    assert!(run.err.contains("`slapos down` was said: services start all the same"), "{}", run.err);
    let run = node.ok(&["node", "report"]);
    let words = "`slapos down` was said, though the supervisor runs: nothing is done";
    assert!(run.err.contains(words), "{}", run.err);
    node.ok(&["up"]);
    assert!(runs(node.pids()["sleeper-on-watch"]));
}

#[test]
fn a_partition_that_plants_pipes_stops_nobody() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let plant = |name: &str| {
        let path = node.partition(0).join(name);
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    };
    for name in [".slapos/installed.json", ".slapos/log/data.log"] {
        let pipe = plant(name);
        // It fails for that partition, or is put right; it does not wait.
        node.run(&["node", "instance", "--all"]);
        let _ = std::fs::remove_file(&pipe);
        node.ok(&["node", "instance", "--all"]);
    }
}

#[test]
fn nobody_of_a_destroyed_instance_lives_on() {
    if !slapos_testkit::is_root() {
        slapos_testkit::skipped("nobody_of_a_destroyed_instance_lives_on", "needs root");
        return;
    }
    let (node, profile) = node_with_service();
    let instance = node.tree.root().join("software/service/instance.cfg.in");
    let text = std::fs::read_to_string(&instance).unwrap();
    // By a service: what the making of an instance leaves running is ended with it.
    let runaway = "/bin/sh -c \"setsid env -i sleep 86400 > /dev/null 2>&1 & \
                   echo $! > srv/runaway; exec sleep 86400\"";
    std::fs::write(&instance, text.replace("/bin/sleep 1000000", runaway)).unwrap();
    node.ok(&["up", &profile]);
    let path = node.partition(0).join("srv/runaway");
    let runaway = wait_for("the runaway", 30, || {
        std::fs::read_to_string(&path).ok()?.trim().parse::<i64>().ok()
    });
    assert!(runs(runaway));
    node.ok(&["destroy", "service"]);
    wait_for("the runaway to be ended", 60, || (!runs(runaway)).then_some(()));
}

#[test]
fn up_starts_a_master_that_was_stopped_by_hand() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up"]);
    node.ok(&["node", "supervisorctl", "stop", "all"]);
    node.ok(&["up"]);
    node.ok(&["service", "list"]);
}

#[test]
fn down_stops_what_a_killed_supervisor_left_running() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let service = node.pids()["sleeper-on-watch"];
    kill(i64::from(node.supervisor_pid()));
    assert!(runs(service));
    node.ok(&["down"]);
    assert!(!runs(service));
}

#[test]
fn a_second_run_is_turned_away() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile]);
    let instance = node.tree.root().join("software/service/instance.cfg.in");
    std::fs::write(instance, "[buildout]\nparts = slow\n[slow]\nrecipe = plone.recipe.command\ncommand = touch $${buildout:directory}/begun; while test -e $${buildout:directory}/begun; do sleep 0.1; done\n").unwrap();
    node.ok(&["node", "software", "--all"]);
    let mut child = node.start(&["up", &profile]);
    let begun = node.partition(0).join("begun");
    wait_for("the first run to be at work", 30, || begun.exists().then_some(()));
    let second = node.fails(10, &["up", &profile]);
    assert!(
        second.err.contains("another `slapos up, down or destroy` is running"),
        "{}",
        second.err
    );
    let second = node.fails(10, &["node", "instance"]);
    assert!(second.err.contains("another `slapos node instance` is running"), "{}", second.err);
    // What cron runs once an hour waits for its turn, unless it is not to.
    let hasty = node.fails(10, &["node", "report", "--now"]);
    assert!(hasty.err.contains("another `slapos node instance` is running"), "{}", hasty.err);
    let mut report = node.start(&["node", "report"]);
    let mut said = BufReader::new(report.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("waits: another `slapos node instance` is running")));
    kill(i64::from(child.id()));
    child.wait().unwrap();
    let said: Vec<_> = said.collect();
    assert_eq!(report.wait().unwrap().code(), Some(0), "{said:?}");
}
