//! `slapos proxy computer set`: what a computer may be used for.

use slapos_node::NodeError;
use slapos_slap::{AllocationScope, ComputerSettings, SlapClient};

use crate::cli::{ComputerSet, Global};
use crate::output::{Table, say, say_json};

pub(super) fn set(
    global: &Global,
    master: &SlapClient,
    wanted: &ComputerSet,
) -> Result<u8, NodeError> {
    let settings = master.set_computer(&wanted.id.as_str().into(), &wanted.change())?;
    match global.json {
        true => say_json(&serde_json::json!(settings)),
        false => show(&settings),
    }
    Ok(0)
}

fn show(settings: &ComputerSettings) {
    let mut table = Table::new(&[settings.id.as_str(), ""]);
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    if !settings.project.is_empty() {
        line("project", settings.project.clone());
    }
    if !settings.title.is_empty() {
        line("title", settings.title.clone());
    }
    line("scope", settings.allocation_scope.to_string());
    for (key, value) in &settings.labels {
        line("label", format!("{key}={value}"));
    }
    if !settings.network.is_empty() {
        line("network", settings.network.clone());
    }
    let capacity = settings.capacity.map(|most| most.to_string());
    line("capacity", capacity.unwrap_or_else(|| "as many as it has partitions".to_owned()));
    say(&table.to_string());
    if settings.allocation_scope != AllocationScope::Drain {
        return;
    }
    match settings.remaining.as_slice() {
        [] => say("No instance remains there."),
        left => {
            say(&format!("{} remain there:", left.len()));
            for one in left {
                say(&format!("  {} {} (tree {})", one.partition, one.title, one.root_title));
            }
        }
    }
}
