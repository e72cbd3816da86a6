//! The ledger while a run changes it: from several threads, saved when it matters.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use super::{Document, Entry, EntryState, Ledger, LedgerError, VERSION};
use crate::aside::{Aside, Attempt};
use crate::identity::Fingerprint;
use crate::nested;

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

    /// True when `part` is installed, and nothing was begun since.
    pub(crate) fn is_whole(&self, part: &str) -> bool {
        let unsaved = self.lock();
        let entry = unsaved.ledger.parts.get(part);
        entry.is_some_and(|entry| entry.state == EntryState::Installed)
    }

    /// Forgets paths of `part` that are nobody's from now on. The caller saves.
    pub(crate) fn release(&self, part: &str, is_free: impl Fn(&Path) -> bool) {
        self.change(part, |entry| entry.paths.retain(|path| !is_free(path)));
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
                let is_back = |path: &PathBuf| {
                    let is = |from: &Path| match path.is_absolute() {
                        true => from == path,
                        false => from.ends_with(path),
                    };
                    aside.moved.iter().any(|moved| is(&moved.from))
                };
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
