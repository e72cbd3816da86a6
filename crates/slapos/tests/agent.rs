//! The agent: what is asked for is done without cron, whatever happens to the Master or the agent.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use slapos_sys::process::Signal;
use slapos_testkit::{TestNode, kill, wait_for};

/// An agent that is killed when the test ends, and what it and its commands said so far.
struct Agent {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Agent {
    fn start(node: &TestNode) -> Agent {
        let mut command = node.command(&["node", "agent"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (reader, lines) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                lines.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Agent { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    fn waits_until_it_says(&self, text: &str) {
        wait_for(text, 60, || self.said().contains(text).then_some(()));
    }

    fn signal(&self, signal: Signal) {
        slapos_sys::process::kill(self.child.id(), signal).unwrap();
    }

    fn ends(&mut self) -> std::process::ExitStatus {
        wait_for("the agent to end", 30, || self.child.try_wait().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node_with_service() -> (TestNode, String) {
    let (node, profile) = TestNode::with_service(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up"]);
    (node, profile)
}

fn word(node: &TestNode) -> Option<String> {
    std::fs::read_to_string(node.partition(0).join("etc/word.txt")).ok()
}

fn waits_for_word(node: &TestNode, wanted: &str) {
    wait_for(&format!("the word {wanted}"), 60, || {
        word(node).filter(|word| word == wanted).map(drop)
    });
}

#[test]
fn what_is_asked_for_is_done_without_cron() {
    let (node, profile) = node_with_service();
    let agent = Agent::start(&node);
    // What was asked for before it listened is looked for first, for a reason of its own.
    for command in ["software", "report", "instance"] {
        agent.waits_until_it_says(&format!("{command}: something may have been missed"));
    }
    node.ok(&["supply", &profile, "local"]);
    node.ok(&["request", "one", &profile, "--parameters", "word=first"]);
    waits_for_word(&node, "first");
    node.ok(&["request", "one", &profile, "--parameters", "word=second"]);
    waits_for_word(&node, "second");
    node.service("sleeper-on-watch");
    node.ok(&["request", "one", &profile, "--state", "destroyed"]);
    wait_for("the partition to be free", 60, || {
        let shown = node.json(&["proxy", "show"]);
        shown["instances"].as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(node.left_in(0), [""; 0]);
    let said = agent.said();
    for why in ["software: the Master says `supply`", "report: the Master says `request`"] {
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn who_destroys_an_instance_waits_for_what_the_agent_is_at() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    let agent = Agent::start(&node);
    agent.waits_until_it_says("listens to the Master");
    let run = node.ok(&["destroy", "one"]);
    assert!(run.out.contains("one is destroyed."), "{}{}", run.out, run.err);
    assert_eq!(node.left_in(0), [""; 0]);
}

#[test]
fn a_master_that_was_away_is_heard_again() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one", "--parameters", "word=first"]);
    let agent = Agent::start(&node);
    agent.waits_until_it_says("listens to the Master");
    let (master, service) = (node.pids()["slapproxy"], node.pids()["sleeper-on-watch"]);
    kill(master);
    agent.waits_until_it_says("services go on, it is tried again");
    wait_for("the Master to be back", 30, || {
        let run = node.run(&["request", "one", &profile, "--parameters", "word=second"]);
        (run.code == 0).then_some(())
    });
    waits_for_word(&node, "second");
    assert_eq!(node.pids()["sleeper-on-watch"], service, "services are none of its business");
}

#[test]
fn a_killed_agent_leaves_work_and_services_and_another_goes_on() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one", "--parameters", "word=first"]);
    let service = node.pids()["sleeper-on-watch"];
    let mut first = Agent::start(&node);
    first.waits_until_it_says("listens to the Master");
    first.signal(Signal::SIGKILL);
    assert_eq!(first.ends().signal(), Some(9));
    node.ok(&["request", "one", &profile, "--parameters", "word=second"]);
    let mut second = Agent::start(&node);
    waits_for_word(&node, "second");
    assert_eq!(node.pids()["sleeper-on-watch"], service);
    // Asked to end, it does so at once and says that all is well.
    second.signal(Signal::SIGTERM);
    assert_eq!(second.ends().code(), Some(0), "{}", second.said());
}

#[test]
fn a_second_agent_is_turned_away_and_commands_of_cron_are_not() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    let agent = Agent::start(&node);
    agent.waits_until_it_says("listens to the Master");
    let second = node.fails(10, &["node", "agent"]);
    assert!(second.err.contains("another `slapos node agent` is running"), "{}", second.err);
    // Which cron starts every minute: it says nothing of the file either.
    node.configure("[slapos]", "[slapos]\nbuildout = /b\nnobody = 1");
    let quiet = node.ok(&["node", "agent", "--unless-running"]);
    assert_eq!(quiet.err, "");
    wait_for("cron's turn", 60, || (node.run(&["node", "instance"]).code == 0).then_some(()));
}

#[test]
fn what_meets_a_command_of_cron_is_tried_again() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one", "--parameters", "word=first"]);
    // Cron's run, that lasts until it is killed.
    let lock = node.root().join("instance/var/run/slapgrid-cp.pid");
    let held = slapos_sys::lock::FileLock::try_acquire(&lock).unwrap().unwrap();
    let agent = Agent::start(&node);
    agent.waits_until_it_says("another `slapos node instance` is running");
    node.ok(&["request", "one", &profile, "--parameters", "word=second"]);
    drop(held);
    waits_for_word(&node, "second");
}

/// Gives an instance a promise that is not kept before there is a file `go` in its partition, and has it asked
/// by the next run.
fn promise_that_waits(node: &TestNode, index: u32) -> impl Fn(&str) -> PathBuf {
    let partition = node.partition(index);
    let file = move |name: &str| partition.join(name);
    let (asked, go, promise) = (file("asked"), file("go"), file("etc/promise/slow"));
    let (asked, go) = (asked.display(), go.display());
    let script = format!("#!/bin/sh\ntouch {asked}\nuntil test -e {go}; do sleep 0.1; done\n");
    std::fs::write(&promise, script).unwrap();
    std::fs::set_permissions(&promise, Permissions::from_mode(0o755)).unwrap();
    let mut known = record(node, index);
    known["schedule"] = serde_json::Value::Null;
    std::fs::write(record_file(node, index), known.to_string()).unwrap();
    file
}

fn record_file(node: &TestNode, index: u32) -> PathBuf {
    node.root().join(format!("instance/var/slapgrid/slappart{index}.json"))
}

fn record(node: &TestNode, index: u32) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(record_file(node, index)).unwrap()).unwrap()
}

#[test]
fn what_is_asked_for_waits_for_no_promise_of_another_instance() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one", "--parameters", "word=first"]);
    node.configure("[slapos]", "[slapos]\npromise_timeout = 600");
    let file = promise_that_waits(&node, 0);
    let _agent = Agent::start(&node);
    wait_for("the promise to be asked", 60, || file("asked").exists().then_some(()));
    // Also of the very instance, which has its turn when it has said what it is asked.
    node.ok(&["request", "one", &profile, "--parameters", "word=second"]);
    for number in 0..2 {
        let word = format!("word={number}");
        node.ok(&["request", "two", &profile, "--parameters", &word]);
        let written = || std::fs::read_to_string(node.partition(1).join("etc/word.txt")).ok();
        wait_for("the other to be processed", 60, || {
            (written()? == number.to_string()).then_some(())
        });
    }
    assert_eq!(word(&node).as_deref(), Some("first"));
    std::fs::write(file("go"), "").unwrap();
    waits_for_word(&node, "second");
    wait_for("what the promise said to be kept", 60, || {
        (record(&node, 0)["promises"]["slow"]["failed"] == false).then_some(())
    });
}

#[test]
fn the_configuration_is_read_again_on_request() {
    let (node, _) = node_with_service();
    let agent = Agent::start(&node);
    agent.waits_until_it_says("listens to the Master");
    node.configure("[slapformat]", "agent_poll_interval = nonsense\n\n[slapformat]");
    agent.signal(Signal::SIGHUP);
    agent.waits_until_it_says("`agent_poll_interval` = `nonsense`");
    node.configure("agent_poll_interval = nonsense", "agent_poll_interval = 7");
    agent.signal(Signal::SIGHUP);
    agent.waits_until_it_says("read its configuration again");
}

#[test]
fn a_node_that_is_down_is_left_alone() {
    let (node, _) = node_with_service();
    let agent = Agent::start(&node);
    agent.waits_until_it_says("listens to the Master");
    node.ok(&["down"]);
    agent.signal(Signal::SIGHUP);
    agent.waits_until_it_says("the node is down; `slapos up` brings it back");
    node.fails(1, &["node", "status"]);
}

#[test]
fn a_bang_has_every_instance_processed_again() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    let said = node.ok(&["node", "bang", "-m", "again"]).out;
    assert!(said.starts_with("Banging to 'http://127.0.0.1:"), "{said}");
    assert!(said.ends_with("Bang with message 'again'\n"), "{said}");
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("slappart0: process: the Master changed something"), "{plan}");
}

#[test]
fn a_boot_brings_services_and_has_everything_looked_at() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    let service = node.pids()["sleeper-on-watch"];
    kill(i64::from(node.supervisor_pid()));
    let told = node.ok(&["node", "boot"]).told();
    assert!(told.contains("boot: services run as last known"), "{told}");
    assert_eq!(node.pids()["sleeper-on-watch"], service, "adopted");
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("slappart0: process: the last run was interrupted"), "{plan}");
}

#[test]
fn no_instance_is_looked_at_before_a_boot_has_brought_addresses_back() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    // The machine cannot be brought in order yet.
    let lock = node.root().join("instance/var/run/slapformat.pid");
    let held = slapos_sys::lock::FileLock::try_acquire(&lock).unwrap().unwrap();
    let mut boot = node.start(&["node", "boot"]);
    let mut told = BufReader::new(boot.stderr.take().unwrap()).lines().map_while(Result::ok);
    // It has had its turn before it tries that.
    assert!(told.any(|line| line.contains("cannot format yet")));
    node.fails(10, &["node", "instance"]);
    drop(held);
    told.for_each(drop);
    assert!(boot.wait().unwrap().success());
    node.ok(&["node", "instance"]);
}

/// Kills the supervisor and all that it runs, and tells what ran.
fn power_cut(node: &TestNode) -> std::collections::BTreeMap<String, i64> {
    let before = node.pids();
    kill(i64::from(node.supervisor_pid()));
    before.values().for_each(|pid| kill(*pid));
    before
}

#[test]
fn services_run_after_a_boot_that_a_person_must_mend() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    power_cut(&node);
    node.configure("[slapformat]", "[slapformat]\nbridge_name = br0");
    let run = node.fails(1, &["node", "boot"]);
    assert!(run.err.contains("`bridge_name` is no option any more"), "{}", run.err);
    node.service("sleeper-on-watch");
    let plan = node.ok(&["node", "instance", "--dry-run"]).told();
    assert!(plan.contains("slappart0: process: "), "{plan}");
}

#[test]
fn a_boot_starts_what_the_original_defined_not_to_start_by_itself() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    power_cut(&node);
    let definition = node.root().join("instance/etc/supervisord.conf.d/slappart0.conf");
    let text = std::fs::read_to_string(&definition).unwrap();
    assert!(text.contains("autostart=true"), "{text}");
    std::fs::write(&definition, text.replace("autostart=true", "autostart=false")).unwrap();
    node.ok(&["node", "boot"]);
    node.service("sleeper-on-watch");
}

#[test]
fn after_a_power_cut_everything_runs_again() {
    let (node, profile) = node_with_service();
    node.ok(&["up", &profile, "--name", "one"]);
    let before = power_cut(&node);
    node.ok(&["node", "boot"]);
    for name in ["sleeper-on-watch", "slapproxy"] {
        node.another(name, before[name]);
    }
}

/// A Master that tells of no changes, as the original: it counts who asks for what is wanted.
#[test]
fn a_master_that_tells_of_nothing_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let known = path.starts_with("/getFullComputerInformation");
            let body = "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"Computer\"><tuple><string>local</string></tuple><dictionary id=\"i3\"><string>_computer_id</string><string>local</string><string>_computer_partition_list</string><list id=\"i4\"/><string>_software_release_list</string><list id=\"i5\"/></dictionary></object></marshal>";
            let (status, body) = if known { ("200 OK", body) } else { ("404 NOT FOUND", "") };
            log.lock().unwrap().push(path);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let root = node.root();
    for directory in ["etc", "software", "instance"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    let root = root.display();
    let config = format!(
        "[slapos]\nsoftware_root = {root}/software\ninstance_root = {root}/instance\n\
         master_url = http://127.0.0.1:{port}\ncomputer_id = local\nagent_poll_interval = 1\n"
    );
    std::fs::write(node.root().join("etc/slapos.cfg"), config).unwrap();
    let agent = Agent::start(&node);
    agent.waits_until_it_says("tells of no changes: asked every 1 s");
    wait_for("it to be asked again and again", 60, || {
        let asked = asked.lock().unwrap();
        let wanted = asked.iter().filter(|path| path.starts_with("/getFull")).count();
        (wanted >= 6).then_some(())
    });
}
