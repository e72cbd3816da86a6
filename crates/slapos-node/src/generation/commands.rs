//! `node generations`, `node diff` and `node rollback`.

use std::path::PathBuf;

use slapos_slap::{InstanceState, PartitionId};

use super::restore::{Home, Restored, check_software, not_kept, restore};
use super::told::report;
use crate::action::Action;
use crate::error::NodeError;
use crate::history::{History, Verdict, again, titles};
use crate::hooks::{Hooks, Scene};
use crate::node::Node;
use crate::place::partition_owner;
use crate::record::{Outcome, PartitionRecord};
use crate::worker::{Done, GenerationJob, Job, Purpose, Quiet, Worker};

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A generation.
    Generation(u32),
    /// What is in place, changed by hand or not.
    Now,
}

impl std::str::FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            number => number
                .parse()
                .map(Self::Generation)
                .map_err(|_| format!("`{number}` is neither the number of a generation nor `now`")),
        }
    }
}

/// The generations of `partition`.
///
/// # Errors
/// When there is no such partition, or its history cannot be read.
pub fn list(node: &Node<'_>, partition: &str) -> Result<History, NodeError> {
    directory(node, partition)?;
    node.histories().look(partition)
}

/// How two sides of `partition` differ, as text; by default what came with the generation in
/// place. The first side must be a generation.
///
/// # Errors
/// When there is no such partition or generation.
pub fn diff(
    node: &Node<'_>,
    partition: &str,
    sides: Option<(Side, Side)>,
) -> Result<String, NodeError> {
    let directory = directory(node, partition)?;
    let history = node.histories().look(partition)?;
    let (from, to) = sides.map_or_else(|| latest_change(partition, &history), Ok)?;
    let Side::Generation(from) = from else {
        return Err(NodeError::user("`now` can only be compared with a generation before it")
            .hint(format!("`slapos node diff {partition} NUMBER now`")));
    };
    let to = match to {
        Side::Now => None,
        Side::Generation(number) => Some(number),
    };
    let owner = partition_owner(&directory)?;
    let job = Job::Generation(GenerationJob::Differences { directory, from, to });
    let mut worker = Worker::start(&owner, partition, Purpose::Partition)?;
    match worker.run(&job, Some(node.config.partition_timeout), &mut Quiet)? {
        Done::Differences { text } => Ok(text),
        other => Err(NodeError::user(format!("the worker of {partition} answered {other:?}"))),
    }
}

fn latest_change(partition: &str, history: &History) -> Result<(Side, Side), NodeError> {
    let current = history.current().map(|generation| generation.number);
    let before = current.and_then(|current| {
        let numbers = history.generations.iter().map(|generation| generation.number);
        numbers.filter(|number| *number < current).max()
    });
    match (before, current) {
        (Some(before), Some(current)) => Ok((Side::Generation(before), Side::Generation(current))),
        _ => Err(NodeError::user(format!("{partition} has no two generations to compare"))),
    }
}

/// Brings back generation `number` of `partition`, by default the last one before the present one
/// that kept its promises. It stays until the Master wants something else, or `node instance --all`.
/// Returns its number. The Master need not answer: what it does not hear the next run tells it.
///
/// # Errors
/// When another run is under way, there is no such generation, it cannot be put in place, its promises
/// fail, or a hook does, before or after it.
pub fn rollback(node: &Node<'_>, partition: &str, number: Option<u32>) -> Result<u32, NodeError> {
    directory(node, partition)?;
    if node.down_marker().exists() {
        return Err(NodeError::user("`slapos down` was said: nothing can be put in place")
            .hint("`slapos up` brings it back"));
    }
    let _lock = node.lock("slapos node instance", &node.config.pidfile_instance)?;
    let mut history = node.histories().load(partition)?;
    let number = chosen(partition, &history, number)?.0;
    let record = deployed(node.records().load(partition)?, partition)?;
    let id = PartitionId::from(partition);
    let home = Home::of(node.config, &id)?;
    between_hooks(node, &id, number, || {
        let held = record.wanted();
        let place = home.place(&id, held.state);
        let restored = restore(node, place, &mut history, number, Some(held))?;
        keep(node, &id, record, &mut history, &restored)
    })?;
    Ok(number)
}

/// Has the record, the history and the Master know what was done, whatever hooks say to it afterwards.
///
/// # Errors
/// What its promises say, or that it cannot be written down.
fn keep(
    node: &Node<'_>,
    id: &PartitionId,
    mut record: PartitionRecord,
    history: &mut History,
    restored: &Restored,
) -> Result<(), NodeError> {
    let verdict = restored.said.judge();
    record.at = node.clock.now();
    let now = record.at;
    restored.remember(&mut record, now);
    record.untold = true;
    node.records().store(id.as_str(), &record)?;
    if record.state == InstanceState::Started {
        history.judged(match &verdict {
            Err(error) => Verdict::Broken(error.to_string()),
            Ok(()) => Verdict::Kept,
        });
        node.histories().store(id.as_str(), history)?;
    }
    if have_it_known(node, id, &record, restored) {
        record.untold = false;
        node.records().store(id.as_str(), &record)?;
    }
    verdict
}

/// Tells the Master what was done, unless it does not answer. Returns whether it knows.
fn have_it_known(
    node: &Node<'_>,
    id: &PartitionId,
    record: &PartitionRecord,
    restored: &Restored,
) -> bool {
    let trouble = match &record.outcome {
        Outcome::Failed(text) => Some(NodeError::user(text)),
        _ => restored.said.judge().err(),
    };
    let told = match restored.answered {
        true => report(node, id, record.state, trouble.as_ref()),
        false => Err(NodeError::user("it does not answer")),
    };
    let Err(error) = told else { return true };
    let text = format!(
        "the Master was not told of generation {}: {error}; the next `slapos node instance` that reaches it does",
        restored.number
    );
    node.reporter.warn(id.as_str(), &text);
    false
}

/// Calls `restore` as a part of a run of `node instance` is: between the hooks, which need to know what
/// the Master wants of the partition. One that does not answer is no reason not to go back.
fn between_hooks(
    node: &Node<'_>,
    id: &PartitionId,
    number: u32,
    restore: impl FnOnce() -> Result<(), NodeError>,
) -> Result<(), NodeError> {
    let hooks = Hooks::of(node.config);
    if hooks.is_empty() {
        return restore();
    }
    let known = node.master().and_then(|master| {
        let mut partitions = node.computer(&master)?.partitions;
        partitions.retain(|partition| partition.id == *id);
        Ok((master, partitions.pop()))
    });
    let (master, partition) = match known {
        Ok((master, Some(partition))) => (master, partition),
        Ok((_, None)) => return restore(),
        Err(error) => {
            let text = format!("managers are not called, the next run does: {error}");
            node.reporter.warn(id.as_str(), &text);
            return restore();
        }
    };
    let steps = [(partition, Action::Restore(number))];
    let begun = hooks.begin_instances(node, &master, &steps);
    let [(partition, action)] = &steps;
    let done =
        begun.and_then(|()| hooks.around_instance(node, &master, partition, action, restore));
    let ended = hooks.end(&Scene { node, master: Some(&master) });
    done.and(ended)
}

/// What [`rollback`] would do, step by step, each with its reason. Nothing is touched.
///
/// # Errors
/// When there is no such generation, or it could not be put in place.
pub fn rehearse_rollback(
    node: &Node<'_>,
    partition: &str,
    number: Option<u32>,
) -> Result<Vec<String>, NodeError> {
    directory(node, partition)?;
    let history = node.histories().look(partition)?;
    let (number, why) = chosen(partition, &history, number)?;
    let generation = history.get(number).ok_or_else(|| not_kept(partition, number))?;
    let record = deployed(node.records().look(partition)?, partition)?;
    check_software(node, partition, generation)?;
    let mut steps = vec![format!(
        "put generation {number} in place, of {} ({}): {why}",
        generation.made, generation.reason
    )];
    let runs = record.state == InstanceState::Started;
    steps.push(match runs {
        true => "start its services anew: those that read other files must not go on".to_owned(),
        false => format!("leave its services stopped: it is to be {}", record.state),
    });
    if generation.connection.as_ref().is_some_and(|connection| !connection.is_empty()) {
        steps.push("publish again what it published: others must not go on without".to_owned());
    }
    let other = history.current().filter(|current| current.number != number);
    let again = again(generation, other, record.state);
    if !again.ask.is_empty() {
        let who = titles(&again.ask);
        steps.push(format!("ask again for {who}: they must not go on with what is taken back"));
    }
    steps.extend(again.remarks);
    if runs {
        steps.push("ask its promises: its services were just started".to_owned());
    }
    steps.push("hold it until another change is requested, or `slapos node instance --all`".into());
    Ok(steps)
}

/// The generation that is asked for, or the one to go back to; and why that one.
fn chosen(
    partition: &str,
    history: &History,
    number: Option<u32>,
) -> Result<(u32, &'static str), NodeError> {
    let last = history.fallback().map(|generation| generation.number);
    let last = last.map(|number| (number, "it is the last that kept its promises"));
    number.map(|number| (number, "asked for")).or(last).ok_or_else(|| {
        NodeError::user(format!("{partition} has no former generation that kept its promises"))
            .hint(format!("`slapos node generations {partition}` lists all; name one"))
    })
}

fn deployed(
    record: Option<PartitionRecord>,
    partition: &str,
) -> Result<PartitionRecord, NodeError> {
    record.ok_or_else(|| NodeError::user(format!("no instance was deployed in {partition}")))
}

fn directory(node: &Node<'_>, partition: &str) -> Result<PathBuf, NodeError> {
    let config = node.config;
    let known = (0..config.format.partition_amount).any(|n| config.partition_name(n) == partition);
    let directory = config.instance_root.join(partition);
    if known && directory.is_dir() {
        return Ok(directory);
    }
    Err(NodeError::user(format!("there is no partition `{partition}`"))
        .hint("`slapos proxy show --partitions` lists those that are in use"))
}
