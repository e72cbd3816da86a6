//! Locks between processes: a file held with `flock`, released by the kernel when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A lock held by this process until it is dropped or the process ends.
///
/// The file stays behind, on purpose: removing it would let a third process lock another inode of
/// the same name. It holds the process id of the last holder, for people to read.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    file: File,
}

impl Drop for FileLock {
    /// Closing is not enough: a child between its `fork` and its `exec` has the file open as well.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl FileLock {
    /// Takes the lock at once, or returns `None` when another process holds it.
    ///
    /// # Errors
    /// When the file cannot be opened or created (mode 0600).
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Self::held(path, file).map(Some),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the lock is free and takes it.
    ///
    /// # Errors
    /// When the file cannot be opened or created (mode 0600).
    pub fn acquire(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Self::held(path, file),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The process id written by the last holder of the lock at `path`, if it can be read.
    pub fn holder(path: &Path) -> Option<u32> {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn held(path: &Path, mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_taker_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::try_acquire(&path).unwrap();
        assert!(first.is_some());
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        assert_eq!(FileLock::holder(&path), Some(std::process::id()));
        drop(first);
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
    }
}
