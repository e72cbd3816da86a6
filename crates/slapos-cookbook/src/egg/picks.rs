//! Versions that were picked, because neither a pin nor a requirement fixes them.
//!
//! Options of `[buildout]`:
//! - `show-picked-versions`: `true` tells them at the end of a run, as lines for `[versions]`;
//! - `update-versions-file`: a file that gets these lines, seen from the buildout directory. What it
//!   has already is left alone. It is a profile that the main one extends, so the next run finds the
//!   versions fixed.
//!
//! Told are those of the parts that were worked on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use slapos_eggs::{WorkingSet, normalise};
use slapos_engine::{PartInit, ProfileError};
use slapos_sys::fs;

use super::choice::of_buildout;
use crate::common;

/// Longest file of versions that is added to, in bytes.
const MAX: u64 = 16 << 20;

/// What a profile wants to be done with them.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks {
    show: bool,
    file: Option<PathBuf>,
}

/// A version, and who needed the distribution: empty for the profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pick {
    name: String,
    version: String,
    required_by: String,
}

/// What was picked in a run: normal name → pick.
#[derive(Default)]
pub(super) struct Picked(Mutex<Found>);

#[derive(Default)]
struct Found {
    shown: BTreeMap<String, Pick>,
    files: BTreeMap<PathBuf, BTreeMap<String, Pick>>,
}

impl Picks {
    /// As `[buildout]` says.
    pub(super) fn read(init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let show = of_buildout(init, "show-picked-versions")?.is_some_and(|text| text == "true");
        let file = of_buildout(init, "update-versions-file")?;
        Ok(Self { show, file: file.map(|text| common::path(init, &text)) })
    }
}

impl Picked {
    /// Takes note of what was picked for `set`.
    pub(super) fn note(&self, set: &WorkingSet, wanted: &Picks) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for dist in set.picked() {
            let (name, version) = (dist.name.clone(), dist.version.to_string());
            let required_by = set.required_by(&name).to_owned();
            let pick = Pick { name, version, required_by };
            if wanted.show {
                found.shown.insert(dist.key(), pick.clone());
            }
            if let Some(file) = &wanted.file {
                found.files.entry(file.clone()).or_default().insert(dist.key(), pick);
            }
        }
    }

    /// Writes and tells what was noted since the last time.
    pub(super) fn conclude(&self) -> Vec<String> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Found { shown, files } = std::mem::take(&mut *found);
        drop(found);
        let mut told: Vec<String> = shown.values().map(shown_as).collect();
        for (file, picks) in files {
            match add_to(&file, &picks) {
                Ok(0) => {}
                Ok(n) => told.push(format!("{n} versions were added to {}", file.display())),
                Err(error) => {
                    told.push(format!("picked versions are not in {}: {error}", file.display()));
                }
            }
        }
        told
    }
}

fn shown_as(pick: &Pick) -> String {
    let Pick { name, version, required_by } = pick;
    let by = match required_by.as_str() {
        "" => String::new(),
        by => format!(" (required by {by})"),
    };
    format!("picked, as [versions] does not fix it: {name} = {version}{by}")
}

/// Adds what a file of versions does not have; returns how many that were.
fn add_to(file: &Path, picks: &BTreeMap<String, Pick>) -> io::Result<usize> {
    let before = match fs::read_to_string_limited(file, MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "[versions]\n".to_owned(),
        Err(error) => return Err(error),
    };
    let names = before.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let known: Vec<String> = names.map(|name| normalise(name.trim())).collect();
    let new: Vec<&Pick> =
        picks.iter().filter(|(key, _)| !known.contains(key)).map(|(_, pick)| pick).collect();
    if new.is_empty() {
        return Ok(0);
    }
    let mut text = before;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("\n# Picked, because nothing fixed them:\n");
    for Pick { name, version, required_by } in &new {
        if !required_by.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n# Required by:\n# {required_by}\n");
        }
        let _ = writeln!(text, "{name} = {version}");
    }
    fs::write_atomic(file, text.as_bytes(), 0o644)?;
    Ok(new.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    fn pick(name: &str, by: &str) -> (String, Pick) {
        let [name, version, required_by] = [name, "1.0", by].map(str::to_owned);
        (normalise(&name), Pick { name, version, required_by })
    }

    #[test]
    fn a_file_of_versions_gets_what_it_does_not_have() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("versions.cfg");
        let picks = BTreeMap::from([pick("A.b", ""), pick("c", "A.b 1.0")]);
        assert_eq!(add_to(&file, &picks).unwrap(), 2);
        insta::assert_snapshot!(std::fs::read_to_string(&file).unwrap(), @r"
        [versions]

        # Picked, because nothing fixed them:
        A.b = 1.0

        # Required by:
        # A.b 1.0
        c = 1.0
        ");
        assert_eq!(add_to(&file, &picks).unwrap(), 0);
        std::fs::write(&file, "[versions]\na_b=2").unwrap();
        assert_eq!(add_to(&file, &picks).unwrap(), 1);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("[versions]\na_b=2\n\n# Pick"));
    }
}
