//! The former versions of the record, in the zip archive beside it.
//!
//! The archive is replaced as a whole: a kill leaves it as it was or as it is to be.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use slapos_sys::clock::Timestamp;
use slapos_sys::fs;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::{IoContext, NodeError};

/// Adds `text`, the content of `path` until `now`, to the history of `path`. An archive that is
/// damaged is put aside, which is the path returned.
///
/// # Errors
/// When the archive cannot be read or written; it is then as it was.
pub(super) fn keep(path: &Path, text: &str, now: Timestamp) -> Result<Option<PathBuf>, NodeError> {
    let archive = beside(path, ".zip");
    let old = match fs::read(&archive) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context("read", &archive),
    };
    let stamp = now.strftime("%Y%m%d-%H:%M").to_string();
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = format!("{name}.{stamp}");
    let (bytes, aside) = match old.map(|old| append(old, &name, text)) {
        Some(Ok(bytes)) => (bytes, None),
        other => {
            let aside = other.map(|_| beside(&archive, &format!("_broken_{stamp}")));
            if let Some(aside) = &aside {
                fs::rename(&archive, aside).context("put aside", &archive)?;
            }
            let fresh = add(ZipWriter::new(Cursor::new(Vec::new())), &name, text);
            let wrong = |error| NodeError::user(format!("{}: {error}", archive.display()));
            (fresh.map_err(wrong)?, aside)
        }
    };
    fs::write_atomic(&archive, &bytes, 0o644).context("write", &archive)?;
    Ok(aside)
}

fn append(old: Vec<u8>, name: &str, text: &str) -> zip::result::ZipResult<Vec<u8>> {
    let archive = ZipArchive::new(Cursor::new(&old))?;
    let taken =
        |name: &str| archive.file_names().any(|known| known.is_ok_and(|known| known == name));
    // Several changes in one minute.
    let mut number = 1;
    let mut fresh = name.to_owned();
    while taken(&fresh) {
        number += 1;
        fresh = format!("{name}_{number}");
    }
    add(ZipWriter::new_append(Cursor::new(old))?, &fresh, text)
}

fn add(
    mut writer: ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    text: &str,
) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file(name, options)?;
    writer.write_all(text.as_bytes())?;
    Ok(writer.finish()?.into_inner())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Name and text of each version, oldest first.
    fn versions(path: &Path) -> Vec<(String, String)> {
        let bytes = std::fs::read(beside(path, ".zip")).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let count = archive.len();
        let version = |index| {
            let mut file = archive.by_index(index).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().into_owned(), text)
        };
        (0..count).map(version).collect()
    }

    #[test]
    fn versions_are_added_and_a_damaged_history_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("computer.xml");
        let now: Timestamp = "2026-11-25T20:56:00Z".parse().unwrap();
        assert_eq!(keep(&path, "one", now).unwrap(), None);
        assert_eq!(keep(&path, "two", now).unwrap(), None);
        let named = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let first = named("computer.xml.20261125-20:56", "one");
        let second = named("computer.xml.20261125-20:56_2", "two");
        assert_eq!(versions(&path), [first, second]);
        std::fs::write(beside(&path, ".zip"), "no archive").unwrap();
        let aside = keep(&path, "three", now).unwrap().unwrap();
        assert!(aside.ends_with("computer.xml.zip_broken_20261125-20:56"));
        assert_eq!(std::fs::read(aside).unwrap(), b"no archive");
        assert_eq!(versions(&path).len(), 1);
    }
}
