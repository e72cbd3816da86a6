//! Partitions as places: whose they are, and which there are.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use slapos_slap::ComputerPartition;
use slapos_sys::user::{self, Identity};

use crate::error::{IoContext, NodeError};

/// Vouches in a partition for what was processed of it: the Master's timestamp. It is absent while that
/// is not whole, and removed by people who want it processed again.
pub(crate) const TIMESTAMP: &str = ".timestamp";

/// The user of the partition at `directory`, once it is sure that nobody else can look into it.
///
/// # Errors
/// When it is missing, or open to others.
pub(crate) fn partition_owner(directory: &Path) -> Result<Identity, NodeError> {
    let meta = match std::fs::symlink_metadata(directory) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            return Err(NodeError::user(format!("{} is no directory", directory.display())));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(NodeError::user(format!("there is no {}", directory.display()))
                .hint("`slapos node format` makes it"));
        }
        Err(error) => return Err(error).context("examine", directory),
    };
    let mode = meta.permissions().mode() & 0o7777;
    if mode != 0o750 {
        return Err(NodeError::user(format!(
            "{} has mode {mode:04o}, not 0750",
            directory.display()
        ))
        .hint("`slapos node format` mends it"));
    }
    user::by_uid(meta.uid()).context("look up the owner of", directory)
}

/// Refuses names in `only` that none of the `known` partitions has.
///
/// # Errors
/// Names them.
pub(crate) fn check_only(only: &[String], known: &[ComputerPartition]) -> Result<(), NodeError> {
    let unknown: Vec<_> = only
        .iter()
        .filter(|name| !known.iter().any(|partition| partition.id.as_str() == **name))
        .map(String::as_str)
        .collect();
    match unknown.as_slice() {
        [] => Ok(()),
        names => Err(NodeError::user(format!("Unknown partition(s): {}", names.join(", ")))
            .hint("`slapos proxy show --partitions` lists those that are in use")),
    }
}
