//! Journals that wait to be handed in, and the record of what is being taken away for one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_slap::usage::read_journal;
use slapos_slap::{PartitionId, SlapClient};
use slapos_sys::{fs, random};

use super::{directory, gather};
use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::worker::ReportFile;

/// A longer journal is not handed in, bytes.
const LONGEST: u64 = 64 << 20;

/// What a run is about to do.
#[derive(Serialize, Deserialize)]
struct Intent {
    /// The journal's file name.
    name: String,
    /// The journal.
    document: String,
    /// The reports that are in it.
    taken: Vec<(PartitionId, ReportFile)>,
}

/// Has `document` wait to be handed in, and takes away what is in it.
pub(super) fn put(
    node: &Node<'_>,
    document: &str,
    taken: Vec<(PartitionId, ReportFile)>,
) -> Result<(), NodeError> {
    let path = intent_path(node);
    let name = random::hex(8).context("name a journal for", &path)?;
    let name = format!("usage.{name}.xml");
    let intent = Intent { name, document: document.to_owned(), taken };
    let text = serde_json::to_string(&intent)
        .map_err(|error| NodeError::user(format!("cannot word the journal: {error}")))?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent, 0o700).context("create", parent)?;
    }
    fs::write_atomic(&path, text.as_bytes(), 0o600).context("write", &path)?;
    carry_out(node, intent)
}

/// Ends what a killed run began.
pub(super) fn take_up(node: &Node<'_>) -> Result<(), NodeError> {
    let path = intent_path(node);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("read", &path),
    };
    match serde_json::from_str(&text) {
        Ok(intent) => carry_out(node, intent),
        Err(error) => Err(NodeError::user(format!("{} makes no sense: {error}", path.display()))
            .hint("it was not written by this program; move it away")),
    }
}

/// Each step can be repeated.
fn carry_out(node: &Node<'_>, intent: Intent) -> Result<(), NodeError> {
    let directory = directory(node, node.config.computer_id.as_str());
    fs::create_dir_all(&directory, 0o700).context("create", &directory)?;
    let path = directory.join(&intent.name);
    let written = fs::write_atomic_if_changed(&path, intent.document.as_bytes(), 0o600);
    written.context("write", &path)?;
    let mut taken = intent.taken;
    while let Some((partition, _)) = taken.first().cloned() {
        let (its, rest) = taken.into_iter().partition(|(owner, _)| *owner == partition);
        taken = rest;
        let files = Vec::into_iter(its).map(|(_, file)| file).collect();
        // A partition that keeps its reports counts twice, which is its own doing.
        if let Err(error) = gather::take_away(node, &partition, files) {
            let text = format!("its usage reports stay: {error}");
            node.reporter.warn(partition.as_str(), &text);
        }
    }
    let done = intent_path(node);
    fs::remove_tree(&done).context("remove", &done)
}

/// Hands in what waits, and removes what was handed in; notes in `failed` what was not.
pub(super) fn hand_in(node: &Node<'_>, master: &SlapClient, failed: &mut Vec<String>) {
    let directory = directory(node, node.config.computer_id.as_str());
    let paths = match waiting(&directory) {
        Ok(paths) => paths,
        Err(error) => {
            node.reporter.failed("usage", &error);
            failed.push(directory.display().to_string());
            return;
        }
    };
    for path in paths {
        match one(node, master, &path) {
            Ok(()) => {}
            Err(error) => {
                node.reporter.failed("usage", &error);
                failed.push(path.display().to_string());
            }
        }
    }
}

/// What waits in `directory`, by name.
fn waiting(directory: &Path) -> Result<Vec<PathBuf>, NodeError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context("list", directory)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().context("list", directory)?;
    paths.sort();
    Ok(paths)
}

fn one(node: &Node<'_>, master: &SlapClient, path: &Path) -> Result<(), NodeError> {
    let leave = |why: &dyn std::fmt::Display| {
        node.reporter.warn("usage", &format!("{} is left where it is: {why}", path.display()));
    };
    let text = match fs::read_untrusted(path, LONGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            leave(&error);
            return Ok(());
        }
        Err(error) => return Err(error).context("read", path),
    };
    if let Err(error) = read_journal(&text) {
        leave(&error);
        return Ok(());
    }
    master.use_computer(&node.config.computer_id, &text)?;
    fs::remove_tree(path).context("remove", path)?;
    node.reporter.note("usage", "reported");
    Ok(())
}

fn intent_path(node: &Node<'_>) -> PathBuf {
    node.config.instance_root.join("var/slapgrid/usage.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_that_is_not_there_has_nothing_that_waits() {
        let dir = tempfile::tempdir().unwrap();
        assert!(waiting(&dir.path().join("missing")).unwrap().is_empty());
        let file = dir.path().join("usage.1.xml");
        fs::write_atomic(&file, b"", 0o600).unwrap();
        assert_eq!(waiting(dir.path()).unwrap(), std::slice::from_ref(&file));
        waiting(&file).unwrap_err();
    }
}
