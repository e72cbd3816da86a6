//! The rounds of one run: what an instance publishes or asks for changes what the Master wants of
//! others in its tree, and they need not wait for the next run.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slapos_slap::{Computer, ComputerPartition, InstanceState, PartitionId, SoftwareUrl};

use super::outcome::Outcome;
use super::process::Session;
use super::{Action, Options, decide_about};
use crate::error::NodeError;
use crate::hooks::Hooks;
use crate::pool::{Bound, for_each};

/// More rounds than any sensible tree is deep: instances may go on changing each other for ever.
const MOST_ROUNDS: usize = 10;
/// How long a partition counts among those that are processed at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Partitions that are worked on in all: each has a process and its memory.
const MOST_AT_ONCE: usize = 64;

/// What the Master wanted of a partition when it was processed.
type Version = (Option<String>, InstanceState, Option<SoftwareUrl>);

/// A partition with what is to be done.
pub(super) type Step = (ComputerPartition, Action);

/// Does what is to be done until the Master wants nothing new.
pub(super) fn run(
    session: &Session<'_, '_>,
    hooks: &Hooks,
    options: &Options,
    computer: Computer,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut done = BTreeMap::new();
    let mut steps = steps(session, options, computer.partitions);
    if let Err(error) = have_told(session, options, &mut steps) {
        outcome.halt(error);
        return outcome;
    }
    for round in 1..=MOST_ROUNDS {
        let processed: Vec<_> = steps.iter().filter(|step| is_processing(step)).collect();
        done.extend(
            processed.iter().map(|(partition, _)| (partition.id.clone(), version(partition))),
        );
        let news = steps.iter().any(|step| is_processing(step) || is_restoring(step));
        // What an earlier round changed has had its time.
        session.touched.store(false, Ordering::Relaxed);
        // Also for instances that came into being in the round before.
        if let Err(error) = hooks.begin_instances(session.node, session.master, &steps) {
            outcome.halt(error);
            stop_all_the_same(session, &steps, &mut outcome);
            break;
        }
        outcome = carry_out(session, hooks, options, &steps, outcome);
        if !news || outcome.is_away() || round == MOST_ROUNDS {
            break;
        }
        steps = match session.node.computer(session.master) {
            Ok(computer) => again(session, options, computer, &done),
            Err(error) => {
                let text = format!("it cannot be seen whether instances wait for others: {error}");
                session.node.reporter.warn("node", &text);
                break;
            }
        };
    }
    outcome
}

/// Has the Master hear first what was brought back while it was away: that changes what it wants of others,
/// who are not to be made as what was taken back had asked for.
fn have_told(
    session: &Session<'_, '_>,
    options: &Options,
    steps: &mut Vec<Step>,
) -> Result<(), NodeError> {
    let untold = steps.iter().filter(|(_, action)| *action == Action::Tell);
    // What is wrong is said when its turn comes, and it is tried once more.
    let told = untold.filter(|(partition, _)| matches!(session.remind(partition), Ok(true)));
    if told.count() > 0 {
        *steps = self::steps(session, options, session.node.computer(session.master)?.partitions);
    }
    Ok(())
}

/// What is to be done with each of the chosen partitions.
pub(super) fn steps(
    session: &Session<'_, '_>,
    options: &Options,
    partitions: Vec<ComputerPartition>,
) -> Vec<Step> {
    let chosen = partitions.into_iter().filter(|partition| is_chosen(options, partition));
    let decided = chosen.map(|partition| {
        let action = decide_about(session.node, &partition, options);
        (partition, action)
    });
    decided.collect()
}

/// Whether `partition` is one of those that are named, and of the tree that is asked for: every
/// Master tells a computer of which tree its instances are.
fn is_chosen(options: &Options, partition: &ComputerPartition) -> bool {
    let is_named = options.only.iter().any(|name| name == partition.id.as_str());
    let is_member = options.tree.as_ref().is_none_or(|tree| *tree == partition.root_instance_title);
    (options.only.is_empty() || is_named) && is_member
}

/// The partitions of which something else is wanted now than when they were processed in this run,
/// and instances that have come into being.
fn again(
    session: &Session<'_, '_>,
    options: &Options,
    computer: Computer,
    done: &BTreeMap<PartitionId, Version>,
) -> Vec<Step> {
    // What was forced has been done.
    let options = Options { all: false, ..options.clone() };
    let mut steps = steps(session, &options, computer.partitions);
    steps.retain(|step| is_processing(step) && done.get(&step.0.id) != Some(&version(&step.0)));
    steps
}

/// Nothing more is begun, but what is not to run does not.
fn stop_all_the_same(session: &Session<'_, '_>, steps: &[Step], outcome: &mut Outcome) {
    for (partition, _) in steps {
        if session.runs_in_vain(partition) {
            let error = NodeError::user("it was not processed");
            let error = session.stop_all_the_same(partition, error);
            outcome.note(session.node, partition, Err(error));
        }
    }
}

fn is_processing(step: &Step) -> bool {
    matches!(step.1, Action::Process(_))
}

/// It may ask for others anew, too.
fn is_restoring(step: &Step) -> bool {
    matches!(step.1, Action::Restore(_))
}

fn version(partition: &ComputerPartition) -> Version {
    (partition.timestamp.clone(), partition.requested_state, partition.software.clone())
}

fn carry_out(
    session: &Session<'_, '_>,
    hooks: &Hooks,
    options: &Options,
    steps: &[Step],
    outcome: Outcome,
) -> Outcome {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = if options.jobs == 0 { processors() } else { options.jobs };
    let bound = Bound { at_once, patience: PATIENCE, most: MOST_AT_ONCE.max(at_once) };
    let outcome = Mutex::new(outcome);
    let lock = || outcome.lock().unwrap_or_else(PoisonError::into_inner);
    // Where there is nothing to do, no thread needs to do it.
    let idle = |action: &Action| hooks.is_empty() && matches!(action, Action::Nothing(_));
    let steps: Vec<_> = steps.iter().filter(|(_, action)| !idle(action)).collect();
    for_each(
        &steps,
        bound,
        || lock().is_away(),
        |(partition, action)| {
            let Session { node, master, .. } = session;
            let carry_out = || session.carry_out(partition, action);
            let result = hooks.around_instance(node, master, partition, action, carry_out);
            let result = result.map_err(|error| session.stop_all_the_same(partition, error));
            lock().note(session.node, partition, result);
        },
    );
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use slapos_slap::ComputerId;

    use super::*;

    #[test]
    fn a_tree_is_those_that_the_master_says_are_of_it() {
        let partition = |name: &str, root: &str| {
            let id = PartitionId::new(name);
            let free = ComputerPartition::free(ComputerId::new("c"), id);
            ComputerPartition { root_instance_title: root.to_owned(), ..free }
        };
        let (root, other) = (partition("p0", "tree"), partition("p1", "other"));
        let everything = Options::default();
        assert!(is_chosen(&everything, &root) && is_chosen(&everything, &other));
        let tree = Options { tree: Some("tree".to_owned()), ..Options::default() };
        assert!(is_chosen(&tree, &root) && !is_chosen(&tree, &other));
        let named = Options { only: vec!["p1".to_owned()], ..tree };
        assert!(!is_chosen(&named, &root) && !is_chosen(&named, &other));
    }
}
