//! `node instance`: makes the instances in this computer's partitions as the Master wants them.

mod aftermath;
mod brought_back;
mod heard;
mod hints;
mod offline;
mod outcome;
mod plan;
mod process;
mod rounds;
mod turns;

use std::os::fd::RawFd;
use std::sync::atomic::AtomicBool;

use slapos_slap::ComputerPartition;
use slapos_supervisor::Client;
use slapos_sys::fs;

use crate::error::NodeError;
use crate::history::Wanted;
use crate::hooks::{Hooks, Scene};
use crate::node::Node;
use crate::place::{TIMESTAMP, check_only};
use crate::worker::Nursery;
use crate::{services, software};

pub use crate::action::{Action, Reason};
pub use plan::{Observed, decide};

/// Which partitions to look at, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these partitions; empty for all.
    pub only: Vec<String>,
    /// Only instances of the tree of the root with this title, also those that come into being in
    /// this run.
    pub tree: Option<String>,
    /// Also those that are up to date.
    pub all: bool,
    /// Print the plan and do nothing.
    pub dry_run: bool,
    /// How many partitions are processed at once, and of how many promises that are due are asked at once; 0
    /// for as many as there are processors.
    pub jobs: usize,
    /// Deploy instances that are to be started, and keep them stopped.
    pub force_stop: bool,
    /// The number of a descriptor by which whoever started this command says, a byte each time, that the
    /// Master wants something new, which the run then sees to if it is still at work.
    pub hints: Option<RawFd>,
}

/// Processes every partition that is due.
///
/// # Errors
/// When the Master does not answer (services are started as last known then: exit code
/// [`exit::OFFLINE`](crate::error::exit::OFFLINE)), another run is under way, a partition failed,
/// or a promise did.
pub fn run(node: &Node<'_>, options: &Options) -> Result<(), NodeError> {
    let config = node.config;
    if node.is_down() {
        return Ok(());
    }
    if !config.instance_root.is_dir() {
        return Err(NodeError::user(format!("there is no {}", config.instance_root.display()))
            .hint("`slapos node format` makes it"));
    }
    let _lock =
        node.lock_unless(options.dry_run, "slapos node instance", &config.pidfile_instance)?;
    let master = node.master()?;
    let computer = match master.full_computer_information(&config.computer_id) {
        Ok(computer) => computer,
        Err(error) => return offline::run(node, options, error),
    };
    check_only(&options.only, &computer.partitions)?;
    let (force_stop, heard) = (options.force_stop, heard::Heard::default());
    let touched = AtomicBool::new(false);
    let session = process::Session { node, master: &master, force_stop, heard, touched };
    if options.dry_run {
        for (partition, action) in rounds::steps(&session, options, computer.partitions) {
            node.reporter.note(partition.id.as_str(), &action.to_string());
        }
        return Ok(());
    }
    let used = computer.partitions.iter().any(|partition| !partition.is_free());
    if used || Client::connect(&node.supervisor_paths()).is_ok() {
        // Also what brings services back after the machine or the supervisor was restarted.
        session.note_touched(services::as_defined(node)?);
    }
    let _workers = Nursery::open();
    let hooks = Hooks::of(config);
    let outcome = rounds::run(&session, &hooks, options, computer);
    session.heard.tell(node, &master);
    let ended = hooks.end(&Scene { node, master: Some(&master) });
    outcome.conclude().and(ended)
}

fn decide_about(node: &Node<'_>, partition: &ComputerPartition, options: &Options) -> Action {
    let (root, id) = (&node.config.software_root, partition.id.as_str());
    let (records, histories) = (node.records(), node.histories());
    let known = match options.dry_run {
        true => records.look(id).and_then(|record| Ok((record, histories.look(id)?))),
        false => records.load(id).and_then(|record| Ok((record, histories.load(id)?))),
    };
    let (record, history) = match known {
        Ok(known) => known,
        Err(error) => return Action::Refuse(error.to_string()),
    };
    let defined = services::is_defined(node, &partition.id);
    let software_stamp = partition.software.as_ref().and_then(|url| software::stamp(root, url));
    let held = history.held.is_some()
        && history.holds(software_stamp.as_ref().and_then(|s| Wanted::of(partition, s)).as_ref());
    let lost = !defined && is_to_run(partition);
    // Such as cannot be held are told when it is processed.
    let limits = node.config.service_limits.of(id).ok();
    let known = record.as_ref().and_then(|record| record.limits.as_ref());
    let limits_changed = known.is_some_and(|known| Some(known) != limits);
    let timestamp = node.config.instance_root.join(partition.id.as_str()).join(TIMESTAMP);
    let observed = Observed {
        record,
        software_stamp,
        periodicity: periodicity(node, partition),
        defined,
        held,
        // One whose definition is lost is put in place once more.
        restoring: history.restoring.or(history.current.filter(|_| lost)),
        marked: std::fs::symlink_metadata(timestamp).is_ok(),
        limits_changed,
    };
    let stop = options.force_stop && is_to_run(partition);
    let force = options.all.then_some(Reason::Forced).or(stop.then_some(Reason::KeptStopped));
    decide(node.clock.now(), partition, &observed, force)
}

fn is_to_run(partition: &ComputerPartition) -> bool {
    partition.requested_state == slapos_slap::InstanceState::Started
}

/// The Software Release may say how often its instances are processed, in a file `periodicity`.
fn periodicity(node: &Node<'_>, partition: &ComputerPartition) -> i64 {
    let most = i64::try_from(node.config.maximum_periodicity.as_secs()).unwrap_or(i64::MAX);
    let Some(url) = &partition.software else {
        return most;
    };
    let path = software::directory(&node.config.software_root, url).join("periodicity");
    let Ok(text) = fs::read_untrusted(&path, software::SMALL) else { return most };
    text.trim().parse().unwrap_or_else(|_| {
        let text = format!("{} is no number of seconds and is ignored", path.display());
        node.reporter.warn(partition.id.as_str(), &text);
        most
    })
}
