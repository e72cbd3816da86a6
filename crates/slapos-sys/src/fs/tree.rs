//! Directories and trees: made, given away and closed.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::remove_tree;
use crate::user::Identity;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_directory_tells_whether_its_entries_may_change() {
        let dir = tempfile::tempdir().unwrap();
        assert!(may_change_entries(dir.path()));
        assert!(!may_change_entries(&dir.path().join("missing")));
        set_mode(dir.path(), 0o555).unwrap();
        // Nothing stops root.
        assert_eq!(may_change_entries(dir.path()), crate::user::is_root());
    }

    #[test]
    fn a_link_is_not_owned() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(own_directory(&link, None, 0o777).is_err());
    }
}
