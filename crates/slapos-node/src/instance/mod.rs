//! `node instance`: makes the instances in this computer's partitions as the Master wants them.

mod plan;
mod process;
mod settle;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use slapos_slap::{ComputerPartition, SlapError};
use slapos_sys::fs;

use crate::error::{NodeError, exit};
use crate::generation::Wanted;
use crate::node::Node;
use crate::{services, software};

pub use plan::{Action, Observed, Reason, decide};
pub(crate) use process::{Quiet, ask_promises, judge, partition_owner};
pub use settle::settle;

/// Which partitions to look at, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these partitions; empty for all.
    pub only: Vec<String>,
    /// Also those that are up to date.
    pub all: bool,
    /// Print the plan and do nothing.
    pub dry_run: bool,
}

/// What a run came to; partitions by name.
#[derive(Debug, Default)]
struct Outcome {
    failed: BTreeMap<String, String>,
    broken: BTreeMap<String, String>,
}

/// Processes every partition that is due.
///
/// # Errors
/// When the Master does not answer (services are started as last known then: exit code
/// [`exit::OFFLINE`]), another run is under way, a partition failed, or a promise did.
pub fn run(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    let config = node.config;
    if node.is_down() {
        return Ok(());
    }
    let _lock = node.lock("slapos node instance", &config.pidfile_instance)?;
    let master = node.master()?;
    let computer = match master.full_computer_information(&config.computer_id) {
        Ok(computer) => computer,
        Err(error) => return offline(node, options, error),
    };
    check_only(&options.only, &computer.partitions)?;
    let chosen = |partition: &&ComputerPartition| {
        options.only.is_empty() || options.only.iter().any(|name| name == partition.id.as_str())
    };
    let steps = computer.partitions.iter().filter(chosen);
    let steps: Vec<_> =
        steps.map(|partition| (partition, decide_about(node, partition, options.all))).collect();
    if options.dry_run {
        for (partition, action) in &steps {
            node.reporter.note(partition.id.as_str(), &action.to_string());
        }
        return Ok(());
    }
    let runs = steps.iter().any(|(_, action)| {
        matches!(action, Action::Check | Action::Process(_) | Action::Restore(_))
    });
    if runs {
        // Also what brings services back after the machine or the supervisor was restarted.
        services::supervisor(node)?;
    }
    let session = process::Session { node, master: &master };
    conclude(&execute(&session, &steps))
}

fn execute(session: &process::Session<'_, '_>, steps: &[(&ComputerPartition, Action)]) -> Outcome {
    let outcome = Mutex::new(Outcome::default());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(steps.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((partition, action)) =
                    steps.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let result = session.carry_out(partition, action);
                    let mut outcome =
                        outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    note_result(session.node, partition, result, &mut outcome);
                }
            });
        }
    });
    outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn note_result(
    node: &Node<'_>,
    partition: &ComputerPartition,
    result: Result<(), NodeError>,
    outcome: &mut Outcome,
) {
    let Err(error) = result else { return };
    let id = partition.id.to_string();
    node.reporter.failed(&id, &error);
    let list = match error.exit_code() {
        exit::PROMISE => &mut outcome.broken,
        _ => &mut outcome.failed,
    };
    list.insert(id, error.to_string());
}

fn conclude(outcome: &Outcome) -> Result<(), NodeError> {
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(", ");
    if !outcome.failed.is_empty() {
        return Err(NodeError::user(format!("failed: {}", names(&outcome.failed))));
    }
    if !outcome.broken.is_empty() {
        let message = format!("promises failed: {}", names(&outcome.broken));
        return Err(NodeError::user(message).code(exit::PROMISE));
    }
    Ok(())
}

fn decide_about(node: &Node<'_>, partition: &ComputerPartition, all: bool) -> Action {
    let root = &node.config.software_root;
    let record = match node.records().load(partition.id.as_str()) {
        Ok(record) => record,
        Err(error) => return Action::Refuse(error.to_string()),
    };
    let history = match node.histories().load(partition.id.as_str()) {
        Ok(history) => history,
        Err(error) => return Action::Refuse(error.to_string()),
    };
    let software_stamp = partition.software.as_ref().and_then(|url| software::stamp(root, url));
    let wanted = software_stamp.as_ref().and_then(|stamp| Wanted::of(partition, stamp));
    let observed = Observed {
        record,
        software_stamp,
        periodicity: periodicity(node, partition),
        defined: services::is_defined(node, &partition.id),
        held: history.holds(wanted.as_ref()),
        restoring: history.restoring,
    };
    decide(node.clock.now(), partition, &observed, all)
}

/// The Software Release may say how often its instances are processed, in a file `periodicity`.
fn periodicity(node: &Node<'_>, partition: &ComputerPartition) -> i64 {
    let most = i64::try_from(node.config.maximum_periodicity.as_secs()).unwrap_or(i64::MAX);
    let Some(url) = &partition.software else {
        return most;
    };
    let path = software::directory(&node.config.software_root, url).join("periodicity");
    let Ok(text) = fs::read_untrusted(&path, software::SMALL) else { return most };
    text.trim().parse().unwrap_or_else(|_| {
        let text = format!("{} is no number of seconds and is ignored", path.display());
        node.reporter.warn(partition.id.as_str(), &text);
        most
    })
}

pub(crate) fn check_only(only: &[String], known: &[ComputerPartition]) -> Result<(), NodeError> {
    let unknown: Vec<_> = only
        .iter()
        .filter(|name| !known.iter().any(|partition| partition.id.as_str() == **name))
        .map(String::as_str)
        .collect();
    match unknown.as_slice() {
        [] => Ok(()),
        names => Err(NodeError::user(format!("Unknown partition(s): {}", names.join(", ")))
            .hint("`slapos proxy show --partitions` lists those that are in use")),
    }
}

/// Without its Master a node keeps running what it ran.
fn offline(node: &Node<'_>, options: &Options, error: SlapError) -> Result<(), NodeError> {
    if !error.is_temporary() || options.dry_run {
        return Err(error.into());
    }
    node.reporter.warn("node", &error.to_string());
    services::supervisor(node)?;
    Err(NodeError::user("the Master does not answer; services run as last known")
        .hint("they are processed when it answers again")
        .code(exit::OFFLINE))
}
