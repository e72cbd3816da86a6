//! How full file systems are.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl};

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

/// A file without a name on the file system of `dir`, for reading; whoever gets it writes at its end, also
/// after it was cut. It is gone with the last who has it open.
///
/// # Errors
/// Any error of the file system.
pub fn nameless(dir: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(dir)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::APPEND)?;
    Ok(file)
}

/// Gives back the room of the bytes of `file` from `start` up to `end`: they are zeros from now on. All
/// others stay where they are.
///
/// # Errors
/// `Unsupported` where the file system cannot.
pub fn punch_out(file: &File, start: u64, end: u64) -> io::Result<()> {
    let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, how, start, end.saturating_sub(start))?)
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
    fn what_has_no_name_is_written_at_its_end() {
        use std::os::unix::fs::FileExt as _;
        let dir = tempfile::tempdir().unwrap();
        let mut file = nameless(dir.path()).unwrap();
        file.write_all(b"one two").unwrap();
        file.set_len(3).unwrap();
        file.try_clone().unwrap().write_all(b" three").unwrap();
        let mut text = [0; 9];
        file.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(&text, b"one three");
    }

    #[test]
    fn room_is_given_back_and_the_rest_stays() {
        use std::os::unix::fs::{FileExt as _, MetadataExt as _};
        let dir = tempfile::tempdir().unwrap();
        let mut file = nameless(dir.path()).unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        if let Err(error) = punch_out(&file, 0, 1 << 19) {
            return crate::skipped("room_is_given_back_and_the_rest_stays", &error.to_string());
        }
        let meta = file.metadata().unwrap();
        assert_eq!(meta.len(), 1 << 20);
        assert!(meta.blocks() * 512 < 3 << 18, "{}", meta.blocks());
        let mut around = [1; 2];
        file.read_exact_at(&mut around, (1 << 19) - 1).unwrap();
        assert_eq!(around, [0, b'x']);
    }

    #[test]
    fn what_is_tried_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        try_to_write(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(try_to_write(&dir.path().join("absent")).is_err());
    }
}
