//! How full file systems are, and files in places where others can write that are changed in place.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The room of a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it.
    pub total: u64,
    /// What is in use.
    pub used: u64,
    /// What an ordinary user may still write.
    pub free: u64,
}

/// The room of the file system that `path` is on.
///
/// # Errors
/// Those of `statvfs`.
pub fn room(path: &Path) -> io::Result<Room> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Room {
        total: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        free: bytes(stat.f_bavail),
    })
}

/// Opens the file at `path` for reading and writing, where others can put something in its place: a
/// link, pipe or device is refused, and nothing is created.
///
/// # Errors
/// Those of `open`, `InvalidInput` when it is no ordinary file.
pub fn open_to_change(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is no ordinary file", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_room() {
        let room = room(Path::new("/")).unwrap();
        assert!(room.total >= room.used && room.total >= room.free, "{room:?}");
    }

    #[test]
    fn only_ordinary_files_are_opened_to_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(open_to_change(&file).is_ok());
        assert!(open_to_change(&link).is_err());
        assert!(open_to_change(Path::new("/dev/null")).is_err());
        assert!(open_to_change(&dir.path().join("none")).is_err());
    }
}
