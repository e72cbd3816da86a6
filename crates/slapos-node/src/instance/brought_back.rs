//! Instances of which a former generation is in place, and stays: what a killed run began, and what the
//! Master has not heard.

use slapos_slap::{ComputerPartition, InstanceState};

use super::process::Session;
use crate::action::Action;
use crate::error::NodeError;
use crate::generation::{self, Home};
use crate::promises;
use crate::record::{Outcome, PartitionRecord};

impl Session<'_, '_> {
    /// Goes on with what a killed run began.
    pub(super) fn restore(
        &self,
        partition: &ComputerPartition,
        number: u32,
    ) -> Result<(), NodeError> {
        let id = partition.id.as_str();
        self.node.reporter.note(id, &Action::Restore(number).to_string());
        let home = Home::of(self.node.config, &partition.id)?;
        let place = home.place(&partition.id, partition.requested_state);
        let mut history = self.node.histories().load(id)?;
        let held = history.held.clone();
        let restored = generation::restore(self.node, place, &mut history, number, held)?;
        self.heard.note(partition, &restored.said);
        if let Some(mut record) = self.node.records().load(id)? {
            restored.remember(&mut record, self.node.clock.now());
            record.untold = !restored.answered;
            self.store(partition, &record)?;
            if let Outcome::Failed(text) = &record.outcome {
                self.node.tell_error(self.master, partition, &NodeError::user(text));
            }
        }
        restored.said.judge()
    }

    /// Tells a Master that did not hear which generation was brought back, what is published and asked for
    /// since, and how the instance is. Returns whether it hears it now.
    pub(super) fn remind(&self, partition: &ComputerPartition) -> Result<bool, NodeError> {
        let id = partition.id.as_str();
        let Some(mut record) = self.node.records().load(id)? else {
            return Ok(false);
        };
        let home = Home::of(self.node.config, &partition.id)?;
        let place = home.place(&partition.id, partition.requested_state);
        if !generation::tell_again(self.node, place, &self.node.histories().load(id)?) {
            return Ok(false);
        }
        match (trouble(&record), partition.requested_state) {
            (Err(error), _) => self.node.tell_error(self.master, partition, &error),
            (Ok(()), InstanceState::Started) => {
                self.master.instance_started(&partition.computer, &partition.id)?;
            }
            (Ok(()), _) => self.master.instance_stopped(&partition.computer, &partition.id)?,
        }
        record.untold = false;
        self.store(partition, &record)?;
        Ok(true)
    }
}

/// What is wrong with an instance, as it was left.
fn trouble(record: &PartitionRecord) -> Result<(), NodeError> {
    match &record.outcome {
        Outcome::Failed(text) => Err(NodeError::user(text)),
        Outcome::Processing | Outcome::Done => promises::judge(record.promises.values()),
    }
}

/// `error` of the promises of what is in place, and that it was brought back, if it was: who reads the one
/// has to know the other.
pub(super) fn with_what_was_taken_back(record: &PartitionRecord, error: &NodeError) -> NodeError {
    let error = NodeError::user(error.to_string());
    let text = match &record.outcome {
        Outcome::Failed(text) => generation::taken_back_by(text),
        Outcome::Processing | Outcome::Done => None,
    };
    match text {
        Some(text) => error.and(text),
        None => error,
    }
}
