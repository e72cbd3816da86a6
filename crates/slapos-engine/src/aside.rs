//! Never losing what works: what a part made is moved aside while the part is made again.
//!
//! Invariant: what a part recorded when it was last whole exists completely at every moment, under
//! its own names or, as the ledger says, aside; it is removed only after the ledger says that its
//! replacement is whole. The steps, each of which may be the last one of a run that is killed:
//!
//! 1. the ledger says `installing`, holds the entry of the whole part and names each move;
//! 2. the paths move to `.slapos/aside/<part>` (beside them, if that is another file system);
//! 3. the part is made;
//! 4. the ledger says `installed`, and still names the moves: from here on they are refuse;
//! 5. what other parts had inside and the replacement does not have moves into it;
//! 6. the rest of what is aside is removed.
//!
//! When 3 fails, the new paths are removed, the old ones move back, and the ledger has the former
//! entry again with a [`Setback`]. The next run begins with [`repair`], which does the same for
//! what a killed run left between 1 and 3, and 5 and 6 for what it left after 4. All of them can
//! be repeated.
//!
//! Trivial parts are not moved: each of their files is replaced by one rename. Shared parts are
//! not either: another identity is another place.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use slapos_sys::fs;

use crate::context::{PartContext, RunState};
use crate::error::{PartError, PartFailure};
use crate::identity::hex;
use crate::initialise::Prepared;
use crate::ledger::{Entry, EntryState};
use crate::nested;
use crate::part_run::{end_stragglers, is_removable};

/// What came of the last attempt to change a part that is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setback {
    pub(crate) of: Attempt,
    /// True when it was stopped or killed and did not fail by itself.
    pub(crate) interrupted: bool,
    /// Identity that the part was to have: with another one it is another attempt.
    pub(crate) identity: String,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Attempt {
    Install,
    Update,
}

/// What a part was, and where that is, while it is made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aside {
    /// The entry of the whole part; none if the part was not installed, and what is aside was
    /// another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Box<Entry>>,
    /// Identity that the part is to have.
    pub(crate) wanted: String,
    #[serde(default)]
    pub(crate) moved: Vec<Move>,
    /// Paths that were to be moved and did not exist.
    #[serde(default)]
    pub(crate) absent: Vec<PathBuf>,
}

impl Aside {
    fn holds_something(&self) -> bool {
        self.previous.is_some() || !self.moved.is_empty()
    }
}

/// One move; both paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

impl Move {
    /// Where `path` is while this move holds, if it is or lies below what moved.
    pub(crate) fn new_place(&self, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix(&self.from).ok()?;
        // Joining an empty path would add a slash, which a file does not bear.
        Some(if inside.as_os_str().is_empty() { self.to.clone() } else { self.to.join(inside) })
    }
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Steps 1 and 2: records that the part is begun and able to make `claims`, and moves aside what
/// it recorded when it was whole. What an unfinished one left is removed instead.
pub(crate) fn begin(
    run: &RunState<'_>,
    prepared: &Prepared,
    claims: Vec<PathBuf>,
) -> Result<(), PartError> {
    let part = &prepared.name;
    let before = run.ledger.entry(part);
    run.ledger.begin(part, &prepared.fingerprint, claims);
    let free: Vec<PathBuf> =
        run.ledger.replaceable_paths(part).iter().map(|path| run.directory.join(path)).collect();
    free.iter().try_for_each(|path| is_removable(run, path))?;
    if before.as_ref().is_some_and(|entry| entry.state != EntryState::Installed) {
        run.ledger.is_rubble(part);
        save(run)?;
        return free.iter().try_for_each(|path| remove(path));
    }
    let (existing, absent) = outermost(free).into_iter().partition(|path| exists(path));
    let previous = before.map(|entry| Box::new(Entry { aside: None, ..entry }));
    let moved = moves(run, part, existing);
    let wanted = prepared.identity.clone();
    let aside = Aside { previous, wanted, moved, absent };
    let moved = aside.moved.clone();
    run.ledger.set_aside(part, aside.holds_something().then_some(aside));
    save(run)?;
    fault::point("begun");
    for step in &moved {
        relocate(&step.from, &step.to)?;
        fault::point("moved aside");
    }
    Ok(())
}

/// Steps 5 and 6, after the part was recorded as whole: what was aside goes.
pub(crate) fn discard(run: &RunState<'_>, part: &str) -> Result<(), PartError> {
    let Some(aside) = run.ledger.entry(part).and_then(|entry| entry.aside) else {
        return Ok(());
    };
    carry_over(run, part, &aside.moved)?;
    for step in &aside.moved {
        remove(&step.to)?;
        fault::point("removed what was aside");
    }
    tidy(run, part);
    run.ledger.set_aside(part, None);
    Ok(())
}

/// Moves what other parts recorded inside the old paths into the new ones, where they have a place
/// and nothing in it.
fn carry_over(run: &RunState<'_>, part: &str, moved: &[Move]) -> Result<(), PartError> {
    for path in run.ledger.paths_of_others(part) {
        let path = run.directory.join(path);
        let inside = |step: &&Move| step.from != path && path.starts_with(&step.from);
        let Some(old) = moved.iter().find(inside).and_then(|step| step.new_place(&path)) else {
            continue;
        };
        let has_place = path.parent().is_some_and(Path::is_dir);
        if exists(&old) && !exists(&path) && has_place {
            relocate(&old, &path)?;
            fault::point("carried over");
        }
    }
    Ok(())
}

/// Undoes what [`begin`] and the part did, after `part` failed or was interrupted. Returns whether
/// the part is now what it was before; if not, it is recorded as unfinished.
pub(crate) fn put_back(
    run: &RunState<'_>,
    part: &str,
    interrupted: bool,
) -> Result<bool, PartError> {
    let Some(entry) = run.ledger.entry(part) else {
        return Ok(false);
    };
    let Some(aside) = entry.aside else {
        return Ok(false);
    };
    if let Some(previous) = &aside.previous {
        for path in made_since(run, part, previous, &aside) {
            remove(&path)?;
            fault::point("removed what is new");
        }
    }
    for step in aside.moved.iter().filter(|step| exists(&step.to)) {
        remove(&step.from)?;
        fault::point("removed what is half made");
        relocate(&step.to, &step.from)?;
        fault::point("moved back");
    }
    tidy(run, part);
    let restored = aside.previous.is_some();
    run.ledger.restore(part, &aside, interrupted);
    save(run)?;
    fault::point("recorded as it was");
    Ok(restored)
}

/// What an attempt made under names that the whole part did not have.
fn made_since(run: &RunState<'_>, part: &str, previous: &Entry, aside: &Aside) -> Vec<PathBuf> {
    let mut made = run.ledger.own_paths(part);
    made.retain(|path| !previous.paths.contains(path));
    let made = made.iter().map(|path| run.directory.join(path)).chain(aside.absent.clone());
    let elsewhere = |path: &PathBuf| !aside.moved.iter().any(|step| path.starts_with(&step.from));
    made.filter(elsewhere).filter(|path| is_removable(run, path).is_ok()).collect()
}

/// Brings in order what a killed run left: see the module. Nothing is done where nothing is aside.
///
/// # Errors
/// The part that could not be put in order, and why; the next run tries again.
pub(crate) fn repair(run: &RunState<'_>) -> Result<(), Box<PartFailure>> {
    for part in run.ledger.disturbed() {
        let cx = PartContext::new(run, &part, false);
        let mended = match run.ledger.is_unfinished(&part) {
            false => discard(run, &part),
            true => end_stragglers(run, &cx).and_then(|()| {
                cx.progress("what was there before the run that did not end is put back");
                put_back(run, &part, true).map(drop)
            }),
        };
        mended.map_err(|error| {
            let log = cx.log_path().to_owned();
            let at = "the record of what is installed".to_owned();
            Box::new(error.into_failure(&part, Vec::new(), log, at))
        })?;
    }
    Ok(())
}

/// Paths of which none lies below another one.
fn outermost(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let all: BTreeSet<PathBuf> = paths.into_iter().collect();
    let inside = |path: &&PathBuf| path.ancestors().skip(1).any(|above| all.contains(above));
    all.iter().filter(|path| !inside(path)).cloned().collect()
}

/// The place of each path while it is aside.
fn moves(run: &RunState<'_>, part: &str, paths: Vec<PathBuf>) -> Vec<Move> {
    let base = place(run, part);
    let device = |path: &Path| path.metadata().ok().map(|meta| meta.dev());
    let home = device(run.directory);
    let numbered = paths.into_iter().enumerate();
    let aside = numbered.map(|(number, from)| {
        let parent = from.parent().unwrap_or(Path::new("/"));
        let to = match device(parent) == home {
            true => base.join(number.to_string()),
            false => parent.join(format!(".slapos-aside-{}-{number}", mark(run, part))),
        };
        Move { from, to }
    });
    aside.collect()
}

/// Tells the parts of all ledgers apart where they share a directory.
fn mark(run: &RunState<'_>, part: &str) -> String {
    let name = format!("{}\0{part}", run.ledger.path().display());
    hex(&Sha256::digest(name.as_bytes())[..6])
}

/// `.slapos/aside/<part>`, with the names of the parts around it if the run is a nested one.
fn place(run: &RunState<'_>, part: &str) -> PathBuf {
    let ledger = nested::ledger_path(run.ledger.path(), part);
    let stem = ledger.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.strip_prefix("installed-").unwrap_or(&stem);
    directory(run.directory).join(name)
}

/// Where what is aside is.
pub(crate) fn directory(buildout: &Path) -> PathBuf {
    buildout.join(".slapos").join("aside")
}

/// Takes the empty directories away that moves have made.
fn tidy(run: &RunState<'_>, part: &str) {
    // What cannot be removed is in nobody's way.
    let _ = std::fs::remove_dir(place(run, part));
    let _ = std::fs::remove_dir(directory(run.directory));
}

fn relocate(from: &Path, to: &Path) -> Result<(), PartError> {
    let parent = to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent, 0o755).map_err(|error| PartError::io("create", parent, &error))?;
    fs::rename(from, to).map_err(|error| {
        let what = format!("move {} to", from.display());
        PartError::io(&what, to, &error)
    })
}

fn remove(path: &Path) -> Result<(), PartError> {
    fs::remove_tree(path).map_err(|error| PartError::io("remove", path, &error))
}

fn save(run: &RunState<'_>) -> Result<(), PartError> {
    run.ledger.save().map_err(|error| PartError::new(error.to_string()))
}

pub(crate) mod fault;
