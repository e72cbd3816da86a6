//! Brings a generation back: its content, its Software Release and its services.
//!
//! The history says `restoring` before anything is touched and until services run again, so that a
//! run that was killed is continued by the next one. The Master is told before that ends, too.

use std::path::{Path, PathBuf};

use slapos_slap::{ComputerPartition, InstanceState, PartitionId};
use slapos_sys::clock::Timestamp;
use slapos_sys::user::Identity;

use super::told::{tell, tell_published};
use super::words::{held_by, instead};
use crate::config::NodeConfig;
use crate::error::NodeError;
use crate::history::{Generation, History, Wanted};
use crate::journal::Deed;
use crate::node::Node;
use crate::place::partition_owner;
use crate::promises::{self, Question, Told};
use crate::record::{Outcome, PartitionRecord};
use crate::worker::{Done, GenerationJob, Job, Purpose, Quiet, Service, Worker};
use crate::{services, software};

/// A partition's directory, and the user whose it is.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) directory: PathBuf,
    pub(crate) owner: Identity,
}

impl Home {
    /// That of the partition `id`.
    ///
    /// # Errors
    /// When it is missing, or open to others.
    pub(crate) fn of(config: &NodeConfig, id: &PartitionId) -> Result<Self, NodeError> {
        let directory = config.instance_root.join(id.as_str());
        let owner = partition_owner(&directory)?;
        Ok(Self { directory, owner })
    }

    /// The same as the partition `id` that is to be in `state`.
    pub(crate) fn place<'a>(&'a self, id: &'a PartitionId, state: InstanceState) -> Place<'a> {
        Place { id, directory: &self.directory, owner: &self.owner, state }
    }
}

/// A partition, and whether its services are to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) id: &'a PartitionId,
    pub(crate) directory: &'a Path,
    pub(crate) owner: &'a Identity,
    pub(crate) state: InstanceState,
}

/// Puts the content of generation `number` in place again, which is the one in place by all but its
/// content: services were not switched, and go on.
///
/// # Errors
/// When it is not kept any more, or something could not be put in place.
pub(crate) fn put_right(
    node: &Node<'_>,
    place: Place<'_>,
    history: &History,
    number: u32,
) -> Result<(), NodeError> {
    let generation = history.get(number).ok_or_else(|| not_kept(place.id.as_str(), number))?;
    let mut worker = Worker::start(place.owner, place.id.as_str(), Purpose::Partition)?;
    // Parts have been at work since: what is in their directories is not known to be anybody's.
    match content(node, &mut worker, place, None, number)? {
        Ok(_) => {
            tell_published(node, place, generation);
            Ok(())
        }
        Err(lost) => Err(unusable(place.id.as_str(), number, &lost)),
    }
}

/// What came of bringing a generation back.
#[derive(Debug)]
pub(crate) struct Restored {
    /// What its promises say; nothing where they were not asked.
    pub(crate) said: Told,
    /// Whether the Master answers.
    pub(crate) answered: bool,
    /// Its number.
    pub(super) number: u32,
    /// That another one was taken back for it, unless it is what is wanted.
    instead: Option<String>,
    /// Whether it asked for other instances, as far as that is known.
    asked: bool,
}

impl Restored {
    /// Has the record say what is in place, and what is wrong with it: that it is not what is wanted
    /// stays so until another change is requested.
    pub(crate) fn remember(&self, record: &mut PartitionRecord, now: Timestamp) {
        self.said.remember(record, now);
        record.asks_nothing &= !self.asked;
        record.outcome = match (&self.instead, &record.outcome) {
            (None, _) => Outcome::Done,
            // Where its definition was lost: why it is there has been said better.
            (Some(new), outcome) if says_better(outcome, self.number, new) => return,
            (Some(text), _) => Outcome::Failed(match self.said.judge() {
                Ok(()) => text.clone(),
                Err(error) => format!("{text}; but {error}"),
            }),
        };
    }
}

/// Brings generation `number` back, to stay for as long as `held` is wanted, starts its services
/// anew, has the Master know, and asks its promises. Where none are to run, nothing is asked.
///
/// # Errors
/// When it is not kept any more or its Software Release is gone (nothing was changed then), or
/// something could not be put in place.
pub(crate) fn restore(
    node: &Node<'_>,
    place: Place<'_>,
    history: &mut History,
    number: u32,
    held: Option<Wanted>,
) -> Result<Restored, NodeError> {
    let id = place.id.as_str();
    let generation = history.get(number).cloned().ok_or_else(|| not_kept(id, number))?;
    check_software(node, id, &generation)?;
    let mut worker = Worker::start(place.owner, id, Purpose::Partition)?;
    let instead = instead(history, number, held.as_ref());
    let other = history.current().filter(|current| current.number != number).cloned();
    history.begin_restoring(number, held);
    node.histories().store(id, history)?;
    let services = match content(node, &mut worker, place, history.current, number)? {
        Ok(services) => services,
        Err(lost) => {
            history.lost(number, &lost);
            node.histories().store(id, history)?;
            return Err(unusable(id, number, &lost));
        }
    };
    switch(node, place, &services)?;
    let answered = tell(node, place, &generation, other.as_ref());
    mark(node, id, number, instead.as_deref())?;
    history.restored(number);
    node.histories().store(id, history)?;
    node.did(id, Deed::Note { text: format!("generation {number} was restored") });
    let asked = generation.requests.as_ref().is_none_or(|requests| !requests.is_empty());
    let said = match place.state {
        InstanceState::Started => ask_promises(node, &mut worker, place, generation)?,
        _ => Told::default(),
    };
    Ok(Restored { said, answered, number, instead, asked })
}

/// Has the record say that another one was taken back `instead`: a run that is killed while promises are
/// asked is not to leave that untold.
fn mark(node: &Node<'_>, id: &str, number: u32, instead: Option<&str>) -> Result<(), NodeError> {
    let records = node.records();
    match (instead, records.load(id)?) {
        (Some(text), Some(record)) if !says_better(&record.outcome, number, text) => records
            .store(id, &PartitionRecord { outcome: Outcome::Failed(text.to_owned()), ..record }),
        _ => Ok(()),
    }
}

/// Whether an outcome says why generation `number` is in place, and not only what `new` says.
fn says_better(outcome: &Outcome, number: u32, new: &str) -> bool {
    matches!(outcome, Outcome::Failed(text) if text != new && held_by(text) == Some(number))
}

fn ask_promises(
    node: &Node<'_>,
    worker: &mut Worker,
    place: Place<'_>,
    generation: Generation,
) -> Result<Told, NodeError> {
    let mut partition = ComputerPartition::free(node.config.computer_id.clone(), place.id.clone());
    partition.software = Some(generation.wanted.software);
    promises::ask(node, worker, &partition, Question::test(promises::GRACE))
}

fn unusable(id: &str, number: u32, lost: &str) -> NodeError {
    NodeError::user(format!("generation {number} of {id} is not whole any more: {lost}"))
        .hint(format!("`slapos node generations {id}` lists the others; nothing was changed"))
}

pub(super) fn not_kept(id: &str, number: u32) -> NodeError {
    NodeError::user(format!("generation {number} of {id} is not kept"))
        .hint(format!("`slapos node generations {id}` lists those that are"))
}

/// Configuration names files of its Software Release: without it, nothing of it works.
pub(super) fn check_software(
    node: &Node<'_>,
    id: &str,
    generation: &Generation,
) -> Result<(), NodeError> {
    let Wanted { software, software_stamp, .. } = &generation.wanted;
    match software::stamp(&node.config.software_root, software) {
        None => Err(NodeError::user(format!(
            "generation {} of {id} needs the Software Release {software}, which is not built",
            generation.number
        ))
        .hint(format!("`slapos supply {software}` and `slapos node software` build it again"))),
        Some(stamp) if stamp != *software_stamp => {
            let text = format!(
                "{software} was built again since generation {}: its configuration comes back, that build does not",
                generation.number
            );
            node.reporter.warn(id, &text);
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// Nothing goes back by itself to a build that is no more: what fails then may be the one that took its
/// place, and an older configuration would not mend that. A person may want it all the same.
pub(super) fn check_build(node: &Node<'_>, generation: &Generation) -> Result<(), NodeError> {
    let Wanted { software, software_stamp, .. } = &generation.wanted;
    match software::stamp(&node.config.software_root, software) {
        Some(stamp) if stamp != *software_stamp => Err(NodeError::user(format!(
            "{software} was built again since, and the build of generation {} is no more",
            generation.number
        ))),
        _ => Ok(()),
    }
}

fn content(
    node: &Node<'_>,
    worker: &mut Worker,
    place: Place<'_>,
    in_place: Option<u32>,
    number: u32,
) -> Result<Result<Vec<Service>, String>, NodeError> {
    let directory = place.directory.to_owned();
    let job = Job::Generation(GenerationJob::Restore { directory, number, in_place });
    match worker.run(&job, Some(node.config.partition_timeout), &mut Quiet)? {
        Done::Restored { lost: Some(lost), .. } => Ok(Err(lost)),
        Done::Restored { services, lost: None } => Ok(Ok(services)),
        other => Err(NodeError::user(format!("the worker of {} answered {other:?}", place.id))),
    }
}

/// All services are started anew: one that read the other generation's files must not go on.
fn switch(node: &Node<'_>, place: Place<'_>, services: &[Service]) -> Result<(), NodeError> {
    if place.state != InstanceState::Started {
        return services::stop(node, place.id);
    }
    services::start_anew(node, place.id, place.directory, place.owner, services)
}
