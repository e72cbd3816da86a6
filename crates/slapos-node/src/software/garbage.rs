//! Software Releases that nobody wants any more, though the Master never said that they are to go:
//! `node software --garbage-collect`.

use std::collections::BTreeSet;

use slapos_slap::Computer;

use super::remove_directory;
use crate::error::{IoContext, NodeError};
use crate::node::Node;

/// Removes the directories of Software Releases that the Master does not list and no instance on
/// this computer uses. Other directories in the software root are left alone.
///
/// # Errors
/// When the software root cannot be listed or one cannot be removed.
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
    for name in garbage(names, &wanted(computer)) {
        node.reporter.note(&name, "remove: the Master does not list it and no instance uses it");
        if !dry_run {
            remove_directory(node, &name, root.join(&name))?;
        }
    }
    Ok(())
}

fn wanted(computer: &Computer) -> BTreeSet<String> {
    let listed = computer.software.iter().map(|release| release.url.md5_hex());
    let used = computer.partitions.iter().filter_map(|partition| partition.software.as_ref());
    listed.chain(used.map(slapos_slap::SoftwareUrl::md5_hex)).collect()
}

/// Those of `names` that are of Software Releases and not wanted.
fn garbage(mut names: Vec<String>, wanted: &BTreeSet<String>) -> Vec<String> {
    const MD5_DIGITS: usize = 32;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    names.retain(|name| {
        name.len() == MD5_DIGITS && name.bytes().all(is_digit) && !wanted.contains(name)
    });
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_slap::{ComputerPartition, SoftwareRelease, SoftwareState, SoftwareUrl};

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
