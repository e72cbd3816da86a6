//! A list of shared parts, seen by who tidies it: what is there, and taking parts away.
//!
//! Invariants: a part is taken away only while the list is held alone, so that no build relies on
//! it, and by renaming it to a name that no build looks for; what is renamed is removed later, and
//! found again if that is cut short. Names that no build of shared parts makes are left alone.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use slapos_sys::fs;
use slapos_sys::lock::{DirectoryLock, FileLock};

use crate::error::PartError;
use crate::shared::{SEAL, can_be_written, lock_path};
use crate::stragglers::Place;

/// Digits of the hash that a shared part's directory is called.
const HASH_DIGITS: usize = 32;
/// Ends the name of a part that is on its way out.
const PRUNED: &str = "pruned";

/// How far a shared part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredState {
    /// Sealed; it never changes.
    Whole,
    /// A build is at it.
    Building,
    /// Its build was cut short, and nobody is at it.
    Unfinished,
    /// Taken away, but not removed yet.
    Pruned,
}

/// A directory in a list of shared parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Name of the section it was first built for.
    pub name: String,
    /// Hash of all that it was made from, 32 hexadecimal digits.
    pub hash: String,
    /// Where it lies.
    pub location: PathBuf,
    /// How far it is.
    pub state: StoredState,
}

impl StoredPart {
    /// Bytes on disk, those of a file with several names counted once.
    ///
    /// # Errors
    /// Those of listing it.
    pub fn bytes(&self) -> io::Result<u64> {
        let mut seen = HashSet::new();
        let mut bytes = 0;
        let mut rest = vec![self.location.clone()];
        while let Some(path) = rest.pop() {
            let meta = path.symlink_metadata()?;
            if meta.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    rest.push(entry?.path());
                }
            } else if meta.nlink() > 1 && !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            bytes += meta.blocks() * 512;
        }
        Ok(bytes)
    }

    /// The files that say what it was made of, and so name the shared parts it relies on: its seal,
    /// and what earlier recipes wrote instead (`.*signature`).
    ///
    /// # Errors
    /// Those of listing it.
    pub fn seals(&self) -> io::Result<Vec<PathBuf>> {
        seals(&self.location)
    }
}

/// A list of shared parts that nobody else uses at this moment.
#[derive(Debug)]
pub struct SharedStore {
    directory: PathBuf,
    _alone: DirectoryLock,
}

impl SharedStore {
    /// The one of `lists` that builds of this user make parts in: the first that can be written.
    #[must_use]
    pub fn of_this_user(lists: &[PathBuf]) -> Option<&Path> {
        lists.iter().find(|list| can_be_written(list)).map(PathBuf::as_path)
    }

    /// What is in `directory`, by name and hash; nothing if it does not exist.
    ///
    /// # Errors
    /// Those of listing it and of looking at locks.
    pub fn list(directory: &Path) -> io::Result<Vec<StoredPart>> {
        let mut parts = Vec::new();
        for (name, part) in directories(directory)? {
            for (entry, location) in directories(&part)? {
                parts.extend(stored(&name, &entry, location)?);
            }
        }
        parts.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(parts)
    }

    /// Holds `directory` alone; `None` while a build uses it.
    ///
    /// # Errors
    /// When it cannot be opened or locked.
    pub fn try_alone(directory: &Path) -> io::Result<Option<Self>> {
        let lock = DirectoryLock::try_alone(directory)?;
        Ok(lock.map(|alone| Self { directory: directory.to_owned(), _alone: alone }))
    }

    /// Takes `part` away under another name, to be removed with [`discard`](Self::discard). `false`
    /// if a build is at it after all.
    ///
    /// # Errors
    /// When it is not in this list, what an earlier build left running in it cannot be ended, or
    /// it cannot be renamed.
    pub fn put_aside(&self, part: &mut StoredPart) -> Result<bool, PartError> {
        let failed =
            |what: &'static str, error: &io::Error| PartError::io(what, &part.location, error);
        if !part.location.starts_with(&self.directory) {
            return Err(PartError::new(format!(
                "{} is not in {}",
                part.location.display(),
                self.directory.display()
            )));
        }
        let path = lock_path(&part.location);
        let lock = FileLock::try_acquire(&path).map_err(|error| failed("lock", &error))?;
        let Some(_lock) = lock else {
            return Ok(false);
        };
        if part.state == StoredState::Unfinished {
            Place::shared(&part.location).clear()?;
        }
        let aside = part.location.with_extension(PRUNED);
        if part.state != StoredState::Pruned {
            let renamed = fs::remove_tree(&aside).and_then(|()| fs::rename(&part.location, &aside));
            renamed.map_err(|error| failed("put aside", &error))?;
        }
        // Whoever would lock it holds the list first.
        fs::remove_tree(&path).map_err(|error| failed("remove the lock of", &error))?;
        part.location = aside;
        part.state = StoredState::Pruned;
        Ok(true)
    }

    /// Removes a part that was put aside. The list need not be held any more.
    ///
    /// # Errors
    /// Those of removing it; when it was not put aside.
    pub fn discard(part: &StoredPart) -> Result<(), PartError> {
        if part.state != StoredState::Pruned {
            return Err(PartError::new(format!("{} is in its place", part.location.display())));
        }
        fs::remove_tree(&part.location)
            .map_err(|error| PartError::io("remove", &part.location, &error))
    }

    /// Removes the directory that `part` was in, if nothing is left there.
    pub fn drop_empty_parent(&self, part: &StoredPart) {
        let parent = part.location.parent().filter(|parent| parent.starts_with(&self.directory));
        if let Some(parent) = parent.filter(|parent| *parent != self.directory) {
            // Only an empty one goes.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

fn stored(name: &str, entry: &str, location: PathBuf) -> io::Result<Option<StoredPart>> {
    let (hash, pruned) = match entry.strip_suffix(PRUNED).and_then(|rest| rest.strip_suffix('.')) {
        Some(hash) => (hash, true),
        None => (entry, false),
    };
    if !is_hash(hash) {
        return Ok(None);
    }
    let state = if pruned {
        StoredState::Pruned
    } else if !seals(&location)?.is_empty() {
        StoredState::Whole
    } else if FileLock::is_held(&lock_path(&location))? {
        StoredState::Building
    } else {
        StoredState::Unfinished
    };
    Ok(Some(StoredPart { name: name.to_owned(), hash: hash.to_owned(), location, state }))
}

fn seals(location: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(location)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let says = name == SEAL || (name.starts_with('.') && name.ends_with("signature"));
        if says && entry.path().is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn is_hash(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == HASH_DIGITS && text.bytes().all(digit)
}

/// Names and paths of the directories in `directory`, links left out.
fn directories(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(name) = entry.file_name().to_str()
        {
            found.push((name.to_owned(), entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef";

    fn part(list: &Path, name: &str, sealed: bool) -> PathBuf {
        let location = list.join(name).join(HASH);
        std::fs::create_dir_all(&location).unwrap();
        std::fs::write(location.join("file"), vec![b'x'; 5000]).unwrap();
        if sealed {
            std::fs::write(location.join(SEAL), "{}").unwrap();
            fs::make_read_only(&location).unwrap();
        }
        location
    }

    fn states(list: &Path) -> Vec<(String, StoredState)> {
        let parts = SharedStore::list(list).unwrap().into_iter();
        parts.map(|part| (part.name, part.state)).collect()
    }

    #[test]
    fn what_is_there_is_told_from_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path();
        part(list, "whole", true);
        let building = part(list, "building", false);
        part(list, "broken", false);
        std::fs::create_dir_all(list.join("other/data")).unwrap();
        std::os::unix::fs::symlink(list.join("whole"), list.join("link")).unwrap();
        let _lock = FileLock::try_acquire(&lock_path(&building)).unwrap();
        let expected = [
            ("broken".to_owned(), StoredState::Unfinished),
            ("building".to_owned(), StoredState::Building),
            ("whole".to_owned(), StoredState::Whole),
        ];
        assert_eq!(states(list), expected);
        assert!(SharedStore::list(&list.join("missing")).unwrap().is_empty());
    }

    #[test]
    fn a_read_only_part_goes_in_two_steps_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let location = part(dir.path(), "a", true);
        let mut stored = SharedStore::list(dir.path()).unwrap().remove(0);
        assert!(stored.bytes().unwrap() >= 5000);
        assert!(SharedStore::discard(&stored).is_err(), "it is in its place");
        let store = SharedStore::try_alone(dir.path()).unwrap().unwrap();
        assert!(store.put_aside(&mut stored).unwrap());
        assert!(!location.exists());
        // Killed here, the next one finds it.
        assert_eq!(states(dir.path()), [("a".to_owned(), StoredState::Pruned)]);
        SharedStore::discard(&stored).unwrap();
        store.drop_empty_parent(&stored);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only the lock is left: {left:?}");
    }

    #[test]
    fn what_a_build_holds_stays() {
        let dir = tempfile::tempdir().unwrap();
        let location = part(dir.path(), "a", false);
        let mut stored = SharedStore::list(dir.path()).unwrap().remove(0);
        let lock = FileLock::try_acquire(&lock_path(&location)).unwrap();
        let store = SharedStore::try_alone(dir.path()).unwrap().unwrap();
        assert!(!store.put_aside(&mut stored).unwrap());
        assert!(location.exists() && lock.is_some());
    }

    #[test]
    fn old_signatures_count_as_seals() {
        let dir = tempfile::tempdir().unwrap();
        let location = part(dir.path(), "a", false);
        std::fs::write(location.join(".slapos.recipe.cmmi.signature"), "x").unwrap();
        assert_eq!(states(dir.path()), [("a".to_owned(), StoredState::Whole)]);
    }
}
