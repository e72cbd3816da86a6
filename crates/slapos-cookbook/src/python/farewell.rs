//! Entry points of the group `zc.buildout.uninstall`: what a recipe in Python does for parts that go.
//!
//! A recipe whose distribution has such an entry point, under the name of the recipe's own, leaves a
//! note when a part is installed, `.slapos/recipes/<part>.json` in the buildout directory: so what the
//! part did is undone by the distribution that did it, whatever the profile says by then. The function
//! is called with the name of the part and the options it was installed with, before its paths are
//! removed, or moved aside because the part is made again. What it takes out of
//! `__buildout_installed__` stays. A run that was cut short, or could not make the part again, calls it
//! once more the next time. Parts that Buildout itself installed have no such note.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slapos_eggs::WorkingSet;
use slapos_engine::{PartContext, PartError};
use slapos_python::{Call, Outside, Wanted};
use slapos_sys::fs;

use super::Python;
use crate::common;

/// The group of entry points.
const GROUP: &str = "zc.buildout.uninstall";
/// The option that lists what a part made, a path a line.
const INSTALLED: &str = "__buildout_installed__";
/// Longest note that is read, in bytes.
const MAX: u64 = 1 << 20;

/// Which function is to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Farewell {
    path: Vec<String>,
    distribution: String,
    entry: String,
}

impl Farewell {
    /// That of a recipe, if it has one.
    pub(super) fn of(set: &WorkingSet, distribution: &str, entry: &str) -> Option<Self> {
        let points = set.get(distribution)?.entry_points(GROUP).ok()?;
        points.iter().find(|point| point.name == entry)?;
        let path = set.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect();
        Some(Self { path, distribution: distribution.to_owned(), entry: entry.to_owned() })
    }

    /// Leaves the note; returns where.
    pub(super) fn leave(&self, cx: &PartContext<'_>) -> Result<PathBuf, PartError> {
        let place = place(cx);
        cx.record_path(&place)?;
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|error| PartError::new(error.to_string()))?;
        common::write_file(&place, &text, 0o644)?;
        Ok(place)
    }

    /// Calls what the part's note names, if there is one; returns what is to stay of `made`.
    pub(super) fn say(
        python: &Python,
        cx: &PartContext<'_>,
        options: &IndexMap<String, String>,
        made: &[PathBuf],
    ) -> Result<Vec<PathBuf>, PartError> {
        let place = place(cx);
        let text = fs::read_to_string_limited(&place, MAX).ok();
        let Some(note) = text.and_then(|text| serde_json::from_str::<Self>(&text).ok()) else {
            return Ok(Vec::new());
        };
        cx.progress("its recipe undoes what it did");
        let own = made.iter().filter(|path| **path != place);
        let listed: Vec<_> = own.clone().map(|path| path.to_string_lossy()).collect();
        let mut options = options.clone();
        options.insert(INSTALLED.to_owned(), listed.join("\n"));
        let Self { path, distribution, entry } = note;
        let call =
            Call::Uninstall { part: cx.part().to_owned(), path, distribution, entry, options };
        let left = python.host().run(cx, &Nobody, &call)?;
        let left: Vec<&str> = left.as_str().unwrap_or_default().lines().collect();
        let gone = |path: &&PathBuf| !left.contains(&&*path.to_string_lossy());
        Ok(own.filter(gone).cloned().collect())
    }
}

/// Where the note of a part is: under a name that no other part of the directory has.
fn place(cx: &PartContext<'_>) -> PathBuf {
    let (_, tag) = cx.tag();
    let own: String = tag.chars().take(8).collect();
    let name = format!("{}-{own}.json", cx.part().replace('/', "_"));
    cx.directory().join(".slapos/recipes").join(name)
}

/// Whoever says farewell asks for nothing.
struct Nobody;

impl Outside for Nobody {
    fn download(&self, _: &Wanted) -> Result<PathBuf, String> {
        Err("nothing is downloaded for a part that goes".to_owned())
    }

    fn unpack(&self, _: &Path, _: &Path, _: Option<bool>) -> Result<(), String> {
        Err("nothing is unpacked for a part that goes".to_owned())
    }

    fn distributions(&self, _: &Value) -> Result<Value, String> {
        Err("no distribution is looked for on behalf of a part that goes".to_owned())
    }
}
