//! The node's side of gathering: a worker is only started where there is something to ask.

use std::time::Duration;

use slapos_slap::{ComputerPartition, PartitionId};
use slapos_sys::user;

use super::directory;
use super::work::{LIMIT, PROGRAMS, REPORTS, discard, read_reports};
use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::place::partition_owner;
use crate::worker::{Done, Gathered, Job, Purpose, Quiet, ReportFile, UsageJob, Worker};

/// How long reading, or taking away, may take beside the making.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Has the partition make and give its reports.
pub(super) fn gather(
    node: &Node<'_>,
    partition: &ComputerPartition,
) -> Result<Gathered, NodeError> {
    let id = partition.id.as_str();
    let directory = node.config.instance_root.join(id);
    if !directory.exists() {
        return Ok(Gathered::default());
    }
    let owner = match partition_owner(&directory) {
        Ok(owner) => owner,
        Err(error) => {
            // `node instance` makes it an error.
            node.reporter.warn(id, &format!("its usage is not known: {error}"));
            return Ok(Gathered::default());
        }
    };
    // With the partition's own rights, wherever links of it lead.
    let any = user::as_files_of(&owner, || {
        [PROGRAMS, REPORTS].iter().any(|name| match std::fs::read_dir(directory.join(name)) {
            Ok(mut found) => found.next().is_some(),
            // The worker says what is wrong with it.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        })
    });
    if !any.context("take the rights of the owner of", &directory)? {
        return Ok(Gathered::default());
    }
    match ask(node, &partition.id, UsageJob::Gather { directory })? {
        Done::Usage { gathered } => Ok(gathered),
        other => Err(NodeError::user(format!("the worker of {id} answered {other:?}"))),
    }
}

/// Takes reports of a partition away, wherever they were.
pub(super) fn take_away(
    node: &Node<'_>,
    partition: &PartitionId,
    files: Vec<ReportFile>,
) -> Result<(), NodeError> {
    let own = directory(node, partition.as_str());
    discard(&own, &files).map_err(|failure| NodeError::user(failure.message))?;
    let directory = node.config.instance_root.join(partition.as_str());
    match directory.exists() {
        true => ask(node, partition, UsageJob::Discard { directory, files }).map(drop),
        false => Ok(()),
    }
}

/// The reports about a partition that programs of the node itself made.
pub(super) fn of_node(node: &Node<'_>, partition: &PartitionId) -> Vec<ReportFile> {
    let mut warnings = Vec::new();
    let files = read_reports(&directory(node, partition.as_str()), &mut warnings);
    warnings.iter().for_each(|text| node.reporter.warn(partition.as_str(), text));
    files
}

fn ask(node: &Node<'_>, partition: &PartitionId, job: UsageJob) -> Result<Done, NodeError> {
    let owner = partition_owner(&node.config.instance_root.join(partition.as_str()))?;
    let mut worker = Worker::start(&owner, partition.as_str(), Purpose::Partition)?;
    worker.run(&Job::Usage(job), Some(LIMIT + LAST_WORDS), &mut Quiet)
}
