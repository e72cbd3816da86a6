//! Locks between processes: a file or directory held with `flock`, released by the kernel when its
//! holder dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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

impl AsFd for FileLock {
    /// To hand the lock over to a program that is executed in this process.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl FileLock {
    /// Takes the lock at once, or returns `None` when another process holds it.
    ///
    /// # Errors
    /// When the file cannot be opened or created (mode 0600).
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match try_flock(&file, FlockOperation::NonBlockingLockExclusive)? {
            true => Self::held(path, file).map(Some),
            false => Ok(None),
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

    /// Whether a process holds the lock at `path` at this moment; nothing is made or changed.
    ///
    /// # Errors
    /// When the file is there and cannot be opened or asked.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let flags = libc::O_CLOEXEC | libc::O_NOFOLLOW;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(!try_flock(&file, FlockOperation::NonBlockingLockShared)?)
    }

    /// The lock at `path` that a former program of this very process held and handed over by `fd`.
    ///
    /// # Errors
    /// When `fd` is not the file at `path`, or does not hold it.
    pub fn inherited(path: &Path, fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        let (there, handed) = (std::fs::symlink_metadata(path)?, file.metadata()?);
        let same = (there.dev(), there.ino()) == (handed.dev(), handed.ino());
        if !same || !try_flock(&file, FlockOperation::NonBlockingLockExclusive)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not the lock"));
        }
        Self::held(path, file)
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
        // Who holds it is only for people to read: a full disk keeps nobody from working.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { path: path.to_owned(), file })
    }
}

/// A file held by this process, with others or alone, until it is dropped or the process ends.
///
/// It stays behind, as that of a [`FileLock`] does, and its owner alone may open it: whoever else reads
/// its directory cannot keep anybody out.
#[derive(Debug)]
pub struct SharedLock(File);

impl Drop for SharedLock {
    /// As for [`FileLock`].
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl SharedLock {
    /// Holds the file at `path` together with others, or returns `None` when a process holds it alone.
    ///
    /// # Errors
    /// When the file cannot be made or opened, or its file system knows no locks.
    pub fn try_share(path: &Path) -> io::Result<Option<Self>> {
        Self::try_hold(path, FlockOperation::NonBlockingLockShared)
    }

    /// Holds the file at `path` alone, or returns `None` when any other process holds it.
    ///
    /// # Errors
    /// As [`try_share`](Self::try_share).
    pub fn try_alone(path: &Path) -> io::Result<Option<Self>> {
        Self::try_hold(path, FlockOperation::NonBlockingLockExclusive)
    }

    fn try_hold(path: &Path, how: FlockOperation) -> io::Result<Option<Self>> {
        let file = open(path)?;
        Ok(try_flock(&file, how)?.then_some(Self(file)))
    }
}

/// The file that is locked in a directory.
const DIRECTORY_LOCK: &str = ".lock";

/// A directory held by this process, with others or alone, as a [`SharedLock`] holds a file: the file
/// `.lock` in it.
#[derive(Debug)]
pub struct DirectoryLock {
    _lock: SharedLock,
}

impl DirectoryLock {
    /// Holds `directory` together with others, or returns `None` when a process holds it alone.
    ///
    /// # Errors
    /// When the file in it cannot be made or opened, or its file system knows no locks.
    pub fn try_share(directory: &Path) -> io::Result<Option<Self>> {
        let lock = SharedLock::try_share(&directory.join(DIRECTORY_LOCK))?;
        Ok(lock.map(|lock| Self { _lock: lock }))
    }

    /// Holds `directory` alone, or returns `None` when any other process holds it.
    ///
    /// # Errors
    /// As [`try_share`](Self::try_share).
    pub fn try_alone(directory: &Path) -> io::Result<Option<Self>> {
        let lock = SharedLock::try_alone(&directory.join(DIRECTORY_LOCK))?;
        Ok(lock.map(|lock| Self { _lock: lock }))
    }
}

/// Whether the lock was to be had at once.
fn try_flock(file: &File, how: FlockOperation) -> io::Result<bool> {
    match rustix::fs::flock(file, how) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
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

    #[test]
    fn looking_at_a_lock_neither_makes_nor_takes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!FileLock::is_held(&path).unwrap());
        assert!(!path.exists());
        let held = FileLock::try_acquire(&path).unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        drop(held);
        assert!(!FileLock::is_held(&path).unwrap());
    }

    #[test]
    fn a_directory_is_held_by_many_or_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::try_share(dir.path()).unwrap().unwrap();
        let second = DirectoryLock::try_share(dir.path()).unwrap().unwrap();
        assert!(DirectoryLock::try_alone(dir.path()).unwrap().is_none());
        drop((first, second));
        let alone = DirectoryLock::try_alone(dir.path()).unwrap();
        assert!(alone.is_some());
        assert!(DirectoryLock::try_share(dir.path()).unwrap().is_none());
        let lock = dir.path().join(DIRECTORY_LOCK).metadata().unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&lock.permissions()) & 0o777, 0o600);
    }
}
