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

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::aside::{Aside, Attempt, Move, Setback};
use crate::identity::Fingerprint;
use crate::nested;

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

/// The ledger while a run changes it.
pub(crate) struct LedgerWriter {
    path: PathBuf,
    /// The ledger of the outermost run in the directory; this one, unless the run is nested.
    root: PathBuf,
    inner: Mutex<Unsaved>,
}

struct Unsaved {
    ledger: Ledger,
    changed: bool,
}

impl LedgerWriter {
    pub(crate) fn new(path: PathBuf, ledger: Ledger) -> Self {
        Self { root: path.clone(), path, inner: Mutex::new(Unsaved { ledger, changed: false }) }
    }

    /// The same, for a run inside the one whose ledger is `root`.
    pub(crate) fn below(self, root: &Path) -> Self {
        Self { root: root.to_owned(), ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn lock(&self) -> MutexGuard<'_, Unsaved> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what changed, if anything did.
    pub(crate) fn save(&self) -> Result<(), LedgerError> {
        self.save_locked(&mut self.lock())
    }

    fn save_locked(&self, unsaved: &mut Unsaved) -> Result<(), LedgerError> {
        if !unsaved.changed {
            return Ok(());
        }
        let document = Document { version: VERSION, parts: &unsaved.ledger.parts };
        let error = |source| LedgerError::Io { what: "write", path: self.path.clone(), source };
        let mut bytes = serde_json::to_vec_pretty(&document)
            .map_err(|failure| error(io::Error::other(failure)))?;
        bytes.push(b'\n');
        slapos_sys::fs::write_atomic(&self.path, &bytes, 0o600).map_err(error)?;
        unsaved.changed = false;
        Ok(())
    }

    /// Marks `part` as begun, to be made of `fingerprint`, and able to make `claims`. The caller
    /// saves. What the last whole installation was made of stays readable.
    pub(crate) fn begin(&self, part: &str, fingerprint: &Fingerprint, claims: Vec<PathBuf>) {
        let mut unsaved = self.lock();
        unsaved.changed = true;
        let entry = unsaved.ledger.parts.entry(part.to_owned()).or_insert_with(|| Entry {
            state: EntryState::Installing,
            identity: String::new(),
            fingerprint: fingerprint.clone(),
            paths: BTreeSet::new(),
            shared: None,
            aside: None,
            setback: None,
        });
        entry.state = EntryState::Installing;
        entry.paths.extend(claims);
    }

    /// True when `part` was begun and did not come to its end.
    pub(crate) fn is_unfinished(&self, part: &str) -> bool {
        let unsaved = self.lock();
        let entry = unsaved.ledger.parts.get(part);
        entry.is_some_and(|entry| entry.state != EntryState::Installed)
    }

    /// Adds a path to the entry of `part`, and saves if asked to.
    pub(crate) fn record_path(
        &self,
        part: &str,
        path: &Path,
        save: bool,
    ) -> Result<(), LedgerError> {
        let mut unsaved = self.lock();
        let Some(entry) = unsaved.ledger.parts.get_mut(part) else {
            return Ok(());
        };
        if entry.paths.insert(path.to_owned()) {
            unsaved.changed = true;
            if save {
                return self.save_locked(&mut unsaved);
            }
        }
        Ok(())
    }

    /// Marks `part` as whole. The caller saves.
    pub(crate) fn complete(&self, part: &str, entry: Entry) {
        let mut unsaved = self.lock();
        unsaved.changed = true;
        unsaved.ledger.parts.insert(part.to_owned(), entry);
    }

    /// Marks `part` as failed; its paths stay recorded. The caller saves.
    pub(crate) fn fail(&self, part: &str) {
        let mut unsaved = self.lock();
        if let Some(entry) = unsaved.ledger.parts.get_mut(part) {
            entry.state = EntryState::Failed;
            unsaved.changed = true;
        }
    }

    /// All that is known of `part`.
    pub(crate) fn entry(&self, part: &str) -> Option<Entry> {
        self.lock().ledger.parts.get(part).cloned()
    }

    /// The ledger as it is now, saved or not.
    pub(crate) fn snapshot(&self) -> Ledger {
        self.lock().ledger.clone()
    }

    /// Names of the parts that have something aside.
    pub(crate) fn disturbed(&self) -> Vec<String> {
        self.lock().ledger.disturbed().map(|(name, _)| name.clone()).collect()
    }

    fn change(&self, part: &str, change: impl FnOnce(&mut Entry)) {
        let mut unsaved = self.lock();
        if let Some(entry) = unsaved.ledger.parts.get_mut(part) {
            change(entry);
            unsaved.changed = true;
        }
    }

    /// Says what of `part` is aside. The caller saves.
    pub(crate) fn set_aside(&self, part: &str, aside: Option<Aside>) {
        self.change(part, |entry| entry.aside = aside);
    }

    /// Says that nothing of what `part` made is whole. The caller saves.
    pub(crate) fn is_rubble(&self, part: &str) {
        self.change(part, |entry| entry.identity.clear());
    }

    /// Gives `part` the entry again that it had before what `aside` is about. The caller saves.
    pub(crate) fn restore(&self, part: &str, aside: &Aside, interrupted: bool) {
        self.change(part, |entry| match &aside.previous {
            Some(previous) => {
                *entry = previous.after(Attempt::Install, interrupted, &aside.wanted);
            }
            None => {
                let is_back = |path: &PathBuf| aside.moved.iter().any(|m| m.from.ends_with(path));
                entry.paths.retain(|path| !is_back(path));
                entry.aside = None;
            }
        });
    }

    /// Says whether the last update of `part`, whose identity is `identity`, failed, and if so
    /// whether it was interrupted. The caller saves.
    pub(crate) fn updated(&self, part: &str, identity: &str, interrupted: Option<bool>) {
        let before = self.entry(part).and_then(|entry| entry.setback);
        match interrupted {
            Some(interrupted) => self.change(part, |entry| {
                *entry = entry.after(Attempt::Update, interrupted, identity);
            }),
            None if before.is_some() => self.change(part, |entry| entry.setback = None),
            None => {}
        }
    }

    /// Recipe of `part`, and the options it was installed with.
    pub(crate) fn made_by(&self, part: &str) -> Option<(String, IndexMap<String, String>)> {
        let unsaved = self.lock();
        let made_of = &unsaved.ledger.parts.get(part)?.fingerprint;
        Some((made_of.recipe.clone(), made_of.options.clone()))
    }

    /// Puts the entries into the order of `wanted`, followed by those of `unwanted` as they were;
    /// does nothing if there are others. The caller saves.
    pub(crate) fn arrange(&self, wanted: &[&str], unwanted: &[&str]) {
        let mut unsaved = self.lock();
        let last = unwanted.iter().map(|name| (*name, usize::MAX));
        let rank: HashMap<&str, usize> =
            wanted.iter().enumerate().map(|(index, name)| (*name, index)).chain(last).collect();
        let place = |name: &String| rank.get(name.as_str()).copied();
        let parts = &mut unsaved.ledger.parts;
        if parts.keys().all(|name| place(name).is_some()) && !parts.keys().is_sorted_by_key(place) {
            parts.sort_by_key(|name, _| place(name));
            unsaved.changed = true;
        }
    }

    /// Forgets `part`. The caller saves.
    pub(crate) fn forget(&self, part: &str) {
        let mut unsaved = self.lock();
        unsaved.changed |= unsaved.ledger.parts.shift_remove(part).is_some();
    }

    /// Recorded paths of all parts but `part`, in this ledger.
    pub(crate) fn paths_of_others(&self, part: &str) -> Vec<PathBuf> {
        let unsaved = self.lock();
        let others = unsaved.ledger.parts.iter().filter(|(name, _)| *name != part);
        others.flat_map(|(_, entry)| entry.paths.iter().cloned()).collect()
    }

    /// Recorded paths of `part` that no other part's path is or lies below, in this ledger or in
    /// another one of the directory.
    pub(crate) fn own_paths(&self, part: &str) -> Vec<PathBuf> {
        let mut paths = self.replaceable_paths(part);
        let unsaved = self.lock();
        paths.retain(|path| !unsaved.ledger.is_needed_by_another(part, path));
        paths
    }

    /// Recorded paths of `part` that may go before it is made again: what other parts of this
    /// ledger have inside them is made again, too. Other ledgers of the directory are not asked.
    pub(crate) fn replaceable_paths(&self, part: &str) -> Vec<PathBuf> {
        let unsaved = self.lock();
        let Some(entry) = unsaved.ledger.parts.get(part) else {
            return Vec::new();
        };
        let mut elsewhere = Vec::new();
        if self.root == self.path {
            nested::recorded_below(&self.path, &unsaved.ledger, &self.path, &mut elsewhere);
        } else {
            nested::recorded(&self.root, &self.path, &mut elsewhere);
        }
        let free = |path: &&PathBuf| !elsewhere.iter().any(|other| other.starts_with(path));
        entry.paths.iter().filter(free).cloned().collect()
    }

    /// Puts a damaged file aside, for people to look at.
    pub(crate) fn put_damaged_aside(&self) -> Result<(), LedgerError> {
        let aside = self.path.with_extension("json.corrupt");
        slapos_sys::fs::rename(&self.path, &aside).map_err(|source| LedgerError::Io {
            what: "put aside",
            path: self.path.clone(),
            source,
        })
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
