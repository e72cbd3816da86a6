//! The end of an instance, as its partition's user: may it go, its own last words, and what it has
//! outside of its partition.

use std::path::Path;

use slapos_sys::clock::{Clock, SystemClock};
use slapos_sys::fs;
use slapos_sys::process::Command;

use super::log::{FOLDER, RunLog};
use super::marks::{INSTANCE_LOG, RETENTION_DELAY};
use crate::format::RESOURCE_FILE;
use crate::place::TIMESTAMP;
use crate::software::SMALL;
use crate::worker::{DestroyJob, Done, Failure, InspectJob, TidyJob};

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

/// `sbin/destroy` of the instance, then what it has outside of its partition.
pub(super) fn destroy(job: &DestroyJob) -> Result<Done, Failure> {
    last_words(&job.directory)?;
    job.storage.iter().try_for_each(|room| empty(room))?;
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

/// Empties a directory of external storage. What stays would be the next instance's to read, so that
/// whatever cannot be listed or removed is an error.
fn empty(room: &Path) -> Result<(), Failure> {
    match std::fs::symlink_metadata(room) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::io("examine", room, &error)),
    }
    let list = |error: std::io::Error| Failure::io("list", room, &error);
    // An instance can close it to itself.
    fs::set_mode(room, 0o750).map_err(|error| Failure::io("open", room, &error))?;
    for entry in std::fs::read_dir(room).map_err(list)? {
        let path = entry.map_err(list)?.path();
        fs::remove_tree(&path).map_err(|error| Failure::io("remove", &path, &error))?;
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
    fn storage_is_emptied_whatever_the_instance_did_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = |room: &str| dir.path().join(room).join("slappart0/sub/file");
        for room in ["data1", "data2"] {
            fs::create_dir_all(file(room).parent().unwrap(), 0o755).unwrap();
            write_atomic(&file(room), b"x", 0o644).unwrap();
        }
        let room = |name: &str| dir.path().join(name).join("slappart0");
        fs::set_mode(&room("data2"), 0).unwrap();
        // There is no DATA in the partition.
        let storage = vec![room("data1"), room("data2"), room("data3")];
        let directory = dir.path().to_owned();
        destroy(&DestroyJob { directory, storage }).unwrap();
        for name in ["data1", "data2"] {
            assert_eq!(std::fs::read_dir(room(name)).unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn storage_that_cannot_be_looked_into_keeps_the_instance() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data1");
        write_atomic(&file, b"x", 0o644).unwrap();
        let job = DestroyJob { directory: dir.path().to_owned(), storage: vec![file.join("p")] };
        let failure = destroy(&job).unwrap_err();
        assert!(failure.message.contains("cannot examine"), "{failure:?}");
    }
}
