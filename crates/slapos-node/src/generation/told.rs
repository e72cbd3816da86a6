//! What the Master is told when a generation comes back: what it published, what it asked for, and that
//! another one was taken back for it.
//!
//! A Master that does not answer is no reason not to go back.

use slapos_slap::{
    ComputerPartition, InstanceState, PartitionId, RequestError, SlapClient, SlapError,
};

use super::restore::Place;
use crate::error::{NodeError, exit};
use crate::history::{Again, Generation, History, again, titles};
use crate::node::Node;
use crate::told::for_master;

/// Publishes what `back` published, and asks for what it asked for, which comes in the place of `other`.
/// Returns whether the Master answers.
pub(super) fn tell(
    node: &Node<'_>,
    place: Place<'_>,
    back: &Generation,
    other: Option<&Generation>,
) -> bool {
    let id = place.id.as_str();
    let told = node.master().and_then(|master| {
        publish(node, &master, place, back)?;
        ask_again(node, &master, place, back, other)
    });
    let Err(error) = told else { return true };
    let text = format!("what it publishes and asks for could not be told again: {error}");
    node.reporter.warn(id, &text);
    error.exit_code() != exit::OFFLINE
}

/// The same of the generation in place, for a Master that did not answer when it was brought back.
/// Returns whether it does now.
pub(crate) fn tell_again(node: &Node<'_>, place: Place<'_>, history: &History) -> bool {
    history.current().is_none_or(|current| tell(node, place, current, None))
}

/// The first of it only: what is tried again asks for others again, and they may have to be as they were
/// asked for before it can do without an error.
pub(super) fn tell_published(node: &Node<'_>, place: Place<'_>, generation: &Generation) {
    let told = node.master().and_then(|master| publish(node, &master, place, generation));
    if let Err(error) = told {
        let text = format!("what it publishes could not be published again: {error}");
        node.reporter.warn(place.id.as_str(), &text);
    }
}

/// Tells the Master how the instance in the partition `id` is after a person brought a generation back:
/// what is wrong with it, or that it is what is wanted.
///
/// # Errors
/// When the Master does not hear it.
pub(super) fn report(
    node: &Node<'_>,
    id: &PartitionId,
    state: InstanceState,
    trouble: Option<&NodeError>,
) -> Result<(), NodeError> {
    let master = node.master()?;
    let computer = node.computer(&master)?;
    let Some(partition) = computer.partitions.iter().find(|partition| partition.id == *id) else {
        return Ok(());
    };
    report_of(&master, partition, state, trouble)
}

/// Tells the Master how the instance in `partition` is, of which a generation was brought back: what is wrong
/// with it, or that it is in `state`.
///
/// # Errors
/// When the Master does not hear it.
pub(crate) fn report_of(
    master: &SlapClient,
    partition: &ComputerPartition,
    state: InstanceState,
    trouble: Option<&NodeError>,
) -> Result<(), NodeError> {
    let ComputerPartition { computer, id, .. } = partition;
    let told = match (trouble, state) {
        (Some(error), _) => {
            master.instance_error(computer, id, &for_master(error, Some(partition)))
        }
        (None, InstanceState::Started) => master.instance_started(computer, id),
        (None, _) => master.instance_stopped(computer, id),
    };
    told.map_err(NodeError::from)
}

/// Others must not go on with addresses and passwords of what was taken back, nor those to whom the
/// instance serves a part of it. Who is not served any more is told nothing.
fn publish(
    node: &Node<'_>,
    master: &SlapClient,
    place: Place<'_>,
    generation: &Generation,
) -> Result<(), NodeError> {
    let computer = &node.config.computer_id;
    if let Some(connection) = &generation.connection {
        master.set_connection(computer, place.id, connection)?;
    }
    for (reference, connection) in &generation.shared {
        match master.set_shared_connection(computer, place.id, reference, connection) {
            Ok(()) | Err(SlapError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The instances that it asked for must not go on with what was taken back either. Who is not to be had
/// stays as he is.
fn ask_again(
    node: &Node<'_>,
    master: &SlapClient,
    place: Place<'_>,
    back: &Generation,
    other: Option<&Generation>,
) -> Result<(), NodeError> {
    let id = place.id.as_str();
    let Again { ask, remarks } = again(back, other, place.state);
    remarks.iter().for_each(|text| node.reporter.warn(id, text));
    if asks_by_itself(node) {
        let text = "its recipes can ask the Master by themselves: what they asked stays as it is";
        node.reporter.note(id, text);
    }
    let mut heard = Vec::new();
    for asked in ask {
        let request = asked.clone().by(&node.config.computer_id, place.id);
        match master.request(&request).map_err(RequestError::from) {
            Ok(_) => heard.push(asked),
            Err(RequestError::Unanswered(why)) => {
                return Err(NodeError::user(why).code(exit::OFFLINE));
            }
            Err(RequestError::NotFound(why) | RequestError::Refused(why)) => {
                node.reporter.warn(id, &format!("{} stays as it is: {why}", asked.title));
            }
        }
    }
    if !heard.is_empty() {
        let text = format!("asked for {} as generation {} did", titles(&heard), back.number);
        node.reporter.note(id, &text);
    }
    Ok(())
}

/// Whether an instance has what it takes to speak to the Master without the node, which does not hear
/// then what it asks.
fn asks_by_itself(node: &Node<'_>) -> bool {
    let (config, grid) = (node.config, &node.config.grid);
    let nobody_asks_who = config.master_token_file.is_none() && grid.identity.is_none();
    grid.certificate_repository_path.is_some() || nobody_asks_who
}
