//! `slapos up`, `down`, `destroy`: compositions of the other commands over the same state.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use slapos_node::error::exit;
use slapos_node::standalone::{
    ensure_config, planned_config, rehearse_down, rehearse_up, shut_down, start_master,
};
use slapos_node::{
    Node, NodeConfig, NodeError, format, instance, promises, report, software, take_lock,
};
use slapos_slap::{
    ComputerPartition, InstanceInfo, InstanceRequest, InstanceState, SoftwareState, SoftwareUrl,
};

use slapos_sys::lock::FileLock;

use super::client;
use super::node::promise_state;
use super::proxy::dashboard;
use super::with_node;
use crate::cli::{Global, Up};
use crate::output::{Table, say, say_json};
use crate::place;

/// For how long other runs may take to come to their end: an agent hears of what is asked for, too, and is
/// usually at it before us.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether they have.
const POLL: Duration = Duration::from_millis(100);
/// What is true when they have not.
const UNDER_WAY: &str =
    "what was asked for stays asked for; run `slapos up` again when that run has ended";

pub(crate) fn up(global: &Global, up: &Up) -> Result<u8, NodeError> {
    let url = up.software.as_deref().map(place::software_url).transpose()?;
    if up.dry_run {
        return rehearse(global, up, url.as_ref());
    }
    let _lock = lock(global)?;
    if global.cfg.is_none() {
        ensure_config(&place::layout(global), up.partitions, up.port)?;
    }
    let config = place::config(global)?;
    // With an error of theirs, the others are shown before it.
    let failed = with_node(global, &config, |node| {
        let description = format::apply(node, false)?;
        start_master(node)?;
        format::announce(node, &description)?;
        match &url {
            Some(url) => deploy(node, up, url).map(Ok),
            None => Ok(resume(node, up)),
        }
    })?;
    let name = url.as_ref().map(|url| instance_name(up, url));
    let code = with_node(global, &config, |node| show(global, node, name.as_deref()))?;
    Ok(if failed? { exit::PROMISE } else { code })
}

/// What `up` would do.
fn rehearse(global: &Global, up: &Up, url: Option<&SoftwareUrl>) -> Result<u8, NodeError> {
    let planned = match &global.cfg {
        None => planned_config(&place::layout(global), up.partitions, up.port)?,
        Some(_) => None,
    };
    let is_new = planned.is_some();
    let config = planned.map_or_else(|| place::config(global), Ok)?;
    let name = url.map(|url| instance_name(up, url));
    with_node(global, &config, |node| {
        if is_new {
            node.reporter.note("node", &format!("write {}: there is none", config.file.display()));
        }
        rehearse_up(node, name.as_deref().zip(url))
    })?;
    Ok(0)
}

/// `supply`, `node software`, `request`, `node instance` for all of the tree. Returns whether
/// promises failed.
fn deploy(node: &Node<'_>, up: &Up, url: &SoftwareUrl) -> Result<bool, NodeError> {
    let master = node.master()?;
    master.supply(url, &node.config.computer_id, SoftwareState::Available)?;
    let only = vec![url.as_str().to_owned()];
    let options = software::Options { only, parallel: up.jobs.unwrap_or(0), ..Default::default() };
    in_turn(PATIENCE, UNDER_WAY, || software::run(node, &options))?;
    let name = instance_name(up, url);
    let mut wanted = InstanceRequest::new(name.as_str(), url.clone());
    wanted.state = Some(InstanceState::Started);
    wanted.sla.insert("computer_guid".to_owned(), node.config.computer_id.to_string());
    let answer = client::ask(&master, wanted, &up.wish)?;
    node.reporter.note(&name, &format!("is in {}", answer.partition));
    let options = instance::Options { tree: Some(name), ..Default::default() };
    tolerate_promises(in_turn(PATIENCE, UNDER_WAY, || instance::run(node, &options)))
}

/// Calls `run` until no other run has its turn, for at most `patience`; then `hint` says what became of what
/// was asked for before.
fn in_turn(
    patience: Duration,
    hint: &str,
    run: impl Fn() -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let end = Instant::now() + patience;
    loop {
        match run() {
            Err(error) if error.exit_code() != exit::BUSY => return Err(error),
            Err(error) if Instant::now() >= end => return Err(error.hint(hint)),
            Err(_) => thread::sleep(POLL),
            Ok(()) => return Ok(()),
        }
    }
}

/// `node software` and `node instance` for all that was asked for before. A Software Release that
/// cannot be built keeps no instance of another from coming back.
fn resume(node: &Node<'_>, up: &Up) -> Result<bool, NodeError> {
    let parallel = up.jobs.unwrap_or(0);
    let built = software::run(node, &software::Options { parallel, ..Default::default() });
    let broken = tolerate_promises(instance::run(node, &instance::Options::default()))?;
    built.map(|()| broken)
}

/// Broken promises are shown in the end, with the rest; whether there were any.
fn tolerate_promises(result: Result<(), NodeError>) -> Result<bool, NodeError> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.exit_code() == exit::PROMISE => Ok(true),
        Err(error) => Err(error),
    }
}

fn instance_name(up: &Up, url: &SoftwareUrl) -> String {
    up.name.clone().unwrap_or_else(|| software::short_name(url))
}

/// The instances (or the one called `name`) with what they publish and promise. What is asked is what
/// every Master tells a computer about itself.
fn show(global: &Global, node: &Node<'_>, name: Option<&str>) -> Result<u8, NodeError> {
    let mut instances = node.computer(&node.master()?)?.partitions;
    instances.retain(|partition| {
        partition.software.is_some() && name.is_none_or(|name| partition.instance_title == name)
    });
    let mut documents = Vec::new();
    let mut code = 0;
    for instance in &instances {
        let only = [instance.id.to_string()];
        let checked = promises::run(node, &only)?;
        code = code.max(promises::exit_code(&checked));
        let promises = checked.into_iter().flat_map(|partition| partition.promises);
        documents.push((instance, promises.collect::<Vec<_>>()));
    }
    if global.json {
        let documents = documents.iter().map(|(instance, promises)| document(instance, promises));
        let mut documents: Vec<_> = documents.collect();
        match (name, documents.len()) {
            (Some(_), 1) => say_json(&documents.remove(0)),
            _ => say_json(&json!({ "instances": documents })),
        }
        return Ok(code);
    }
    match documents.is_empty() {
        true => say("The node is up; there is no instance. `slapos up SOFTWARE` makes one."),
        false => documents.iter().for_each(|(instance, promises)| say(&text(instance, promises))),
    }
    if node.config.proxy.is_some() {
        say(&format!("dashboard  {}", dashboard::page(&node.config.master_url)));
    }
    Ok(code)
}

fn document(
    instance: &ComputerPartition,
    promises: &[slapos_node::PromiseResult],
) -> serde_json::Value {
    let promises: Vec<_> = promises
        .iter()
        .map(|promise| {
            json!({
                "name": promise.title,
                "state": if promise.failed { "failed" } else { "ok" },
                "message": promise.message,
            })
        })
        .collect();
    let reported = reported(instance);
    json!({
        "name": instance.instance_title,
        "state": instance.requested_state,
        "reported": reported.map(|(state, message)| json!({ "state": state, "message": message })),
        "software-url": instance.software,
        "software-type": instance.software_type,
        "computer": instance.computer,
        "partition": instance.id,
        "parameters": instance.parameters,
        "connection-parameters": instance.connection,
        "promises": promises,
    })
}

/// The last report of an instance: its state, and the words of an error.
fn reported(instance: &ComputerPartition) -> Option<(&str, &str)> {
    let status = instance.access_status.as_deref()?;
    match status.strip_prefix("#error") {
        Some(words) => Some(("error", words.trim_start_matches(':').trim_start())),
        // `#access Instance correctly started`
        None => Some((status.rsplit(' ').next().unwrap_or(status), "")),
    }
}

fn text(instance: &ComputerPartition, promises: &[slapos_node::PromiseResult]) -> String {
    let wanted = instance.requested_state.as_str();
    let state = match reported(instance) {
        Some((state, _)) if state == wanted => state.to_owned(),
        Some((state, _)) => format!("{state} (wanted: {wanted})"),
        None => format!("not processed yet (wanted: {wanted})"),
    };
    let software = instance.software.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut table = Table::new(&[&instance.instance_title, &state]);
    table.row(["  partition".into(), instance.id.to_string()]);
    table.row(["  software".into(), software]);
    for (key, value) in &instance.connection {
        table.row([format!("  {key}"), value.clone()]);
    }
    for promise in promises {
        let message = super::node::in_a_line(promise);
        let state = format!("{:6}  {message}", promise_state(promise.failed));
        table.row([format!("  promise {}", promise.title), state]);
    }
    table.to_string()
}

/// One of `up`, `down` and `destroy` at a time, from before the configuration is written.
fn lock(global: &Global) -> Result<FileLock, NodeError> {
    take_lock("slapos up, down or destroy", &place::config_file(global).with_extension("lock"))
}

pub(crate) fn down(global: &Global, dry_run: bool) -> Result<u8, NodeError> {
    let config = place::config(global)?;
    if dry_run {
        return with_node(global, &config, rehearse_down).map(|()| 0);
    }
    let _lock = lock(global)?;
    let ran = with_node(global, &config, shut_down)?;
    match (global.json, ran) {
        (true, ran) => say_json(&json!({ "stopped": ran })),
        (false, true) => {
            say(&format!("Stopped. `{}` brings everything back.", place::command(global, "up")));
        }
        (false, false) => say("Nothing was running."),
    }
    Ok(0)
}

pub(crate) fn destroy(global: &Global, name: &str, dry_run: bool) -> Result<u8, NodeError> {
    let config = place::config(global)?;
    if dry_run {
        return with_node(global, &config, |node| {
            client::find(&node.master()?, name)?;
            let text = format!("ask {} that it be destroyed: asked for", config.master_url);
            node.reporter.note(name, &text);
            report::rehearse_destruction(node, name).map(|()| 0)
        });
    }
    let _lock = lock(global)?;
    let gone = with_node(global, &config, |node| {
        let info = client::find(&node.master()?, name)?;
        let done = destroy_instance(node, &config, name, info);
        // It may be kept for a while, or have children elsewhere. What is wrong with others was told,
        // and is not what was asked.
        let found = client::find(&node.master()?, name);
        let gone = found.is_err_and(|error| error.exit_code() == 2);
        if gone { Ok(true) } else { done.map(|()| false) }
    })?;
    match (global.json, gone) {
        (true, gone) => say_json(&json!({ "destroyed": name, "gone": gone })),
        (false, true) => say(&format!("{name} is destroyed.")),
        (false, false) => {
            say(&format!("{name} is stopped; `slapos node report` removes it when it may go."));
        }
    }
    Ok(0)
}

/// `request --state destroyed`, `node instance`, `node report`.
fn destroy_instance(
    node: &Node<'_>,
    config: &NodeConfig,
    name: &str,
    info: InstanceInfo,
) -> Result<(), NodeError> {
    let master = node.master()?;
    let mut wanted = InstanceRequest::new(name, info.software);
    wanted.software_type = info.software_type;
    wanted.parameters = info.parameters;
    wanted.state = Some(InstanceState::Destroyed);
    wanted.sla.insert("computer_guid".to_owned(), config.computer_id.to_string());
    let answer = master.request(&wanted)?;
    let hint = format!(
        "the Master was asked to have {name} destroyed: `slapos node report` does it when that run has ended"
    );
    if let Some(answer) = answer {
        let only = vec![answer.partition.to_string()];
        let options = instance::Options { only, ..Default::default() };
        in_turn(PATIENCE, &hint, || instance::run(node, &options))?;
    }
    let options = report::Options { now: true, ..Default::default() };
    in_turn(PATIENCE, &hint, || report::run(node, &options))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use super::*;

    #[test]
    fn another_run_is_waited_for_and_then_it_is_said_what_was_asked_for() {
        let busy = || Err(NodeError::busy("slapos node report", Path::new("/none")));
        let tries = Cell::new(0);
        let second = || {
            tries.set(tries.get() + 1);
            if tries.get() == 1 { busy() } else { Ok(()) }
        };
        in_turn(PATIENCE, "", second).unwrap();
        assert_eq!(tries.get(), 2);
        let error = in_turn(Duration::ZERO, "it was asked for", busy).unwrap_err();
        assert_eq!((error.exit_code(), error.hint_text()), (exit::BUSY, Some("it was asked for")));
        let other = in_turn(PATIENCE, "", || Err(NodeError::user("no").hint("why"))).unwrap_err();
        assert_eq!((other.exit_code(), other.hint_text()), (exit::FAILED, Some("why")));
    }
}
