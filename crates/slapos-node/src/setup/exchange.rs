//! New files that take the places of former ones together.
//!
//! They are written whole under names beside their places (`.new`); only then the former ones get
//! theirs (`.old`, `.old.1`, ...). Invariant: nothing is lost, whatever fails: an error puts the
//! former ones back, and after a kill both are there, under these names.

use std::path::{Path, PathBuf};

use slapos_sys::fs;

use crate::error::{IoContext, NodeError};

/// Files that wait for their places.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    staged: PathBuf,
    place: PathBuf,
}

/// A place that changed hands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exchanged {
    /// What it is.
    pub(super) place: PathBuf,
    /// Where its former content is, if it had any.
    pub(super) aside: Option<PathBuf>,
}

impl Exchange {
    /// The name under which what is to be at `place` is made. Places change hands in this order.
    pub(super) fn stage(&mut self, place: &Path) -> PathBuf {
        let staged = free_name(place, "new");
        self.waiting.push(Waiting { staged: staged.clone(), place: place.to_owned() });
        staged
    }

    /// Puts all that was made in its place.
    ///
    /// # Errors
    /// When something cannot be renamed; all is then as before, and what was made has its former
    /// names.
    pub(super) fn carry_out(&self) -> Result<Vec<Exchanged>, NodeError> {
        let mut done = Vec::new();
        for waiting in &self.waiting {
            match waiting.take_place() {
                Ok(exchanged) => done.push(exchanged),
                Err(error) => {
                    let undone = self.waiting.iter().zip(done).rev();
                    undone.for_each(|(waiting, exchanged)| waiting.undo(&exchanged));
                    return Err(error);
                }
            }
        }
        Ok(done)
    }
}

impl Waiting {
    fn take_place(&self) -> Result<Exchanged, NodeError> {
        let Self { staged, place } = self;
        let aside = move_aside(place)?;
        let exchanged = Exchanged { place: place.clone(), aside };
        if let Err(error) = fs::rename(staged, place).context("put in its place", staged) {
            exchanged.put_back();
            return Err(error);
        }
        Ok(exchanged)
    }

    fn undo(&self, exchanged: &Exchanged) {
        let _ = fs::rename(&self.place, &self.staged);
        exchanged.put_back();
    }
}

impl Exchanged {
    fn put_back(&self) {
        if let Some(aside) = &self.aside {
            let _ = fs::rename(aside, &self.place);
        }
    }
}

/// Moves what is at `path` to the first free name beside it. A file gets that as a second name, so
/// that it is never missing.
fn move_aside(path: &Path) -> Result<Option<PathBuf>, NodeError> {
    let Ok(found) = path.symlink_metadata() else { return Ok(None) };
    let aside = free_name(path, "old");
    let moved = match found.is_file() {
        true => std::fs::hard_link(path, &aside),
        false => fs::rename(path, &aside),
    };
    moved.context("move aside", path)?;
    Ok(Some(aside))
}

/// The first of `path.word`, `path.word.1`, ... that nothing has.
fn free_name(path: &Path, word: &str) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 { format!(".{word}") } else { format!(".{word}.{number}") });
        PathBuf::from(name)
    };
    let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
    (0..u32::MAX).map(name).find(|name| !taken(name)).unwrap_or_else(|| name(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::write_atomic(path, text.as_bytes(), 0o600).unwrap();
    }

    #[test]
    fn what_was_there_is_kept_under_a_free_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ssl");
        assert_eq!(move_aside(&path).unwrap(), None);
        for name in ["ssl.old", "ssl.old.1", "ssl.old.2"] {
            std::fs::create_dir(&path).unwrap();
            assert_eq!(move_aside(&path).unwrap().unwrap(), directory.path().join(name));
        }
    }

    #[test]
    fn all_change_hands_or_none_does() {
        let directory = tempfile::tempdir().unwrap();
        let (ssl, config) = (directory.path().join("ssl"), directory.path().join("cfg"));
        std::fs::create_dir(&ssl).unwrap();
        write(&ssl.join("key"), "old");
        write(&config, "old");
        let mut exchange = Exchange::default();
        let new = exchange.stage(&ssl);
        std::fs::create_dir(&new).unwrap();
        write(&new.join("key"), "new");
        let unwritten = exchange.stage(&config);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        exchange.carry_out().unwrap_err();
        assert_eq!((read(&ssl.join("key")), read(&config)), ("old".into(), "old".into()));
        assert_eq!(read(&new.join("key")), "new");

        write(&unwritten, "new");
        let aside = |name: &str| Some(directory.path().join(name));
        let done = exchange.carry_out().unwrap();
        assert_eq!(done[0], Exchanged { place: ssl.clone(), aside: aside("ssl.old") });
        assert_eq!((read(&ssl.join("key")), read(&config)), ("new".into(), "new".into()));
        assert_eq!(read(&done[1].aside.clone().unwrap()), "old");
    }
}
