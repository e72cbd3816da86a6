//! `node report`: tells the Master what instances used, and removes those that are to be destroyed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use slapos_slap::{ComputerPartition, InstanceState, PartitionId, SlapClient};
use slapos_sys::lock::FileLock;
use slapos_sys::user;

use crate::certificate;
use crate::error::{NodeError, exit};
use crate::format;
use crate::hooks::{Hooks, Removal, Scene};
use crate::journal::Deed;
use crate::node::Node;
use crate::place::partition_owner;
use crate::renewal;
use crate::retire::{self, Verdict};
use crate::services;
use crate::usage;
use crate::worker::{DestroyJob, Job, Purpose, Quiet, RemoveJob, Worker};

/// Rounds in which children go before their roots: one makes the Master want the children
/// destroyed, one removes them, one the root.
const MOST_ROUNDS: usize = 10;

/// How to go about it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Print the plan and do nothing.
    pub dry_run: bool,
    /// Do not wait for `node instance` to end.
    pub now: bool,
}

/// Reports usage, destroys what the Master wants destroyed and frees its partitions, as far as that
/// goes: a root whose children live on other computers stays until these have removed them.
///
/// # Errors
/// When the Master does not answer, another run is under way, usage could not be reported, or a
/// partition failed (the others are still looked at).
pub fn run(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    if node.is_down() {
        return Ok(());
    }
    let lock = &node.config.pidfile_report;
    let _lock = node.lock_unless(options.dry_run, "slapos node report", lock)?;
    let master = node.master()?;
    if options.dry_run {
        let partitions = node.computer(&master)?.partitions;
        return partitions.iter().filter(|partition| is_to_go(partition)).try_for_each(
            |partition| {
                let text = say_what_would_be_done(node, partition)?;
                node.reporter.note(partition.id.as_str(), &text);
                Ok(())
            },
        );
    }
    renewal::keep(node, &master);
    // Before anything goes that could still tell what it used, and while instances can be deployed:
    // what partitions run here takes its time.
    let begun = Instant::now();
    let told = usage::run(node, &master, &node.computer(&master)?.partitions);
    // An instance must not be processed while it is taken away.
    let patience = if options.now { begun.elapsed() } else { node.config.partition_timeout };
    let _instances = lock_instances(node, patience)?;
    let hooks = Hooks::of(node.config);
    let scene = Scene { node, master: Some(&master) };
    let removed = remove_all(node, &master, &hooks);
    // What the hooks have to do once, whatever became of the partitions.
    let ended = hooks.end(&scene);
    told.and(removed).and(ended)
}

/// Other runs are waited for no longer than `patience`: where `node instance` is nearly always at work, cron's
/// one turn in an hour would else meet it each time. Who is in a hurry waits for as long as partitions took to
/// make their reports: one that is slow must not have every removal meet the instances' turn.
fn lock_instances(node: &Node<'_>, patience: Duration) -> Result<FileLock, NodeError> {
    const POLL: Duration = Duration::from_millis(100);
    let (begun, mut said) = (Instant::now(), false);
    loop {
        match node.lock("slapos node instance", &node.config.pidfile_instance) {
            Err(error) if error.exit_code() == exit::BUSY && begun.elapsed() < patience => {
                if !std::mem::replace(&mut said, true) {
                    node.reporter.note("report", &format!("waits: {error}"));
                }
                std::thread::sleep(POLL);
            }
            held => return held,
        }
    }
}

fn remove_all(node: &Node<'_>, master: &SlapClient, hooks: &Hooks) -> Result<(), NodeError> {
    let mut before = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let mut partitions = node.computer(master)?.partitions;
        partitions.retain(is_to_go);
        let going: BTreeSet<_> = partitions.iter().map(|partition| partition.id.clone()).collect();
        if going == before {
            break;
        }
        destroy_all(node, master, hooks, &partitions)?;
        before = going;
    }
    Ok(())
}

fn destroy_all(
    node: &Node<'_>,
    master: &SlapClient,
    hooks: &Hooks,
    partitions: &[ComputerPartition],
) -> Result<(), NodeError> {
    let mut failed = Vec::new();
    for partition in partitions {
        if let Err(error) = destroy(node, master, hooks, partition) {
            node.reporter.failed(partition.id.as_str(), &error);
            node.tell_error(master, partition, &error);
            failed.push(partition.id.to_string());
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(NodeError::user(format!("failed: {}", names.join(", ")))),
    }
}

/// Says what becomes of each instance of the tree of the root `title` on this computer, if it is to
/// be destroyed, and why; nothing is touched. Asked of the Master as this computer, which any Master
/// answers.
///
/// # Errors
/// When the Master does not answer, or a partition cannot be looked into.
pub fn rehearse_destruction(node: &Node<'_>, title: &str) -> Result<(), NodeError> {
    let mut partitions = node.computer(&node.master()?)?.partitions;
    // The one that is named, with its tree if it is a root.
    partitions.retain(|partition| {
        let titles = [&partition.instance_title, &partition.root_instance_title];
        !partition.is_free() && titles.into_iter().any(|known| known == title)
    });
    for ComputerPartition { id, instance_title: name, .. } in &partitions {
        let why = if name == title { "asked for" } else { "its root goes" };
        let text = what_would_be_done(node, id, why)?;
        node.reporter.note(id.as_str(), &format!("{name}: stop its services; {text}"));
    }
    node.reporter.note(title, "what of its tree lives on other computers is left to these");
    Ok(())
}

fn say_what_would_be_done(
    node: &Node<'_>,
    partition: &ComputerPartition,
) -> Result<String, NodeError> {
    what_would_be_done(node, &partition.id, "the Master wants it destroyed")
}

fn what_would_be_done(
    node: &Node<'_>,
    partition: &PartitionId,
    why: &str,
) -> Result<String, NodeError> {
    let directory = node.config.instance_root.join(partition.as_str());
    let owner = partition_owner(&directory)?;
    let mut worker = Worker::start(&owner, partition.as_str(), Purpose::Partition)?;
    Ok(match retire::verdict(node, &mut worker, partition, retire::Look::Only)? {
        Verdict::Go => format!("destroy: {why}"),
        verdict => format!("nothing: {verdict}"),
    })
}

fn is_to_go(partition: &ComputerPartition) -> bool {
    !partition.is_free() && partition.requested_state == InstanceState::Destroyed
}

/// Stop, empty, forget, and only then tell the Master: killed in between, the next run repeats.
fn destroy(
    node: &Node<'_>,
    master: &SlapClient,
    hooks: &Hooks,
    partition: &ComputerPartition,
) -> Result<(), NodeError> {
    let id = partition.id.as_str();
    services::stop(node, &partition.id)?;
    master.instance_stopped(&partition.computer, &partition.id)?;
    let scene = Scene { node, master: Some(master) };
    let directory = node.config.instance_root.join(id);
    let mut worker = Worker::start(&partition_owner(&directory)?, id, Purpose::Partition)?;
    let verdict = retire::verdict(node, &mut worker, &partition.id, retire::Look::AndSettle)?;
    // What hooks run before an instance goes is not run while it is kept.
    let may_destroy = || Ok(!matches!(verdict, Verdict::Kept(_)));
    let later = hooks.report(&scene, partition, &may_destroy)?;
    if verdict != Verdict::Go {
        node.reporter.note(id, &verdict.to_string());
        return Ok(());
    }
    if let Removal::Later(why) = later {
        node.reporter.note(id, &format!("not removed yet: {why}"));
        return Ok(());
    }
    let limit = Some(node.config.partition_timeout);
    let job = Job::Destroy(DestroyJob {
        directory: directory.clone(),
        storage: format::storage_of(node.config, &partition.id)?,
    });
    worker.run(&job, limit, &mut Quiet)?;
    let job = Job::Remove(RemoveJob {
        directory,
        keep_directory: true,
        // Only where the partition has a user of its own.
        end_processes: user::is_root(),
    });
    worker.run(&job, limit, &mut Quiet)?;
    certificate::forget(node.config, id)?;
    hooks.removed(&scene, &partition.id)?;
    retire::forget(node, id)?;
    match master.instance_destroyed(&partition.computer, &partition.id)? {
        None => {
            node.did(id, Deed::Note { text: "destroyed".to_owned() });
            node.reporter.note(id, "destroyed");
        }
        Some(reason) => node.reporter.note(id, &format!("not free yet: {reason}")),
    }
    Ok(())
}
