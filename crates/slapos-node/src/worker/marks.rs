//! The small files in a partition that other tools read, written as the partition's user:
//!
//! | file | content |
//! | --- | --- |
//! | `.timestamp` | the Master's timestamp that was processed; absent while that is not whole |
//! | `.slapgrid-<partition>-error.log` | why the last run failed; absent if it did not |
//! | `.slapos-retention-lock-delay` | for how many days a destroyed instance is kept; written once |
//!
//! The node itself decides by its records. It only looks whether `.timestamp` is still there,
//! because people remove it to have a partition processed again.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_slap::PartitionId;
use slapos_sys::fs;

use super::log::RunLog;
use super::protocol::{Done, Failure, InstanceJob, Mark, MarkJob};

/// See the module.
pub(crate) const TIMESTAMP: &str = ".timestamp";
/// See the module.
pub(super) const RETENTION_DELAY: &str = ".slapos-retention-lock-delay";
/// The log of what is done in a partition.
pub(super) const INSTANCE_LOG: &str = "instance.log";

/// Before an instance is processed: nothing vouches for it any more.
pub(super) fn begin(job: &InstanceJob) -> Result<(), Failure> {
    remove(&job.directory.join(TIMESTAMP))?;
    remove(&error_log(&job.directory, &job.partition.id))
}

/// Once an instance is deployed for the first time, how long it is kept is settled.
pub(super) fn settle_retention(
    directory: &Path,
    filter: &IndexMap<String, String>,
) -> Result<(), Failure> {
    let path = directory.join(RETENTION_DELAY);
    let asked = filter.get("retention_delay").map(String::as_str);
    let days: f64 = asked.and_then(|days| days.trim().parse().ok()).unwrap_or(0.0);
    let days = if days.is_finite() { days } else { 0.0 };
    fs::write_once(&path, format!("{days:?}").as_bytes(), 0o644)
        .map(drop)
        .map_err(|error| Failure::io("write", &path, &error))
}

/// After an instance was processed.
pub(super) fn mark(job: &MarkJob) -> Result<Done, Failure> {
    let log = RunLog::open(&job.directory, INSTANCE_LOG, false);
    match &job.mark {
        Mark::Done { timestamp: Some(timestamp) } => {
            log.line("INFO", "done");
            write(&job.directory.join(TIMESTAMP), timestamp)?;
        }
        Mark::Done { timestamp: None } => log.line("INFO", "done"),
        Mark::Failed { text } => {
            log.line("ERROR", text);
            write(&error_log(&job.directory, &job.partition), text)?;
        }
    }
    Ok(Done::Marked)
}

fn error_log(directory: &Path, partition: &PartitionId) -> PathBuf {
    directory.join(format!(".slapgrid-{partition}-error.log"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write_replace(path, text.as_bytes(), 0o644)
        .map_err(|error| Failure::io("write", path, &error))
}

fn remove(path: &Path) -> Result<(), Failure> {
    fs::remove_tree(path).map_err(|error| Failure::io("remove", path, &error))
}
