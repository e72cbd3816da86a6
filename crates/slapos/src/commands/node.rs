//! `slapos node ...`: what cron runs.

use slapos_node::{NodeError, format, instance, promises, report, software};

use super::{supervisor, with_node};
use crate::cli::{Global, Node};
use crate::output::{Table, say, say_json};
use crate::place;

pub(crate) fn run(global: &Global, command: &Node) -> Result<u8, NodeError> {
    let config = place::config(global)?;
    match command {
        Node::Format { dry_run } => with_node(global, &config, |node| {
            format::apply(node, *dry_run)?;
            if !dry_run && !node.is_down() {
                format::announce(node)?;
            }
            Ok(0)
        }),
        Node::Software { run, only, jobs } => {
            let options = software::Options {
                only: only.clone(),
                all: run.all,
                dry_run: run.dry_run,
                parallel: jobs.unwrap_or(0),
            };
            with_node(global, &config, |node| software::run(node, &options).map(|()| 0))
        }
        Node::Instance { run, only } => {
            let options =
                instance::Options { only: only.clone(), all: run.all, dry_run: run.dry_run };
            with_node(global, &config, |node| instance::run(node, &options).map(|()| 0))
        }
        Node::Report => with_node(global, &config, |node| report::run(node).map(|()| 0)),
        Node::Promise { only } => {
            let results = with_node(global, &config, |node| promises::run(node, only))?;
            show_promises(global, &results);
            Ok(promises::exit_code(&results))
        }
        other => supervisor::run(global, &config, other),
    }
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
                promise.message.lines().next().unwrap_or_default().to_owned(),
            ]);
        }
    }
    if !table.is_empty() {
        say(&table.to_string());
    }
}

/// How a promise's result is worded.
pub(crate) fn promise_state(failed: bool) -> &'static str {
    if failed { "FAILED" } else { "ok" }
}
