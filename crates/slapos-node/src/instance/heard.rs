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
use slapos_supervisor::state::State;
use slapos_supervisor::{Client, ClientError};
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

/// How many services are how; `None` if the supervisor is there and does not say.
fn services(node: &Node<'_>) -> Option<Services> {
    let known = Client::connect(&node.supervisor_paths()).and_then(|it| it.all_process_info());
    let known = match known {
        Ok(known) => known,
        Err(ClientError::Unreachable { .. }) => Vec::new(),
        Err(error) => {
            node.reporter.warn("node", &format!("the Master is told of no services: {error}"));
            return None;
        }
    };
    let count = |states: &[State]| {
        let those = known.iter().filter(|process| states.contains(&process.state));
        u32::try_from(those.count()).unwrap_or(u32::MAX)
    };
    let failed = count(&[State::Fatal, State::Backoff]);
    Some(Services { running: count(&[State::Running]), failed })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::NodeConfig;
    use crate::reporter::Deaf;

    #[test]
    fn services_are_not_counted_where_the_supervisor_is_there_and_does_not_say() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[slapos]\nsoftware_root = /s\ninstance_root = {}\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n",
            dir.path().display()
        );
        let config = slapos_config::Config::parse(&text, "s").unwrap();
        let config = NodeConfig::from_config(&config, Path::new("s")).unwrap();
        let clock = slapos_sys::clock::SystemClock;
        let node = Node { config: &config, reporter: &Deaf, clock: &clock };
        assert_eq!(services(&node), Some(Services::default()), "none is there");
        let socket = node.supervisor_paths().socket();
        fs::create_dir_all(socket.parent().unwrap(), 0o755).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let lost = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 500 Lost\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.shutdown(Shutdown::Write);
            // What is closed with something unread is reset, which looks as if nobody were there.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(services(&node), None);
        lost.join().unwrap();
    }
}
