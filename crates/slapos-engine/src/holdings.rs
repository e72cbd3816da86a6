//! What a buildout directory holds, as all its ledgers say: for who copies or compares it as a
//! whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::ledger::{Entry, Ledger, LedgerError};

/// The ledgers of a buildout directory and what they record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Files that keep the record itself: the ledgers and what is written beside them for others.
    pub records: BTreeSet<PathBuf>,
    /// What parts made below the directory, half-made and put aside included; nothing in it lies
    /// below another one of it. Parts may have recorded paths that are gone.
    pub paths: BTreeSet<PathBuf>,
}

impl Holdings {
    /// Those of the buildout in `directory`, which keeps its ledger at the default place. Nothing
    /// is changed, and no run may be under way.
    ///
    /// # Errors
    /// When a ledger cannot be read, or is of a later version.
    pub fn of(directory: &Path) -> Result<Self, LedgerError> {
        let private = directory.join(".slapos");
        let mut holdings = Self::default();
        let mut paths = Vec::new();
        for name in ledger_names(&private, "installed", ".json") {
            let path = private.join(name);
            for entry in Ledger::read(&path)?.parts().values() {
                paths.extend(all_paths(entry).map(|path| directory.join(path)));
            }
            holdings.records.insert(path);
        }
        for name in ledger_names(directory, ".installed", ".cfg") {
            holdings.records.insert(directory.join(name));
        }
        paths.retain(|path| path.starts_with(directory) && path != directory);
        paths.sort();
        paths.dedup_by(|path, around| path.starts_with(around));
        holdings.paths = paths.into_iter().collect();
        Ok(holdings)
    }
}

/// Removes files below `directory` that killed writers left before they could give them their
/// names: where ledgers and what they record lie. No run may be under way.
///
/// # Errors
/// When a ledger cannot be read, or a file not be removed.
pub fn remove_unnamed(directory: &Path) -> Result<(), LedgerError> {
    let holdings = Holdings::of(directory)?;
    let private = directory.join(".slapos");
    let own = [
        directory.to_owned(),
        private.join("generations"),
        private.join("generations/objects"),
        private,
    ];
    let around = holdings.paths.iter().filter_map(|path| path.parent()).map(Path::to_owned);
    let rooms: BTreeSet<_> = own.into_iter().chain(around).collect();
    for room in rooms {
        slapos_sys::fs::remove_unnamed(&room).map_err(|source| LedgerError::Io {
            what: "tidy up beside",
            path: room.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Names in `folder` that begin and end so; a folder that is not there has none.
fn ledger_names(folder: &Path, start: &str, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(start) && name.ends_with(end)).collect()
}

fn all_paths(entry: &Entry) -> impl Iterator<Item = &PathBuf> {
    let aside = entry.aside.as_ref();
    let previous = aside.and_then(|aside| aside.previous.as_ref());
    let moved = aside.into_iter().flat_map(|aside| aside.moved.iter().map(|moved| &moved.to));
    entry.paths.iter().chain(previous.into_iter().flat_map(|entry| &entry.paths)).chain(moved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;
    use crate::identity::Fingerprint;
    use crate::ledger::LedgerWriter;

    #[test]
    fn all_ledgers_count_and_nothing_outside_does() {
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join(".slapos");
        std::fs::create_dir(&private).unwrap();
        std::fs::write(dir.path().join(".installed.cfg"), "").unwrap();
        let record = |name: &str, paths: &[&str]| {
            let writer = LedgerWriter::new(private.join(name), Ledger::default());
            let paths = paths.iter().map(|path| dir.path().join(path)).collect();
            writer.begin("a", &Fingerprint::default(), paths);
            writer.save().unwrap();
        };
        record("installed.json", &["etc/a", "parts/b", "/usr/lib/x"]);
        record("installed-switch.json", &["etc/c", "parts/b/inside", "parts/bc"]);
        let holdings = Holdings::of(dir.path()).unwrap();
        let short = |paths: &BTreeSet<PathBuf>| {
            let names = paths.iter().map(|path| path.strip_prefix(dir.path()).unwrap());
            names.map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(short(&holdings.paths), ["etc/a", "etc/c", "parts/b", "parts/bc"]);
        assert_eq!(
            short(&holdings.records),
            [".installed.cfg", ".slapos/installed-switch.json", ".slapos/installed.json"]
        );
    }
}
