//! The plan: what will be done with each part and why. A pure function of the parts as the
//! profile wants them and of the ledger.

mod reason;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::aside::{Attempt, Move, exists};
use crate::build::Settings;
use crate::event::Action;
use crate::initialise::Prepared;
use crate::installed_cfg::BY_BUILDOUT;
use crate::ledger::{Entry, EntryState, Ledger};
use crate::shared::SharedPart;

pub use reason::Reason;
use reason::unless_secret;

/// One part and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the part.
    pub part: String,
    /// What is done.
    pub action: Action,
    /// Why; empty for [`Action::Keep`], at least one otherwise.
    pub reasons: Vec<Reason>,
    /// Parts that must be done before.
    pub after: Vec<String>,
}

impl Step {
    /// All reasons in one line.
    pub fn why(&self) -> String {
        self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// What a run will do; immutable. Printed, it is one line per step that does something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which Buildout would work: dependencies first; removals last.
    pub steps: Vec<Step>,
    /// Oddities of the ledger and of the profile that a person should know.
    pub warnings: Vec<String>,
    /// What recipes said while they were asked: parts and lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<(String, String)>,
    /// What is done after the parts, a line each, because an extension of the profile asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finish: Vec<String>,
}

impl Plan {
    /// True when there is nothing to do.
    pub fn is_noop(&self) -> bool {
        self.finish.is_empty() && self.steps.iter().all(|step| step.action == Action::Keep)
    }

    /// How many steps have `action`.
    pub fn count(&self, action: Action) -> usize {
        self.steps.iter().filter(|step| step.action == action).count()
    }

    /// Names of the parts that are removed, and of all others.
    pub(crate) fn names(&self) -> (Vec<&str>, Vec<&str>) {
        let is_removed = |step: &&Step| step.action == Action::Remove;
        let (removed, others): (Vec<&Step>, Vec<&Step>) = self.steps.iter().partition(is_removed);
        (names(removed), names(others))
    }

    /// Compares what is wanted with what is installed. Where only some parts are asked for, those
    /// that are not wanted stay.
    pub(crate) fn make(wanted: &[Prepared], ledger: &Ledger, settings: &Settings) -> Self {
        let directory = &settings.directory;
        let moved = ledger.moves();
        let repaired = ledger.repaired();
        let found = Found { ledger: &repaired, moved: &moved, settings };
        let mut steps: Vec<Step> = wanted.iter().map(|part| step(part, &found)).collect();
        follow_the_outer(&mut steps, &repaired);
        follow_others(&mut steps, wanted);
        if settings.install.is_none() {
            let unwanted = ledger
                .parts
                .keys()
                .rev()
                .filter(|name| !wanted.iter().any(|part| part.name == **name));
            steps.extend(unwanted.map(|name| Step {
                part: name.clone(),
                action: Action::Remove,
                reasons: vec![Reason::NoLongerWanted],
                after: Vec::new(),
            }));
        }
        let warnings = ledger.corrupt.iter().map(|error| {
            format!(
                "the record of what is installed in {} is damaged ({error}): \
                 every part is installed again",
                directory.display()
            )
        });
        let mut warnings: Vec<String> = warnings.collect();
        warnings.extend(ledger.disturbed().filter_map(|(name, entry)| disturbed(name, entry)));
        Self { steps, warnings, said: Vec::new(), finish: Vec::new() }
    }
}

fn names(steps: Vec<&Step>) -> Vec<&str> {
    steps.into_iter().map(|step| step.part.as_str()).collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for (part, text) in &self.said {
            writeln!(f, "{part}: {text}")?;
        }
        let moving = self.steps.iter().filter(|step| step.action != Action::Keep);
        for step in moving {
            writeln!(f, "{:<7} {}: {}", step.action, step.part, step.why())?;
        }
        self.finish.iter().try_for_each(|text| writeln!(f, "{:<7} {text}", "finish"))?;
        match (self.is_noop(), self.count(Action::Keep)) {
            (true, _) => writeln!(f, "nothing to do"),
            (false, 0) => Ok(()),
            (false, 1) => writeln!(f, "1 part is kept"),
            (false, kept) => writeln!(f, "{kept} parts are kept"),
        }
    }
}

/// What is there: the ledger as the next run's repair will leave it, and what is aside until then.
struct Found<'f> {
    ledger: &'f Ledger,
    moved: &'f [Move],
    settings: &'f Settings,
}

/// What to say of a part that the last run left aside.
fn disturbed(part: &str, entry: &Entry) -> Option<String> {
    (entry.state != EntryState::Installed).then(|| {
        format!("the last run ended while it made `{part}` again: what was there is put back first")
    })
}

fn step(part: &Prepared, found: &Found<'_>) -> Step {
    let mut reasons = install_reasons(part, found);
    let mut action = if reasons.is_empty() { Action::Keep } else { Action::Install };
    if action == Action::Keep {
        reasons.extend(setback(part, found.ledger, Attempt::Update));
        let asked = part.part.as_ref().and_then(|part| part.needs_update());
        reasons.extend(asked.map(|why| Reason::Asked { why }));
        action = if reasons.is_empty() { Action::Keep } else { Action::Update };
    }
    let after = part.after.iter().cloned().collect();
    Step { part: part.name.clone(), action, reasons, after }
}

/// Has parts made again whose paths lie inside those of a part that is made again, because these
/// are removed first.
fn follow_the_outer(steps: &mut [Step], ledger: &Ledger) {
    let paths = |step: &Step| ledger.parts.get(&step.part).map(|entry| &entry.paths);
    let outer: Vec<(String, PathBuf)> = steps
        .iter()
        .filter(|step| step.action == Action::Install)
        .filter_map(|step| Some((step, paths(step)?)))
        .flat_map(|(step, paths)| paths.iter().map(|path| (step.part.clone(), path.clone())))
        .collect();
    let order: Vec<String> = steps.iter().map(|step| step.part.clone()).collect();
    let mut later = Vec::new();
    for (index, step) in steps.iter_mut().enumerate() {
        let is_inside = |around: &Path| {
            paths(step).is_some_and(|own| own.iter().any(|path| path.starts_with(around)))
        };
        let around = outer.iter().find(|(part, path)| *part != step.part && is_inside(path));
        let Some((part, _)) = around else {
            continue;
        };
        if step.action != Action::Install {
            step.action = Action::Install;
            step.reasons = vec![Reason::InsideOf { part: part.clone() }];
        }
        match order[..index].contains(part) {
            true => wait_for(step, part),
            false => later.push((part.clone(), step.part.clone())),
        }
    }
    // The same the other way round: what is made inside must not move while it is made.
    for (outer, inner) in later {
        steps.iter_mut().filter(|step| step.part == outer).for_each(|step| wait_for(step, &inner));
    }
}

fn wait_for(step: &mut Step, part: &str) {
    if !step.after.iter().any(|name| name == part) {
        step.after.push(part.to_owned());
    }
}

/// Has parts that ask for it updated when something happens before them.
fn follow_others(steps: &mut [Step], wanted: &[Prepared]) {
    let mut moving = None;
    for (step, prepared) in steps.iter_mut().zip(wanted) {
        let follows = prepared.part.as_ref().is_some_and(|part| part.follows_others());
        if let Some(other) = moving.as_ref().filter(|_| follows && step.action == Action::Keep) {
            step.action = Action::Update;
            let why = format!("may use {other}, which is worked on before");
            step.reasons.push(Reason::Asked { why });
        }
        if step.action != Action::Keep {
            moving.get_or_insert_with(|| step.part.clone());
        }
    }
}

/// What came of the last attempt of this kind to make the part what it is to be now.
fn setback(part: &Prepared, ledger: &Ledger, attempt: Attempt) -> Option<Reason> {
    let setback = ledger.parts.get(&part.name)?.setback.as_ref()?;
    let is_this = setback.of == attempt && setback.identity == part.identity;
    is_this.then_some(if setback.interrupted { Reason::Interrupted } else { Reason::Failed })
}

fn install_reasons(part: &Prepared, found: &Found<'_>) -> Vec<Reason> {
    let Found { ledger, settings, .. } = *found;
    let Some(entry) = ledger.parts.get(&part.name) else {
        let is_built = part.shared.as_ref().is_some_and(SharedPart::is_built);
        return vec![match ledger.fresh {
            _ if is_built => Reason::SharedElsewhere,
            true => Reason::NeverInstalled,
            false => Reason::New,
        }];
    };
    match entry.state {
        EntryState::Installing => return vec![Reason::Interrupted],
        EntryState::Failed => return vec![Reason::Failed],
        EntryState::Installed => {}
    }
    let mut reasons: Vec<Reason> = setback(part, ledger, Attempt::Install).into_iter().collect();
    reasons.extend(differences(part, entry, settings.hide_values));
    if reasons.is_empty() && part.identity != entry.identity {
        reasons.push(Reason::RecipeRenewed);
    }
    reasons.extend(missing(part, entry, found));
    drop_consequences(&mut reasons, part);
    reasons
}

/// Takes out what follows from the rest: options that the recipe itself sets (its location, say), and
/// that a shared part with another hash is not built.
fn drop_consequences(reasons: &mut Vec<Reason>, part: &Prepared) {
    let location = part.shared.as_ref().map(|shared| &shared.location);
    let follows = |reason: &Reason| match reason {
        Reason::OptionChanged { at, .. } => at.is_none(),
        Reason::PathMissing { path } => location == Some(path),
        _ => false,
    };
    if !reasons.iter().all(follows) {
        reasons.retain(|reason| !follows(reason));
    }
}

/// What the hash of a part covers and is different now, most telling first.
fn differences(part: &Prepared, entry: &Entry, hide_values: bool) -> Vec<Reason> {
    let (old, new) = (&entry.fingerprint, &part.fingerprint);
    if part.identity == entry.identity {
        return Vec::new();
    }
    if entry.identity == BY_BUILDOUT {
        return vec![Reason::ByBuildout];
    }
    let mut reasons = Vec::new();
    if old.recipe != new.recipe {
        reasons.push(Reason::RecipeChanged { old: old.recipe.clone(), new: new.recipe.clone() });
    } else if old.recipe_version != new.recipe_version {
        reasons.push(Reason::RecipeRenewed);
    }
    let changed = new
        .references
        .iter()
        .filter(|(name, id)| old.references.get(*name).is_some_and(|before| before != *id));
    reasons.extend(changed.map(|(name, _)| Reason::ReferenceChanged { section: name.clone() }));
    reasons.extend(changed_inputs(part, entry));
    reasons.extend(changed_options(part, entry, hide_values));
    reasons
}

fn changed_inputs(part: &Prepared, entry: &Entry) -> Vec<Reason> {
    let old = &entry.fingerprint.inputs;
    let inputs = part.fingerprint.inputs.iter();
    let changed = inputs.filter(|(name, digest)| old.get(*name).is_some_and(|d| d != *digest));
    changed.map(|(name, _)| Reason::InputChanged { input: name.clone() }).collect()
}

fn changed_options(part: &Prepared, entry: &Entry, hide: bool) -> Vec<Reason> {
    let (old, new) = (&entry.fingerprint.options, &part.fingerprint.options);
    let relevant = |name: &&String| {
        !name.starts_with('_') && *name != "recipe" && old.get(*name) != new.get(*name)
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    new.keys()
        .chain(gone)
        .filter(relevant)
        .map(|name| Reason::OptionChanged {
            option: name.clone(),
            old: old.get(name).map(|value| unless_secret(name, value, hide)),
            new: new.get(name).map(|value| unless_secret(name, value, hide)),
            at: part.option_lines.get(name).cloned(),
        })
        .collect()
}

fn missing(part: &Prepared, entry: &Entry, found: &Found<'_>) -> Option<Reason> {
    if let Some(shared) = part.shared.as_ref().filter(|shared| !shared.is_built()) {
        return Some(Reason::PathMissing { path: shared.location.clone() });
    }
    let gone = |path: &&PathBuf| {
        let path = found.settings.directory.join(path);
        let aside = |step: &Move| step.new_place(&path).is_some_and(|place| exists(&place));
        !exists(&path) && !found.moved.iter().any(aside)
    };
    entry.paths.iter().find(gone).map(|path| Reason::PathMissing { path: path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_prints_what_moves_and_counts_what_stays() {
        let step = |part: &str, action, reasons| Step {
            part: part.into(),
            action,
            reasons,
            after: Vec::new(),
        };
        let plan = Plan {
            steps: vec![
                step("zlib", Action::Keep, vec![]),
                step(
                    "nginx",
                    Action::Install,
                    vec![Reason::ReferenceChanged { section: "zlib".into() }],
                ),
                step("old", Action::Remove, vec![Reason::NoLongerWanted]),
            ],
            warnings: vec![],
            said: vec![],
            finish: vec![],
        };
        insta::assert_snapshot!(plan, @r"
        install nginx: refers to zlib, which changed
        remove  old: no longer wanted
        1 part is kept
        ");
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
