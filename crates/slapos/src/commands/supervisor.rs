//! `slapos node supervisord`, `supervisorctl` and its short forms.

use std::time::Duration;

use serde_json::json;
use slapos_node::{NodeConfig, NodeError, supervisor};
use slapos_supervisor::{Client, Paths, ProcessInfo, run_daemon};

use super::with_node;
use crate::cli::{Global, Node};
use crate::output::{Table, say, say_json};

const TAIL_BYTES: u32 = 4096;
/// How long a service may take to start or end: its own 60 seconds, and some more.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(90));

pub(crate) fn run(global: &Global, config: &NodeConfig, command: &Node) -> Result<u8, NodeError> {
    if let Node::Supervisord { nodaemon: true, .. } = command {
        return run_daemon(&Paths::new(&config.instance_root)).map(|()| 0).map_err(words);
    }
    let client = match starts_something(command) {
        true => with_node(global, config, supervisor)?,
        false => Client::connect(&Paths::new(&config.instance_root)).map_err(|error| {
            words(error).hint("`slapos up` or `slapos node instance` starts the supervisor")
        })?,
    };
    match command {
        Node::Status { names } => status(global, &client, names),
        Node::Start { names } => each(names, |name| act(&client, "start", name)),
        Node::Stop { names } => each(names, |name| act(&client, "stop", name)),
        Node::Restart { names } => each(names, |name| {
            act(&client, "stop", name)?;
            act(&client, "start", name)
        }),
        Node::Tail { name, bytes } => tail(&client, name, *bytes),
        Node::Supervisorctl { words } => control(global, &client, words),
        _ => Ok(0),
    }
}

/// Looking at services, or stopping them, does not start those that do not run.
fn starts_something(command: &Node) -> bool {
    match command {
        Node::Start { .. } | Node::Restart { .. } | Node::Supervisord { .. } => true,
        Node::Supervisorctl { words } => {
            matches!(words.first().map(String::as_str), Some("start" | "restart" | "update"))
        }
        _ => false,
    }
}

fn control(global: &Global, client: &Client, words: &[String]) -> Result<u8, NodeError> {
    let (action, names) = words.split_first().map_or(("", &[][..]), |(a, n)| (a.as_str(), n));
    match action {
        "status" => status(global, client, names),
        "start" | "stop" => each(names, |name| act(client, action, name)),
        "restart" => each(names, |name| {
            act(client, "stop", name)?;
            act(client, "start", name)
        }),
        "tail" => each(names, |name| tail(client, name, TAIL_BYTES).map(drop)),
        "update" => {
            update(client, names.first().map(String::as_str))
        }
        "pid" => {
            say(&client.pid().map_err(self::words)?.to_string());
            Ok(0)
        }
        "shutdown" => {
            client.shutdown(PATIENCE).map_err(self::words)?;
            say("Shut down");
            Ok(0)
        }
        other => Err(NodeError::user(format!("supervisorctl has no action `{other}` here"))
            .hint("status, start, stop, restart, tail, update, pid or shutdown; the real supervisorctl works too: `supervisorctl -s unix://INSTANCE_ROOT/sv.sock`")),
    }
}

fn update(client: &Client, group: Option<&str>) -> Result<u8, NodeError> {
    let limit = PATIENCE.unwrap_or_default();
    let update = client.update(group, limit).map_err(words)?;
    for (names, what) in
        [(&update.added, "added"), (&update.changed, "changed"), (&update.removed, "removed")]
    {
        names.iter().for_each(|name| say(&format!("{name}: {what}")));
    }
    Ok(0)
}

fn each(
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
fn act(client: &Client, action: &str, name: &str) -> Result<(), NodeError> {
    let start = action == "start";
    let done = match (name, start) {
        ("all", true) => client.start_all(PATIENCE).map(drop),
        ("all", false) => client.stop_all(PATIENCE).map(drop),
        (_, true) => client.start(name, PATIENCE),
        (_, false) => client.stop(name, PATIENCE),
    };
    done.map_err(words)?;
    say(&format!("{name}: {}", if start { "started" } else { "stopped" }));
    Ok(())
}

fn status(global: &Global, client: &Client, names: &[String]) -> Result<u8, NodeError> {
    let mut processes = client.all_process_info().map_err(words)?;
    processes.retain(|process| names.is_empty() || names.iter().any(|name| is(process, name)));
    if processes.is_empty() && !names.is_empty() {
        return Err(NodeError::user(format!("there is no service {}", names.join(", "))));
    }
    if global.json {
        let list: Vec<_> = processes
            .iter()
            .map(|process| {
                json!({
                    "group": process.group,
                    "name": process.name,
                    "state": process.state.name(),
                    "description": process.description,
                    "pid": process.pid,
                    "log": process.log,
                })
            })
            .collect();
        say_json(&json!(list));
        return Ok(0);
    }
    let mut table = Table::new(&["service", "state", ""]);
    for process in &processes {
        table.row([
            format!("{}:{}", process.group, process.name),
            process.state.name().to_owned(),
            process.description.clone(),
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

fn tail(client: &Client, name: &str, bytes: u32) -> Result<u8, NodeError> {
    say(client.tail(name, 0, bytes).map_err(words)?.text.trim_end());
    Ok(0)
}

fn words(error: impl std::fmt::Display) -> NodeError {
    NodeError::user(error.to_string())
}
