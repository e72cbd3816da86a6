//! The rounds of one run: what an instance publishes or asks for changes what the Master wants of
//! others in its tree, and they need not wait for the next run. Nor need what is asked for while the run
//! only asks promises that are due: another thread does that, at its own pace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use slapos_slap::{Computer, ComputerPartition, InstanceState, PartitionId, SoftwareUrl};

use super::hints;
use super::outcome::Outcome;
use super::process::Session;
use super::turns::Turns;
use super::{Action, Options, decide_about};
use crate::error::NodeError;
use crate::hooks::Hooks;
use crate::pool::{Bound, for_each};

/// More rounds than any sensible tree is deep: instances may go on changing each other for ever.
const MOST_ROUNDS: usize = 10;
/// How long a partition counts among those that are processed at once, or whose promises are asked at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// For how long in a run promises wait for what is processed.
const PRECEDENCE: Duration = Duration::from_secs(10);
/// Partitions that are processed, however long they take, and as many beside them whose promises are asked:
/// each has a process and its memory. Not of both together: what is processed would wait for promises.
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
    let mut steps = steps(session, options, computer.partitions);
    let outcome = Mutex::default();
    let begun = have_told(session, options, &mut steps)
        .and_then(|()| hooks.begin_instances(session.node, session.master, &steps));
    // Where there is nothing to do, no thread needs to do it.
    let idle = |(_, action): &Step| hooks.is_empty() && matches!(action, Action::Nothing(_));
    let steps = steps.into_iter().filter(|step| !idle(step));
    let (current, steps): (Vec<_>, Vec<_>) = steps.partition(is_current);
    let turns = Arc::new(Turns::new(current, PRECEDENCE));
    let run = Run { session, hooks, options, turns: &turns, outcome };
    if let Some(fd) = options.hints {
        hints::listen(fd, &turns, session.node.reporter);
    }
    match begun {
        Ok(()) => run.all(steps),
        Err(error) => run.halt(&steps, error),
    }
    run.outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nothing is wanted of a partition but that its promises are asked when they are due.
fn is_current((_, action): &Step) -> bool {
    matches!(action, Action::Check | Action::Tell | Action::Nothing(_))
}

/// What the threads of a run have in common.
struct Run<'a, 's, 'n> {
    session: &'a Session<'s, 'n>,
    hooks: &'a Hooks,
    options: &'a Options,
    turns: &'a Turns,
    outcome: Mutex<Outcome>,
}

impl Run<'_, '_, '_> {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        // What has come of others counts, whatever one of them did.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.outcome().is_over()
    }

    /// Nothing more is begun, but what of `steps` is not to run does not.
    fn halt(&self, steps: &[Step], error: NodeError) {
        self.outcome().halt(error);
        for (partition, _) in steps.iter().filter(|step| self.session.runs_in_vain(&step.0)) {
            let error = NodeError::user("it was not processed");
            let error = self.session.stop_all_the_same(partition, error);
            self.outcome().note(self.session.node, partition, Err(error));
        }
    }

    fn all(&self, steps: Vec<Step>) {
        thread::scope(|scope| {
            if !self.turns.has_ended() {
                scope.spawn(|| self.ask_promises());
            }
            self.rounds(steps);
        });
    }

    fn ask_promises(&self) {
        let _until_then = self.turns.ends();
        let turns = std::iter::from_fn(|| self.turns.next());
        for_each(turns, self.bound(), || self.is_over(), |turn| self.carry_out(&turn.step));
    }

    /// Processes `steps`, and then what the Master wants since, as long as promises are asked.
    fn rounds(&self, mut steps: Vec<Step>) {
        let mut done = BTreeMap::new();
        let mut left = MOST_ROUNDS;
        loop {
            let news = self.round(&steps, &mut done);
            if self.is_over() {
                return self.turns.keep(&BTreeSet::new());
            }
            left -= 1;
            if !news || left == 0 {
                if !self.turns.await_hint() {
                    return;
                }
                left = MOST_ROUNDS;
            }
            steps = self.look_again(&done);
            // What an earlier round changed has had its time.
            self.session.touched.store(false, Ordering::Relaxed);
            // Also for instances that came into being in the round before.
            let Session { node, master, .. } = self.session;
            if let Err(error) = self.hooks.begin_instances(node, master, &steps) {
                self.halt(&steps, error);
                return self.turns.keep(&BTreeSet::new());
            }
        }
    }

    /// Carries out `steps`; whether any of it may have changed what is wanted.
    fn round(&self, steps: &[Step], done: &mut BTreeMap<PartitionId, Version>) -> bool {
        let processed: Vec<_> = steps.iter().filter(|step| is_processing(step)).collect();
        done.extend(
            processed.iter().map(|(partition, _)| (partition.id.clone(), version(partition))),
        );
        for_each(steps, self.bound(), || self.is_over(), |step| self.carry_out(step));
        steps.iter().any(|step| is_processing(step) || is_restoring(step))
    }

    /// What is to be processed since, and can be. Promises of partitions of which anything is wanted now are
    /// asked no more in this run, unless by processing them.
    fn look_again(&self, done: &BTreeMap<PartitionId, Version>) -> Vec<Step> {
        self.turns.take_hint();
        let node = self.session.node;
        let computer = match node.computer(self.session.master) {
            Ok(computer) => computer,
            Err(error) => {
                self.cannot_look(&error);
                return Vec::new();
            }
        };
        // What was forced has been done.
        let options = Options { all: false, ..self.options.clone() };
        let mut steps = steps(self.session, &options, computer.partitions);
        let current = steps.iter().filter(|step| is_current(step));
        self.turns.keep(&current.map(|(partition, _)| partition.id.clone()).collect());
        steps.retain(|step| is_processing(step) && done.get(&step.0.id) != Some(&version(&step.0)));
        steps.retain(|(partition, _)| self.turns.may_process(&partition.id));
        steps
    }

    fn cannot_look(&self, error: &NodeError) {
        let text = format!("it cannot be seen whether instances wait for others: {error}");
        self.session.node.reporter.warn("node", &text);
    }

    fn bound(&self) -> Bound {
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        let at_once = if self.options.jobs == 0 { processors() } else { self.options.jobs };
        Bound { at_once, patience: PATIENCE, most: MOST_AT_ONCE.max(at_once) }
    }

    fn carry_out(&self, (partition, action): &Step) {
        let Session { node, master, .. } = self.session;
        let carry_out = || self.session.carry_out(partition, action);
        let result = self.hooks.around_instance(node, master, partition, action, carry_out);
        let result = result.map_err(|error| self.session.stop_all_the_same(partition, error));
        self.outcome().note(node, partition, result);
    }
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
