//! Values that something else replaces: in the same file, by a file that extends it (a note, since
//! that is what extending is for), or by an unrelated one, where only the order of `extends` says
//! which one wins.

use std::collections::{HashMap, HashSet};

use super::{Found, Level, Report, Rule};
use crate::model::{Operator, OptionValue, Step};
use crate::source::FileId;

pub(super) fn check(report: &mut Report<'_, '_>) {
    let profile = report.values.profile();
    let heritage = Heritage::new(profile.extends());
    for (name, section) in profile.sections() {
        for (option, value) in &section.options {
            option_shadows(report, &heritage, (name, option), value);
        }
        for pending in &section.pending {
            option_shadows(report, &heritage, (name, &pending.name), &pending.value);
        }
    }
}

fn option_shadows(
    report: &mut Report<'_, '_>,
    heritage: &Heritage,
    (section, option): (&str, &str),
    value: &OptionValue,
) {
    let history = value.history();
    let winner = history.iter().find(|step| !step.replaced && !step.lost);
    for (index, step) in history.iter().enumerate() {
        if step.lost {
            let mut later = history[index + 1..].iter();
            if let Some(other) = later.find(|s| s.span.file == step.span.file && s.op == step.op) {
                add(report, (section, option), step, other, Level::Warning, "in the same file");
            }
        } else if let Some(winner) = winner.filter(|_| step.replaced) {
            judge(report, heritage, (section, option), step, winner);
        }
    }
}

fn judge(
    report: &mut Report<'_, '_>,
    heritage: &Heritage,
    at: (&str, &str),
    old: &Step,
    new: &Step,
) {
    let profile = report.values.profile();
    let is_file =
        |id: FileId| profile.files().get(id.0 as usize).is_some_and(|file| file.location.is_some());
    // Defaults and the command line are there to be replaced and to replace.
    if !is_file(old.span.file) || !is_file(new.span.file) {
        return;
    }
    if old.span.file == new.span.file {
        add(report, at, old, new, Level::Warning, "in the same file");
    } else if !heritage.extends(new.span.file, old.span.file) {
        let why = "by a file that does not extend this one: the order of `extends` decides";
        add(report, at, old, new, Level::Warning, why);
    } else {
        let why = match old.value == new.value && old.op == Operator::Set {
            true => "to the same value, by a file that extends this one",
            false => "by a file that extends this one",
        };
        add(report, at, old, new, Level::Note, why);
    }
}

fn add(
    report: &mut Report<'_, '_>,
    (section, option): (&str, &str),
    old: &Step,
    new: &Step,
    level: Level,
    why: &str,
) {
    let winner = report.values.profile().location(new.span);
    let message = format!("`{option}` of [{section}] is set again at {winner}, {why}");
    let found = Found { section, option, message, help: None };
    report.add(Rule::ShadowedValue, level, Some(old.span), found);
}

/// Which files each file extends, directly or not.
struct Heritage(HashMap<FileId, HashSet<FileId>>);

impl Heritage {
    fn new(extends: &[(FileId, FileId)]) -> Self {
        let mut direct: HashMap<FileId, Vec<FileId>> = HashMap::new();
        for (file, extended) in extends {
            direct.entry(*file).or_default().push(*extended);
        }
        let all = direct.keys().map(|file| {
            let mut reached = HashSet::new();
            let mut next = vec![*file];
            while let Some(file) = next.pop() {
                for extended in direct.get(&file).into_iter().flatten() {
                    if reached.insert(*extended) {
                        next.push(*extended);
                    }
                }
            }
            (*file, reached)
        });
        Self(all.collect())
    }

    fn extends(&self, file: FileId, other: FileId) -> bool {
        self.0.get(&file).is_some_and(|all| all.contains(&other))
    }
}
