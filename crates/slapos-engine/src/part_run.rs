//! Doing one step: what is recorded before, what is cleaned, and what is recorded after.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use slapos_sys::fs;

use crate::aside::{self, fault};
use crate::context::{PartContext, RunState};
use crate::error::{PartError, PartFailure};
use crate::event::{Action, Event};
use crate::initialise::Prepared;
use crate::ledger::{Entry, EntryState};
use crate::live::Snapshot;
use crate::nested;
use crate::plan::Step;
use crate::recipe::Part;
use crate::stragglers::Place;

/// Installs or updates one part, with its events; the ledger says so afterwards, whatever happens.
pub(crate) fn run_step(
    run: &RunState<'_>,
    step: &Step,
    mut prepared: Prepared,
    seen: Snapshot,
) -> Result<(), Box<PartFailure>> {
    let started = Instant::now();
    started_event(run, step);
    let Some(part) = prepared.part.take() else {
        return Ok(());
    };
    let cx = PartContext::new(run, &prepared.name, !part.is_trivial()).seeing(seen);
    let cx = match &prepared.shared {
        Some(shared) => cx.in_shared(&shared.location),
        None => cx,
    };
    let result = match step.action {
        Action::Install => install(run, &cx, &prepared, &*part),
        Action::Update => update(run, &cx, &prepared, &*part),
        Action::Keep | Action::Remove => Ok(()),
    };
    let failed = match result {
        Ok(()) => {
            let seconds = started.elapsed().as_secs_f64();
            run.observer.event(&Event::PartFinished { part: prepared.name, seconds });
            return Ok(());
        }
        Err(error) => error,
    };
    let failure = report_failure(run, &cx, &prepared, step.action, failed);
    Err(Box::new(failure))
}

pub(crate) fn started_event(run: &RunState<'_>, step: &Step) {
    run.observer.event(&Event::PartStarted {
        part: step.part.clone(),
        action: step.action,
        reason: step.why(),
    });
}

fn report_failure(
    run: &RunState<'_>,
    cx: &PartContext<'_>,
    prepared: &Prepared,
    action: Action,
    error: PartError,
) -> PartFailure {
    // What was logged until it failed.
    let mut tail = error.said().map_or_else(|| cx.tail(), <[String]>::to_vec);
    let undone = match action {
        Action::Install => undo(run, cx, &error),
        Action::Update | Action::Keep | Action::Remove => Ok(()),
    };
    let saved = run.ledger.save().map_err(|error| PartError::new(error.to_string()));
    tail.extend(undone.and(saved).err().map(|error| error.to_string()));
    let log = cx.log_path().to_owned();
    let failure =
        error.into_failure(&prepared.name, tail, log, prepared.at.clone()).redacted(&run.secrets);
    run.observer.event(&Event::PartFailed {
        part: failure.part.clone(),
        message: failure.message.clone(),
        command: failure.command.clone(),
        tail: failure.tail.clone(),
        log: failure.log.clone(),
        at: failure.at.clone(),
        help: failure.help.clone(),
    });
    failure
}

/// Puts back what the part was, if it was whole; says in the ledger that it failed.
fn undo(run: &RunState<'_>, cx: &PartContext<'_>, error: &PartError) -> Result<(), PartError> {
    if run.ledger.entry(cx.part()).is_some_and(|entry| entry.aside.is_some()) {
        // It must not go on writing where the former part will be.
        end_stragglers(run, cx)?;
        if aside::put_back(run, cx.part(), error.is_cancelled())? {
            cx.progress("what was there before is in its place again");
            return Ok(());
        }
    }
    // A part that was told to stop stays `installing`: it was interrupted, it did not fail.
    if !error.is_cancelled() {
        run.ledger.fail(cx.part());
    }
    Ok(())
}

/// Updates a part; the ledger says if that failed, so that it is tried again.
fn update(
    run: &RunState<'_>,
    cx: &PartContext<'_>,
    prepared: &Prepared,
    part: &dyn Part,
) -> Result<(), PartError> {
    let result = part.update(cx);
    let interrupted = result.as_ref().err().map(PartError::is_cancelled);
    run.ledger.updated(&prepared.name, &prepared.identity, interrupted);
    result
}

fn install(
    run: &RunState<'_>,
    cx: &PartContext<'_>,
    prepared: &Prepared,
    part: &dyn Part,
) -> Result<(), PartError> {
    let trivial = part.is_trivial();
    if !trivial {
        // A shared part belongs to everybody: it is never recorded as something to remove.
        let claims = match prepared.shared {
            Some(_) => Vec::new(),
            None => part.claims(),
        };
        end_stragglers(run, cx)?;
        if run.ledger.is_whole(&prepared.name) {
            undo_by_recipe(run, cx)?;
        }
        aside::begin(run, prepared, claims)?;
    }
    let mut paths = BTreeSet::new();
    match &prepared.shared {
        Some(shared) => {
            let built = shared.build(cx, || part.install(cx).map(drop))?;
            if !built {
                cx.progress(&format!("already built at {}", shared.location.display()));
            }
        }
        None => paths.extend(part.install(cx)?),
    }
    if trivial {
        remove_left_over(run, &prepared.name, &paths)?;
    }
    fault::point("made");
    complete(run, prepared, paths, trivial)?;
    fault::point("recorded as whole");
    // The part is there, whatever becomes of the old one; the next run tries again.
    if let Err(error) = aside::discard(run, &prepared.name) {
        cx.warn(&format!("what it replaces is still there: {error}"));
    }
    Ok(())
}

/// Ends what a run that did not come to the end of the part has left running for it.
pub(crate) fn end_stragglers(run: &RunState<'_>, cx: &PartContext<'_>) -> Result<(), PartError> {
    if run.ledger.is_unfinished(cx.part()) {
        cx.end_stragglers(&Place::part(run.ledger.path(), cx.part()))?;
    }
    Ok(())
}

fn complete(
    run: &RunState<'_>,
    prepared: &Prepared,
    paths: BTreeSet<PathBuf>,
    trivial: bool,
) -> Result<(), PartError> {
    let entry = Entry {
        state: EntryState::Installed,
        identity: prepared.identity.clone(),
        fingerprint: prepared.fingerprint.clone(),
        paths,
        shared: prepared.shared.as_ref().map(|shared| shared.location.clone()),
        aside: run.ledger.entry(&prepared.name).and_then(|entry| entry.aside),
        setback: None,
    };
    run.ledger.complete(&prepared.name, entry);
    if trivial {
        // The end of the run saves; a kill before it makes the part be written once more.
        return Ok(());
    }
    run.ledger.save().map_err(|error| PartError::new(error.to_string()))
}

/// Removes what an earlier version of a trivial part made and this one does not.
fn remove_left_over(
    run: &RunState<'_>,
    part: &str,
    made: &BTreeSet<PathBuf>,
) -> Result<(), PartError> {
    let old = run.ledger.own_paths(part);
    let needed = |path: &PathBuf| made.iter().any(|new| new.starts_with(path));
    old.iter().filter(|path| !needed(path)).try_for_each(|path| remove(run, path))
}

/// Removes a part that is no longer wanted, and forgets it.
pub(crate) fn uninstall(run: &RunState<'_>, step: &Step) -> Result<(), Box<PartFailure>> {
    let started = Instant::now();
    started_event(run, step);
    nested::remove(run, &step.part)?;
    let cx = PartContext::new(run, &step.part, false);
    let ended = end_stragglers(run, &cx).and_then(|()| aside::discard(run, &step.part));
    let undone = ended.and_then(|()| undo_by_recipe(run, &cx));
    let removed = undone.and_then(|()| match is_kept(run, &step.part) {
        true => Ok(()),
        false => run.ledger.own_paths(&step.part).iter().try_for_each(|path| remove(run, path)),
    });
    if let Err(error) = removed {
        let log = cx.log_path().to_owned();
        let at = "the record of what is installed".to_owned();
        return Err(Box::new(error.into_failure(&step.part, Vec::new(), log, at)));
    }
    run.ledger.forget(&step.part);
    let log = cx.log_path().to_owned();
    // A log that stays is in nobody's way.
    let _ = fs::remove_tree(&log);
    let seconds = started.elapsed().as_secs_f64();
    run.observer.event(&Event::PartFinished { part: step.part.clone(), seconds });
    Ok(())
}

/// Has the recipe of an installed part undo what its paths do not tell; forgets what is to stay.
fn undo_by_recipe(run: &RunState<'_>, cx: &PartContext<'_>) -> Result<(), PartError> {
    let Some((name, options)) = run.ledger.made_by(cx.part()) else {
        return Ok(());
    };
    let Some(recipe) = run.recipes.find(&name) else {
        return Ok(());
    };
    let made = run.ledger.entry(cx.part()).map(|entry| entry.paths).unwrap_or_default();
    let made: Vec<PathBuf> = made.iter().map(|path| run.directory.join(path)).collect();
    let stay = recipe.uninstall(cx, &options, &made)?;
    if !stay.is_empty() {
        let shown: Vec<_> = stay.iter().map(|path| path.display().to_string()).collect();
        cx.warn(&format!("what it made stays, as its recipe says: {}", shown.join(", ")));
        run.ledger.release(cx.part(), |path| stay.contains(&run.directory.join(path)));
    }
    Ok(())
}

/// True, with a warning, when the recipe of `part` says that what it made must stay.
fn is_kept(run: &RunState<'_>, part: &str) -> bool {
    let why = run.ledger.made_by(part).and_then(|(recipe, options)| {
        let recipe = run.recipes.find(&recipe)?;
        recipe.keeps(&options)
    });
    if let Some(why) = &why {
        let text = format!("what it made stays: {why}");
        run.observer.event(&Event::Warning { part: Some(part.to_owned()), text });
    }
    why.is_some()
}

/// Removes a recorded path, if that may be.
fn remove(run: &RunState<'_>, path: &Path) -> Result<(), PartError> {
    is_removable(run, path)?;
    let absolute = run.directory.join(path);
    fs::remove_tree(&absolute).map_err(|error| PartError::io("remove", &absolute, &error))
}

/// Whatever the ledger says, what holds the buildout itself is never removed nor moved.
pub(crate) fn is_removable(run: &RunState<'_>, path: &Path) -> Result<(), PartError> {
    let absolute = run.directory.join(path);
    let climbs = absolute.components().any(|c| c == std::path::Component::ParentDir);
    if climbs {
        let message = format!("refusing to remove {}: what `..` leads to", path.display());
        let help = "a recipe must name what it makes without `..`";
        return Err(PartError::new(message + " cannot be told").with_help(help));
    }
    if aside::directory(run.directory).starts_with(&absolute) {
        return Err(PartError::new(format!(
            "refusing to remove {}: it holds the directory of the build itself",
            path.display()
        )));
    }
    Ok(())
}
