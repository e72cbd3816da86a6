//! The promises of partitions, as the node sees them: asked for in the partition's worker, judged,
//! remembered and told to the Master. And `node promise`, which asks for all of them now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use slapos_slap::{ComputerPartition, InstanceState, SlapClient};
use slapos_sys::clock::Timestamp;

use crate::error::{NodeError, exit};
use crate::node::Node;
use crate::place::{check_only, partition_owner};
use crate::pool;
use crate::promise::{Mode, PromiseResult, Schedule};
use crate::record::PartitionRecord;
use crate::text::cut;
use crate::worker::{Done, Job, Nursery, PromiseJob, Purpose, Quiet, Worker};
use crate::{software, watchdog};

/// For how long promises of services that were just started may fail.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
/// Promises of one partition run side by side; more rounds than this are not waited for.
const PROMISE_ROUNDS: u32 = 10;
/// How long a partition's Python may take to start, and the last of what runs to end.
const OVERHEAD: Duration = Duration::from_secs(90);
/// Partitions that are checked at once, for each processor and at least: most of the time they wait,
/// and one that hangs must not hold up the others.
const AT_ONCE_EACH: usize = 4;
const AT_ONCE_LEAST: usize = 16;

/// The promises of one partition.
#[derive(Debug, serde::Serialize)]
pub struct PartitionPromises {
    /// The partition.
    pub partition: String,
    /// One for each promise that has said something, plugins first, by name.
    pub promises: Vec<PromiseResult>,
    /// How many were not looked at, because they have no test.
    pub skipped: usize,
    /// Why the partition could not be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a partition's promises are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) mode: Mode,
    /// Also those that are not due.
    pub(crate) force: bool,
    /// For how long a failing promise is tried again.
    pub(crate) grace: Duration,
}

impl Question {
    /// Whether the instance is as it should be now.
    pub(crate) fn test(grace: Duration) -> Self {
        Self { mode: Mode::Test, force: true, grace }
    }

    /// Whether an instance that is up to date went astray: those that are due.
    pub(crate) fn anomaly() -> Self {
        Self { mode: Mode::Anomaly, force: false, grace: Duration::ZERO }
    }
}

/// What they said.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) results: Vec<PromiseResult>,
    pub(crate) skipped: usize,
    due: Option<Timestamp>,
}

/// Has the partition's worker check its promises.
///
/// # Errors
/// When that cannot be done. Broken promises are no error here.
pub(crate) fn ask(
    node: &Node<'_>,
    worker: &mut Worker,
    partition: &ComputerPartition,
    question: Question,
) -> Result<Told, NodeError> {
    let id = partition.id.as_str();
    let timeout = node.config.promise_timeout;
    let software = partition.software.as_ref();
    let job = Job::Promises(PromiseJob {
        directory: node.config.instance_root.join(id),
        software_directory: software
            .map(|url| software::directory(&node.config.software_root, url)),
        mode: question.mode,
        force: question.force,
        config: BTreeMap::from([
            ("master-url".to_owned(), node.config.master_url.clone()),
            ("computer-id".to_owned(), node.config.computer_id.to_string()),
            ("partition-id".to_owned(), id.to_owned()),
        ]),
        timeout: timeout.as_secs_f64(),
        grace: question.grace.as_secs_f64(),
    });
    let limit = question.grace + timeout * PROMISE_ROUNDS + OVERHEAD;
    match worker.run(&job, Some(limit), &mut Quiet)? {
        Done::Promises { mut results, skipped, warnings, due } => {
            bound(&mut results);
            for mut warning in warnings.into_iter().take(MOST) {
                cut(&mut warning, LONGEST_RECORDED);
                node.reporter.warn(id, &warning);
            }
            if skipped > 0 && question.mode == Mode::Anomaly {
                node.reporter.note(id, &format!("{skipped} promises did not need to be checked"));
            }
            Ok(Told { results, skipped, due })
        }
        other => Err(NodeError::user(format!("the worker of {id} answered {other:?}"))),
    }
}

/// Promises that are believed of a partition.
const MOST: usize = 200;
const LONGEST_NAME: usize = 255;
/// Bytes; what the system takes.
const LONGEST_PATH: usize = 4096;
/// What promises keep of their messages, and the dots before it.
const LONGEST_MESSAGE: usize = 5003;
/// Kept in records, which must stay small.
const LONGEST_RECORDED: usize = 500;

/// What a partition says is believed only so far.
fn bound(results: &mut Vec<PromiseResult>) {
    results.truncate(MOST);
    for result in results {
        cut(&mut result.name, LONGEST_NAME);
        cut(&mut result.title, LONGEST_NAME);
        cut(&mut result.message, LONGEST_MESSAGE);
        if result.path.as_os_str().len() > LONGEST_PATH {
            result.path = PathBuf::new();
        }
    }
}

impl Told {
    /// Keeps what was said in the partition's record.
    pub(crate) fn remember(&self, record: &mut PartitionRecord, now: Timestamp) {
        let kept = self.results.iter().map(|result| {
            let mut result = result.clone();
            cut(&mut result.message, LONGEST_RECORDED);
            (result.name.clone(), result)
        });
        record.promises = kept.collect();
        record.schedule = self.due.map(|due| Schedule { checked: now, due });
    }

    /// The first broken promise, as an error in the words that the Master knows.
    pub(crate) fn judge(&self) -> Result<(), NodeError> {
        judge(self.results.iter())
    }

    /// Has the Master have the instance's tree deployed again, if a promise calls for that and it was
    /// not since the last deployment.
    pub(crate) fn bang(&self, node: &Node<'_>, master: &SlapClient, partition: &ComputerPartition) {
        if let Some(result) = self.results.iter().find(|result| result.bang) {
            let message = format!("Promise {} is failing", result.title);
            watchdog::bang(node, master, partition.id.as_str(), &message);
        }
    }
}

/// The first broken promise, as an error in the words that the Master knows.
pub(crate) fn judge<'a>(
    mut results: impl Iterator<Item = &'a PromiseResult>,
) -> Result<(), NodeError> {
    let Some(broken) = results.find(|result| result.failed) else { return Ok(()) };
    let text = format!("Promise '{}' failed with output: {}", broken.name, broken.message);
    Err(NodeError::user(text).code(exit::PROMISE))
}

/// Whether it is time to ask the promises that `record` tells of.
pub(crate) fn is_due(record: &PartitionRecord, now: Timestamp) -> bool {
    match &record.schedule {
        Some(schedule) => schedule.is_due(now),
        None => !record.promises.is_empty(),
    }
}

/// Checks the promises of every started instance, or of those in the partitions `only`, several
/// partitions at once.
///
/// # Errors
/// When the Master does not answer or does not know one of `only`. Broken promises, and partitions
/// that cannot be checked, are no error here: see [`PromiseResult::failed`] and
/// [`PartitionPromises::error`].
pub fn run(node: &Node<'_>, only: &[String]) -> Result<Vec<PartitionPromises>, NodeError> {
    if node.is_down() {
        return Ok(Vec::new());
    }
    let computer = node.computer(&node.master()?)?;
    check_only(only, &computer.partitions)?;
    let chosen = |partition: &&ComputerPartition| left_out(partition, only).is_none();
    let partitions: Vec<_> = computer.partitions.iter().filter(chosen).collect();
    Ok(check_each(node, &partitions))
}

/// Says which promises [`run`] would check, and which partitions it would leave out and why. The
/// Master is asked what is wanted; nothing is touched.
///
/// # Errors
/// When the Master does not answer or does not know one of `only`, or a record cannot be read.
pub fn rehearse(node: &Node<'_>, only: &[String]) -> Result<(), NodeError> {
    let computer = node.computer(&node.master()?)?;
    check_only(only, &computer.partitions)?;
    for partition in computer.partitions.iter().filter(|partition| !partition.is_free()) {
        let id = partition.id.as_str();
        let text = match left_out(partition, only) {
            Some(why) => format!("nothing: {why}"),
            None => match node.records().look(id)?.map(|record| record.promises.len()) {
                None => "check all its promises, for the first time: asked for".to_owned(),
                Some(known) => {
                    format!("check all its promises ({known} when last asked): asked for")
                }
            },
        };
        node.reporter.note(id, &text);
    }
    Ok(())
}

/// Why the promises of `partition` are not checked.
fn left_out(partition: &ComputerPartition, only: &[String]) -> Option<String> {
    if partition.software.is_none() {
        return Some("it is free".to_owned());
    }
    if partition.requested_state != InstanceState::Started {
        return Some(format!("it is to be {}", partition.requested_state));
    }
    let named = only.is_empty() || only.iter().any(|name| name == partition.id.as_str());
    (!named).then(|| "others are asked for".to_owned())
}

fn check_each(node: &Node<'_>, partitions: &[&ComputerPartition]) -> Vec<PartitionPromises> {
    let _workers = (partitions.len() > 1).then(Nursery::open);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = (processors * AT_ONCE_EACH).max(AT_ONCE_LEAST);
    pool::map(partitions, at_once, |partition| check(node, partition))
}

fn check(node: &Node<'_>, partition: &ComputerPartition) -> PartitionPromises {
    let id = partition.id.as_str();
    let directory = node.config.instance_root.join(id);
    let told = start(&directory, id)
        .and_then(|mut worker| ask(node, &mut worker, partition, Question::test(Duration::ZERO)));
    let (promises, skipped, error) = match told {
        Ok(told) => (told.results, told.skipped, None),
        Err(error) => {
            node.reporter.failed(id, &error);
            (Vec::new(), 0, Some(error.to_string()))
        }
    };
    PartitionPromises { partition: id.to_owned(), promises, skipped, error }
}

fn start(directory: &Path, id: &str) -> Result<Worker, NodeError> {
    Worker::start(&partition_owner(directory)?, id, Purpose::Partition)
}

/// The exit code that `results` deserve.
pub fn exit_code(results: &[PartitionPromises]) -> u8 {
    let broken = results.iter().any(|partition| {
        partition.error.is_some() || partition.promises.iter().any(|promise| promise.failed)
    });
    if broken { exit::PROMISE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promise::Kind;

    fn result(name: &str, failed: bool) -> PromiseResult {
        PromiseResult {
            name: name.to_owned(),
            title: name.trim_end_matches(".py").to_owned(),
            path: format!("/p/{name}").into(),
            failed,
            message: "é".repeat(6000),
            date: "2026-01-01T10:00:00Z".parse().unwrap(),
            seconds: 0.1,
            periodicity: 120.0,
            kind: Kind::Test,
            bang: false,
            checked: true,
        }
    }

    #[test]
    fn the_first_broken_promise_is_told_in_the_originals_words() {
        let mut broken = result("b.py", true);
        broken.message = "no disk".to_owned();
        let results = vec![result("a.py", false), broken, result("c.py", true)];
        let told = Told { results, skipped: 0, due: None };
        let error = told.judge().unwrap_err();
        assert_eq!(error.to_string(), "Promise 'b.py' failed with output: no disk");
        assert_eq!(error.exit_code(), exit::PROMISE);
    }

    #[test]
    fn what_a_partition_says_is_bounded() {
        let mut results = vec![result("a.py", false); 300];
        results[0].name = "n".repeat(1000);
        results[0].path = "p/".repeat(5000).into();
        bound(&mut results);
        assert_eq!(results.len(), MOST);
        assert_eq!(results[0].name.len(), LONGEST_NAME);
        assert_eq!(results[0].path, PathBuf::new());
        assert_eq!(results[0].message.chars().count(), LONGEST_MESSAGE);
    }

    #[test]
    fn a_partition_that_cannot_be_checked_counts_as_broken() {
        let partition = |error: Option<&str>, failed| PartitionPromises {
            partition: "slappart0".to_owned(),
            promises: vec![result("a.py", failed)],
            skipped: 0,
            error: error.map(str::to_owned),
        };
        assert_eq!(exit_code(&[partition(None, false)]), 0);
        assert_eq!(exit_code(&[partition(None, false), partition(None, true)]), exit::PROMISE);
        assert_eq!(exit_code(&[partition(Some("no worker"), false)]), exit::PROMISE);
    }
}
