//! Doing one step: what is recorded before, what is cleaned, and what is recorded after.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use slapos_sys::fs;

use crate::context::{PartContext, RunState};
use crate::error::{PartError, PartFailure};
use crate::event::{Action, Event};
use crate::initialise::Prepared;
use crate::ledger::{Entry, EntryState};
use crate::nested;
use crate::plan::Step;
use crate::recipe::Part;
use crate::stragglers::Place;

/// Installs or updates one part, with its events; the ledger says so afterwards, whatever happens.
pub(crate) fn run_step(
    run: &RunState<'_>,
    step: &Step,
    mut prepared: Prepared,
) -> Result<(), Box<PartFailure>> {
    let started = Instant::now();
    started_event(run, step);
    let Some(part) = prepared.part.take() else {
        return Ok(());
    };
    let cx = PartContext::new(run, &prepared.name, !part.is_trivial());
    let cx = match &prepared.shared {
        Some(shared) => cx.in_shared(&shared.location),
        None => cx,
    };
    let result = match step.action {
        Action::Install => install(run, &cx, &prepared, &*part),
        Action::Update => part.update(&cx),
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
    // A part that was told to stop stays `installing`: it was interrupted, it did not fail.
    if action == Action::Install && !error.is_cancelled() {
        run.ledger.fail(&prepared.name);
    }
    let mut tail = cx.tail();
    if let Err(unrecorded) = run.ledger.save() {
        tail.push(unrecorded.to_string());
    }
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
        run.ledger.begin(&prepared.name, &prepared.fingerprint, claims);
        run.ledger.save().map_err(|error| PartError::new(error.to_string()))?;
        for path in run.ledger.replaceable_paths(&prepared.name) {
            remove(run, &path)?;
        }
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
    complete(run, prepared, paths, trivial)
}

/// Ends what a run that did not come to the end of the part has left running for it.
fn end_stragglers(run: &RunState<'_>, cx: &PartContext<'_>) -> Result<(), PartError> {
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
    let removed = end_stragglers(run, &cx).and_then(|()| match is_kept(run, &step.part) {
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

/// Removes a recorded path. Whatever the ledger says, never what holds the buildout itself.
fn remove(run: &RunState<'_>, path: &Path) -> Result<(), PartError> {
    let absolute = run.directory.join(path);
    let climbs = absolute.components().any(|c| c == std::path::Component::ParentDir);
    if climbs || run.directory.starts_with(&absolute) {
        return Err(PartError::new(format!(
            "refusing to remove {}: it holds the directory of the build itself",
            path.display()
        )));
    }
    fs::remove_tree(&absolute).map_err(|error| PartError::io("remove", &absolute, &error))
}
