//! Certificates of partitions: fetched from the Master, kept where their users read them.
//!
//! The directory is the node's: partitions cannot write there.

use std::path::{Path, PathBuf};

use slapos_slap::{ComputerPartition, SlapClient, SlapError};
use slapos_sys::fs;
use slapos_sys::user::{self, Identity};

use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};

/// Users of partitions pass the directory to their own files, and cannot list it.
pub(crate) const DIRECTORY_MODE: u32 = 0o711;

/// The key and the certificate of a partition.
pub(super) fn files(config: &NodeConfig, partition: &str) -> Option<(PathBuf, PathBuf)> {
    let directory = config.grid.certificate_repository_path.as_deref()?;
    let file = |kind| directory.join(format!("{partition}.{kind}"));
    Some((file("key"), file("crt")))
}

/// Brings the certificate of `partition` up to date; nothing where none are kept.
///
/// # Errors
/// When the Master does not give it or it cannot be written.
pub(super) fn update(
    config: &NodeConfig,
    master: &SlapClient,
    partition: &ComputerPartition,
    owner: &Identity,
) -> Result<(), NodeError> {
    let Some((key, certificate)) = files(config, partition.id.as_str()) else { return Ok(()) };
    let given = master.partition_certificate(&partition.computer, &partition.id);
    let given = given.map_err(|error| match error {
        SlapError::NotFound { .. } => NodeError::user(format!(
            "Partition {} is not known by SlapOS Master: {error}",
            partition.id
        )),
        other => NodeError::from(other),
    })?;
    if let Some(directory) = key.parent() {
        make_directory(directory)?;
    }
    let files = [(key.as_path(), given.key.expose()), (&certificate, &given.certificate)];
    let owner = user::is_root().then_some(owner);
    // Killed between the two, the instance is processed again, and with it its certificate.
    fs::replace_together(&files, 0o400, owner).context("write", &certificate)
}

/// Makes a directory on the way to the files of partitions, whatever the umask is.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn make_directory(path: &Path) -> Result<(), NodeError> {
    fs::create_dir_all(path, DIRECTORY_MODE).context("create", path)?;
    fs::set_mode(path, DIRECTORY_MODE).context("open to users", path)
}

/// Removes the certificate of a partition whose instance is gone.
///
/// # Errors
/// When it exists and cannot be removed.
pub(crate) fn forget(config: &NodeConfig, partition: &str) -> Result<(), NodeError> {
    let Some((key, certificate)) = files(config, partition) else { return Ok(()) };
    for path in [key, certificate] {
        fs::remove_tree(&path).context("remove", &path)?;
    }
    Ok(())
}
