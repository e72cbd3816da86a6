//! Log files: rotating, reading and clearing them.
//!
//! The files of programs lie in directories that other users control. So each function here is
//! called with the rights of the log's user (`slapos_sys::user::as_files_of`), follows no link at
//! the end of a path, and touches regular files only. Programs hold their log open, so rotation
//! copies what is there and takes that out of the file. Where the file system can take a range out
//! (ext4, XFS), nothing is lost and a line may be in two files; elsewhere the file is truncated,
//! and what a program writes between the copy and that is lost.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use rustix::fs::FallocateFlags;

use super::follow::Turn;
use crate::spec::ProgramSpec;

/// How soon a log is looked at again, at the earliest and at the latest.
pub(crate) const LOOK_AGAIN: RangeInclusive<Duration> =
    Duration::from_millis(5)..=Duration::from_secs(2);
/// How soon a log is looked at of which nothing is known.
pub(crate) const FIRST_LOOK: Duration = Duration::from_millis(50);
/// At most so much of a log is read at once.
pub(crate) const MAX_READ: u64 = 16 << 20;

/// One log and when to rotate it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    /// Whose it is, as the definition names him; the daemon's own if absent.
    pub(crate) user: Option<String>,
    pub(crate) max_bytes: u64,
    pub(crate) backups: u32,
}

impl Log {
    /// The log of a program, if it has one.
    pub(crate) fn of(spec: &ProgramSpec) -> Option<Log> {
        Some(Log {
            path: spec.stdout_logfile.clone()?,
            user: spec.user.clone(),
            max_bytes: spec.stdout_logfile_maxbytes,
            backups: spec.stdout_logfile_backups,
        })
    }
}

/// How fast a log grows, in bytes a second: it grew by `grown` bytes in `elapsed`. One that wrote in
/// a burst is expected to do so again: what it did before (`former`) is forgotten only by and by.
pub(crate) fn growth(grown: u64, elapsed: Duration, former: u64) -> u64 {
    let nanos = u128::from(grown).saturating_mul(1_000_000_000);
    let rate = nanos.checked_div(elapsed.as_nanos()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX).max(former / 2)
}

/// When to look at a log again: when it will reach its limit, if it grows on at `rate` bytes a
/// second. It has `left` bytes to grow.
pub(crate) fn next_look(rate: u64, left: u64) -> Duration {
    let (soonest, latest) = LOOK_AGAIN.into_inner();
    let nanos = u128::from(left).saturating_mul(1_000_000_000).checked_div(rate.into());
    let until = nanos.and_then(|nanos| u64::try_from(nanos).ok());
    until.map_or(latest, |nanos| Duration::from_nanos(nanos).clamp(soonest, latest))
}

/// Rotates `log` if it is over its size. Returns the size it had, and whether it was rotated.
///
/// The log and all its backups together take at most one limit more than the limit for each of
/// them: a log that grew far beyond its limit between two looks will do so again, and has fewer
/// backups. A program that floods its log loses what is oldest; one backup of the limit's size stays
/// in any case.
pub(crate) fn rotate(log: &Log) -> io::Result<(u64, bool)> {
    let Some(mut file) = open(&log.path, OpenOptions::new().read(true).write(true))? else {
        return Ok((0, false));
    };
    let metadata = file.metadata()?;
    let size = metadata.len();
    if log.max_bytes == 0 || size <= log.max_bytes {
        return Ok((size, false));
    }
    if log.backups == 0 {
        file.set_len(0)?;
        return Ok((size, true));
    }
    // Whoever reads it has come first: it is looked at again soon.
    let Some(_turn) = Turn::at(&log.path) else {
        return Ok((size, false));
    };
    shift_backups(log)?;
    let all = log.max_bytes.saturating_mul(u64::from(log.backups) + 2);
    let kept = all.saturating_sub(size).max(log.max_bytes);
    drop_oldest(log, kept.saturating_sub(size));
    let first = backup(&log.path, 1);
    let mut copy = slapos_sys::fs::create_new(&first, 0o600)?;
    let from = size.saturating_sub(kept);
    if let Err(error) = move_out(&mut file, from, size, metadata.blksize(), &mut copy) {
        let _ = std::fs::remove_file(&first);
        return Err(error);
    }
    // When its last line was written.
    copy.set_modified(metadata.modified()?)?;
    Ok((size, true))
}

/// Copies what `file` holds between `from` and `to`, and takes everything before `to` out of it. Not
/// further than `to`, or a busy writer would keep us here.
fn move_out(file: &mut File, from: u64, to: u64, block: u64, copy: &mut File) -> io::Result<()> {
    // Only whole blocks can be taken out, and not all that there is.
    let blocks = to.saturating_sub(1) / block.max(1) * block;
    if blocks > from {
        append(file, from, blocks, copy)?;
        if rustix::fs::fallocate(&*file, FallocateFlags::COLLAPSE_RANGE, 0, blocks).is_ok() {
            return Ok(());
        }
    }
    append(file, from.max(blocks), to, copy)?;
    file.set_len(0)
}

fn append(file: &mut File, from: u64, to: u64, copy: &mut File) -> io::Result<()> {
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut file.take(to.saturating_sub(from)), copy).map(drop)
}

/// Removes the oldest backups, so that the rest takes no more than `room` bytes.
fn drop_oldest(log: &Log, room: u64) {
    let mut used = 0_u64;
    for path in (2..=log.backups).map(|number| backup(&log.path, number)) {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        used = used.saturating_add(metadata.len());
        if used > room {
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn shift_backups(log: &Log) -> io::Result<()> {
    slapos_sys::fs::remove_tree(&backup(&log.path, log.backups))?;
    for number in (1..log.backups).rev() {
        match slapos_sys::fs::rename(&backup(&log.path, number), &backup(&log.path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Where the rotated log of that number is.
pub(crate) fn backup(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Empties the log and removes its backups.
pub(crate) fn clear(log: &Log) -> io::Result<()> {
    if let Some(file) = open(&log.path, OpenOptions::new().write(true))? {
        file.set_len(0)?;
    }
    for number in 1..=log.backups {
        let gone = std::fs::remove_file(backup(&log.path, number));
        if gone.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    Ok(())
}

/// `length` bytes from `offset` on, all of the rest if `length` is 0; with a negative `offset` the
/// last bytes. `None` if there is no such file.
pub(crate) fn read(path: &Path, offset: i64, length: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = open(path, OpenOptions::new().read(true))? else {
        return Ok(None);
    };
    let size = file.metadata()?.len();
    let start = match u64::try_from(offset) {
        Ok(offset) => offset.min(size),
        Err(_) => size.saturating_sub(offset.unsigned_abs()),
    };
    let rest = size - start;
    let wanted = if length == 0 { rest } else { length.min(rest) };
    read_at(&mut file, start, wanted).map(Some)
}

/// What was added after `offset`, at most the last `length` bytes of it: text, the offset for the
/// next call, and whether something was skipped. A file that shrank is read from its start.
pub(crate) fn tail(path: &Path, offset: u64, length: u64) -> io::Result<(Vec<u8>, u64, bool)> {
    let Some(mut file) = open(path, OpenOptions::new().read(true))? else {
        return Ok((Vec::new(), 0, false));
    };
    let size = file.metadata()?.len();
    let offset = if offset > size { 0 } else { offset };
    let start = offset.max(size.saturating_sub(length));
    let bytes = read_at(&mut file, start, size - start)?;
    let end = start + bytes.len() as u64;
    Ok((bytes, end, start > offset))
}

fn read_at(file: &mut File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length.min(MAX_READ)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why a program could not append to a log at `path`, if it could not.
pub(crate) fn check_appendable(path: &Path) -> io::Result<()> {
    open(path, OpenOptions::new().append(true).create(true).mode(0o600)).map(drop)
}

/// Makes the log, which its user must not write, a backup; whether it could. So are the logs of a
/// supervisor that wrote them itself, as root: the original's.
pub(crate) fn put_aside(log: &Log) -> bool {
    let denied = check_appendable(&log.path)
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    denied
        && (log.backups == 0 || shift_backups(log).is_ok())
        && slapos_sys::fs::rename(&log.path, &backup(&log.path, 1)).is_ok()
}

/// Opens a regular file that is not a link; `None` if there is nothing.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match options.custom_flags(flags.bits()).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !file.metadata()?.is_file() {
        let message = format!("{} is not a regular file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(Some(file))
}

/// Whether nothing is lost in this directory when a log is rotated.
#[cfg(test)]
pub(crate) fn can_take_out(directory: &Path) -> bool {
    let probe = directory.join("probe");
    let mut file = slapos_sys::fs::create_new(&probe, 0o600).unwrap();
    io::Write::write_all(&mut file, &[0; 1 << 16]).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 1 << 15).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use std::io::Write;

    use super::*;

    fn log(dir: &Path, max_bytes: u64, backups: u32) -> Log {
        Log { path: dir.join("log"), user: None, max_bytes, backups }
    }

    #[test]
    fn rotation_keeps_the_writers_file_and_so_many_backups() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 4, 2);
        let mut writer = slapos_sys::fs::open_append(&log.path, 0o600).unwrap();
        for text in ["one!!", "two!!", "three", "four"] {
            write!(writer, "{text}").unwrap();
            rotate(&log).unwrap();
        }
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(text("log"), "four");
        assert_eq!(text("log.1"), "three");
        assert_eq!(text("log.2"), "two!!");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        clear(&log).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_lost_where_a_range_can_be_taken_out() {
        let dir = tempfile::tempdir().unwrap();
        if !can_take_out(dir.path()) {
            slapos_testkit::skipped(
                "nothing_is_lost_where_a_range_can_be_taken_out",
                "the file system cannot take a range out of a file",
            );
            return;
        }
        let log = log(dir.path(), 64 << 10, 500);
        let mut writer = slapos_sys::fs::open_append(&log.path, 0o600).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..200_000 {
                    writeln!(writer, "line {number}").unwrap();
                }
                done.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                rotate(&log).unwrap();
            }
        });
        let backups = (1..=log.backups).rev().map(|number| backup(&log.path, number));
        let files = backups.chain([log.path.clone()]).filter_map(|path| std::fs::read(path).ok());
        let pieces: Vec<Vec<u8>> = files.collect();
        assert!(pieces.len() > 5, "{} files", pieces.len());
        let text = String::from_utf8(pieces.concat()).unwrap();
        let wrong = text.lines().enumerate().find(|(n, line)| *line != format!("line {n}"));
        assert_eq!((wrong, text.lines().count()), (None, 200_000));
    }

    #[test]
    fn a_backup_is_as_old_as_its_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 4, 1);
        std::fs::write(&log.path, "five!").unwrap();
        let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        File::options().write(true).open(&log.path).unwrap().set_modified(then).unwrap();
        rotate(&log).unwrap();
        let backup = std::fs::metadata(backup(&log.path, 1)).unwrap();
        assert_eq!(backup.modified().unwrap(), then);
    }

    #[test]
    fn the_next_look_comes_when_the_limit_is_reached() {
        let second = Duration::from_secs(1);
        assert_eq!(next_look(0, 1000), second * 2);
        assert_eq!(next_look(1, 1000), second * 2);
        assert_eq!(next_look(1000, 500), second / 2);
        assert_eq!(next_look(u64::MAX, 500), Duration::from_millis(5));
        assert_eq!(next_look(1, u64::MAX), second * 2);
    }

    #[test]
    fn a_burst_is_not_forgotten_at_the_first_silence() {
        let look = Duration::from_millis(5);
        let mut rate = growth(10 << 20, look, 0);
        assert_eq!(rate, 2000 << 20);
        let mut looks = 0;
        while next_look(rate, 1 << 20) == look {
            rate = growth(0, look, rate);
            looks += 1;
        }
        assert!((3..8).contains(&looks), "{looks}");
        assert_eq!(growth(u64::MAX, Duration::ZERO, 8), 4);
        assert_eq!(growth(u64::MAX, Duration::from_nanos(1), 8), u64::MAX);
    }

    #[test]
    fn the_backups_of_a_fast_writer_are_bounded_together() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 10, 3);
        for size in [11, 11, 11, 30, 11, 90] {
            std::fs::write(&log.path, "x".repeat(size)).unwrap();
            rotate(&log).unwrap();
            let files = std::fs::read_dir(dir.path()).unwrap();
            let backups: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
            // With a log that grows as large again until the next look.
            let most = 50_u64.saturating_sub(size as u64).max(10);
            assert!(backups <= most, "{backups} after {size}");
        }
    }

    #[test]
    fn a_flood_is_not_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 4, 1);
        std::fs::write(&log.path, "x".repeat(1000)).unwrap();
        assert_eq!(rotate(&log).unwrap(), (1000, true));
        let kept = std::fs::metadata(dir.path().join("log.1")).unwrap().len();
        assert_eq!(kept, 4);
    }

    #[test]
    fn planted_links_and_odd_files_are_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1, 1);
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &log.path).unwrap();
        assert!(rotate(&log).is_err());
        assert!(clear(&log).is_err());
        assert!(read(&log.path, 0, 0).is_err());
        std::fs::remove_file(&log.path).unwrap();
        nix::unistd::mkfifo(&log.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(rotate(&log).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn reading_from_both_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(read(&path, 0, 0).unwrap(), None);
        std::fs::write(&path, "0123456789").unwrap();
        let text = |offset, length| {
            let bytes = read(&path, offset, length).unwrap().unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(text(0, 0), "0123456789");
        assert_eq!(text(-3, 0), "789");
        assert_eq!(text(-30, 0), "0123456789");
        assert_eq!(text(2, 3), "234");
        assert_eq!(text(20, 3), "");
        assert_eq!(tail(&path, 0, 4).unwrap(), (b"6789".to_vec(), 10, true));
        assert_eq!(tail(&path, 8, 4).unwrap(), (b"89".to_vec(), 10, false));
        assert_eq!(tail(&path, 99, 100).unwrap().0, b"0123456789");
    }
}
