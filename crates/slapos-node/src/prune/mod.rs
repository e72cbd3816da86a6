//! `node prune`: removes shared parts, and eggs of the node's store, that nothing on this node needs.
//!
//! A shared part is needed if its hash occurs in the records, seals, programs and links of a
//! Software Release, of a partition, or of a shared part that is needed itself; also in those of
//! directories that the caller names. An egg is needed if a link or a path there leads to it.
//! Only the list that this node's builds make parts in is
//! tidied, the first of `shared_part_list` that the builder can write, if it belongs to the
//! builder; others are read and left alone. The download cache is left alone, too: it holds sources,
//! which are looked up by hash and may be unobtainable.
//!
//! Invariants: what cannot be read is an error before anything is removed, never taken for silence;
//! nothing goes while a build that relies on shared parts is under way; a run that is killed leaves
//! renamed directories behind that the next one removes.

mod eggs;
mod mentions;
mod plan;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;

use slapos_sys::user;

use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::place::partition_owner;
use crate::worker::{Done, Job, MentionsJob, PruneJob, Purpose, Quiet, Worker};

pub use crate::worker::pruned::{Kept, Reason, Removal, Report};
pub(crate) use work::{mentions, prune, shared_by};

/// How to prune.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Say what would be removed, and remove nothing.
    pub dry_run: bool,
    /// Directories whose builds use shared parts and that the node does not know: each holds one
    /// build, or several as the software root does.
    pub additional: Vec<PathBuf>,
}

/// Removes the shared parts that nothing needs, and what builds that were cut short left behind.
///
/// # Errors
/// When there is no list of shared parts that is this node's, something that may refer to shared
/// parts cannot be read, a build is under way (exit code [`crate::error::exit::BUSY`]; not with
/// `dry_run`), or a part cannot be removed (the others are).
pub fn run(node: &Node<'_>, options: &Options) -> Result<Report, NodeError> {
    let config = node.config;
    if config.shared_part_list.is_empty() {
        return Err(NodeError::user(format!(
            "{} has no `shared_part_list`: this node shares no parts",
            config.file.display()
        ))
        .hint("there is nothing to prune"));
    }
    check_additional(&options.additional)?;
    let _lock = match options.dry_run {
        true => None,
        false => Some(node.lock("slapos node software", &config.pidfile_software)?),
    };
    let mut builder = Builder::start(node, options)?;
    let doubtful = builder.prune(None, true)?;
    if doubtful.removed.is_empty() {
        return Ok(Report { dry_run: options.dry_run, ..doubtful });
    }
    let asked = ask_partitions(node, &doubtful)?;
    let report = builder.prune(Some(asked), options.dry_run)?;
    conclude(node, report)
}

fn check_additional(additional: &[PathBuf]) -> Result<(), NodeError> {
    match additional.iter().find(|path| !path.is_absolute() || !path.is_dir()) {
        None => Ok(()),
        Some(path) => Err(NodeError::user(format!(
            "{} is not the absolute path of a directory",
            path.display()
        ))
        .hint("--additional-software-directory names directories that shared parts are used from")),
    }
}

/// A worker that runs as the owner of the software root, and what it is told each time.
struct Builder<'a> {
    worker: Worker,
    node: &'a Node<'a>,
    options: &'a Options,
}

impl<'a> Builder<'a> {
    fn start(node: &'a Node<'a>, options: &'a Options) -> Result<Self, NodeError> {
        let root = &node.config.software_root;
        let owner = user::owner_of(root).context("examine", root)?;
        Ok(Self { worker: Worker::start(&owner, "prune", Purpose::Build(None))?, node, options })
    }

    fn prune(
        &mut self,
        asked: Option<BTreeMap<String, Option<String>>>,
        dry_run: bool,
    ) -> Result<Report, NodeError> {
        let config = self.node.config;
        let job = Job::Prune(PruneJob {
            shared_part_list: config.shared_part_list.clone(),
            software_root: config.software_root.clone(),
            download_cache: config.download_cache.clone(),
            additional: self.options.additional.clone(),
            asked,
            dry_run,
        });
        match self.worker.run(&job, None, &mut Quiet)? {
            Done::Pruned { report: Some(report) } => Ok(report),
            Done::Pruned { report: None } => {
                Err(NodeError::user("a build uses the shared parts at this moment")
                    .hint("wait until it ends; nothing was changed")
                    .code(crate::error::exit::BUSY))
            }
            other => Err(NodeError::user(format!("the worker that prunes answered {other:?}"))),
        }
    }
}

/// Asks each partition which of the doubtful parts it refers to: hash → the partition, if any.
fn ask_partitions(
    node: &Node<'_>,
    doubtful: &Report,
) -> Result<BTreeMap<String, Option<String>>, NodeError> {
    let removals = doubtful.removed.iter();
    let mut asked: BTreeMap<_, _> =
        removals.map(|removal| (removal.hash.clone(), None::<String>)).collect();
    for (name, directory) in partitions(node)? {
        let open: Vec<String> = asked
            .iter()
            .filter(|(_, partition)| partition.is_none())
            .map(|(hash, _)| hash.clone())
            .collect();
        if open.is_empty() {
            break;
        }
        for hash in ask_partition(node, &name, directory, open)? {
            asked.entry(hash).and_modify(|partition| *partition = Some(name.clone()));
        }
    }
    Ok(asked)
}

fn ask_partition(
    node: &Node<'_>,
    name: &str,
    directory: PathBuf,
    hashes: Vec<String>,
) -> Result<Vec<String>, NodeError> {
    let mut worker = Worker::start(&partition_owner(&directory)?, name, Purpose::Partition)?;
    let job = Job::Mentions(MentionsJob { directory, hashes });
    match worker.run(&job, Some(node.config.partition_timeout), &mut Quiet)? {
        Done::Mentions { hashes } => Ok(hashes),
        other => Err(NodeError::user(format!("the worker of {name} answered {other:?}"))),
    }
}

/// The partitions that are there, in use or not, by name.
fn partitions(node: &Node<'_>) -> Result<Vec<(String, PathBuf)>, NodeError> {
    let root = &node.config.instance_root;
    let base = &node.config.format.partition_base_name;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).context("list", root)? {
        let entry = entry.context("list", root)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(base.as_str()).unwrap_or_default();
        let is_partition = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_partition && entry.file_type().context("examine", &entry.path())?.is_dir() {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn conclude(node: &Node<'_>, report: Report) -> Result<Report, NodeError> {
    for (location, why) in &report.failed {
        node.reporter.warn("prune", &format!("{}: {why}", location.display()));
    }
    match report.failed.len() {
        0 => Ok(report),
        n => Err(NodeError::user(format!(
            "{n} of {} shared parts could not be removed",
            n + report.removed.len()
        ))
        .hint("mend what is said above, then run it again")),
    }
}
