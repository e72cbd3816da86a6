//! `slapos node supervisord`, `supervisorctl` and its short forms.

use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use serde_json::json;
use slapos_node::error::exit;
use slapos_node::{NodeConfig, NodeError, Reporter as _, start_supervisor, supervisor, watchdog};
use slapos_supervisor::state::State;
use slapos_supervisor::{Client, ClientError, Followed, Paths, ProcessInfo, fault, run_daemon};

use super::{supervisorctl, with_node};
use crate::cli::{Global, Node};
use crate::output::{Table, Watch, say, say_json, written};

pub(super) const TAIL_BYTES: u32 = 4096;
/// How long a service may take to start or end: its own 60 seconds, and some more.
pub(super) const PATIENCE: Option<Duration> = Some(Duration::from_secs(90));
/// So much of it is shown at once.
const FOLLOW_BYTES: u32 = 1 << 20;
/// So soon a supervisor that is replaced does what it is asked.
const REPLACED_WITHIN: Duration = Duration::from_secs(5);
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
        Node::Supervisord { reexec: true, .. } => replace(global, &client).map(|()| 0),
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
    let settled = if start { fault::ALREADY_STARTED } else { fault::NOT_RUNNING };
    let done = beyond_replacement(REPLACED_WITHIN, settled, || match (name, start) {
        ("all", true) => client.start_all(PATIENCE).map(drop),
        ("all", false) => client.stop_all(PATIENCE).map(drop),
        (_, true) => client.start(name, PATIENCE),
        (_, false) => client.stop(name, PATIENCE),
    });
    done.map_err(|error| unnamed(client, action, name, error))?;
    say(&format!("{name}: {}", if start { "started" } else { "stopped" }));
    Ok(())
}

/// Does it, once more if the supervisor was on its way out: one that is replaced by the program on
/// disk is back at once. `settled` is the fault that says that the first try was carried out.
fn beyond_replacement(
    limit: Duration,
    settled: i32,
    mut act: impl FnMut() -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let begun = Instant::now();
    let mut done = act();
    while let Err(error) = &done
        && error.fault_code() == Some(fault::SHUTDOWN_STATE)
        && begun.elapsed() < limit
    {
        std::thread::sleep(FOLLOW_EVERY);
        done = match act() {
            Err(error) if error.fault_code() == Some(settled) => Ok(()),
            other => other,
        };
    }
    done
}

/// Has the supervisor's program replaced by the one on disk, and says what has to end before.
pub(super) fn replace(global: &Global, client: &Client) -> Result<(), NodeError> {
    let mut processes = client.all_process_info().map_err(words)?;
    processes.retain(|process| process.state == State::Stopping);
    if !processes.is_empty() {
        let names: Vec<_> = processes.iter().map(ProcessInfo::namespec).collect();
        let text = format!("its program is replaced when {} has stopped", names.join(", "));
        Watch::new(global).note("supervisor", &text);
    }
    client.replace(PATIENCE.unwrap_or_default()).map_err(words)
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
    let unknown = strangers(&processes, names);
    processes.retain(|process| names.is_empty() || names.iter().any(|name| is(process, name)));
    if !unknown.is_empty() && (processes.is_empty() || global.json) {
        return Err(nobody(&unknown));
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
    if unknown.is_empty() { Ok(0) } else { Err(nobody(&unknown)) }
}

/// Those of `names` that no process has.
fn strangers<'a>(processes: &[ProcessInfo], names: &'a [String]) -> Vec<&'a str> {
    let is_stranger =
        |name: &&str| *name != "all" && !processes.iter().any(|process| is(process, name));
    names.iter().map(String::as_str).filter(is_stranger).collect()
}

fn nobody(names: &[&str]) -> NodeError {
    NodeError::user(format!("there is no service {}", names.join(", ")))
        .hint("`slapos node status` lists the services as GROUP:NAME")
        .code(exit::UNKNOWN_SERVICE)
}

/// Whether `name` means the process: `GROUP:NAME`, `NAME`, all, or all of a group, which is written
/// `GROUP:*`, `GROUP:` or `GROUP`.
fn is(process: &ProcessInfo, name: &str) -> bool {
    let group = name.strip_suffix(":*").or_else(|| name.strip_suffix(':'));
    match group {
        Some(group) => process.group == group,
        None => {
            ["all", &process.name, &process.group].contains(&name) || name == process.namespec()
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
/// replaced or come back meanwhile, and the log be rotated.
fn follow(client: &Client, name: &str, bytes: u32) -> Result<u8, NodeError> {
    let mut followed = client.follow(name, "", bytes).map_err(words)?;
    loop {
        if followed.lost {
            tracing::warn!("lines are missing here: the log grows faster than it is kept");
        }
        if !followed.text.is_empty() {
            written(std::io::stdout().write_all(followed.text.as_bytes()));
            written(std::io::stdout().flush());
        }
        if !followed.more {
            std::thread::sleep(FOLLOW_EVERY);
        }
        let length = if followed.position.is_empty() { bytes } else { FOLLOW_BYTES };
        followed = match client.follow(name, &followed.position, length) {
            Ok(followed) => followed,
            Err(ClientError::Fault { .. }) if client.process_info(name).is_err() => return Ok(0),
            Err(_) => Followed { text: String::new(), lost: false, more: false, ..followed },
        };
    }
}

pub(super) fn words(error: impl std::fmt::Display) -> NodeError {
    NodeError::user(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(group: &str, name: &str) -> ProcessInfo {
        ProcessInfo {
            name: name.to_owned(),
            group: group.to_owned(),
            state: State::Running,
            pid: None,
            start: 0,
            stop: 0,
            exit_status: 0,
            spawn_error: String::new(),
            description: String::new(),
            log: String::new(),
        }
    }

    #[test]
    fn what_a_supervisor_on_its_way_out_did_not_do_is_asked_of_the_next_one() {
        let refused = |code| {
            let fault = fault::fault(code, "");
            Err(ClientError::Fault { method: String::new(), target: None, fault })
        };
        let told = |limit, answers: &[i32]| {
            let mut answers = answers.iter();
            beyond_replacement(limit, fault::ALREADY_STARTED, || {
                answers.next().map_or(Ok(()), |code| refused(*code))
            })
            .map_err(|error| error.fault_code())
        };
        let (away, there) = (fault::SHUTDOWN_STATE, fault::ALREADY_STARTED);
        assert_eq!(told(Duration::MAX, &[away]), Ok(()));
        assert_eq!(told(Duration::MAX, &[away, there]), Ok(()), "it was about to be started");
        assert_eq!(told(Duration::MAX, &[there]), Err(Some(there)));
        assert_eq!(told(Duration::ZERO, &[away]), Err(Some(away)));
    }

    #[test]
    fn services_are_named_alone_or_by_their_group_and_others_are_told_of() {
        let processes = [process("p0", "web"), process("p1", "db")];
        let named = |name: &str| processes.iter().filter(|process| is(process, name)).count();
        let counts = ["all", "web", "p0:web", "p0:*", "p0:", "p0", "p0:db", ":", "p*"].map(named);
        assert_eq!(counts, [2, 1, 1, 1, 1, 1, 0, 0, 0]);
        let names = ["p0:web", "nosuch", "all", "p2:"].map(str::to_owned);
        assert_eq!(strangers(&processes, &names), ["nosuch", "p2:"]);
        assert_eq!(strangers(&[], &["all".to_owned()]), [""; 0]);
        assert_eq!(nobody(&["x"]).exit_code(), 4);
    }
}
