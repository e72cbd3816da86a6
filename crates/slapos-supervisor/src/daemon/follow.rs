//! Following a log through its rotations: the log and its backups are read as if they were one file.
//!
//! A rotation moves the beginning of the log into a backup (see [`super::logs`]), so a place in the
//! log alone says nothing later. A [`Position`] therefore counts from the end of a backup, which is
//! known by its inode and when that was made, whatever number it has now. Nothing is read while the
//! log is being rotated, and it is not rotated while it is read.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{Metadata, OpenOptions, symlink_metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use super::logs::{Log, backup, open};

/// The logs that are being rotated or followed at this moment.
static BUSY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// While it lives, nobody else of this process rotates or follows the log.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Path);

impl<'a> Turn<'a> {
    /// `None` if somebody else has it: come again.
    pub(crate) fn at(path: &'a Path) -> Option<Self> {
        let free = busy().insert(path.to_owned());
        free.then(|| Self(path))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        busy().remove(self.0);
    }
}

fn busy() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    BUSY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A backup: its inode, and when that was made in nanoseconds since 1970, as inodes are used again
/// (0 where the file system does not say).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Backup {
    inode: u64,
    made: u128,
}

impl From<&Metadata> for Backup {
    fn from(metadata: &Metadata) -> Self {
        let made = metadata.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        Self { inode: metadata.ino(), made: made.map_or(0, |made| made.as_nanos()) }
    }
}

/// So many bytes after the end of a backup; after the beginning of everything if there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    after: Option<Backup>,
    offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.offset)?;
        self.after.map_or(Ok(()), |after| write!(f, "@{}.{}", after.inode, after.made))
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (offset, after) = text.split_once('@').unwrap_or((text, ""));
        let after = match after.split_once('.') {
            Some((inode, made)) => Some(Backup { inode: inode.parse()?, made: made.parse()? }),
            None => None,
        };
        Ok(Self { after, offset: offset.parse()? })
    }
}

/// What was added to a log.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Where to go on; `None` before the first look that came to pass.
    pub(crate) position: Option<Position>,
    /// Something before it was dropped with the oldest backups.
    pub(crate) lost: bool,
    /// There is more.
    pub(crate) more: bool,
}

/// What was added after `position`, at most `length` bytes of it: whole lines if there is more, whole
/// characters in any case. Without a position, the last `length` bytes of the log.
pub(crate) fn follow(log: &Log, position: Option<Position>, length: u64) -> io::Result<Piece> {
    let Some(_turn) = Turn::at(&log.path) else {
        return Ok(Piece { position, ..Piece::default() });
    };
    let since = Since::look(log, position)?;
    let start = match position {
        None => since.size.saturating_sub(length),
        Some(_) if since.lost => 0,
        Some(position) => position.offset,
    };
    // A log that is shorter than what was read of it was emptied.
    let start = if start > since.all() { 0 } else { start };
    let mut bytes = since.read(start, length)?;
    let more = start + (bytes.len() as u64) < since.all();
    bytes.truncate(whole(&bytes, more));
    let position = Some(since.position(start + bytes.len() as u64));
    Ok(Piece { more: more && !bytes.is_empty(), bytes, position, lost: since.lost })
}

/// What there is after a position.
struct Since {
    /// From the oldest to the newest: where it is, what it is and its length.
    backups: Vec<(PathBuf, Backup, u64)>,
    after: Option<Backup>,
    log: PathBuf,
    size: u64,
    lost: bool,
}

impl Since {
    fn look(log: &Log, position: Option<Position>) -> io::Result<Self> {
        let mut backups = Vec::new();
        let mut after = None;
        for path in (1..=log.backups).map(|number| backup(&log.path, number)) {
            let Some(metadata) = existing(symlink_metadata(&path))? else { break };
            let this = Backup::from(&metadata);
            if position.is_none_or(|position| position.after == Some(this)) {
                after = Some(this);
                break;
            }
            backups.push((path, this, metadata.len()));
        }
        backups.reverse();
        let known = after.is_some() || position.is_none_or(|position| position.after.is_none());
        let size = existing(symlink_metadata(&log.path))?.map_or(0, |metadata| metadata.len());
        // Where no backup is left at all, somebody emptied the log.
        let lost = !known && !backups.is_empty();
        Ok(Self { backups, after, log: log.path.clone(), size, lost })
    }

    fn all(&self) -> u64 {
        self.backups.iter().map(|(_, _, length)| length).sum::<u64>() + self.size
    }

    /// At most `length` bytes from `start` on.
    fn read(&self, start: u64, length: u64) -> io::Result<Vec<u8>> {
        let (mut skipped, mut bytes) = (start, Vec::new());
        let pieces = self.backups.iter().map(|(path, _, length)| (path, *length));
        for (path, size) in pieces.chain([(&self.log, self.size)]) {
            if skipped >= size {
                skipped -= size;
                continue;
            }
            let left = length.saturating_sub(bytes.len() as u64).min(size - skipped);
            if let Some(mut file) = open(path, OpenOptions::new().read(true))? {
                file.seek(SeekFrom::Start(skipped))?;
                file.take(left).read_to_end(&mut bytes)?;
            }
            skipped = 0;
        }
        Ok(bytes)
    }

    /// The position of what is `offset` bytes after the beginning of all this.
    fn position(&self, mut offset: u64) -> Position {
        let mut after = self.after;
        for (_, backup, length) in &self.backups {
            if offset < *length {
                break;
            }
            offset -= length;
            after = Some(*backup);
        }
        Position { after, offset }
    }
}

fn existing(found: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// How many of these bytes are to be shown: up to the last line's end if there is one and more
/// follows, and no character of which the rest is still to come.
fn whole(bytes: &[u8], more: bool) -> usize {
    if more && let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return end + 1;
    }
    let first = bytes.len().saturating_sub(3);
    let lead = bytes[first..].iter().rposition(|byte| byte & 0xc0 != 0x80).map(|at| first + at);
    let wanted = |byte: u8| match byte {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match lead {
        Some(at) if at + wanted(bytes[at]) > bytes.len() => at,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::logs::{clear, rotate};
    use super::*;

    struct Follower<'a> {
        log: &'a Log,
        position: Option<Position>,
        text: Vec<u8>,
    }

    impl Follower<'_> {
        /// Takes what there is in pieces of at most `length`; whether something was lost.
        fn look(&mut self, length: u64) -> bool {
            let mut lost = false;
            loop {
                let piece = follow(self.log, self.position, length).unwrap();
                assert!(piece.bytes.len() as u64 <= length);
                // As it goes from look to look.
                self.position = piece.position.map(|at| at.to_string().parse().unwrap());
                self.text.extend(piece.bytes);
                lost |= piece.lost;
                if !piece.more {
                    return lost;
                }
            }
        }
    }

    fn log(dir: &Path, max_bytes: u64, backups: u32) -> Log {
        Log { path: dir.join("log"), user: None, max_bytes, backups }
    }

    fn numbers(from: u32, to: u32) -> String {
        (from..to).map(|number| format!("line {number}\n")).collect()
    }

    #[test]
    fn every_line_is_there_once_however_often_the_log_is_rotated_between_two_looks() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 40, 30);
        let mut writer = slapos_sys::fs::open_append(&log.path, 0o600).unwrap();
        let mut follower = Follower { log: &log, position: None, text: Vec::new() };
        follower.look(0);
        let mut number = 0;
        for rotations in [0, 1, 0, 3, 1, 2, 7, 0] {
            for _ in 0..=rotations {
                write!(writer, "{}", numbers(number, number + 9)).unwrap();
                number += 9;
                if rotations > 0 {
                    assert!(rotate(&log).unwrap().1);
                    // The rest of the file when it was rotated, if anything.
                    write!(writer, "{}", numbers(number, number + 1)).unwrap();
                    number += 1;
                }
            }
            assert!(!follower.look(50));
        }
        assert_eq!(String::from_utf8(follower.text).unwrap(), numbers(0, number));
    }

    #[test]
    fn what_is_no_more_is_told_of_and_an_emptied_log_is_followed_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 6, 2);
        let mut writer = slapos_sys::fs::open_append(&log.path, 0o600).unwrap();
        let mut follower = Follower { log: &log, position: None, text: Vec::new() };
        follower.look(0);
        for (times, lost) in [(1, false), (4, true), (1, false)] {
            for _ in 0..times {
                writeln!(writer, "a line").unwrap();
                rotate(&log).unwrap();
            }
            assert_eq!(follower.look(100), lost);
        }
        assert_eq!(follower.text, b"a line\n".repeat(4), "two of four were dropped");
        clear(&log).unwrap();
        write!(writer, "new").unwrap();
        assert!(!follower.look(100));
        assert!(follower.text.ends_with(b"a line\nnew"));
    }

    #[test]
    fn it_begins_with_the_end_and_is_put_off_while_the_log_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1000, 2);
        let mut writer = slapos_sys::fs::open_append(&log.path, 0o600).unwrap();
        write!(writer, "0123456789").unwrap();
        let turn = Turn::at(&log.path).unwrap();
        assert!(follow(&log, None, 3).unwrap().position.is_none());
        assert!(!rotate(&Log { max_bytes: 1, ..log.clone() }).unwrap().1);
        drop(turn);
        let piece = follow(&log, None, 3).unwrap();
        assert_eq!((piece.bytes.as_slice(), piece.more), (&b"789"[..], false));
    }

    #[test]
    fn lines_and_characters_are_not_cut() {
        assert_eq!(whole(b"one\ntwo", true), 4);
        assert_eq!(whole(b"one\ntwo", false), 7);
        assert_eq!(whole("x\u{e9}".as_bytes(), false), 3);
        assert_eq!(whole(&"x\u{e9}".as_bytes()[..2], true), 1);
        assert_eq!(whole(&"\u{1f600}".as_bytes()[..3], false), 0);
        assert_eq!(whole(b"\xff\xff\xff", false), 3);
        assert_eq!(whole(b"", true), 0);
    }

    #[test]
    fn nothing_is_lost_or_twice_while_it_is_written_rotated_and_followed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        if !super::super::logs::can_take_out(dir.path()) {
            slapos_testkit::skipped(
                "nothing_is_lost_or_twice_while_it_is_written_rotated_and_followed_at_once",
                "the file system cannot take a range out of a file",
            );
            return;
        }
        let log = log(dir.path(), 64 << 10, 500);
        let mut writer = slapos_sys::fs::open_append(&log.path, 0o600).unwrap();
        let mut follower = Follower { log: &log, position: None, text: Vec::new() };
        follower.look(0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100_000 {
                    writeln!(writer, "line {number}").unwrap();
                }
                done.store(true, Ordering::SeqCst);
            });
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    rotate(&log).unwrap();
                }
            });
            while !done.load(Ordering::SeqCst) {
                assert!(!follower.look(10_000));
            }
        });
        assert!(!follower.look(10_000));
        let text = String::from_utf8(follower.text).unwrap();
        let wrong = text.lines().enumerate().find(|(n, line)| *line != format!("line {n}"));
        assert_eq!((wrong, text.lines().count()), (None, 100_000));
    }
}
