//! `node report`: removes the instances that are to be destroyed.

use std::collections::BTreeSet;

use slapos_slap::{ComputerPartition, InstanceState, SlapClient};
use slapos_sys::user;

use crate::error::NodeError;
use crate::instance::{Quiet, partition_owner};
use crate::journal::Deed;
use crate::node::Node;
use crate::services;
use crate::worker::{Job, Purpose, RemoveJob, Worker};

/// Rounds in which children go before their roots: one makes the Master want the children
/// destroyed, one removes them, one the root.
const MOST_ROUNDS: usize = 10;

/// Destroys what the Master wants destroyed and frees its partitions, as far as that goes: a root
/// whose children live on other computers stays until these have removed them.
///
/// # Errors
/// When the Master does not answer, another run is under way, or a partition failed (the others
/// are still looked at).
pub fn run(node: &Node<'_>) -> Result<(), NodeError> {
    if node.is_down() {
        return Ok(());
    }
    let _lock = node.lock("slapos node report", &node.config.pidfile_report)?;
    // An instance must not be processed while it is taken away.
    let _instances = node.lock("slapos node instance", &node.config.pidfile_instance)?;
    let master = node.master()?;
    let mut before = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let mut partitions = node.computer(&master)?.partitions;
        partitions.retain(is_to_go);
        let going: BTreeSet<_> = partitions.iter().map(|partition| partition.id.clone()).collect();
        if going == before {
            break;
        }
        destroy_all(node, &master, &partitions)?;
        before = going;
    }
    Ok(())
}

fn destroy_all(
    node: &Node<'_>,
    master: &SlapClient,
    partitions: &[ComputerPartition],
) -> Result<(), NodeError> {
    let mut failed = Vec::new();
    for partition in partitions {
        if let Err(error) = destroy(node, master, partition) {
            node.reporter.failed(partition.id.as_str(), &error);
            failed.push(partition.id.to_string());
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(NodeError::user(format!("failed: {}", names.join(", ")))),
    }
}

fn is_to_go(partition: &ComputerPartition) -> bool {
    !partition.is_free() && partition.requested_state == InstanceState::Destroyed
}

/// Stop, empty, forget, and only then tell the Master: killed in between, the next run repeats.
fn destroy(
    node: &Node<'_>,
    master: &SlapClient,
    partition: &ComputerPartition,
) -> Result<(), NodeError> {
    let id = partition.id.as_str();
    services::stop(node, &partition.id)?;
    master.instance_stopped(&partition.computer, &partition.id)?;
    let directory = node.config.instance_root.join(id);
    let owner = partition_owner(&directory)?;
    let job = Job::Remove(RemoveJob {
        directory,
        keep_directory: true,
        // Only where the partition has a user of its own.
        end_processes: user::is_root(),
    });
    Worker::start(&owner, id, Purpose::Partition)?.run(
        &job,
        Some(node.config.partition_timeout),
        &mut Quiet,
    )?;
    node.records().forget(id)?;
    match master.instance_destroyed(&partition.computer, &partition.id)? {
        None => {
            node.did(id, Deed::Note { text: "destroyed".to_owned() });
            node.reporter.note(id, "destroyed");
        }
        Some(reason) => node.reporter.note(id, &format!("not free yet: {reason}")),
    }
    Ok(())
}
