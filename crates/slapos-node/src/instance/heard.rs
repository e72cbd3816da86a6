//! What promises said in a run, told to the Master in one report at its end, with how the machine is
//! at that time. A run in which nothing was asked and nothing processed tells nothing.
//!
//! Invariants: who does not hear it is no error; a secret of an instance is not told.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use slapos_slap::{
    ComputerPartition, NodeMetrics, PartitionPromises, PromiseReport, PromiseResult, Room,
    Services, SlapClient, SlapError,
};
use slapos_supervisor::Client;
use slapos_supervisor::state::State;
use slapos_sys::fs;

use crate::collect;
use crate::error::NodeError;
use crate::node::Node;
use crate::promises::Told;
use crate::told;

/// What was said, by partition.
#[derive(Default)]
pub(super) struct Heard {
    said: Mutex<Vec<PartitionPromises>>,
    processed: AtomicBool,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Vec<PartitionPromises>> {
        // Nothing that can panic is done under the lock.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that an instance was processed: the machine is not as it was.
    pub(super) fn note_processed(&self) {
        self.processed.store(true, Ordering::Relaxed);
    }

    /// Takes note of what the promises of a partition said just now.
    pub(super) fn note(&self, partition: &ComputerPartition, said: &Told) {
        let results: Vec<_> = said
            .results
            .iter()
            .filter(|result| result.checked)
            .map(|result| PromiseResult {
                name: result.name.clone(),
                failed: result.failed,
                message: told::for_master(&NodeError::user(&result.message), Some(partition)),
                seconds: result.seconds,
                at: result.date.to_string(),
            })
            .collect();
        if results.is_empty() {
            return;
        }
        let names = Some(said.results.iter().map(|result| result.name.clone()).collect());
        self.lock().push(PartitionPromises { partition: partition.id.to_string(), results, names });
    }

    /// Tells the Master, if there is anything to tell and it is one that listens.
    pub(super) fn tell(&self, node: &Node<'_>, master: &SlapClient) {
        let partitions = std::mem::take(&mut *self.lock());
        let processed = self.processed.swap(false, Ordering::Relaxed);
        let computer = &node.config.computer_id;
        let listens = match partitions.is_empty() {
            true if !processed => return,
            true => Ok(true),
            false => master.tell_promises(computer, &PromiseReport { partitions }),
        };
        let told = listens.and_then(|listens| match metrics(node).filter(|_| listens) {
            Some(metrics) => master.tell_metrics(computer, &metrics).map(drop),
            None => Ok(()),
        });
        if let Err(error) = told {
            unheard(node, &error);
        }
    }
}

fn unheard(node: &Node<'_>, error: &SlapError) {
    let text =
        format!("the Master was not told what promises said and how the machine is: {error}");
    node.reporter.warn("node", &text);
}

/// How the machine is; nothing where that cannot be seen.
fn metrics(node: &Node<'_>) -> Option<NodeMetrics> {
    let machine = collect::machine(Path::new(collect::ROOT)).ok()?;
    let disk = fs::room(&node.config.instance_root).ok()?;
    Some(NodeMetrics {
        load: machine.load,
        memory: Room { total: machine.memory, available: machine.memory_available },
        disk: Room { total: disk.total, available: disk.free },
        services: services(node),
    })
}

fn services(node: &Node<'_>) -> Services {
    let known = Client::connect(&node.supervisor_paths()).and_then(|it| it.all_process_info());
    let known = known.unwrap_or_default();
    let count = |states: &[State]| {
        let those = known.iter().filter(|process| states.contains(&process.state));
        u32::try_from(those.count()).unwrap_or(u32::MAX)
    };
    Services { running: count(&[State::Running]), failed: count(&[State::Fatal, State::Backoff]) }
}
