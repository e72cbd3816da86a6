//! The ledger: what is installed in a buildout directory, and what was begun.
//!
//! It is replaced as a whole, atomically. A part's entry says `installing`, with the paths the
//! part may make, before the first of them is touched, and `installed` after the last. So a part
//! that was cut short can always be told from a whole one, and cleaned. While a whole part is made
//! again, its entry holds what it was and where that is ([`crate::aside`]).
//!
//! A ledger that cannot be read is taken as empty, with a warning: everything is then installed
//! again, which recipes allow, and a node needs nobody to come back to work. Its text is kept
//! beside it as `*.corrupt`. A ledger of a later version of this program is an error instead,
//! because nothing is wrong with it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::aside::{Aside, Attempt, Move, Setback};
use crate::identity::Fingerprint;

mod writer;

pub(crate) use writer::LedgerWriter;

/// Version of the file's form that this program writes.
const VERSION: u32 = 1;

/// How far a part came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryState {
    /// Begun and, unless a run is at it right now, interrupted.
    Installing,
    /// Whole.
    Installed,
    /// Its recipe gave up.
    Failed,
}

/// What the ledger knows of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How far it came.
    pub state: EntryState,
    /// Hash of all that it was made from.
    pub identity: String,
    #[serde(flatten)]
    pub(crate) fingerprint: Fingerprint,
    /// What is removed with the part. A shared part has none.
    pub paths: BTreeSet<PathBuf>,
    /// Location of a shared part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<PathBuf>,
    /// Unless it is `installed`: what it was before. If it is: what is aside and may go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aside: Option<Aside>,
    /// What came of the last attempt to change it, if that did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) setback: Option<Setback>,
}

impl Entry {
    /// The recipe that made it.
    pub fn recipe(&self) -> &str {
        &self.fingerprint.recipe
    }

    /// The value that `option` had when it was installed.
    pub fn option(&self, option: &str) -> Option<&str> {
        self.fingerprint.options.get(option).map(String::as_str)
    }

    /// The entry as the repair at the beginning of the next run will leave it.
    fn repaired(&self) -> Self {
        let aside = self.aside.as_ref().filter(|_| self.state != EntryState::Installed);
        match aside.and_then(|aside| Some((aside, aside.previous.as_ref()?))) {
            Some((aside, previous)) => previous.after(Attempt::Install, true, &aside.wanted),
            None => Self { aside: None, ..self.clone() },
        }
    }

    /// The same, after an attempt that did not succeed.
    fn after(&self, of: Attempt, interrupted: bool, identity: &str) -> Self {
        let identity = identity.to_owned();
        Self { setback: Some(Setback { of, interrupted, identity }), ..self.clone() }
    }

    #[cfg(test)]
    pub(crate) fn whole_for_tests(recipe: &str, paths: &[&str]) -> Self {
        Self {
            state: EntryState::Installed,
            identity: "1".to_owned(),
            fingerprint: Fingerprint { recipe: recipe.to_owned(), ..Fingerprint::default() },
            paths: paths.iter().map(PathBuf::from).collect(),
            shared: None,
            aside: None,
            setback: None,
        }
    }
}

/// All entries, in the order in which the parts are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub(crate) parts: IndexMap<String, Entry>,
    /// No ledger was there: nothing was ever installed here.
    pub(crate) fresh: bool,
    /// Why the file could not be used, if it could not.
    pub(crate) corrupt: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Document<P> {
    version: u32,
    parts: P,
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A later version of this program wrote it.
    #[error(
        "{} has version {version}, and this program knows up to version {VERSION}: \
         use the program that wrote it, or remove the file to install everything again",
        .path.display()
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The operating system refused it.
    #[error("cannot {what} the ledger {}: {source}", .path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The ledger.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
}

impl Ledger {
    /// The ledger at `path`; empty if there is none, or if it is damaged.
    ///
    /// # Errors
    /// When the file cannot be read, or is of a later version.
    pub fn read(path: &Path) -> Result<Self, LedgerError> {
        let bytes = match slapos_sys::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { fresh: true, ..Self::default() });
            }
            Err(source) => {
                return Err(LedgerError::Io { what: "read", path: path.to_owned(), source });
            }
        };
        Self::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, LedgerError> {
        match serde_json::from_slice::<Header>(bytes) {
            Ok(header) if header.version > VERSION => {
                Err(LedgerError::Newer { path: path.to_owned(), version: header.version })
            }
            Ok(_) => Ok(match serde_json::from_slice::<Document<IndexMap<String, Entry>>>(bytes) {
                Ok(document) => Self { parts: document.parts, ..Self::default() },
                Err(error) => Self::damaged(&error),
            }),
            Err(error) => Ok(Self::damaged(&error)),
        }
    }

    fn damaged(error: &serde_json::Error) -> Self {
        Self { corrupt: Some(error.to_string()), ..Self::default() }
    }

    /// Parts and their entries, in the order in which they are installed.
    pub fn parts(&self) -> &IndexMap<String, Entry> {
        &self.parts
    }

    /// The ledger as the repair at the beginning of the next run will leave it.
    pub(crate) fn repaired(&self) -> Self {
        let parts = self.parts.iter().map(|(name, entry)| (name.clone(), entry.repaired()));
        Self { parts: parts.collect(), fresh: self.fresh, corrupt: self.corrupt.clone() }
    }

    /// Parts that the last run left with something aside.
    pub(crate) fn disturbed(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.parts.iter().filter(|(_, entry)| entry.aside.is_some())
    }

    /// Everything that is aside.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let asides = self.parts.values().filter_map(|entry| entry.aside.as_ref());
        asides.flat_map(|aside| aside.moved.iter().cloned()).collect()
    }

    /// True when `path`, or something below it, belongs to a part other than `part`.
    fn is_needed_by_another(&self, part: &str, path: &Path) -> bool {
        let others = self.parts.iter().filter(|(name, _)| *name != part);
        others.flat_map(|(_, entry)| &entry.paths).any(|other| other.starts_with(path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("installed.json");
        let writer = LedgerWriter::new(path.clone(), Ledger::default());
        let made_of = Fingerprint { recipe: "r".into(), ..Fingerprint::default() };
        writer.begin("a", &made_of, vec!["/x/a".into()]);
        writer.save().unwrap();
        let ledger = Ledger::read(&path).unwrap();
        assert_eq!(ledger.parts["a"].state, EntryState::Installing);
        assert_eq!(ledger.parts["a"].recipe(), "r");
        assert!(!ledger.fresh);
    }

    #[test]
    fn a_damaged_ledger_is_empty_and_a_newer_one_is_refused() {
        let path = Path::new("/x/installed.json");
        let damaged = Ledger::parse(b"{\"version\": 1, \"par", path).unwrap();
        assert!(damaged.corrupt.is_some() && damaged.parts.is_empty());
        let wrong = Ledger::parse(b"{\"version\": 1, \"parts\": {\"a\": 3}}", path).unwrap();
        assert!(wrong.corrupt.is_some());
        let error = Ledger::parse(b"{\"version\": 9, \"future\": true}", path).unwrap_err();
        insta::assert_snapshot!(error, @"/x/installed.json has version 9, and this program knows up to version 1: use the program that wrote it, or remove the file to install everything again");
    }

    #[test]
    fn a_path_that_another_part_needs_is_not_free() {
        let writer = LedgerWriter::new("/nowhere".into(), Ledger::default());
        let made_of = Fingerprint::default();
        writer.begin("a", &made_of, vec!["/x".into(), "/y".into()]);
        writer.begin("b", &made_of, vec!["/x/inside".into()]);
        assert_eq!(writer.own_paths("a"), [PathBuf::from("/y")]);
        assert_eq!(writer.own_paths("b"), [PathBuf::from("/x/inside")]);
    }
}
