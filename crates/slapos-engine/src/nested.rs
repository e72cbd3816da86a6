//! Buildouts inside a buildout: a part may run one of its own in the same directory.
//!
//! The ledgers of a directory form a tree: beside `installed.json` lies `installed-<part>.json` of
//! each part that runs a buildout. Invariants: a path that any of them records is never removed on
//! behalf of another one, so parts can move between the profiles; and when a part that ran a
//! buildout goes, all that this one installed goes with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_sys::fs;

use crate::aside;
use crate::context::{PartContext, RunState};
use crate::error::{PartError, PartFailure};
use crate::event::Action;
use crate::installed_cfg;
use crate::ledger::{Ledger, LedgerWriter};
use crate::live::Live;
use crate::part_run::uninstall;
use crate::plan::{Reason, Step};

/// How many buildouts may run inside each other.
const MAX_DEPTH: usize = 4;

/// The runs around a nested one; the outermost holds the lock of the directory.
#[derive(Clone, Debug)]
pub struct Within {
    /// Ledger of the outermost run.
    pub(crate) root: PathBuf,
    depth: usize,
}

impl Within {
    /// What surrounds a run inside the one that `outer` surrounds and that keeps `ledger`; `None`
    /// when that is too deep.
    pub(crate) fn deeper(outer: Option<&Self>, ledger: &Path) -> Option<Self> {
        let depth = outer.map_or(0, |outer| outer.depth) + 1;
        let root = outer.map_or(ledger, |outer| &outer.root).to_owned();
        (depth <= MAX_DEPTH).then_some(Self { root, depth })
    }
}

/// Where the buildout that `part` runs keeps its ledger, beside that of the buildout it is in. No
/// name of a part has a colon, so no two places are the same.
pub(crate) fn ledger_path(outer: &Path, part: &str) -> PathBuf {
    let stem = outer.file_stem().unwrap_or_default().to_string_lossy();
    let separator = if stem == "installed" { '-' } else { ':' };
    let part = part.replace('/', "::");
    outer.with_file_name(format!("{stem}{separator}{part}.json"))
}

/// Where the buildout that keeps the nested ledger `ledger` writes what is installed for the
/// original's tools: `.installed-<part>.cfg`.
pub(crate) fn installed_path(directory: &Path, ledger: &Path) -> PathBuf {
    let stem = ledger.file_stem().unwrap_or_default().to_string_lossy();
    directory.join(format!(".{stem}.cfg"))
}

/// Adds to `into` the paths recorded in the ledger at `path` and in those below it, except in
/// `own`. A ledger that cannot be read protects nothing: the run that needs it says why.
pub(crate) fn recorded(path: &Path, own: &Path, into: &mut Vec<PathBuf>) {
    let Ok(ledger) = Ledger::read(path) else {
        return;
    };
    if path != own {
        into.extend(ledger.parts.values().flat_map(|entry| entry.paths.clone()));
    }
    recorded_below(path, &ledger, own, into);
}

/// As [`recorded`], for the ledgers below the one at `path`, which holds `ledger`.
pub(crate) fn recorded_below(path: &Path, ledger: &Ledger, own: &Path, into: &mut Vec<PathBuf>) {
    if !has_nested(path) {
        return;
    }
    for part in ledger.parts.keys() {
        recorded(&ledger_path(path, part), own, into);
    }
}

/// Whether there is any ledger of a nested buildout beside the one at `path`: most have none, and
/// have many parts.
fn has_nested(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let Some(Ok(entries)) = path.parent().map(std::fs::read_dir) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix(&stem).is_some_and(|rest| rest.starts_with(['-', ':']))
    })
}

/// Removes all that the buildout run by `part` installed, and its ledger, if there is one.
pub(crate) fn remove(run: &RunState<'_>, part: &str) -> Result<(), Box<PartFailure>> {
    let failed = |error: PartError| {
        let log = PartContext::new(run, part, false).log_path().to_owned();
        let at = "the record of what is installed".to_owned();
        Box::new(error.into_failure(part, Vec::new(), log, at))
    };
    let path = ledger_path(run.ledger.path(), part);
    let ledger = Ledger::read(&path).map_err(|error| failed(PartError::new(error.to_string())))?;
    if ledger.fresh {
        return Ok(());
    }
    let parts: Vec<String> = ledger.parts.keys().rev().cloned().collect();
    let inner = RunState {
        directory: run.directory,
        log_directory: run.log_directory.clone(),
        offline: run.offline,
        cancellation: run.cancellation,
        observer: run.observer,
        secrets: run.secrets.clone(),
        holds: Arc::clone(&run.holds),
        recipes: run.recipes,
        jobserver: None,
        ledger: LedgerWriter::new(path.clone(), ledger).below(run.ledger.root()),
        live: Live::default(),
        id: run.id.clone(),
    };
    aside::repair(&inner)?;
    for part in parts {
        let step = Step {
            part,
            action: Action::Remove,
            reasons: vec![Reason::NoLongerWanted],
            after: Vec::new(),
        };
        uninstall(&inner, &step)?;
        let saved = inner.ledger.save();
        saved.map_err(|error| failed(PartError::new(error.to_string())))?;
    }
    let installed = installed_path(run.directory, &path);
    installed_cfg::remove(&installed)
        .map_err(|error| failed(PartError::io("remove", &installed, &error)))?;
    fs::remove_tree(&path).map_err(|error| failed(PartError::io("remove", &path, &error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nested_buildout_has_a_ledger_of_its_own() {
        let name = |outer: &str, part: &str| {
            let path = ledger_path(Path::new(outer), part);
            path.display().to_string()
        };
        assert_eq!(name("/d/installed.json", "a-b"), "/d/installed-a-b.json");
        assert_eq!(name("/d/installed-a.json", "b"), "/d/installed-a:b.json");
        assert_eq!(name("/d/installed.json", "../x"), "/d/installed-..::x.json");
    }

    #[test]
    fn buildouts_do_not_run_inside_each_other_for_ever() {
        let mut within = None;
        for _ in 0..MAX_DEPTH {
            within = Within::deeper(within.as_ref(), Path::new("/d/installed.json"));
            assert!(within.is_some());
        }
        assert!(Within::deeper(within.as_ref(), Path::new("/d/x.json")).is_none());
    }
}
