//! `slapos node supervisord`, `supervisorctl` and its short forms.

use std::io::Write as _;
use std::time::Duration;

use indicatif::HumanBytes;
use serde_json::json;
use slapos_node::{NodeConfig, NodeError, start_supervisor, supervisor, watchdog};
use slapos_supervisor::{Client, ClientError, Paths, ProcessInfo, Tail, run_daemon};

use super::{supervisorctl, with_node};
use crate::cli::{Global, Node};
use crate::output::{Table, say, say_json, written};

pub(super) const TAIL_BYTES: u32 = 4096;
/// How long a service may take to start or end: its own 60 seconds, and some more.
pub(super) const PATIENCE: Option<Duration> = Some(Duration::from_secs(90));
/// So much of it is shown at once, the last if there is more.
const FOLLOW_BYTES: u32 = 1 << 20;
/// How often a followed log is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run(global: &Global, config: &NodeConfig, command: &Node) -> Result<u8, NodeError> {
    match command {
        Node::Supervisord { nodaemon: true, .. } => {
            return run_daemon(&Paths::new(&config.instance_root)).map(|()| 0).map_err(words);
        }
        Node::Watchdog => {
            let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
            return with_node(global, config, |node| watchdog::run(node, &mut input, &mut output))
                .map(|()| 0);
        }
        _ => {}
    }
    let client = match starts_something(command) {
        true => with_node(global, config, |node| {
            node.is_down_and("services start all the same, and what cron runs does nothing");
            match command {
                Node::Supervisord { .. } => start_supervisor(node),
                _ => supervisor(node),
            }
        })?,
        false => Client::connect(&Paths::new(&config.instance_root)).map_err(unreached)?,
    };
    match command {
        Node::Status { names } => status(global, &client, names),
        Node::Start { names } => each(names, |name| act(&client, "start", name)),
        Node::Stop { names } => each(names, |name| act(&client, "stop", name)),
        Node::Restart { names } => each(names, |name| {
            act(&client, "stop", name)?;
            act(&client, "start", name)
        }),
        Node::Tail { words, bytes, follow } => show_log(&client, words, *bytes, *follow),
        Node::Supervisorctl { words, .. } if words.is_empty() => {
            supervisorctl::converse(global, &client)
        }
        Node::Supervisorctl { words, follow } => {
            supervisorctl::run(global, &client, words, *follow)
        }
        Node::Supervisord { reexec: true, .. } => {
            client.replace(PATIENCE.unwrap_or_default()).map(|()| 0).map_err(words)
        }
        _ => Ok(0),
    }
}

fn unreached(error: ClientError) -> NodeError {
    let denied = matches!(&error, ClientError::Unreachable { source, .. }
        if source.kind() == std::io::ErrorKind::PermissionDenied);
    words(error).hint(match denied {
        true => "only the user who runs it, and root, may speak to it: run this as one of them",
        false => "`slapos up` or `slapos node instance` starts the supervisor",
    })
}

/// Looking at services, or stopping them, does not start those that do not run.
fn starts_something(command: &Node) -> bool {
    match command {
        Node::Start { .. } | Node::Restart { .. } | Node::Supervisord { reexec: false, .. } => true,
        Node::Supervisorctl { words, .. } => {
            matches!(words.first().map(String::as_str), Some("start" | "restart" | "update"))
        }
        _ => false,
    }
}

pub(super) fn each(
    names: &[String],
    mut act: impl FnMut(&str) -> Result<(), NodeError>,
) -> Result<u8, NodeError> {
    if names.is_empty() {
        return Err(NodeError::user("name a service as GROUP:NAME, a group as GROUP:*, or all"));
    }
    names.iter().try_for_each(|name| act(name))?;
    Ok(0)
}

/// `action` is `start` or `stop`; `name` is GROUP:NAME, NAME, GROUP:* or all.
pub(super) fn act(client: &Client, action: &str, name: &str) -> Result<(), NodeError> {
    let start = action == "start";
    let done = match (name, start) {
        ("all", true) => client.start_all(PATIENCE).map(drop),
        ("all", false) => client.stop_all(PATIENCE).map(drop),
        (_, true) => client.start(name, PATIENCE),
        (_, false) => client.stop(name, PATIENCE),
    };
    done.map_err(|error| unnamed(client, action, name, error))?;
    say(&format!("{name}: {}", if start { "started" } else { "stopped" }));
    Ok(())
}

/// Why nothing was done with `name`: that of a group alone means none of its services.
fn unnamed(client: &Client, action: &str, name: &str, error: ClientError) -> NodeError {
    let unknown = error.fault_code() == Some(slapos_supervisor::fault::BAD_NAME);
    let processes = match unknown {
        true => client.all_process_info().unwrap_or_default(),
        false => Vec::new(),
    };
    let error = words(error);
    if !unknown {
        return error;
    }
    match processes.iter().any(|process| process.group == name) {
        true => error.hint(format!(
            "`slapos node {action} '{name}:*'` does it to all services of that partition"
        )),
        false => error.hint("`slapos node status` lists the services as GROUP:NAME"),
    }
}

pub(super) fn status(global: &Global, client: &Client, names: &[String]) -> Result<u8, NodeError> {
    let mut processes = client.all_process_info().map_err(words)?;
    processes.retain(|process| names.is_empty() || names.iter().any(|name| is(process, name)));
    if processes.is_empty() && !names.is_empty() {
        return Err(NodeError::user(format!("there is no service {}", names.join(", "))));
    }
    // One of an older version does not tell.
    let usages = client.usage().unwrap_or_default();
    let usage = |process: &ProcessInfo| {
        let name = format!("{}:{}", process.group, process.name);
        usages.iter().find(|usage| usage.namespec == name)
    };
    if global.json {
        let list: Vec<_> = processes
            .iter()
            .map(|process| {
                let usage = usage(process);
                json!({
                    "group": process.group,
                    "name": process.name,
                    "state": process.state.name(),
                    "description": process.description,
                    "pid": process.pid,
                    "log": process.log,
                    "memory": usage.and_then(|usage| usage.memory),
                    "tasks": usage.and_then(|usage| usage.tasks),
                    "cpu-seconds": usage.and_then(|usage| usage.cpu_seconds),
                })
            })
            .collect();
        say_json(&json!(list));
        return Ok(0);
    }
    let mut table = Table::new(&["service", "state", ""]);
    for process in &processes {
        let memory = usage(process).and_then(|usage| usage.memory);
        let memory = memory.map_or(String::new(), |bytes| format!(", {}", HumanBytes(bytes)));
        table.row([
            format!("{}:{}", process.group, process.name),
            process.state.name().to_owned(),
            format!("{}{memory}", process.description),
        ]);
    }
    if !table.is_empty() {
        say(&table.to_string());
    }
    Ok(0)
}

fn is(process: &ProcessInfo, name: &str) -> bool {
    match name.strip_suffix(":*") {
        Some(group) => process.group == group,
        None => {
            name == "all"
                || name == process.name
                || name == format!("{}:{}", process.group, process.name)
        }
    }
}

/// `[-BYTES] NAME [stdout|stderr]`, as supervisor has it: both are one log here.
pub(super) fn show_log(
    client: &Client,
    words: &[String],
    bytes: u32,
    follows: bool,
) -> Result<u8, NodeError> {
    let usual =
        || NodeError::user("name one service as GROUP:NAME, with -BYTES before it, if at all");
    let (first, rest) = words.split_first().ok_or_else(usual)?;
    let (bytes, words) = match first.strip_prefix('-') {
        Some(number) => (number.parse().map_err(|_| usual())?, rest),
        None => (bytes, words),
    };
    let name = match words {
        [name] => name,
        [name, channel] if channel == "stdout" || channel == "stderr" => name,
        _ => return Err(usual()),
    };
    if follows { follow(client, name, bytes) } else { tail(client, name, bytes) }
}

fn tail(client: &Client, name: &str, bytes: u32) -> Result<u8, NodeError> {
    say(client.tail(name, 0, bytes).map_err(words)?.text.trim_end());
    Ok(0)
}

/// Shows what is added to a log, until interrupted or the service is no more. The daemon may be
/// replaced or come back meanwhile.
fn follow(client: &Client, name: &str, bytes: u32) -> Result<u8, NodeError> {
    let mut tail = client.tail(name, 0, bytes).map_err(words)?;
    loop {
        if !tail.text.is_empty() {
            written(std::io::stdout().write_all(tail.text.as_bytes()));
            written(std::io::stdout().flush());
        }
        std::thread::sleep(FOLLOW_EVERY);
        tail = match client.tail(name, tail.offset, FOLLOW_BYTES) {
            Ok(tail) => tail,
            Err(ClientError::Fault { .. }) if client.process_info(name).is_err() => return Ok(0),
            Err(_) => Tail { text: String::new(), ..tail },
        };
    }
}

pub(super) fn words(error: impl std::fmt::Display) -> NodeError {
    NodeError::user(error.to_string())
}
