//! Whether an instance that is to be destroyed may go: a pure decision, and what it is made of; and
//! the end of what is kept of one that is gone.

use std::collections::BTreeSet;
use std::fmt;

use slapos_slap::PartitionId;
use slapos_supervisor::state::State;
use slapos_sys::clock::Timestamp;

use crate::error::NodeError;
use crate::node::Node;
use crate::services;
use crate::watchdog::Marks;
use crate::worker::{Done, InspectJob, Job, Quiet, Worker};

/// Whether an instance may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Go,
    /// Its retention lock keeps it until then.
    Kept(Timestamp),
    /// These services must end before.
    Busy(Vec<String>),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Go => f.write_str("may be destroyed"),
            Self::Kept(until) => write!(f, "kept by its retention lock until {until}"),
            Self::Busy(services) => write!(f, "waits for {} to end", services.join(", ")),
        }
    }
}

/// Decides about one instance: `kept_until` in seconds since 1970, `wait_for` and `running` as
/// `group:name`.
pub(crate) fn decide(
    now: Timestamp,
    kept_until: Option<f64>,
    wait_for: &[String],
    running: &BTreeSet<String>,
) -> Verdict {
    #[allow(clippy::cast_possible_truncation, reason = "saturates, which is what is meant")]
    let until = kept_until.map(|seconds| Timestamp::from_second(seconds.ceil() as i64));
    // A date beyond all calendars has not come.
    let until = until.map(|until| until.unwrap_or(Timestamp::MAX));
    if let Some(until) = until.filter(|until| now < *until) {
        return Verdict::Kept(until);
    }
    let busy: Vec<_> = wait_for.iter().filter(|name| running.contains(*name)).cloned().collect();
    if busy.is_empty() { Verdict::Go } else { Verdict::Busy(busy) }
}

/// What looking may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing.
    Only,
    /// The first look settles the date of the retention lock.
    AndSettle,
}

/// Asks `worker`, that of the partition, and the supervisor.
///
/// # Errors
/// When the partition cannot be looked into; what cannot be read keeps the instance.
pub(crate) fn verdict(
    node: &Node<'_>,
    worker: &mut Worker,
    partition: &PartitionId,
    look: Look,
) -> Result<Verdict, NodeError> {
    let directory = node.config.instance_root.join(partition.as_str());
    let job = Job::Inspect(InspectJob { directory, settle: look == Look::AndSettle });
    let done = worker.run(&job, Some(node.config.partition_timeout), &mut Quiet)?;
    let Done::Inspected { kept_until, wait_for } = done else {
        return Err(NodeError::user(format!("the worker of {partition} answered {done:?}")));
    };
    let running = if wait_for.is_empty() { BTreeSet::new() } else { running(node)? };
    Ok(decide(node.clock.now(), kept_until, &wait_for, &running))
}

fn running(node: &Node<'_>) -> Result<BTreeSet<String>, NodeError> {
    let processes = services::supervisor(node)?.all_process_info().map_err(|error| {
        NodeError::user(format!("the supervisor does not say what runs: {error}"))
    })?;
    let alive = processes
        .into_iter()
        .filter(|process| matches!(process.state, State::Starting | State::Running));
    Ok(alive.map(|process| format!("{}:{}", process.group, process.name)).collect())
}

/// Forgets `partition`, its generations and what was complained of included; its record last.
///
/// # Errors
/// When something of it exists and cannot be removed.
pub(crate) fn forget(node: &Node<'_>, partition: &str) -> Result<(), NodeError> {
    Marks::of(node).forget(partition)?;
    node.histories().forget(partition)?;
    node.records().forget_all(partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_goes_when_its_time_has_come_and_nothing_is_waited_for() {
        let now = Timestamp::from_second(1000).unwrap();
        let services = ["a:x".to_owned(), "a:y".to_owned()];
        let running = BTreeSet::from(["a:y".to_owned(), "b:z".to_owned()]);
        let text = |until, wait: &[String]| decide(now, until, wait, &running).to_string();
        assert_eq!(text(None, &[]), "may be destroyed");
        assert_eq!(text(Some(1000.0), &services[..1]), "may be destroyed");
        assert_eq!(
            text(Some(1000.5), &[]),
            "kept by its retention lock until 1970-01-01T00:16:41Z"
        );
        assert_eq!(text(Some(999.0), &services), "waits for a:y to end");
        assert!(matches!(decide(now, Some(1e300), &[], &running), Verdict::Kept(_)));
    }
}
