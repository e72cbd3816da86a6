//! What the agent costs while nothing happens, and how soon it begins what is asked for.
//!
//! `cargo bench -p slapos --bench agent [-- PARTITIONS [SECONDS]]`; 100 partitions and 120 seconds
//! unless told otherwise. Memory is the agent's own; CPU includes the commands that it starts, first
//! without promises, then with one in each partition that is a shell script, which runs every two minutes.
//! Latency is from before the request is sent until `node instance` says that it processes the
//! partition. Aims: 20 MB, 0.1 % of a core, 100 ms.

#![allow(clippy::disallowed_methods, reason = "a benchmark runs programs directly")]

mod cost;
#[path = "node_instance/profile.rs"]
mod profile;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use slapos_node::{NodeConfig, master};
use slapos_slap::{InstanceRequest, SlapClient};
use slapos_testkit::TestNode;

const REQUESTS: u32 = 50;
/// Longer than the first passes of an agent take.
const SETTLE: Duration = Duration::from_secs(10);

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let partitions = numbers.first().copied().unwrap_or(100);
    let seconds = numbers.get(1).copied().unwrap_or(120);
    print_start_up();
    let node = deploy(partitions);
    let (mut agent, lines) = start(&node);
    wait_for(&lines, "listens to the Master");
    std::thread::sleep(SETTLE);
    print_idle(agent.id(), &format!("{partitions} partitions"), seconds);
    promise(&node, partitions);
    print_idle(agent.id(), &format!("{partitions} partitions and promises"), seconds);
    while lines.try_recv().is_ok() {}
    print_latency(&node, partitions, &lines);
    let _ = agent.kill();
    let _ = agent.wait();
}

fn print_start_up() {
    let cost = cost::median(20, || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_slapos"));
        command.arg("--version");
        command
    });
    println!("start-up: {:.1} ms wall, {:.1} ms cpu", cost.wall * 1e3, cost.cpu * 1e3);
}

fn client(node: &TestNode) -> SlapClient {
    let config = NodeConfig::read(&node.root().join("etc/slapos.cfg"));
    master(&config.expect("the node is configured")).expect("it has a Master")
}

fn request(index: u32, software: &str, word: &str) -> InstanceRequest {
    let mut request = InstanceRequest::new(format!("bench{index}"), software);
    request.parameters.insert("foo".to_owned(), word.to_owned());
    request.sla.insert("computer_guid".to_owned(), "local".to_owned());
    request
}

fn software(node: &TestNode) -> String {
    node.tree.root().join("software/bench/software.cfg").display().to_string()
}

fn deploy(partitions: u32) -> TestNode {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    profile::write(&node.tree.root().join("software/bench"));
    let software = software(&node);
    node.ok(&["up", "--partitions", &partitions.to_string()]);
    node.ok(&["supply", &software, "local"]);
    node.ok(&["node", "software"]);
    let client = client(&node);
    for index in 0..partitions {
        client.request(&request(index, &software, "bar")).expect("there is room");
    }
    node.ok(&["node", "instance"]);
    node
}

/// Gives each partition a promise that costs little more than the shell itself.
fn promise(node: &TestNode, partitions: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    for index in 0..partitions {
        let folder = node.partition(index).join("etc/promise");
        let file = folder.join("check");
        std::fs::create_dir_all(&folder).expect("it can be made");
        std::fs::write(&file, "#!/bin/sh\ntest -e etc/demo.conf\n").expect("it can be written");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, open).expect("it is ours");
    }
    // The agent may be at it.
    while node.run(&["node", "instance", "--all"]).code == 10 {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn start(node: &TestNode) -> (Child, Receiver<(Instant, String)>) {
    let mut command = node.command(&["node", "agent"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut agent = command.spawn().expect("the binary runs");
    let reader = BufReader::new(agent.stderr.take().expect("it is piped"));
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    (agent, lines)
}

fn wait_for(lines: &Receiver<(Instant, String)>, text: &str) -> Instant {
    loop {
        let (at, line) = lines.recv_timeout(Duration::from_secs(60)).expect("the agent says more");
        if line.contains(text) {
            return at;
        }
    }
}

fn print_idle(agent: u32, what: &str, seconds: u32) {
    let before = cpu_seconds(agent);
    std::thread::sleep(Duration::from_secs(seconds.into()));
    let used = cpu_seconds(agent) - before;
    let resident = kilobytes(&format!("/proc/{agent}/status"), "VmRSS:");
    let proportional = kilobytes(&format!("/proc/{agent}/smaps_rollup"), "Pss:");
    println!(
        "idle with {what}: {:.1} MB resident ({:.1} MB proportional), {:.3} % of a core over {seconds} s",
        f64::from(resident) / 1e3,
        f64::from(proportional) / 1e3,
        100.0 * used / f64::from(seconds),
    );
}

/// The processor time of a process and of its children that have ended.
fn cpu_seconds(pid: u32) -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the agent lives");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    fields[11..15].iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

fn kilobytes(file: &str, field: &str) -> u32 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn print_latency(node: &TestNode, partitions: u32, lines: &Receiver<(Instant, String)>) {
    let (client, software) = (client(node), software(node));
    let mut latencies: Vec<Duration> = (0..REQUESTS)
        .map(|number| {
            let wanted = request(number % partitions, &software, &format!("word{number}"));
            let asked = Instant::now();
            let answer = client.request(&wanted).expect("the Master answers");
            let partition = answer.expect("it is allocated").partition;
            let at = wait_for(lines, &format!("{partition}: process:"));
            wait_for(lines, &format!("{partition}: deployed"));
            at.saturating_duration_since(asked)
        })
        .collect();
    latencies.sort();
    let milliseconds = |part: usize| {
        latencies[(latencies.len() * part / 100).min(latencies.len() - 1)].as_secs_f64() * 1e3
    };
    println!(
        "from a request to the start of processing, {REQUESTS} times: {:.0} ms (p50), {:.0} ms (p99)",
        milliseconds(50),
        milliseconds(99),
    );
}
