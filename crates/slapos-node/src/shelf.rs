//! What the node keeps of each partition, kind by kind: a file of JSON for each in a directory below
//! the instance root's `var`, where partitions cannot write.
//!
//! Invariants: a file is whole or not there. What is longer than its kind ever is, or cannot be
//! understood, is put beside with a warning and counts as none: a node needs nobody to come back to
//! work. Who only looks moves nothing. What a later version of this program wrote is left alone, and an
//! error.

use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use slapos_sys::fs;

use crate::error::{IoContext, NodeError};
use crate::reporter::Reporter;

/// What files on a shelf end in.
const ENDING: &str = ".json";
/// What those end in that were put beside.
const ASIDE: &str = ".json.corrupt";

/// A kind of thing that is kept of partitions.
pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// What messages call it.
    const NAME: &'static str;
    /// More is not ours, bytes.
    const LONGEST: u64;
    /// The latest form that this program knows, of a kind whose files say theirs in `version`.
    const VERSION: Option<u32> = None;
    /// Names of files in the same directory that are no partition's.
    const OTHERS: &'static [&'static str] = &[];

    /// Whether this one is to be on disk when it is stored. Else a power failure (a kill does not) may
    /// bring the former one back.
    fn is_to_last(&self) -> bool {
        true
    }
}

/// Where one kind is kept.
pub(crate) struct Shelf<'a, T> {
    directory: PathBuf,
    reporter: &'a dyn Reporter,
    kind: PhantomData<fn() -> T>,
}

/// What there is of a partition.
enum Found<T> {
    Nothing,
    Whole(T),
    /// Why it counts as none.
    Damaged(String),
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

impl<'a, T: Kept> Shelf<'a, T> {
    /// The shelf in `directory`, which is made when something is stored; `reporter` is warned.
    pub(crate) fn new(directory: PathBuf, reporter: &'a dyn Reporter) -> Self {
        Self { directory, reporter, kind: PhantomData }
    }

    /// What is kept of `partition`.
    ///
    /// # Errors
    /// When it is there and cannot be read, or a later version of this program wrote it.
    pub(crate) fn load(&self, partition: &str) -> Result<Option<T>, NodeError> {
        match self.find(partition)? {
            Found::Nothing => Ok(None),
            Found::Whole(item) => Ok(Some(item)),
            Found::Damaged(why) => self.put_aside(partition, &self.path(partition), &why),
        }
    }

    /// The same for who only says what there is: what is damaged stays where it is.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn look(&self, partition: &str) -> Result<Option<T>, NodeError> {
        match self.find(partition)? {
            Found::Nothing => Ok(None),
            Found::Whole(item) => Ok(Some(item)),
            Found::Damaged(why) => {
                let text = format!("its {} makes no sense and counts as none: {why}", T::NAME);
                self.reporter.warn(partition, &text);
                Ok(None)
            }
        }
    }

    fn find(&self, partition: &str) -> Result<Found<T>, NodeError> {
        if T::OTHERS.contains(&partition) {
            return Ok(Found::Nothing);
        }
        let path = self.path(partition);
        let text = match fs::read_to_string_limited(&path, T::LONGEST) {
            Ok(text) => text,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::NotFound => Ok(Found::Nothing),
                    ErrorKind::InvalidData | ErrorKind::FileTooLarge => {
                        Ok(Found::Damaged(error.to_string()))
                    }
                    _ => Err(error).context("read", &path),
                };
            }
        };
        if let (Some(known), Ok(Header { version })) = (T::VERSION, serde_json::from_str(&text))
            && version > known
        {
            return Err(too_new::<T>(&path, version, known));
        }
        Ok(match serde_json::from_str(&text) {
            Ok(item) => Found::Whole(item),
            Err(error) => Found::Damaged(error.to_string()),
        })
    }

    /// What is damaged is a person's to look at, and in nobody's way.
    fn put_aside(&self, partition: &str, path: &Path, why: &str) -> Result<Option<T>, NodeError> {
        let aside = path.with_extension(&ASIDE[1..]);
        match fs::rename(path, &aside) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.context("put aside", path)?,
        }
        let text = format!(
            "its {} makes no sense and counts as none: {why}; it is now {}",
            T::NAME,
            aside.display()
        );
        self.reporter.warn(partition, &text);
        Ok(None)
    }

    /// Keeps `item` of `partition`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn store(&self, partition: &str, item: &T) -> Result<(), NodeError> {
        fs::create_dir_all(&self.directory, 0o700).context("create", &self.directory)?;
        let text = serde_json::to_string(item).map_err(|error| {
            NodeError::user(format!("cannot word the {} of {partition}: {error}", T::NAME))
        })?;
        let path = self.path(partition);
        let write = match item.is_to_last() {
            true => fs::write_atomic_if_changed,
            false => fs::write_replace_if_changed,
        };
        write(&path, text.as_bytes(), 0o600).map(drop).context("write", &path)
    }

    /// Keeps nothing of `partition` any more.
    ///
    /// # Errors
    /// When the file exists and cannot be removed.
    pub(crate) fn forget(&self, partition: &str) -> Result<(), NodeError> {
        let path = self.path(partition);
        fs::remove_tree(&path).context("remove", &path)
    }

    /// The same, and what was put beside goes, too: the instance it was about is gone.
    ///
    /// # Errors
    /// As [`forget`](Self::forget).
    pub(crate) fn forget_all(&self, partition: &str) -> Result<(), NodeError> {
        let aside = self.path(partition).with_extension(&ASIDE[1..]);
        fs::remove_tree(&aside).context("remove", &aside)?;
        self.forget(partition)
    }

    /// The partitions of which something is kept, by name.
    ///
    /// # Errors
    /// When the directory is there and cannot be read.
    pub(crate) fn partitions(&self) -> Result<Vec<String>, NodeError> {
        self.named(ENDING)
    }

    /// The files of which nobody can tell what they said of a partition: what is damaged, in its place or
    /// put beside with nothing kept since.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn damaged(&self) -> Result<Vec<PathBuf>, NodeError> {
        let mut files = Vec::new();
        for partition in self.named(ENDING)? {
            if let Found::Damaged(_) = self.find(&partition)? {
                files.push(self.path(&partition));
            }
        }
        for partition in self.named(ASIDE)? {
            if !self.path(&partition).exists() {
                files.push(self.directory.join(format!("{partition}{ASIDE}")));
            }
        }
        Ok(files)
    }

    /// What stands before `ending` in the names of files.
    fn named(&self, ending: &str) -> Result<Vec<String>, NodeError> {
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.context("read", &self.directory)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.context("read", &self.directory)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(ending));
            names.extend(name.filter(|name| !T::OTHERS.contains(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    fn path(&self, partition: &str) -> PathBuf {
        self.directory.join(format!("{partition}{ENDING}"))
    }
}

fn too_new<T: Kept>(path: &Path, version: u32, known: u32) -> NodeError {
    NodeError::user(format!(
        "{} has version {version}, and this program knows up to version {known}",
        path.display()
    ))
    .hint(format!("use the program that wrote it; or remove it, and the {} is forgotten", T::NAME))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        version: u32,
    }

    impl Kept for Thing {
        const NAME: &'static str = "thing";
        const LONGEST: u64 = 100;
        const VERSION: Option<u32> = Some(2);
        const OTHERS: &'static [&'static str] = &["usage"];
    }

    #[derive(Default)]
    struct Warned(Mutex<Vec<String>>);

    impl Reporter for Warned {
        fn note(&self, _: &str, _: &str) {}
        fn warn(&self, subject: &str, text: &str) {
            self.0.lock().unwrap().push(format!("{subject}: {text}"));
        }
        fn part(&self, _: &str, _: &slapos_engine::Event) {}
        fn failed(&self, _: &str, _: &NodeError) {}
    }

    #[test]
    fn what_is_stored_is_found_until_it_is_forgotten() {
        let (dir, warned) = (tempfile::tempdir().unwrap(), Warned::default());
        let shelf = Shelf::new(dir.path().join("shelf"), &warned);
        assert!(shelf.partitions().unwrap().is_empty() && shelf.load("p").unwrap().is_none());
        shelf.forget("p").unwrap();
        shelf.store("p", &Thing { version: 1 }).unwrap();
        shelf.store("p", &Thing { version: 2 }).unwrap();
        assert_eq!(shelf.load("p").unwrap(), Some(Thing { version: 2 }));
        assert_eq!(shelf.partitions().unwrap(), ["p"]);
        shelf.forget("p").unwrap();
        assert_eq!(shelf.load("p").unwrap(), None);
        assert!(warned.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_is_put_beside_with_a_warning() {
        let (dir, warned) = (tempfile::tempdir().unwrap(), Warned::default());
        let shelf = Shelf::<Thing>::new(dir.path().to_owned(), &warned);
        let (path, aside) = (dir.path().join("p.json"), dir.path().join("p.json.corrupt"));
        for damaged in [&b"\xff"[..], b"{", b"[]", &[b' '; 101]] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(shelf.look("p").unwrap(), None);
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "who looks moves nothing");
            assert!(shelf.damaged().unwrap().contains(&path));
            assert_eq!(shelf.load("p").unwrap(), None);
            assert!(!path.exists());
            assert_eq!(std::fs::read(&aside).unwrap(), damaged);
            assert!(shelf.partitions().unwrap().is_empty());
            assert_eq!(shelf.damaged().unwrap(), std::slice::from_ref(&aside));
        }
        shelf.store("p", &Thing { version: 1 }).unwrap();
        assert!(shelf.damaged().unwrap().is_empty(), "what is kept since says what is");
        shelf.forget_all("p").unwrap();
        assert!(!path.exists() && !aside.exists());
        let warned = warned.0.into_inner().unwrap();
        assert_eq!(warned.len(), 8);
        assert!(warned[3].starts_with(&warned[2]));
        let line = warned[3].replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!(line, @"p: its thing makes no sense and counts as none: EOF while parsing an object at line 1 column 1; it is now DIR/p.json.corrupt");
    }

    #[test]
    fn what_a_later_version_wrote_and_what_is_of_no_partition_stays() {
        let (dir, warned) = (tempfile::tempdir().unwrap(), Warned::default());
        let shelf = Shelf::<Thing>::new(dir.path().to_owned(), &warned);
        let newer = dir.path().join("p.json");
        std::fs::write(&newer, r#"{"version": 3, "more": 1}"#).unwrap();
        shelf.look("p").unwrap_err();
        let error = shelf.load("p").unwrap_err();
        assert!(
            error.to_string().ends_with("has version 3, and this program knows up to version 2")
        );
        let other = dir.path().join("usage.json");
        std::fs::write(&other, "no thing").unwrap();
        assert_eq!(shelf.load("usage").unwrap(), None);
        assert!(newer.exists() && other.exists());
        assert_eq!(shelf.partitions().unwrap(), ["p"]);
    }
}
