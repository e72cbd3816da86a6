//! References that lead nowhere.

use std::collections::BTreeSet;

use super::super::graph::{Use, uses};
use super::broken::members;
use super::{Found, Level, Report, Rule};
use crate::error::ErrorKind;
use crate::suggest::did_you_mean;

/// Sections that a node adds, or adds options to.
const PROVIDED: [&str; 6] = [
    "slap-connection",
    "slap_connection",
    "slap-network-information",
    "network-information",
    "storage-configuration",
    "networkcache",
];

/// Options of `[buildout]` that need not be written.
const BUILDOUT: [&str; 9] = [
    "directory",
    "executable",
    "extends-cache",
    "download-cache",
    "shared-part-list",
    "rootdir",
    "verbosity",
    "versions",
    "_buildout_section_name_",
];

pub(super) fn check(report: &mut Report<'_, '_>) {
    let values = report.values;
    parts(report);
    macros(report);
    for name in values.sections().keys() {
        for used in uses(values, name) {
            let found = problem(report, &used);
            if let Some((message, help)) = found {
                let level = match report.reached.contains(*name) || *name == "buildout" {
                    true => Level::Error,
                    false => Level::Warning,
                };
                let value = values.sections()[name].options.get(used.from_option);
                let span = value.map(|value| value.origin(used.offset).0);
                let (section, option) = (used.from, used.from_option);
                report.add(
                    Rule::DeadReference,
                    level,
                    span,
                    Found { section, option, message, help },
                );
            }
        }
    }
}

fn problem(report: &mut Report<'_, '_>, used: &Use<'_>) -> Option<(String, Option<String>)> {
    let values = report.values;
    if PROVIDED.contains(&used.section) {
        return None;
    }
    let Some(target) = values.sections().get(used.section) else {
        if values.errors().contains_key(used.section) {
            return None;
        }
        let near = match report.may_propose() {
            true => did_you_mean(used.section, values.sections().keys().copied()),
            false => None,
        };
        return Some((format!("there is no section [{}]", used.section), near));
    };
    let option = used.option?;
    let exists = target.options.contains_key(option) || option == "_buildout_section_name_";
    let given = values.has_recipe(used.section) && option != "recipe"
        || used.section == "buildout" && BUILDOUT.contains(&option);
    if exists || given {
        return None;
    }
    // A section that waits for heirs to complete it is no mistake, nor is one that nobody uses.
    let own = used.section == used.from;
    if !report.reached.contains(used.from) && (own || report.is_macro(used.from)) {
        return None;
    }
    let near = match report.may_propose() {
        true => did_you_mean(option, target.options.keys().map(String::as_str)),
        false => None,
    };
    let why = match values.has_recipe(used.section) {
        true => "",
        false if used.section == "buildout" => "",
        false => " and no recipe that could set it",
    };
    Some((format!("section [{}] has no option `{option}`{why}", used.section), near))
}

/// Parts that are not defined.
fn parts(report: &mut Report<'_, '_>) {
    let values = report.values;
    let written = values.sections().get("buildout").and_then(|b| b.options.get("parts"));
    let Some(written) = written else { return };
    for part in values.text("buildout", "parts").split_whitespace() {
        if part.contains("${") || values.profile().sections().contains_key(part) {
            continue;
        }
        let word = written.value.split_whitespace().find(|word| *word == part);
        let offset = word.map_or(0, |w| w.as_ptr() as usize - written.value.as_ptr() as usize);
        let message = format!("the part `{part}` has no section");
        let help = match report.may_propose() {
            true => did_you_mean(part, values.sections().keys().copied()),
            false => None,
        };
        let found = Found { section: "buildout", option: "parts", message, help };
        report.add(Rule::DeadReference, Level::Error, Some(written.origin(offset).0), found);
    }
}

/// Macros that are not defined, or lead back to themselves.
fn macros(report: &mut Report<'_, '_>) {
    let values = report.values;
    let mut cycles = BTreeSet::new();
    for (name, error) in values.errors() {
        let is_cycle = error.kind() == ErrorKind::CircularMacro;
        if is_cycle && !cycles.insert(members(error)) {
            continue;
        }
        let section = values.profile().sections().get(*name);
        let written = section.and_then(|section| section.options.get("<"));
        let span = match error.kind() {
            // The heirs of a section with such a macro fail with the same error.
            ErrorKind::UnknownSection => error.span().or(written.map(|w| w.span)),
            _ => written.map(|w| w.span),
        };
        let level = match report.reached.contains(*name) {
            true => Level::Error,
            false => Level::Warning,
        };
        let rule = if is_cycle { Rule::Cycle } else { Rule::DeadReference };
        let message = error.message().to_owned();
        let help = error.help().map(str::to_owned);
        let found = Found { section: name, option: "<", message, help };
        report.add(rule, level, span, found);
    }
}
