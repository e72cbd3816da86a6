//! Software Releases that nobody wants any more, though the Master never said that they are to go:
//! `node software --garbage-collect`.

use std::collections::{BTreeMap, BTreeSet};

use slapos_slap::{Computer, SoftwareUrl};

use super::{is_directory_name, remove_directory};
use crate::error::{IoContext, NodeError};
use crate::node::Node;

/// Removes the directories of Software Releases that the Master does not list and no instance on
/// this computer is to use, was deployed from, or may be brought back to. Other directories in the
/// software root are left alone.
///
/// # Errors
/// When the software root or a record cannot be read (nothing was removed then), or a Software Release
/// cannot be removed.
pub(super) fn collect(
    node: &Node<'_>,
    computer: &Computer,
    dry_run: bool,
) -> Result<(), NodeError> {
    let root = &node.config.software_root;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root).context("list", root)? {
        let entry = entry.context("list", root)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    let mut wanted = wanted(computer);
    wanted.extend(users(node)?.into_keys());
    all_is_known(node)?;
    for name in garbage(names, &wanted) {
        node.reporter.note(&name, "remove: the Master does not list it and no instance uses it");
        if !dry_run {
            remove_directory(node, &name, root.join(&name))?;
        }
    }
    Ok(())
}

/// The partitions that were deployed from each Software Release, or may be brought back to it, by
/// the name of its directory. What the Master wants of them by now may be something else.
///
/// # Errors
/// When a record cannot be read.
pub(super) fn users(node: &Node<'_>) -> Result<BTreeMap<String, BTreeSet<String>>, NodeError> {
    let (records, histories) = (node.records(), node.histories());
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut note = |software: &SoftwareUrl, partition: &str| {
        users.entry(software.md5_hex()).or_default().insert(partition.to_owned());
    };
    for partition in records.partitions()? {
        if let Some(record) = records.look(&partition)? {
            note(&record.software, &partition);
        }
    }
    for partition in histories.partitions()? {
        for generation in histories.look(&partition)?.generations {
            note(&generation.wanted.software, &partition);
        }
    }
    Ok(users)
}

/// Which Software Release a damaged record or history named, nobody can tell: it may be any.
fn all_is_known(node: &Node<'_>) -> Result<(), NodeError> {
    let damaged = [node.records().damaged()?, node.histories().damaged()?].concat();
    let Some(first) = damaged.first() else { return Ok(()) };
    let names: Vec<_> = damaged.iter().map(|path| path.display().to_string()).collect();
    Err(NodeError::user(format!(
        "{} cannot be read: the Software Release of that instance may be any, and nothing is removed",
        names.join(", ")
    ))
    .hint(format!(
        "`slapos node instance --all` keeps a new record; or remove {}, once it is sure that nothing uses what would go",
        first.display()
    )))
}

fn wanted(computer: &Computer) -> BTreeSet<String> {
    let listed = computer.software.iter().map(|release| release.url.md5_hex());
    let used = computer.partitions.iter().filter_map(|partition| partition.software.as_ref());
    listed.chain(used.map(SoftwareUrl::md5_hex)).collect()
}

/// Those of `names` that are of Software Releases and not wanted.
fn garbage(mut names: Vec<String>, wanted: &BTreeSet<String>) -> Vec<String> {
    names.retain(|name| is_directory_name(name) && !wanted.contains(name));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_slap::{ComputerPartition, SoftwareRelease, SoftwareState};

    #[test]
    fn only_software_releases_that_nobody_wants_are_garbage() {
        let url = |name: &str| SoftwareUrl::new(name);
        let mut partition = ComputerPartition::free("c".into(), "p".into());
        partition.software = Some(url("used"));
        let listed = SoftwareRelease { url: url("listed"), state: SoftwareState::Destroyed };
        let computer =
            Computer { id: "c".into(), software: vec![listed], partitions: vec![partition] };
        let mut names: Vec<_> = ["listed", "used", "old"].map(|name| url(name).md5_hex()).into();
        names.extend([".cache", "shared", "0123456789ABCDEF0123456789ABCDEF"].map(str::to_owned));
        assert_eq!(garbage(names, &wanted(&computer)), [url("old").md5_hex()]);
    }
}
