//! `node promise`: checks all promises now, whatever is due.

use slapos_slap::{ComputerPartition, InstanceState};

use std::time::Duration;

use crate::error::{NodeError, exit};
use crate::instance::{ask_promises, check_only, partition_owner};
use crate::node::Node;
use crate::promise::PromiseResult;
use crate::worker::{Purpose, Worker};

/// The promises of one partition.
#[derive(Debug, serde::Serialize)]
pub struct PartitionPromises {
    /// The partition.
    pub partition: String,
    /// One for each promise, by name.
    pub promises: Vec<PromiseResult>,
}

/// Checks the promises of every started instance, or of those in the partitions `only`.
///
/// # Errors
/// When the Master does not answer or a partition cannot be checked. Broken promises are no error
/// here: see [`PromiseResult::failed`].
pub fn run(node: &Node<'_>, only: &[String]) -> Result<Vec<PartitionPromises>, NodeError> {
    if node.is_down() {
        return Ok(Vec::new());
    }
    let computer = node.computer(&node.master()?)?;
    check_only(only, &computer.partitions)?;
    let chosen = |partition: &&ComputerPartition| {
        partition.software.is_some()
            && partition.requested_state == InstanceState::Started
            && (only.is_empty() || only.iter().any(|name| name == partition.id.as_str()))
    };
    let partitions = computer.partitions.iter().filter(chosen);
    partitions.map(|partition| check(node, partition)).collect()
}

fn check(node: &Node<'_>, partition: &ComputerPartition) -> Result<PartitionPromises, NodeError> {
    let id = partition.id.as_str();
    let directory = node.config.instance_root.join(id);
    let mut worker = Worker::start(&partition_owner(&directory)?, id, Purpose::Partition)?;
    let promises = ask_promises(node, &mut worker, id, &directory, None, Duration::ZERO)?;
    Ok(PartitionPromises { partition: id.to_owned(), promises })
}

/// The exit code that `results` deserve.
pub fn exit_code(results: &[PartitionPromises]) -> u8 {
    let broken = results.iter().any(|partition| partition.promises.iter().any(|p| p.failed));
    if broken { exit::PROMISE } else { 0 }
}
