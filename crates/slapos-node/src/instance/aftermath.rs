//! What is left in a partition, and told, once its instance is processed or gone.

use std::path::Path;
use std::time::Duration;

use slapos_slap::{ComputerPartition, InstanceState, SlapError};
use slapos_sys::user::Identity;

use super::process::Session;
use crate::error::{NodeError, exit};
use crate::place::partition_owner;
use crate::record::PartitionRecord;
use crate::services;
use crate::told;
use crate::worker::{Done, Job, Mark, MarkJob, Purpose, Quiet, TidyJob, Worker};

/// How long it may take to leave an error in a partition.
const LAST_WORDS: Duration = Duration::from_secs(20);

impl Session<'_, '_> {
    pub(super) fn mark_success(
        &self,
        partition: &ComputerPartition,
        directory: &Path,
        worker: &mut Worker,
        record: &mut PartitionRecord,
    ) -> Result<(), NodeError> {
        // What was stopped against the Master's will is to be processed again.
        let whole = self.runs(partition) || partition.requested_state != InstanceState::Started;
        let timestamp = partition.timestamp.clone().filter(|_| whole);
        record.marked = timestamp.is_some();
        let job = mark_job(partition, directory, Mark::Done { timestamp });
        worker.run(&job, Some(self.node.config.partition_timeout), &mut Quiet).map(drop)
    }

    /// Leaves the error in the partition. Its worker may be gone, so another one does it; the error
    /// itself matters more than that it is left there.
    pub(super) fn mark_failure(
        &self,
        partition: &ComputerPartition,
        directory: &Path,
        owner: &Identity,
        error: &NodeError,
    ) {
        if error.exit_code() == exit::PROMISE {
            return;
        }
        let text = told::for_master(error, Some(partition));
        let job = mark_job(partition, directory, Mark::Failed { text });
        let marked = Worker::start(owner, partition.id.as_str(), Purpose::Partition)
            .and_then(|mut worker| worker.run(&job, Some(LAST_WORDS), &mut Quiet));
        if let Err(error) = marked {
            let text = format!("the error was not left in the partition: {error}");
            self.node.reporter.warn(partition.id.as_str(), &text);
        }
    }

    /// Whether services of an instance may run that is not to.
    pub(super) fn runs_in_vain(&self, partition: &ComputerPartition) -> bool {
        !partition.is_free()
            && !self.runs(partition)
            && services::is_defined(self.node, &partition.id)
    }

    /// Stops what is not to run of an instance that could not be processed because of `error`: whoever stops it
    /// for what it does must not depend on its profile, its Software Release or the disk that it fills.
    pub(super) fn stop_all_the_same(
        &self,
        partition: &ComputerPartition,
        error: NodeError,
    ) -> NodeError {
        if !self.runs_in_vain(partition) {
            return error;
        }
        match services::stop(self.node, &partition.id) {
            Ok(()) => {
                self.node
                    .reporter
                    .note(partition.id.as_str(), "its services are stopped all the same");
                error
            }
            Err(second) => error.and(&format!("and its services go on: {second}")),
        }
    }

    /// Which instances were asked for, for Masters that take such lists: also that there are none any
    /// more, unless they know. Returns whether there are none, and they do. (The original keeps the
    /// list in a file of the partition, which is not there where nothing is asked; here requests go
    /// through the node, which remembers them.)
    pub(super) fn tell_asked(
        &self,
        partition: &ComputerPartition,
        mut asked: Vec<String>,
        asked_nothing: bool,
    ) -> bool {
        if asked.is_empty() && asked_nothing {
            return true;
        }
        asked.sort();
        asked.dedup();
        let ComputerPartition { computer, id, .. } = partition;
        match self.master.related_instances(computer, id, &asked) {
            Ok(()) | Err(SlapError::NotFound { .. }) => asked.is_empty(),
            Err(error) => {
                let text = format!("the Master was not told what it asked for: {error}");
                self.node.reporter.warn(id.as_str(), &text);
                false
            }
        }
    }

    /// Takes what the node kept of a former instance out of its partition.
    pub(super) fn tidy(&self, id: &str) -> Result<(), NodeError> {
        let directory = self.node.config.instance_root.join(id);
        let mut worker = Worker::start(&partition_owner(&directory)?, id, Purpose::Partition)?;
        let job = Job::Tidy(TidyJob { directory: directory.clone() });
        match worker.run(&job, Some(self.node.config.partition_timeout), &mut Quiet)? {
            Done::Tidied { left: 0 } => {}
            _ => {
                let text = format!("{} still has files of a former instance", directory.display());
                self.node.reporter.warn(id, &text);
            }
        }
        Ok(())
    }
}

fn mark_job(partition: &ComputerPartition, directory: &Path, mark: Mark) -> Job {
    Job::Mark(MarkJob { directory: directory.to_owned(), partition: partition.id.clone(), mark })
}
