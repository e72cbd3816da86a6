//! How full file systems are.

use std::io::{self, Write as _};
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

/// Bytes that an ordinary user may still write on the file system of `path`.
///
/// # Errors
/// Those of `statvfs`.
pub fn free_space(path: &Path) -> io::Result<u64> {
    room(path).map(|room| room.free)
}

/// A file without a name on the file system of `dir`, for reading and for appending by whoever gets
/// it; it is gone with the last who has it open.
///
/// # Errors
/// Any error of the file system.
pub fn nameless(dir: &Path) -> io::Result<std::fs::File> {
    tempfile::tempfile_in(dir)
}

/// Tries to write some bytes in the directory, in a file without a name that is gone at once.
///
/// # Errors
/// Why nothing can be written there: a disk or a quota that is full, or a file system that is read-only.
pub fn try_to_write(dir: &Path) -> io::Result<()> {
    const SOME: usize = 4096;
    tempfile::tempfile_in(dir)?.write_all(&[0; SOME])
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
    fn what_is_tried_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        try_to_write(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(try_to_write(&dir.path().join("absent")).is_err());
    }
}
