//! Files that are whole or not there.
//!
//! Invariant: nothing under a final name is incomplete. What is written goes to a temporary name
//! in the same directory, is synced, renamed, and the directory is synced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

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

/// Makes `path` and the parents it lacks, each with `mode` (less the umask). What exists is kept.
///
/// # Errors
/// Those of `mkdir`.
pub fn create_dir_all(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Sets the permission bits of `path` to exactly `mode`.
///
/// # Errors
/// Those of `chmod`.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Gives the directory `path` to `owner` (if any) and sets its permission bits to exactly `mode`.
/// A link in its place is refused: where others can write, it could lead anywhere.
///
/// # Errors
/// Those of `open` (also when it is no directory), `fchown` and `fchmod`.
pub fn own_directory(path: &Path, owner: Option<&Identity>, mode: u32) -> io::Result<()> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if let Some(owner) = owner {
        std::os::unix::fs::fchown(&directory, Some(owner.uid), Some(owner.gid))?;
    }
    directory.set_permissions(Permissions::from_mode(mode))
}

/// The text of a small file in a place where others can write: a link, pipe or device is refused,
/// and so is more than `max` bytes.
///
/// # Errors
/// Those of opening and reading, `InvalidData` for text that is not UTF-8, `FileTooLarge` above
/// `max`, `InvalidInput` when it is no ordinary file.
pub fn read_untrusted(path: &Path, max: u64) -> io::Result<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    read_limited(OpenOptions::new().read(true).custom_flags(flags).open(path)?, path, max)
}

/// Removes a file, link or whole tree, read-only directories included. Links are removed, never
/// followed. It is no error when `path` does not exist.
///
/// # Errors
/// Those of `unlink`, `rmdir` and `chmod`.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !meta.is_dir() {
        return ignore_missing(fs::remove_file(path));
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_directories_writable(path)?;
            ignore_missing(fs::remove_dir_all(path))
        }
        other => ignore_missing(other),
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

/// Takes away all permission to write from `path` and everything below, links left alone.
///
/// # Errors
/// Those of `chmod` and `readdir`.
pub fn make_read_only(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            make_read_only(&entry?.path())?;
        }
    }
    set_mode(path, meta.permissions().mode() & 0o555)
}

/// True when this process may create and remove entries of the directory `path`, as far as its
/// permissions, its user and its file system tell.
pub fn may_change_entries(path: &Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Bytes that an ordinary user may still write on the file system of `path`.
///
/// # Errors
/// Those of `statvfs`.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
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

fn ordinary(file: &File, path: &Path) -> io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    let message = format!("{} is no ordinary file", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Creates `path` for writing with `mode`; it must not exist, not even as a link.
///
/// # Errors
/// Those of `open`.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// The text of `path`, refused when longer than `max` bytes.
///
/// # Errors
/// Those of reading, `InvalidData` for text that is not UTF-8, `FileTooLarge` above `max`.
pub fn read_to_string_limited(path: &Path, max: u64) -> io::Result<String> {
    read_limited(open_ordinary(path)?, path, max)
}

fn read_limited(file: File, path: &Path, max: u64) -> io::Result<String> {
    ordinary(&file, path)?;
    let mut text = String::new();
    let read = file.take(max + 1).read_to_string(&mut text)?;
    if read as u64 > max {
        let message = format!("{} is longer than {max} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// Opens the ordinary file `path` for reading. A pipe or device under that name is refused, and
/// does not make us wait.
///
/// # Errors
/// Those of `open`, `InvalidInput` when it is no ordinary file.
pub fn open_ordinary(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    ordinary(&file, path)?;
    Ok(file)
}

/// The bytes of the ordinary file `path`.
///
/// # Errors
/// Those of [`open_ordinary`] and of reading.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_ordinary(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of the ordinary file `path`.
///
/// # Errors
/// Those of [`fn@read`], `InvalidData` for text that is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_ordinary(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The first `max` bytes of `path` as text, whatever its bytes are.
///
/// # Errors
/// Those of reading, `InvalidInput` when it is no ordinary file.
pub fn read_to_string_lossy(path: &Path, max: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    open_ordinary(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last `max` bytes of `path` as text, whatever its bytes are, from the start of a line.
///
/// # Errors
/// Those of reading, `InvalidInput` when it is no ordinary file.
pub fn tail(path: &Path, max: u64) -> io::Result<String> {
    use std::io::{Seek, SeekFrom};
    let mut file = open_ordinary(path)?;
    let start = file.metadata()?.len().saturating_sub(max);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match text.split_once('\n') {
        Some((_, whole)) if start > 0 => whole.to_owned(),
        _ => text.into_owned(),
    })
}

/// A directory with a fresh name in `parent` that is removed when dropped.
///
/// # Errors
/// Those of `mkdir`.
pub fn temp_dir_in(parent: &Path, prefix: &str) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent)
}

/// The directory `parent/name`, empty, that is removed when dropped. What is there, left by one that
/// was killed, goes first: the caller holds a lock that says that nobody is in it.
///
/// # Errors
/// Those of `mkdir` and of removing.
pub fn temp_dir_named(parent: &Path, name: &str) -> io::Result<tempfile::TempDir> {
    remove_tree(&parent.join(name))?;
    tempfile::Builder::new().prefix(name).rand_bytes(0).tempdir_in(parent)
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
    let mut file = tempfile::Builder::new()
        .prefix(UNNAMED.0)
        .suffix(UNNAMED.1)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)?;
    rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
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

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn make_directories_writable(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(());
    }
    set_mode(path, meta.permissions().mode() | 0o700)?;
    for entry in fs::read_dir(path)? {
        make_directories_writable(&entry?.path())?;
    }
    Ok(())
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
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/a");
        assert!(write_atomic(&path, b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_named_temporary_directory_takes_the_place_of_what_was_left_there() {
        let room = tempfile::tempdir().unwrap();
        let left = room.path().join(".making-a");
        create_dir_all(&left.join("half"), 0o755).unwrap();
        let made = temp_dir_named(room.path(), ".making-a").unwrap();
        assert_eq!(made.path(), left);
        assert_eq!(std::fs::read_dir(&left).unwrap().count(), 0);
        drop(made);
        assert!(!left.exists());
    }

    #[test]
    fn removes_read_only_trees_and_spares_what_links_point_to() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        fs::write(&kept, "kept").unwrap();
        let tree = dir.path().join("tree");
        create_dir_all(&tree.join("sub"), 0o755).unwrap();
        fs::write(tree.join("sub/file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("link")).unwrap();
        make_read_only(&tree).unwrap();
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
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

    #[test]
    fn links_and_devices_are_refused_where_others_can_write() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(own_directory(&link, None, 0o777).is_err());
        assert!(read_untrusted(&link, 10).is_err());
        assert!(read_untrusted(Path::new("/dev/zero"), 10).is_err());
        let file = dir.path().join("file");
        fs::write(&file, "123").unwrap();
        assert_eq!(read_untrusted(&file, 3).unwrap(), "123");
        assert!(read_untrusted(&file, 2).is_err());
    }

    #[test]
    fn a_directory_tells_whether_its_entries_may_change() {
        let dir = tempfile::tempdir().unwrap();
        assert!(may_change_entries(dir.path()));
        assert!(!may_change_entries(&dir.path().join("missing")));
        set_mode(dir.path(), 0o555).unwrap();
        // Nothing stops root.
        assert_eq!(may_change_entries(dir.path()), crate::user::is_root());
    }

    #[test]
    fn a_long_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_to_string_limited(&path, 5).unwrap(), "12345");
        let error = read_to_string_limited(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
