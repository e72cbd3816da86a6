//! `node format`: makes this machine have the users, directories, addresses and interfaces of its
//! partitions, and tells the Master.
//!
//! Survey → wanted → observe → plan → execute: [`wanted()`] and [`plan()`] are pure functions, steps
//! carry their reasons, and a machine that is in order gets an empty plan. What was made is recorded
//! (`computer_xml`), and kept by the next run.
//!
//! In a partition one file is read and written, `.slapos-resource`, and that with the rights of the
//! partition's user alone.

mod addresses;
mod documents;
mod execute;
mod history;
mod interfaces;
mod ipv4;
mod ipv6;
mod known;
mod log;
mod observe;
mod options;
mod plan;
mod survey;
#[cfg(test)]
mod tests;
mod view;
mod wanted;

use slapos_slap::ComputerDescription;
use slapos_sys::lock::FileLock;
use slapos_sys::random;

use crate::config::NodeConfig;
use crate::error::{NodeError, exit};
use crate::hooks::Hooks;
use crate::node::Node;
use crate::renewal;
use log::Logged;

pub use documents::RESOURCE_FILE;
pub(crate) use execute::create_user;
pub use execute::{Progress, execute};
pub use known::{Known, Origin};
pub use observe::{Directory, FoundUser, Observed, observe};
pub use options::Options;
pub use plan::{FormatPlan, FormatStep, NetworkStep, plan};
pub(crate) use survey::storage_of;
pub use survey::survey;
pub use view::{FoundAddress, FoundRoute, Interface, NetworkView, TunTap};
pub use wanted::{NetworkWish, Survey, Wanted, wanted};

const SUBJECT: &str = "format";

/// How often others are tried for addresses that turn out to belong to other machines.
const ROUNDS: usize = 10;

/// The whole command. A node that is down is brought in order, and its Master not told.
///
/// # Errors
/// When the machine cannot be brought in order; with [`exit::OFFLINE`] when it was, and the Master does
/// not answer, or [`exit::FORMAT_UNTOLD`] when it does not take it.
pub fn run(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    let config = options.over(node.config);
    let node = Node { config: &config, ..*node };
    let Some(path) = config.format.log_file.as_ref().filter(|_| !options.dry_run) else {
        return format(&node, options);
    };
    let logged = Logged::new(node.reporter, node.clock, path)?;
    let result = format(&Node { reporter: &logged, ..node }, options);
    result.inspect_err(|error| logged.line("ERROR", &error.to_string()))
}

fn format(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    delay(node, options)?;
    let description = apply(node, options.dry_run)?;
    if options.dry_run || node.is_down_and("its Master is not told") {
        return Ok(());
    }
    announce(node, &description).map_err(|error| {
        let told = NodeError::user(format!(
            "this computer is formatted, but its Master could not be told: {error}"
        ))
        .code(if error.exit_code() == exit::OFFLINE {
            exit::OFFLINE
        } else {
            exit::FORMAT_UNTOLD
        });
        told.hint(error.hint_text().unwrap_or("run the command again when the Master answers"))
    })
}

fn delay(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    let most = u64::try_from(options.maximal_delay.as_millis()).unwrap_or(u64::MAX);
    if most == 0 || options.dry_run {
        return Ok(());
    }
    let wrong = |error: std::io::Error| NodeError::user(format!("cannot draw a number: {error}"));
    let drawn = random::hex(8).map_err(wrong)?;
    let drawn = u64::from_str_radix(&drawn, 16).unwrap_or(0);
    let pause = std::time::Duration::from_millis(drawn % most);
    node.reporter.note(SUBJECT, &format!("waits for {} seconds", pause.as_secs()));
    std::thread::sleep(pause);
    Ok(())
}

/// Two at once would undo each other's record. Why the lock cannot be made, its plan says best.
fn lock(node: &Node<'_>) -> Result<FileLock, NodeError> {
    let path = node.config.instance_root.join("var/run/slapformat.pid");
    node.lock("slapos node format", &path).map_err(|error| match error.exit_code() {
        exit::BUSY => error,
        _ => {
            let planned = survey(node.config).and_then(|survey| decide(node.config, &survey));
            planned.err().unwrap_or(error)
        }
    })
}

/// Brings this machine in order: what `node format` does before it tells the Master, and what is
/// then to be told. With `dry_run` the plan is only shown.
///
/// # Errors
/// When it cannot be planned or a step fails; [`NodeError::busy`] while another process does it.
pub fn apply(node: &Node<'_>, dry_run: bool) -> Result<ComputerDescription, NodeError> {
    // A dry run makes nothing, not even the lock.
    let _alone = (!dry_run).then(|| lock(node)).transpose()?;
    let mut refused = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        let survey = Survey { refused: refused.clone(), ..survey(node.config)? };
        let (wanted, plan) = decide(node.config, &survey)?;
        plan.warnings.iter().for_each(|warning| node.reporter.warn(SUBJECT, warning));
        if dry_run {
            plan.to_string().lines().for_each(|line| node.reporter.note(SUBJECT, line));
            return Ok(wanted.description);
        }
        carry_out(node, &plan)?;
        let duplicates = execute::remove_duplicates(&plan)?;
        for addr in &duplicates {
            let text = format!("another machine has {addr}; the partition gets another address");
            node.reporter.warn(SUBJECT, &text);
        }
        if duplicates.is_empty() {
            Hooks::of(node.config).format(node)?;
            return Ok(wanted.description);
        }
        refused.extend(duplicates);
    }
    Err(NodeError::user("all addresses that were tried belong to other machines")
        .hint("see who has them, or give the interface another IPv6 network"))
}

/// What this computer is to be, and the way there.
fn decide(config: &NodeConfig, survey: &Survey) -> Result<(Wanted, FormatPlan), NodeError> {
    let wanted = wanted(config, survey)?;
    let observed = observe(config, &wanted)?;
    let plan = plan(config, &wanted, &survey.network, &observed)?;
    Ok((wanted, plan))
}

fn carry_out(node: &Node<'_>, plan: &FormatPlan) -> Result<(), NodeError> {
    execute(plan, node.clock, |progress| match progress {
        Progress::Done(step) => node.reporter.note(SUBJECT, &step.to_string()),
        Progress::Failed(step, error) => {
            node.reporter.warn(SUBJECT, &format!("{step}; that failed: {error}"));
        }
        Progress::Note(text) => node.reporter.warn(SUBJECT, &text),
    })
}

/// Tells the Master what this computer has, after seeing to the node's certificate.
///
/// # Errors
/// When the Master does not answer, or refuses.
pub fn announce(node: &Node<'_>, description: &ComputerDescription) -> Result<(), NodeError> {
    let master = node.master()?;
    renewal::keep(node, &master);
    Ok(master.load_computer_configuration(description)?)
}
