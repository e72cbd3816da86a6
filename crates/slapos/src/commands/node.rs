//! `slapos node ...`: what cron runs.

use std::path::PathBuf;
use std::time::Duration;

use slapos_node::{NodeConfig, NodeError, begin, boot, collect, format, promises, prune};

use super::{agent, generation, grid, setup, supervisor, with_node};
use crate::cli::{Format, Global, Grid, Node};
use crate::output::{Table, say, say_json};
use crate::place;

pub(crate) fn run(global: &Global, command: &Node) -> Result<u8, NodeError> {
    match command {
        // These have no configuration yet, read it more than once, or with arguments of their own.
        Node::Register(register) => setup::register(global, register),
        Node::Agent { unless_running } => agent::agent(global, *unless_running),
        Node::Software(software) => grid::software(global, software),
        Node::Instance(instance) => grid::instance(global, instance),
        Node::Report(options) => grid::report(global, options),
        Node::Promise { only, dry_run, grid } => promise(global, only, *dry_run, grid),
        Node::Supervisord { instance_root, .. } => {
            let root = instance_root.iter().map(|root| ("instance_root", root.clone()));
            let config = place::config_with(global, &root.collect::<Vec<_>>())?;
            supervisor::run(global, &config, command)
        }
        Node::Collect { .. } => {
            configured(global, &place::config_of_routine(global, &[])?, command)
        }
        _ => configured(global, &place::config(global)?, command),
    }
}

/// What needs `slapos.cfg` and nothing else.
fn configured(global: &Global, config: &NodeConfig, command: &Node) -> Result<u8, NodeError> {
    let work = |act: &dyn Fn(&slapos_node::Node<'_>) -> Result<(), NodeError>| {
        with_node(global, config, act).map(|()| 0)
    };
    match command {
        Node::Format(arguments) => work(&|node| format::run(node, &format_options(arguments))),
        Node::Collect { dry_run: true } => work(&collect::rehearse),
        Node::Collect { .. } => work(&collect::run),
        Node::Prune { dry_run, additional_software_directory } => {
            prune(global, config, *dry_run, additional_software_directory)
        }
        Node::Cron(cron) => agent::cron(global, config, cron),
        Node::Boot { message, dry_run: true } => work(&|node| boot::rehearse(node, message)),
        Node::Boot { message, .. } => work(&|node| boot::run(node, message)),
        Node::Bang { message, dry_run } => agent::bang(global, config, message, *dry_run),
        Node::Generations { partition } => generation::list(global, config, partition),
        Node::Diff { partition, from, to } => {
            generation::diff(global, config, partition, from.zip(*to))
        }
        Node::Rollback { partition, number, dry_run } => {
            generation::rollback(global, config, partition, *number, *dry_run)
        }
        other => supervisor::run(global, config, other),
    }
}

fn prune(
    global: &Global,
    config: &NodeConfig,
    dry_run: bool,
    additional: &[PathBuf],
) -> Result<u8, NodeError> {
    let options = prune::Options { dry_run, additional: additional.to_vec() };
    let report = with_node(global, config, |node| prune::run(node, &options))?;
    show_pruned(global, &report);
    Ok(0)
}

fn promise(
    global: &Global,
    only: &[String],
    dry_run: bool,
    options: &Grid,
) -> Result<u8, NodeError> {
    let config = grid::config(global, options, "pidfile_instance")?;
    if dry_run {
        return with_node(global, &config, |node| promises::rehearse(node, only).map(|()| 0));
    }
    let results = with_node(global, &config, |node| {
        begin(node, options.now)?;
        // As the original: not while instances are made.
        let _lock = node.lock("slapos node instance", &config.pidfile_instance)?;
        promises::run(node, only)
    })?;
    show_promises(global, &results);
    Ok(promises::exit_code(&results))
}

fn format_options(arguments: &Format) -> format::Options {
    let delay = if arguments.now { 0 } else { arguments.maximal_delay };
    format::Options {
        dry_run: arguments.dry_run,
        maximal_delay: Duration::from_secs(u64::from(delay)),
        computer_xml: arguments.computer_xml.clone(),
        computer_json: arguments.computer_json.clone(),
        input_definition_file: arguments.input_definition_file.clone(),
        output_definition_file: arguments.output_definition_file.clone(),
        alter_user: arguments.alter_user,
        alter_network: arguments.alter_network,
    }
}

fn show_pruned(global: &Global, report: &prune::Report) {
    if global.json {
        return say_json(&pruned_as_json(report));
    }
    let mut table = Table::new(&["shared part", "size", "reason"]);
    for removal in &report.removed {
        table.row([
            removal.location.display().to_string(),
            human_bytes(removal.bytes),
            removal.reason.to_string(),
        ]);
    }
    if !table.is_empty() && !global.quiet {
        say(&table.to_string());
    }
    if global.verbosity() > 0 {
        for kept in &report.kept {
            say(&format!("{} stays: {}", kept.location.display(), kept.reason));
        }
    }
    let (removed, all) = (report.removed.len(), report.removed.len() + report.kept.len());
    let size = human_bytes(report.bytes());
    say(&match report.dry_run {
        true => format!("{removed} of {all} shared parts would go, and free {size}"),
        false => format!("{removed} of {all} shared parts removed, {size} freed"),
    });
}

fn pruned_as_json(report: &prune::Report) -> serde_json::Value {
    let removed = report.removed.iter().map(|removal| {
        serde_json::json!({
            "location": removal.location, "reason": removal.reason.to_string(), "bytes": removal.bytes,
        })
    });
    let kept = report.kept.iter().map(
        |kept| serde_json::json!({ "location": kept.location, "reason": kept.reason.to_string() }),
    );
    serde_json::json!({
        "directory": report.directory,
        "dry-run": report.dry_run,
        "removed": removed.collect::<Vec<_>>(),
        "kept": kept.collect::<Vec<_>>(),
        "bytes": report.bytes(),
    })
}

fn human_bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

fn show_promises(global: &Global, results: &[promises::PartitionPromises]) {
    if global.json {
        return say_json(&serde_json::json!(results));
    }
    let mut table = Table::new(&["partition", "promise", "state", "message"]);
    for partition in results {
        for promise in &partition.promises {
            table.row([
                partition.partition.clone(),
                promise.title.clone(),
                promise_state(promise.failed).to_owned(),
                in_a_line(promise),
            ]);
        }
    }
    if !table.is_empty() {
        say(&table.to_string());
    }
}

/// What a promise says, as far as a table has room: of a failure without output, the last line has
/// the cause.
pub(crate) fn in_a_line(promise: &slapos_node::PromiseResult) -> String {
    let mut lines = promise.message.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back().filter(|_| promise.failed && first.starts_with("Error:")) {
        Some(last) => format!("{first} ... {last}"),
        None => first.to_owned(),
    }
}

/// How a promise's result is worded.
pub(crate) fn promise_state(failed: bool) -> &'static str {
    if failed { "FAILED" } else { "ok" }
}
