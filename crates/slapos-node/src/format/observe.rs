//! What of the format is already there.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use slapos_sys::user;

use super::plan::wanted_directories;
use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};

/// A directory as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Owner.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// The part of the machine that `format` cares about.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether this process is root.
    pub root: bool,
    /// The users of the format that exist, with their ids.
    pub users: BTreeMap<String, u32>,
    /// The directories of the format that exist.
    pub directories: BTreeMap<PathBuf, Directory>,
    /// Directories above ours that other users cannot pass.
    pub closed: Vec<PathBuf>,
}

/// Looks at the machine.
///
/// # Errors
/// When a wanted directory is something else, or the user database cannot be read.
pub fn observe(config: &NodeConfig) -> Result<Observed, NodeError> {
    let mut observed = Observed { root: user::is_root(), ..Observed::default() };
    if config.format.alter_user {
        let format = &config.format;
        let slots = (0..format.partition_amount).map(|n| format!("{}{n}", format.user_base_name));
        for name in slots.chain([format.software_user.clone()]) {
            if let Some(user) = user::by_name(&name).context("look up the user of", &config.file)? {
                observed.users.insert(name, user.uid);
            }
        }
    }
    for wanted in wanted_directories(config) {
        if let Some(directory) = look(&wanted.path)? {
            observed.directories.insert(wanted.path.clone(), directory);
        }
        note_closed(&wanted.path, &mut observed.closed);
    }
    Ok(observed)
}

fn look(path: &Path) -> Result<Option<Directory>, NodeError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let mode = meta.permissions().mode() & 0o7777;
            Ok(Some(Directory { uid: meta.uid(), mode }))
        }
        Ok(_) => Err(NodeError::user(format!("{} exists and is no directory", path.display()))
            .hint("move it away, or choose another place in slapos.cfg")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("examine", path),
    }
}

/// Users other than the owner must be able to pass every directory that leads to theirs.
fn note_closed(path: &Path, closed: &mut Vec<PathBuf>) {
    for above in path.ancestors().skip(1) {
        let passable = std::fs::metadata(above).map_or(true, |meta| meta.mode() & 0o001 != 0);
        if !passable && !closed.iter().any(|known| known == above) {
            closed.push(above.to_owned());
        }
    }
}

/// Whether `::1` answers on this machine.
pub(super) fn has_ipv6_loopback() -> bool {
    std::net::UdpSocket::bind((std::net::Ipv6Addr::LOCALHOST, 0)).is_ok()
}
