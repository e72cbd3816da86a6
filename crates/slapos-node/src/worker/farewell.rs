//! The end of an instance, as its partition's user: may it go, its own last words, and what it has
//! outside of its partition.

use std::path::Path;

use slapos_sys::clock::{Clock, SystemClock};
use slapos_sys::fs;
use slapos_sys::process::Command;

use super::log::{FOLDER, RunLog};
use super::marks::{INSTANCE_LOG, RETENTION_DELAY, TIMESTAMP};
use super::protocol::{DestroyJob, Done, Failure, InspectJob, TidyJob};
use crate::format::RESOURCE_FILE;
use crate::software::SMALL;

/// When a destroyed instance may go, seconds since 1970; written at the first try.
const RETENTION_DATE: &str = ".slapos-retention-lock-date";
/// The services that must have ended before, one `group:name` a line.
const WAIT_FOR: &str = ".slapos-report-wait-service-list";
/// More than a list of services has, bytes.
const MOST_SERVICES: u64 = 64 << 10;
const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// What holds the instance back.
pub(super) fn inspect(job: &InspectJob) -> Result<Done, Failure> {
    let services = read(&job.directory.join(WAIT_FOR), MOST_SERVICES)?.unwrap_or_default();
    let services = services.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Done::Inspected {
        kept_until: kept_until(&job.directory, job.settle)?,
        wait_for: services.map(str::to_owned).collect(),
    })
}

/// The date of the retention lock; it is made of the delay when it is first asked for.
fn kept_until(directory: &Path, settle: bool) -> Result<Option<f64>, Failure> {
    let date = directory.join(RETENTION_DATE);
    if let Some(until) = number(&date)? {
        return Ok(Some(until));
    }
    let Some(days) = number(&directory.join(RETENTION_DELAY))?.filter(|days| *days > 0.0) else {
        return Ok(None);
    };
    #[allow(clippy::cast_precision_loss, reason = "2^53 seconds are enough")]
    let until = SystemClock.now().as_second() as f64 + days * SECONDS_OF_A_DAY;
    if settle {
        fs::write_once(&date, format!("{until:?}").as_bytes(), 0o644)
            .map_err(|error| Failure::io("write", &date, &error))?;
    }
    Ok(Some(until))
}

/// The number in a file. What is none must not cost an instance its data.
fn number(path: &Path) -> Result<Option<f64>, Failure> {
    let Some(text) = read(path, SMALL)? else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(Failure::new(format!("{} is no number: {:?}", path.display(), text.trim()))
            .hint("the instance is kept; remove that file if it is to be destroyed now")),
    }
}

fn read(path: &Path, most: u64) -> Result<Option<String>, Failure> {
    match fs::read_untrusted(path, most) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("read", path, &error)),
    }
}

/// `sbin/destroy` of the instance, then what it has in the storage home.
pub(super) fn destroy(job: &DestroyJob) -> Result<Done, Failure> {
    last_words(&job.directory)?;
    if let Some(home) = &job.storage_home {
        empty_storage(job, home)?;
    }
    Ok(Done::Destroyed)
}

fn last_words(directory: &Path) -> Result<(), Failure> {
    let program = directory.join("sbin/destroy");
    if !program.exists() {
        return Ok(());
    }
    RunLog::open(directory, INSTANCE_LOG, false).line("INFO", "runs sbin/destroy");
    let log = directory.join(FOLDER).join(INSTANCE_LOG);
    let words = |error: std::io::Error| Failure::io("run", &program, &error);
    let mut command = Command::new(&program);
    command.inherit_env(&["PATH", "HOME", "USER", "LOGNAME", "LANG"]).current_dir(directory);
    let status = command.append_output_to(&log).and_then(Command::status).map_err(words)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{} failed: {status}", program.display())).hint(
            format!("the instance is kept until it succeeds, or that file is removed; its output is in {}", log.display()),
        )),
    }
}

/// Each name in `DATA` stands for a directory of the storage home that holds one for this partition.
fn empty_storage(job: &DestroyJob, home: &Path) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(job.directory.join("DATA")) else { return Ok(()) };
    for entry in entries.flatten() {
        let room = home.join(entry.file_name()).join(job.partition.as_str());
        if !std::fs::symlink_metadata(&room).is_ok_and(|meta| meta.is_dir()) {
            continue;
        }
        for entry in std::fs::read_dir(&room).into_iter().flatten().flatten() {
            let path = entry.path();
            fs::remove_tree(&path).map_err(|error| Failure::io("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// What a node keeps in a partition goes from a free one; says what else is there.
pub(super) fn tidy(job: &TidyJob) -> Result<Done, Failure> {
    const OF_THE_NODE: [&str; 2] = [".slapgrid", TIMESTAMP];
    for name in OF_THE_NODE {
        let path = job.directory.join(name);
        fs::remove_tree(&path).map_err(|error| Failure::io("remove", &path, &error))?;
    }
    let entries = std::fs::read_dir(&job.directory)
        .map_err(|error| Failure::io("list", &job.directory, &error))?;
    let left = entries.flatten().filter(|entry| entry.file_name() != RESOURCE_FILE).count();
    Ok(Done::Tidied { left })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_sys::fs::write_atomic;

    fn inspected(directory: &Path) -> Result<(Option<f64>, Vec<String>), Failure> {
        match inspect(&InspectJob { directory: directory.to_owned(), settle: true })? {
            Done::Inspected { kept_until, wait_for } => Ok((kept_until, wait_for)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_date_is_settled_at_the_first_try() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(inspected(dir.path()).unwrap(), (None, Vec::new()));
        write_atomic(&dir.path().join(RETENTION_DELAY), b"0.0", 0o644).unwrap();
        assert_eq!(inspected(dir.path()).unwrap().0, None);
        write_atomic(&dir.path().join(RETENTION_DELAY), b"2", 0o644).unwrap();
        let until = inspected(dir.path()).unwrap().0.unwrap();
        #[allow(clippy::cast_precision_loss, reason = "2^53 seconds are enough")]
        let days = (until - SystemClock.now().as_second() as f64) / SECONDS_OF_A_DAY;
        assert!((1.9..2.1).contains(&days), "{days}");
        // The delay does not matter any more.
        write_atomic(&dir.path().join(RETENTION_DELAY), b"9", 0o644).unwrap();
        assert_eq!(inspected(dir.path()).unwrap().0, Some(until));
    }

    #[test]
    fn what_is_no_number_keeps_the_instance() {
        let dir = tempfile::tempdir().unwrap();
        write_atomic(&dir.path().join(RETENTION_DELAY), b"soon", 0o644).unwrap();
        let failure = inspected(dir.path()).unwrap_err();
        assert!(failure.message.contains("is no number: \"soon\""), "{failure:?}");
    }

    #[test]
    fn services_to_wait_for_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        write_atomic(&dir.path().join(WAIT_FOR), b"a-prerm:x\n\n b:y \n", 0o644).unwrap();
        assert_eq!(inspected(dir.path()).unwrap().1, ["a-prerm:x", "b:y"]);
    }

    #[test]
    fn storage_is_emptied_for_this_partition_only() {
        let dir = tempfile::tempdir().unwrap();
        let (part, home) = (dir.path().join("slappart0"), dir.path().join("storage"));
        for folder in ["DATA/data1", "DATA/../srv"] {
            fs::create_dir_all(&part.join(folder), 0o755).unwrap();
        }
        for file in ["data1/slappart0/mine", "data1/slappart1/other", "data2/slappart0/kept"] {
            fs::create_dir_all(home.join(file).parent().unwrap(), 0o755).unwrap();
            write_atomic(&home.join(file), b"x", 0o644).unwrap();
        }
        let (directory, storage_home) = (part, Some(home.clone()));
        destroy(&DestroyJob { directory, storage_home, partition: "slappart0".into() }).unwrap();
        let there = |file: &str| home.join(file).exists();
        assert!(!there("data1/slappart0/mine") && there("data1/slappart0"));
        assert!(there("data1/slappart1/other") && there("data2/slappart0/kept"));
    }
}
