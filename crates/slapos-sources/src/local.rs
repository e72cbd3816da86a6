//! `LocalFiles`: reading files of this machine, some through a directory that a parent opened.
//!
//! A child that gave up its privileges may still have to read the operator's profiles below a home
//! directory that is closed to it. Its parent opens that directory and hands the descriptor down;
//! an alias says which paths are reached through it. Invariant: an alias never gives access to
//! anything outside its directory; where a path leads out of it (by `..` or a link), it is opened
//! the ordinary way, with no more rights than the process has.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many bytes [`LocalFiles::read`] accepts: far more than any text has.
const READ_LIMIT: u64 = 256 << 20;

/// Reads files, some of them through directory descriptors. Clones share the descriptors.
#[derive(Clone, Debug, Default)]
pub struct LocalFiles {
    aliases: Vec<Alias>,
}

#[derive(Clone, Debug)]
struct Alias {
    prefix: PathBuf,
    directory: Arc<OwnedFd>,
}

impl LocalFiles {
    /// Reads files by their paths, with the rights of this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, but everything below the absolute path `prefix` is reached through `directory`.
    #[must_use]
    pub fn with_alias(mut self, prefix: &Path, directory: OwnedFd) -> Self {
        self.aliases.push(Alias { prefix: normalise(prefix), directory: Arc::new(directory) });
        self
    }

    /// Opens the ordinary file `path` for reading.
    ///
    /// # Errors
    /// Those of `open`; `IsADirectory` or `InvalidInput` when it is no ordinary file.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        self.open_with_size(path).map(|(file, _)| file)
    }

    /// The same, with how many bytes it has at this moment.
    fn open_with_size(&self, path: &Path) -> io::Result<(File, u64)> {
        let path = normalise(path);
        let file = match self.open_aliased(&path) {
            Some(result) => result?,
            None => open_plain(&path)?,
        };
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !meta.is_file() {
            let message = "it is a device, pipe or socket, not an ordinary file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok((file, meta.len()))
    }

    /// The content of the file `path`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `FileTooLarge` above 256 MiB.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (file, size) = self.open_with_size(path)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(READ_LIMIT)).unwrap_or(0) + 1);
        let read = rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes))?;
        // Asking whether more follows would be every third call: a profile has hundreds of files.
        if read == 0 || read as u64 != size {
            file.take(READ_LIMIT + 1).read_to_end(&mut bytes)?;
        }
        if bytes.len() as u64 > READ_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// The content of the text file `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `InvalidData` when it is not UTF-8.
    pub fn read_to_string(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.read(path)?).map_err(|error| {
            let message = format!("it is not UTF-8: {}", error.utf8_error());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// `None` when no alias covers the path, or when it leads out of the alias's directory.
    fn open_aliased(&self, path: &Path) -> Option<io::Result<File>> {
        let (alias, rest) = self
            .aliases
            .iter()
            .filter_map(|alias| Some((alias, path.strip_prefix(&alias.prefix).ok()?)))
            .max_by_key(|(alias, _)| alias.prefix.as_os_str().len())?;
        let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
        match open_beneath(&alias.directory, rest) {
            Err(Errno::XDEV) => None,
            // Kernels before 5.6 do not have the call; their rights must do.
            Err(Errno::NOSYS) => None,
            Err(errno) => Some(Err(errno.into())),
            Ok(fd) => Some(Ok(File::from(fd))),
        }
    }
}

/// `NONBLOCK`, so that a pipe planted under the name does not hang the reader.
const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

fn open_beneath(directory: &OwnedFd, rest: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(directory, rest, FLAGS, Mode::empty(), resolve) {
            // A rename elsewhere raced with the walk; the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

fn open_plain(path: &Path) -> io::Result<File> {
    rustix::fs::open(path, FLAGS, Mode::empty()).map(File::from).map_err(Into::into)
}

/// Resolves `.` and `..` by the text alone, as profiles do with their locations.
fn normalise(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;
    use std::os::unix::fs::symlink;

    fn descriptor(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    #[test]
    fn an_alias_is_read_through_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/a.cfg"), "text").unwrap();
        let local = LocalFiles::new().with_alias(Path::new("/closed/home"), descriptor(dir.path()));
        let read = |path: &str| local.read_to_string(Path::new(path));
        assert_eq!(read("/closed/home/sub/a.cfg").unwrap(), "text");
        assert_eq!(read("/closed/home/x/../sub/./a.cfg").unwrap(), "text");
        let kind = |path: &str| read(path).unwrap_err().kind();
        assert_eq!(kind("/closed/home/none"), io::ErrorKind::NotFound);
        assert_eq!(kind("/closed/home/sub"), io::ErrorKind::IsADirectory);
        assert_eq!(kind("/closed/home"), io::ErrorKind::IsADirectory);
        assert_eq!(kind("/closed/homestead/a.cfg"), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_link_out_of_an_alias_gives_no_more_than_the_process_has() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        symlink("../secret", inside.join("link")).unwrap();
        let local = LocalFiles::new().with_alias(Path::new("/alias"), descriptor(&inside));
        // Opened as the path /alias/link, which does not exist.
        let error = local.read(Path::new("/alias/link")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_pipe_is_refused_and_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = LocalFiles::new().read(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
