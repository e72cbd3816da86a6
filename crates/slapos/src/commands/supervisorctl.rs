//! `slapos node supervisorctl ACTION ...`: the actions of supervisor's own `supervisorctl`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use slapos_node::NodeError;
use slapos_supervisor::Client;
use slapos_supervisor::xmlrpc::Value;

use super::supervisor::{
    PATIENCE, TAIL_BYTES, act, each, replace, show_log, status, words as told,
};
use crate::cli::Global;
use crate::output::{print_error, say, written};

const ACTIONS: &str = "status [NAME ...], start|stop|restart NAME ..., tail [-f | -BYTES] NAME, maintail, \
     clear NAME ..., signal SIGNAL NAME ..., pid [NAME], update [GROUP], reread, avail, \
     add|remove GROUP ..., reload, reexec, version, shutdown; a NAME is GROUP:NAME, GROUP:* or all";

/// Actions from standard input, a line each, as supervisor's own takes them; one that fails is told of
/// and the next one read.
pub(super) fn converse(global: &Global, client: &Client) -> Result<u8, NodeError> {
    let input = std::io::stdin().lock();
    let asks = input.is_terminal();
    if asks {
        status(global, client, &[])?;
    }
    let mut lines = input.lines();
    let mut code = 0;
    loop {
        if asks {
            written(std::io::stdout().write_all(b"supervisor> "));
            written(std::io::stdout().flush());
        }
        let Some(line) = lines.next() else { return Ok(code) };
        let line = line.map_err(|error| told(format!("standard input cannot be read: {error}")))?;
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let follow = words.iter().position(|word| word == "-f").map(|at| words.remove(at));
        match words.first().map(String::as_str) {
            None => {}
            Some("exit" | "quit") => return Ok(code),
            Some(_) => match run(global, client, &words, follow.is_some()) {
                Ok(ended) => code = code.max(ended),
                Err(error) => {
                    code = code.max(error.exit_code());
                    print_error(&error, global.json);
                }
            },
        }
    }
}

pub(super) fn run(
    global: &Global,
    client: &Client,
    words: &[String],
    follow: bool,
) -> Result<u8, NodeError> {
    let (action, names) = words.split_first().map_or(("", &[][..]), |(a, n)| (a.as_str(), n));
    match (action, names) {
        ("status", _) => status(global, client, names),
        ("start" | "stop", _) => each(names, |name| act(client, action, name)),
        ("restart", _) => each(names, |name| {
            act(client, "stop", name)?;
            act(client, "start", name)
        }),
        ("tail", _) => show_log(client, names, TAIL_BYTES, follow),
        (other, _) if follow => Err(NodeError::user(format!("`-f` is for tail, not for {other}"))),
        ("clear", _) => each(names, |name| done(name, "cleared", clear(client, name))),
        ("signal", [signal, names @ ..]) => {
            each(names, |name| done(name, "signalled", client.signal(name, signal)))
        }
        ("update", [] | [_]) => update(client, names.first().map(String::as_str)),
        ("add", _) => each(names, |name| {
            done(name, "added process group", call(client, "addProcessGroup", name))
        }),
        ("remove", _) => each(names, |name| {
            done(name, "removed process group", call(client, "removeProcessGroup", name))
        }),
        ("pid", []) => print(client.pid().map(|pid| pid.to_string())),
        ("pid", _) => each(names, |name| {
            let info = client.process_info(name).map_err(told)?;
            say(&info.pid.unwrap_or(0).to_string());
            Ok(())
        }),
        ("help", _) => print(Ok(ACTIONS.to_owned())),
        (action, []) => alone(global, client, action),
        (other, _) => Err(unknown(other)),
    }
}

/// Actions without arguments.
fn alone(global: &Global, client: &Client, action: &str) -> Result<u8, NodeError> {
    match action {
        "maintail" => print(ask(client, "readLog", vec![(-TAIL).into(), 0.into()], shown)),
        "version" => print(ask(client, "getSupervisorVersion", Vec::new(), shown)),
        "reread" => {
            let code = print(ask(client, "reloadConfig", Vec::new(), |value| changes(&value)))?;
            remark(client)?;
            Ok(code)
        }
        "avail" => print(ask(client, "getAllConfigInfo", Vec::new(), |value| available(&value))),
        "reload" => {
            print(ask(client, "restart", Vec::new(), |_| "Restarted supervisord".to_owned()))
        }
        "reexec" => {
            replace(global, client)?;
            print(Ok("its program is the one on disk now".to_owned()))
        }
        "shutdown" => {
            client.shutdown(PATIENCE).map_err(told)?;
            print(Ok("Shut down".to_owned()))
        }
        other => Err(unknown(other)),
    }
}

const TAIL: i64 = TAIL_BYTES as i64;

type Answer<T> = Result<T, slapos_supervisor::ClientError>;

fn unknown(action: &str) -> NodeError {
    NodeError::user(format!("supervisorctl has no action `{action}` with these arguments")).hint(
        format!(
            "{ACTIONS}. The real one works too: `supervisorctl -s unix://INSTANCE_ROOT/sv.sock`"
        ),
    )
}

fn print(text: Answer<String>) -> Result<u8, NodeError> {
    say(text.map_err(told)?.trim_end());
    Ok(0)
}

fn done<T>(name: &str, what: &str, result: Answer<T>) -> Result<(), NodeError> {
    result.map_err(told)?;
    say(&format!("{name}: {what}"));
    Ok(())
}

fn call(client: &Client, method: &str, name: &str) -> Answer<()> {
    client.call(&format!("supervisor.{method}"), vec![name.into()]).map(drop)
}

fn clear(client: &Client, name: &str) -> Answer<()> {
    match name {
        "all" => client.call("supervisor.clearAllProcessLogs", Vec::new()).map(drop),
        name => client.clear_logs(name),
    }
}

fn ask(
    client: &Client,
    method: &str,
    params: Vec<Value>,
    show: impl Fn(Value) -> String,
) -> Answer<String> {
    client.call(&format!("supervisor.{method}"), params).map(show)
}

fn shown(value: Value) -> String {
    match value {
        Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

/// `[[added, changed, removed]]` in supervisor's words.
fn changes(value: &Value) -> String {
    let lists = value.as_array().and_then(|one| one.first()).and_then(Value::as_array);
    let words = ["available", "changed", "disappeared"];
    let lists = lists.unwrap_or_default().iter().zip(words);
    let lines = lists.flat_map(|(names, word)| {
        let names = names.as_array().unwrap_or_default().iter().filter_map(Value::as_str);
        names.map(move |name| format!("{name}: {word}\n"))
    });
    let text: String = lines.collect();
    if text.is_empty() { "No config updates to processes".to_owned() } else { text }
}

fn available(value: &Value) -> String {
    let configs = value.as_array().unwrap_or_default().iter();
    let line = |config: &Value| {
        let text = |name: &str| config.member(name).and_then(Value::as_str).unwrap_or_default();
        let flag = |name: &str| config.member(name).and_then(Value::as_bool).unwrap_or_default();
        let used = if flag("inuse") { "in use" } else { "avail" };
        let start = if flag("autostart") { "auto" } else { "manual" };
        format!("{}:{}  {used}  {start}\n", text("group"), text("name"))
    };
    configs.map(line).collect()
}

fn update(client: &Client, group: Option<&str>) -> Result<u8, NodeError> {
    let limit = PATIENCE.unwrap_or_default();
    let update = client.update(group, limit).map_err(told)?;
    for (names, what) in
        [(&update.added, "added"), (&update.changed, "changed"), (&update.removed, "removed")]
    {
        names.iter().for_each(|name| say(&format!("{name}: {what}")));
    }
    remark(client)?;
    Ok(0)
}

/// Warns of what was left out of the definitions, whoever may just have edited them.
fn remark(client: &Client) -> Result<(), NodeError> {
    client.remarks().map_err(told)?.iter().for_each(|text| tracing::warn!("{text}"));
    Ok(())
}
