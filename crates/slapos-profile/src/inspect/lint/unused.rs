//! Options that nothing reads: in a section without a recipe, that no option names, and that are
//! referred to neither there nor in the sections built on it.

use std::collections::HashSet;

use super::super::graph::uses;
use super::{Found, Level, Report, Rule};
use crate::reference::{Piece, split};

/// Options that the language or a tool reads.
const MEANT: [&str; 4] = ["<", "_profile_base_location_", "<part-dependencies>", "filename"];

pub(super) fn check(report: &mut Report<'_, '_>) {
    let values = report.values;
    let named = named(report);
    let read: HashSet<(&str, &str)> = values
        .sections()
        .keys()
        .flat_map(|name| uses(values, name))
        .filter_map(|used| Some((used.section, used.option?)))
        .collect();
    for (name, section) in values.profile().sections() {
        let users = users(report, name);
        let opaque = |user: &&str| {
            values.has_recipe(user) || named.contains(*user) || values.errors().contains_key(*user)
        };
        if name == "buildout" || users.iter().any(opaque) {
            continue;
        }
        for (option, value) in &section.options {
            let is_read = users.iter().any(|user| read.contains(&(*user, option.as_str())));
            if is_read || MEANT.contains(&option.as_str()) || option.starts_with('_') {
                continue;
            }
            let message = format!("nothing reads `{option}` of [{name}]");
            let found = Found { section: name, option, message, help: None };
            report.add(Rule::UnusedOption, Level::Warning, Some(value.span), found);
        }
    }
}

/// A section and those built on it, directly or not.
fn users<'r>(report: &Report<'r, 'r>, name: &'r str) -> Vec<&'r str> {
    let mut all = vec![name];
    let mut seen = HashSet::from([name]);
    let mut next = 0;
    while let Some(current) = all.get(next).copied() {
        next += 1;
        for heir in report.heirs.get(current).into_iter().flatten() {
            if seen.insert(*heir) {
                all.push(heir);
            }
        }
    }
    all
}

/// Words of options: a recipe that is told the name of a section reads it.
fn named(report: &Report<'_, '_>) -> HashSet<String> {
    let values = report.values;
    let mut words: HashSet<String> = HashSet::new();
    // What the language itself reads.
    let versions = values.text("buildout", "versions");
    words.insert(if versions.is_empty() { "versions".to_owned() } else { versions });
    for section in values.sections().values() {
        for (_, value) in section.options.iter().filter(|(option, _)| *option != "<") {
            for piece in split(&value.value) {
                if let Piece::Literal(text) = piece {
                    let parts = text.split(|c: char| c.is_whitespace() || ":,;'\"()[]".contains(c));
                    let sections =
                        parts.filter(|word| values.profile().sections().contains_key(*word));
                    words.extend(sections.map(str::to_owned));
                }
            }
        }
    }
    words
}
