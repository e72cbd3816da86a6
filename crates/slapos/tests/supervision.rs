//! Services as the node has them supervised: what the Master hears of their end, what they may take, and
//! the supervisor's own upgrade.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use slapos_testkit::{TestNode, kill, wait_for};

fn node_with_service() -> TestNode {
    TestNode::serving(env!("CARGO_BIN_EXE_slapos")).0
}

fn log(node: &TestNode) -> String {
    let path = node.root().join("instance/var/log/watchdog.log");
    std::fs::read_to_string(path).unwrap_or_default()
}

fn bangs(node: &TestNode) -> usize {
    log(node).matches("slappart0: bang: service sleeper-on-watch of slappart0 ended").count()
}

/// The process of the service, once it counts as running.
fn service(node: &TestNode) -> Option<i64> {
    let status = node.json(&["node", "status"]);
    let mut processes = status.as_array().unwrap().iter();
    let service = processes.find(|process| process["name"] == "sleeper-on-watch")?;
    (service["state"] == "RUNNING").then(|| service["pid"].as_i64()).flatten()
}

fn kill_service(node: &TestNode) {
    let pid = wait_for("the service to run", 90, || service(node));
    kill(pid);
    wait_for("another process of it", 90, || service(node).filter(|new| *new != pid));
}

#[test]
fn an_end_bangs_once_for_each_deployment() {
    let node = node_with_service();
    kill_service(&node);
    wait_for("the bang", 30, || (bangs(&node) == 1).then_some(()));
    // The second end of the same deployment is no news.
    kill_service(&node);
    wait_for("the second end", 30, || log(&node).contains("no bang").then_some(()));
    assert_eq!(bangs(&node), 1, "{}", log(&node));
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("slappart0: process: the Master changed something"), "{plan}");
    node.ok(&["node", "instance"]);
    let told = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(!told.contains("process:"), "{told}");
    kill_service(&node);
    wait_for("the bang of the second deployment", 30, || (bangs(&node) == 2).then_some(()));
}

#[test]
fn a_master_that_is_away_is_told_later_also_by_another_watchdog() {
    let node = node_with_service();
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    kill_service(&node);
    wait_for("the failure", 30, || log(&node).contains("the bang is put off").then_some(()));
    let watchdog = node.pids()["watchdog"];
    kill(watchdog);
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    wait_for("the bang", 60, || (bangs(&node) == 1).then_some(()));
}

#[test]
fn no_token_is_where_services_of_the_supervisor_are_described() {
    let node = node_with_service();
    let token = node.token();
    for pid in [i64::from(node.supervisor_pid()), node.pids()["watchdog"]] {
        for name in ["environ", "cmdline"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{name}")).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(&token), "{name}");
        }
    }
    let state = node.root().join("instance/var/run/supervisord.state.json");
    assert!(!std::fs::read_to_string(state).unwrap().contains(&token));
}

#[test]
fn the_supervisor_is_upgraded_in_place_and_logs_are_followed() {
    let node = node_with_service();
    let before = (node.pids()["sleeper-on-watch"], node.pids()["slapproxy"], node.supervisor_pid());
    node.ok(&["node", "supervisord", "--reexec"]);
    let after = (node.pids()["sleeper-on-watch"], node.pids()["slapproxy"], node.supervisor_pid());
    assert_eq!(after, before);
    // The watchdog can only be spoken to by who started it.
    node.service("watchdog");
    kill_service(&node);
    wait_for("the bang", 30, || (bangs(&node) == 1).then_some(()));
    let mut child = node.start(&["node", "tail", "-f", "slapproxy:slapproxy"]);
    node.ok(&["node", "supervisord", "--reexec"]);
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    let definition = node.root().join("instance/etc/supervisord.conf.d/slapproxy.conf");
    std::fs::remove_file(definition).unwrap();
    node.ok(&["node", "supervisorctl", "update", "slapproxy"]);
    assert!(child.wait().unwrap().success(), "nothing is left to follow");
}

#[test]
fn what_a_killed_run_defined_or_took_away_is_followed_by_the_next() {
    let node = node_with_service();
    let definitions = node.root().join("instance/etc/supervisord.conf.d");
    let other = definitions.join("other.conf");
    std::fs::write(&other, "[program:other]\ncommand=/bin/sleep 86400\n").unwrap();
    std::fs::write(definitions.join("wrong.conf"), "[program:wrong]\nodd=1\n").unwrap();
    let told = node.ok(&["node", "instance"]).told();
    assert!(told.contains("not all services are as they are defined: "), "{told}");
    assert!(!node.pids().contains_key("other"));
    std::fs::remove_file(definitions.join("wrong.conf")).unwrap();
    node.ok(&["node", "instance"]);
    assert!(node.pids().contains_key("other"));
    std::fs::remove_file(&other).unwrap();
    node.ok(&["node", "instance"]);
    assert!(!node.pids().contains_key("other"));
}

#[test]
fn a_service_that_cannot_come_up_bangs_once_and_is_tried_until_it_can() {
    let node = node_with_service();
    let wrapper = node.partition(0).join("etc/service/sleeper");
    let whole = std::fs::read(&wrapper).unwrap();
    wait_for("the service to run", 90, || service(&node));
    // Its program is broken from now on; the kill is what shows it.
    std::fs::write(&wrapper, "#!/bin/sh\nexit 3\n").unwrap();
    kill(service(&node).unwrap());
    let tries = || {
        let log = std::fs::read_to_string(node.root().join("instance/var/log/supervisord.log"));
        log.unwrap()
            .lines()
            .filter(|line| line.contains("sleeper") && line.contains("next attempt"))
            .count()
    };
    // More often than what is given up is tried.
    wait_for("five tries", 90, || (tries() >= 5).then_some(()));
    wait_for("the bang", 30, || (bangs(&node) == 1).then_some(()));
    let shown = node.ok(&["node", "status"]).out;
    assert!(shown.contains("BACKOFF") || shown.contains("STARTING"), "{shown}");
    std::fs::write(&wrapper, whole).unwrap();
    wait_for("the service to run again", 90, || service(&node));
}

#[test]
fn the_operators_limits_hold_for_a_partitions_services() {
    let node = node_with_service();
    let service_limits = "[service_limits]\nrlimit_nofile = 321\n\n[slapformat]";
    node.configure("[slapformat]", service_limits);
    node.ok(&["node", "instance", "--all"]);
    let pid = wait_for("the service to run", 90, || service(&node));
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("321"), "{files}");
    // Another limit is a reason to process the instance, once.
    node.configure("rlimit_nofile = 321\n", "rlimit_nofile = 322\n");
    let reason = "slappart0: process: the limits of its services changed in slapos.cfg";
    let plan = || node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan().contains(reason), "{}", plan());
    node.ok(&["node", "instance"]);
    assert!(!plan().contains("process:"), "{}", plan());
    let anew = || service(&node).filter(|now| *now != pid);
    let pid = wait_for("the service to run with its new limit", 90, anew);
    // A limit that does not hold is worse than a service that says why it does not run.
    node.configure("rlimit_nofile = 322\n", "rlimit_nofile = 323\nmemory_max = 1GB\n");
    let told = node.run(&["node", "instance", "--all"]).told();
    let log = wait_for("the service, or why it does not run", 90, || {
        let path = node.root().join("instance/var/log/supervisord.log");
        let log = std::fs::read_to_string(path).unwrap();
        let refused = log.contains("memory_max cannot be honoured: there are no control groups");
        let limited = service(&node).is_some_and(|now| now != pid);
        (refused || limited).then_some(log)
    });
    let refused = log.contains("memory_max cannot be honoured");
    let warned = told.contains("slappart0: [service_limits]: memory_max cannot be honoured");
    assert_eq!(warned, refused, "{told}");
    if !refused {
        slapos_testkit::skipped("the refusal of memory_max", "this kernel can limit memory");
    }
    node.configure("memory_max = 1GB\n", "memory_max = much\n");
    let run = node.fails(1, &["node", "instance"]);
    assert!(run.err.contains("`memory_max` must be a size such as 512MB or 2GB"), "{}", run.err);
    node.configure("memory_max = much\n", "");
}

#[test]
fn the_real_supervisorctl_finds_the_node_by_its_file() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("supervisor");
    let bin = match slapos_testkit::python_with(&place, &["supervisor==4.3.0"]) {
        Ok(bin) => bin,
        Err(why) => {
            return slapos_testkit::skipped("the_real_supervisorctl_finds_the_node", &why);
        }
    };
    let node = node_with_service();
    wait_for("the service to run", 90, || service(&node));
    let mut command = std::process::Command::new(bin.join("supervisorctl"));
    command.arg("-c").arg(node.root().join("instance/etc/supervisord.conf"));
    let output = command.arg("status").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for name in ["slappart0:sleeper-on-watch", "slapproxy", "watchdog"] {
        let line = text.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.contains("RUNNING")), "{name} in {text}");
    }
}

#[test]
fn what_is_odd_about_one_service_or_one_partition_stops_only_that() {
    let node = node_with_service();
    let folder = node.partition(0).join("etc/service");
    for name in ["two words", "comma,comma", "star*"] {
        std::fs::copy(folder.join("sleeper"), folder.join(name)).unwrap();
    }
    std::fs::copy(folder.join("sleeper"), folder.join("fine")).unwrap();
    let told = node.ok(&["node", "instance", "--all"]).told();
    for name in ["two words", "comma,comma", "star*"] {
        assert!(told.contains(&format!("etc/service/{name} is not started: ")), "{told}");
    }
    assert!(node.pids().contains_key("fine-on-watch"), "{:?}", node.pids());
    node.configure("[slapformat]", "[service_limits:slappart0]\ncpu_max = 2\n\n[slapformat]");
    // Other commands and other partitions go on.
    node.ok(&["node", "status"]);
    node.ok(&["node", "instance", "--only", "slappart1"]);
    let told = node.fails(1, &["node", "instance", "--all"]).told();
    assert!(told.contains("`cpu_max` must be a percentage such as 150%, not `2`"), "{told}");
    wait_for("what ran, which goes on", 30, || service(&node));
}

#[test]
fn a_master_that_is_away_has_one_exit_code() {
    let node = node_with_service();
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    for words in [
        &["node", "instance"][..],
        &["node", "software"],
        &["node", "report"],
        &["node", "promise"],
        &["node", "bang"],
        &["node", "format"],
        &["service", "list"],
        &["node", "instance", "--dry-run"],
    ] {
        node.fails(3, words);
    }
}

#[test]
fn who_names_a_thing_wrongly_is_told_how() {
    let node = node_with_service();
    let told = node.fails(1, &["node", "stop", "slappart0"]).told();
    assert!(told.contains("`slapos node stop 'slappart0:*'`"), "{told}");
    let told = node.fails(1, &["node", "stop", "nothing"]).told();
    assert!(told.contains("`slapos node status` lists the services"), "{told}");
    let run = node.ok(&["remove", "/nowhere/software.cfg", "local"]);
    assert!(run.out.contains("/nowhere/software.cfg is not supplied to local"), "{}", run.out);
    assert!(node.json(&["proxy", "show"])["software"].to_string().find("/nowhere").is_none());
}

#[test]
fn supervisorctl_takes_what_supervisors_own_takes() {
    let node = node_with_service();
    let service = "slappart0:sleeper-on-watch";
    let log = node.partition(0).join(".slappart0_sleeper.log");
    std::fs::write(&log, "beginning and end").unwrap();
    for words in [
        &["node", "tail", "-3", service][..],
        &["node", "tail", "-c", "3", service, "stdout"],
        &["node", "supervisorctl", "tail", "-3", service],
        &["node", "supervisorctl", "tail", "-3", service, "stderr"],
    ] {
        assert_eq!(node.ok(words).out, "end\n", "{words:?}");
    }
    node.fails(1, &["node", "tail", service, "stdfoo"]);
    // Without an action: a line each, and what fails keeps nobody.
    let mut command = node.command(&["node", "supervisorctl"]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let script = format!("stop nothing\nstop {service}\n\nquit\nstart {service}\n");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let run = slapos_testkit::Run::of(&child.wait_with_output().unwrap());
    assert_eq!((run.code, run.out), (1, format!("{service}: stopped\n")), "{}", run.err);
    assert!(run.err.contains("nothing"), "{}", run.err);
    assert_eq!(node.pids()["sleeper-on-watch"], 0);
    // Who has edited a definition sees what of it is left out.
    let definition = node.root().join("instance/etc/supervisord.conf.d/other.conf");
    let text = "[program:other]\ncommand=/bin/sleep 86400\nautostrat=false\n";
    std::fs::write(definition, text).unwrap();
    for action in ["reread", "update"] {
        let told = node.ok(&["node", "supervisorctl", action]).told();
        assert!(told.contains("other.conf:3: unknown option `autostrat`"), "{action}: {told}");
    }
}

const FLOOD: &str = r"[buildout]
parts = flood calm

[flood]
recipe = slapos.cookbook:wrapper
wrapper-path = $${buildout:directory}/etc/service/flood
command-line = /usr/bin/yes a line that nobody will ever read

[calm]
recipe = slapos.cookbook:wrapper
wrapper-path = $${buildout:directory}/etc/service/calm
command-line = /bin/sleep 1000000
";

/// Ticks of processor time that a process has used.
fn ticks(pid: i64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}

/// What a process has handed to the kernel to write, in bytes.
fn written(pid: i64) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_service_that_floods_its_log_harms_nobody_else() {
    const WRITTEN: u64 = 2 << 30;
    const ALLOWED: u64 = WRITTEN / 4;
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.tree.write("software/flood/instance.cfg.in", FLOOD);
    let profile = node.tree.add_software("flood", slapos_testkit::SERVICE_PROFILE);
    node.ok(&["up", &profile.display().to_string()]);
    let (calm, flood) = (node.service("calm-on-watch"), node.service("flood-on-watch"));
    let supervisor = i64::from(node.supervisor_pid());
    let before = (ticks(supervisor), ticks(flood));
    let kept = || {
        let entries = std::fs::read_dir(node.partition(0)).unwrap().map(Result::unwrap);
        let logs = entries.filter(|e| e.file_name().to_string_lossy().contains("_flood.log"));
        // One may be rotated away meanwhile.
        logs.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum::<u64>()
    };
    let largest = std::cell::Cell::new(0);
    wait_for("a flood", 120, || {
        largest.set(largest.get().max(kept()));
        assert_eq!(node.pids()["calm-on-watch"], calm, "another service goes on");
        (written(flood) > WRITTEN).then_some(())
    });
    let (own, its) = (ticks(supervisor) - before.0, ticks(flood) - before.1);
    println!("of {WRITTEN} bytes at most {} were kept; ticks: {own} of ours, {its}", largest.get());
    assert!((1..ALLOWED).contains(&largest.get()), "{} bytes at once", largest.get());
    // Each byte is moved once at most, which is about what it costs to write it.
    assert!(own <= 2 * its, "the supervisor worked {own}, the flood itself {its}");
    // It may just have been rotated, so that there is nothing in it yet.
    wait_for("a tail", 60, || {
        let tail = node.ok(&["node", "tail", "-100", "slappart0:flood-on-watch"]).out;
        tail.contains("nobody").then_some(())
    });
    node.ok(&["node", "restart", "slappart0:calm-on-watch"]);
    node.ok(&["node", "stop", "slappart0:flood-on-watch"]);
}
