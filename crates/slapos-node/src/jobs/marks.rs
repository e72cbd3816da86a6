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
use crate::place::TIMESTAMP;
use crate::worker::{Done, Failure, InstanceJob, Mark, MarkJob};

/// See the module.
pub(super) const RETENTION_DELAY: &str = ".slapos-retention-lock-delay";
/// The log of what is done in a partition.
pub(super) const INSTANCE_LOG: &str = "instance.log";

/// Before an instance is processed: nothing vouches for it any more.
pub(super) fn begin(job: &InstanceJob) -> Result<(), Failure> {
    remove(&job.directory.join(TIMESTAMP))?;
    remove(&error_log(&job.directory, &job.partition.id))
}

/// Once an instance is deployed for the first time, how long it is kept is settled. What is no number
/// of days is written as it came: then the instance is kept until a person says what was meant.
pub(super) fn settle_retention(
    directory: &Path,
    filter: &IndexMap<String, String>,
    log: &RunLog,
) -> Result<(), Failure> {
    let path = directory.join(RETENTION_DELAY);
    let asked = filter.get("retention_delay").map_or("", |asked| asked.trim());
    let days = match asked {
        "" => Ok(0.0),
        asked => asked.parse::<f64>().ok().filter(|days| days.is_finite()).ok_or(asked),
    };
    let text = days.map_or_else(str::to_owned, |days| format!("{days:?}"));
    let settled = fs::write_once(&path, text.as_bytes(), 0o644)
        .map_err(|error| Failure::io("write", &path, &error))?;
    if let (true, Err(asked)) = (settled, days) {
        let path = path.display();
        let text = format!(
            "retention_delay is no number of days: {asked:?}; the instance will not be destroyed before {path} says one"
        );
        log.line("WARNING", &text);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_an_instance_is_kept_is_written_once_and_never_shortened_by_a_mistake() {
        for (asked, written) in [
            (None, "0.0"),
            (Some(""), "0.0"),
            (Some(" 7 "), "7.0"),
            (Some("7d"), "7d"),
            (Some("7 days"), "7 days"),
            (Some("inf"), "inf"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let log = RunLog::open(dir.path(), INSTANCE_LOG, false);
            let name = "retention_delay".to_owned();
            let filter = asked.map(|asked| (name, asked.to_owned())).into_iter().collect();
            settle_retention(dir.path(), &filter, &log).unwrap();
            settle_retention(dir.path(), &IndexMap::new(), &log).unwrap();
            let path = dir.path().join(RETENTION_DELAY);
            assert_eq!(fs::read_to_string(&path).unwrap(), written);
        }
    }
}
