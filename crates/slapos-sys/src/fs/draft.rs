//! A file that is written piece by piece and has its name only when it is whole.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::write::{locked_file, sync_dir};

/// A file that has no name of its own yet. Dropped, it is gone; what a killed process left is
/// removed by [`remove_unnamed`](super::remove_unnamed).
#[derive(Debug)]
pub struct Draft(tempfile::NamedTempFile);

impl Draft {
    /// An empty one; it can get a name in `dir` only.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn in_dir(dir: &Path) -> io::Result<Draft> {
        locked_file(dir).map(Draft)
    }

    /// The file, for another process that writes it.
    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// Gives it its name, with exactly `mode`, once all of it is on disk. A file of that name is
    /// replaced.
    ///
    /// # Errors
    /// Any error of the file system; nothing is left behind then.
    pub fn finish(self, name: &str, mode: u32) -> io::Result<()> {
        let Draft(file) = self;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        let dir = file.path().parent().unwrap_or(Path::new(".")).to_owned();
        file.persist(dir.join(name)).map_err(|error| error.error)?;
        sync_dir(&dir)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_file_mut().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_finished_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut dropped = Draft::in_dir(dir.path()).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut whole = Draft::in_dir(dir.path()).unwrap();
        whole.write_all(b"one").unwrap();
        whole.write_all(b"two").unwrap();
        whole.finish("a", 0o640).unwrap();
        let path = dir.path().join("a");
        assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
