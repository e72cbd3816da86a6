//! The Python of a Software Release: recorded when it is built, used by the recipes of its instances.
//!
//! Its eggs are made for that Python, so what instance profiles run in Python must be run by it.

use std::path::{Path, PathBuf};

use slapos_engine::Ledger;
use slapos_profile::Profile;
use slapos_sys::fs;

use crate::error::{IoContext, NodeError};

/// Where it is recorded, below the directory of the Software Release.
const RECORD: &str = ".slapos/python";
/// More than any path has, bytes.
const MAX_RECORD: u64 = 8192;

/// Records which Python the Software Release in `directory` has: the `executable` of the part that
/// `[buildout] python` names. Without such a part the machine's own Python is used, and nothing is
/// recorded.
pub(crate) fn record(directory: &Path, profile: &Profile, ledger: &Path) -> Result<(), NodeError> {
    let path = directory.join(RECORD);
    let ledger = Ledger::read(ledger).map_err(|error| NodeError::user(error.to_string()))?;
    let part = profile.raw("buildout", "python").map(str::trim);
    let executable =
        part.and_then(|part| ledger.parts().get(part)).and_then(|entry| entry.option("executable"));
    let recorded = match executable {
        Some(executable) => {
            fs::write_atomic_if_changed(&path, executable.as_bytes(), 0o644).map(drop)
        }
        None => fs::remove_tree(&path),
    };
    recorded.context("record the Python in", &path)
}

/// The Python of the Software Release in `directory`, if it has one of its own.
pub(crate) fn recorded(directory: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string_limited(&directory.join(RECORD), MAX_RECORD).ok()?;
    Some(PathBuf::from(text.trim())).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_path_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(recorded(directory.path()), None);
        let write = |text: &str| {
            let path = directory.path().join(RECORD);
            fs::create_dir_all(path.parent().unwrap(), 0o755).unwrap();
            fs::write_atomic(&path, text.as_bytes(), 0o644).unwrap();
        };
        write("bin/python");
        assert_eq!(recorded(directory.path()), None);
        write("/x/bin/python3\n");
        assert_eq!(recorded(directory.path()), Some("/x/bin/python3".into()));
    }
}
