//! Opening and reading ordinary files: no pipe makes us wait, and no more is read than was said.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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

/// Opens the file at `path` for reading and writing, where others can put something in its place: a
/// link, pipe or device is refused, and nothing is created.
///
/// # Errors
/// Those of `open`, `InvalidInput` when it is no ordinary file.
pub fn open_to_change(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
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

/// The text of `path`, refused when longer than `max` bytes.
///
/// # Errors
/// Those of reading, `InvalidData` for text that is not UTF-8, `FileTooLarge` above `max`.
pub fn read_to_string_limited(path: &Path, max: u64) -> io::Result<String> {
    read_limited(open_ordinary(path)?, path, max)
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

pub(super) fn ordinary(file: &File, path: &Path) -> io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    let message = format!("{} is no ordinary file", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn links_and_devices_are_refused_where_others_can_write() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(read_untrusted(&link, 10).is_err());
        assert!(read_untrusted(Path::new("/dev/zero"), 10).is_err());
        let file = dir.path().join("file");
        fs::write(&file, "123").unwrap();
        assert_eq!(read_untrusted(&file, 3).unwrap(), "123");
        assert!(read_untrusted(&file, 2).is_err());
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
