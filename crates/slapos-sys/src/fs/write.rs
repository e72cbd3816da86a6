//! Writing files that are whole or not there: a temporary name in the same directory, which is
//! locked while it is written, then the final one.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{ignore_missing, ordinary};
use crate::user::Identity;

/// Replaces `path` by a file that holds `bytes`, with exactly `mode`, or leaves it as it was.
///
/// # Errors
/// Any error of the file system; nothing is left behind then.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_whole(path, bytes, mode, Durability::Synced)
}

/// Like [`write_atomic`], without waiting for the disk: a killed process leaves the old or the new
/// content, but a power failure may lose it. For what is made again by the next run.
///
/// # Errors
/// Any error of the file system; nothing is left behind then.
pub fn write_replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_whole(path, bytes, mode, Durability::Replaced)
}

/// Like [`write_atomic`], but leaves a file alone that already holds `bytes` with `mode`.
/// Returns whether it wrote.
///
/// # Errors
/// Any error of the file system.
pub fn write_atomic_if_changed(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if holds(path, bytes, mode)? {
        return Ok(false);
    }
    write_atomic(path, bytes, mode).map(|()| true)
}

/// Like [`write_replace`], but leaves a file alone that already holds `bytes` with `mode`.
/// Returns whether it wrote.
///
/// # Errors
/// Any error of the file system.
pub fn write_replace_if_changed(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if holds(path, bytes, mode)? {
        return Ok(false);
    }
    write_replace(path, bytes, mode).map(|()| true)
}

/// Replaces several files that belong together, each with `mode` and (if any) `owner`: all are whole and
/// on disk before the first takes its place, so that what fails leaves all as they were. Between two
/// places lies nothing but a rename. Files that hold all this already are left alone.
///
/// # Errors
/// Any error of the file system.
pub fn replace_together(
    files: &[(&Path, &str)],
    mode: u32,
    owner: Option<&Identity>,
) -> io::Result<()> {
    let mut staged = Vec::new();
    for (path, text) in files {
        if is_owned(path, owner) && holds(path, text.as_bytes(), mode)? {
            continue;
        }
        let file = whole_file(parent(path), text.as_bytes(), mode)?;
        if let Some(owner) = owner {
            std::os::unix::fs::fchown(file.as_file(), Some(owner.uid), Some(owner.gid))?;
        }
        file.as_file().sync_all()?;
        staged.push((file, path));
    }
    let mut directories = BTreeSet::new();
    for (file, path) in staged {
        file.persist(path).map_err(|error| error.error)?;
        directories.insert(parent(path));
    }
    directories.into_iter().try_for_each(sync_dir)
}

fn is_owned(path: &Path, owner: Option<&Identity>) -> bool {
    let is = |owner: &Identity| {
        let found = fs::symlink_metadata(path);
        found.is_ok_and(|found| found.uid() == owner.uid && found.gid() == owner.gid)
    };
    owner.is_none_or(is)
}

/// Renames `from` to `to` and syncs the directory of `to`.
///
/// # Errors
/// Those of `rename` and `fsync`.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_dir(parent(to))
}

/// Creates `path` with `bytes` and `mode`, whole and on disk, unless something is there already.
/// Returns whether it did: of several callers at once, one does.
///
/// # Errors
/// Any error of the file system; nothing is left behind then.
pub fn write_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let dir = parent(path);
    let file = whole_file(dir, bytes, mode)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_dir(dir).map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Puts a symbolic link to `target` at `link`, replacing a link or file that is there.
///
/// # Errors
/// Those of `symlink` and `rename` (a directory at `link` is not replaced).
pub fn symlink_atomic(target: &Path, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    let mut temporary = link.as_os_str().to_owned();
    temporary.push(format!(".{}.new", crate::random::hex(4)?));
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Opens `path` for appending, creating it with `mode`. A link at the end of the path is refused.
///
/// # Errors
/// Those of `open`.
pub fn open_append(path: &Path, mode: u32) -> io::Result<File> {
    // Without O_NONBLOCK a pipe under that name would make us wait for a reader for ever.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    ordinary(&file, path)?;
    Ok(file)
}

/// Creates `path` for writing with `mode`; it must not exist, not even as a link.
///
/// # Errors
/// Those of `open`.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Waits until the entries of `dir` are on disk.
///
/// # Errors
/// Those of `open` and `fsync`.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Waits until everything written to the file system of `path` is on disk: for trees that programs
/// other than ours have made.
///
/// # Errors
/// Those of `open` and `syncfs`.
pub fn sync_filesystem(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

#[derive(Clone, Copy, PartialEq)]
enum Durability {
    Synced,
    Replaced,
}

fn write_whole(path: &Path, bytes: &[u8], mode: u32, durability: Durability) -> io::Result<()> {
    let dir = parent(path);
    let file = whole_file(dir, bytes, mode)?;
    if durability == Durability::Synced {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|error| error.error)?;
    match durability {
        Durability::Synced => sync_dir(dir),
        Durability::Replaced => Ok(()),
    }
}

/// How the names of files begin and end that do not have their own name yet.
const UNNAMED: (&str, &str) = (".slapos-", ".tmp");

/// Removes the files in `dir` that writers left which were killed before they could give them their
/// names. Those of writers at work are locked, and stay. A directory that is not there has none.
///
/// # Errors
/// Those of `readdir`, `open` and `unlink`.
pub fn remove_unnamed(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let unnamed = name
            .to_str()
            .is_some_and(|name| name.starts_with(UNNAMED.0) && name.ends_with(UNNAMED.1));
        if unnamed && entry.file_type()?.is_file() {
            ignore_missing(remove_if_abandoned(&entry.path()))?;
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &Path) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// A temporary file in `dir` that has everything but its name. It is locked until it is closed.
fn whole_file(dir: &Path, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let mut file = locked_file(dir)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Who tidies up may take a file away between its making and its lock: then another one is made.
pub(super) fn locked_file(dir: &Path) -> io::Result<tempfile::NamedTempFile> {
    loop {
        let file = tempfile::Builder::new()
            .prefix(UNNAMED.0)
            .suffix(UNNAMED.1)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if file.as_file().metadata()?.nlink() > 0 => return Ok(file),
            Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn holds(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let same_shape = meta.is_file()
        && meta.len() == bytes.len() as u64
        && meta.permissions().mode() & 0o7777 == mode;
    Ok(same_shape && fs::read(path)? == bytes)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_content_and_mode_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn unchanged_content_is_not_written_but_a_mode_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(write_atomic_if_changed(&path, b"x", 0o600).unwrap());
        assert!(!write_atomic_if_changed(&path, b"x", 0o600).unwrap());
        assert!(write_atomic_if_changed(&path, b"x", 0o700).unwrap());
    }

    #[test]
    fn what_killed_writers_left_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".slapos-abc.tmp");
        fs::write(&left, "half").unwrap();
        std::os::unix::fs::symlink("x", dir.path().join(".slapos-link.tmp")).unwrap();
        fs::write(dir.path().join("mine.tmp"), "x").unwrap();
        let writing = whole_file(dir.path(), b"x", 0o600).unwrap();
        remove_unnamed(dir.path()).unwrap();
        assert!(dir.path().join(".slapos-link.tmp").is_symlink(), "a link is nothing of ours");
        assert!(!left.exists() && writing.path().exists());
        assert!(dir.path().join("mine.tmp").exists());
        remove_unnamed(&dir.path().join("missing")).unwrap();
    }

    #[test]
    fn who_tidies_up_disturbs_no_writer() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    remove_unnamed(dir.path()).unwrap();
                }
            });
            let path = dir.path().join("a");
            let written = (0..3000).map(|_| write_replace(&path, b"x", 0o600));
            let failed = written.filter_map(Result::err).next();
            done.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/a");
        assert!(write_atomic(&path, b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_that_belong_together_are_all_replaced_or_none_is() {
        let dir = tempfile::tempdir().unwrap();
        let (key, crt) = (dir.path().join("key"), dir.path().join("crt"));
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        replace_together(&[(&key, "k1"), (&crt, "c1")], 0o400, None).unwrap();
        assert_eq!((read(&key), read(&crt)), ("k1".into(), "c1".into()));
        let nowhere = dir.path().join("missing/crt");
        replace_together(&[(&key, "k2"), (&nowhere, "c2")], 0o400, None).unwrap_err();
        assert_eq!(read(&key), "k1");
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let before = inode(&key);
        replace_together(&[(&key, "k1"), (&crt, "c2")], 0o400, None).unwrap();
        assert_eq!((inode(&key), read(&crt)), (before, "c2".into()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_exists_is_not_written_over_by_write_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(write_once(&path, b"first", 0o600).unwrap());
        assert!(!write_once(&path, b"second", 0o600).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
