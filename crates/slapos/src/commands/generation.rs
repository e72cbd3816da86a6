//! `slapos node generations`, `diff` and `rollback`, and `slapos explain`.

use serde_json::json;
use slapos_node::generation::{self, Generation, History, Side, Verdict};
use slapos_node::{NodeConfig, NodeError};

use super::with_node;
use crate::cli::Global;
use crate::output::{Table, plain, say, say_json};
use crate::place;

pub(super) fn list(global: &Global, config: &NodeConfig, partition: &str) -> Result<u8, NodeError> {
    let history = with_node(global, config, |node| generation::list(node, partition))?;
    if global.json {
        say_json(&json!(history));
        return Ok(0);
    }
    let mut table = Table::new(&["generation", "made", "because", "promises", "software"]);
    for known in &history.generations {
        table.row([
            marked(&history, known),
            known.made.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            known.reason.clone(),
            verdict(&known.verdict),
            known.wanted.software.to_string(),
        ]);
    }
    match table.is_empty() {
        true => say("no generation yet: `slapos node instance` makes one when it deploys"),
        false => say(&table.to_string()),
    }
    if history.held.is_some() {
        say("held: it stays until another change is requested, or `slapos node instance --all`");
    }
    Ok(0)
}

fn marked(history: &History, known: &Generation) -> String {
    let mark = if history.current == Some(known.number) { " *" } else { "" };
    format!("{}{mark}", known.number)
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Untried => "not asked".to_owned(),
        Verdict::Kept => "kept".to_owned(),
        Verdict::Broken(why) => {
            let line = why.lines().next().unwrap_or_default();
            let short: String = line.chars().take(80).collect();
            format!("broken: {short}")
        }
    }
}

pub(super) fn diff(
    global: &Global,
    config: &NodeConfig,
    partition: &str,
    sides: Option<(Side, Side)>,
) -> Result<u8, NodeError> {
    let text = with_node(global, config, |node| generation::diff(node, partition, sides))?;
    match (global.json, text.trim_end()) {
        (true, _) => say_json(&json!({ "differences": text })),
        (false, "") => say("no difference"),
        (false, lines) => lines.lines().for_each(|line| say(&plain(line))),
    }
    Ok(0)
}

pub(super) fn rollback(
    global: &Global,
    config: &NodeConfig,
    partition: &str,
    number: Option<u32>,
    dry_run: bool,
) -> Result<u8, NodeError> {
    if dry_run {
        return with_node(global, config, |node| {
            let steps = generation::rehearse_rollback(node, partition, number)?;
            steps.iter().for_each(|step| node.reporter.note(partition, step));
            Ok(0)
        });
    }
    let number = with_node(global, config, |node| generation::rollback(node, partition, number))?;
    match global.json {
        true => say_json(&json!({ "partition": partition, "generation": number })),
        false => say(&format!(
            "{partition}: generation {number} is in place, until another change is requested or `slapos node instance --all`"
        )),
    }
    Ok(0)
}

pub(super) fn explain(global: &Global, name: &str) -> Result<u8, NodeError> {
    let config = place::config(global)?;
    let all = with_node(global, &config, |node| slapos_node::explain::explain(node, name))?;
    if global.json {
        say_json(&json!(all));
        return Ok(0);
    }
    for explanation in all {
        say(&explanation.subject);
        explanation.story.iter().for_each(|line| say(&format!("  {}", plain(line))));
    }
    Ok(0)
}
