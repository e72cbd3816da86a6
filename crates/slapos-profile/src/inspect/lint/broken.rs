//! References that cannot be followed: options that refer to each other, and what is no reference.

use std::collections::BTreeSet;

use super::{Found, Level, Report, Rule};
use crate::error::{ErrorKind, ProfileError};
use crate::reference::{Piece, needs_substitution, split};

pub(super) fn check(report: &mut Report<'_, '_>) {
    let values = report.values;
    let mut cycles = BTreeSet::new();
    for (name, section) in values.sections() {
        let level = match report.reached.contains(*name) || *name == "buildout" {
            true => Level::Error,
            false => Level::Warning,
        };
        for (option, value) in &section.options {
            if !needs_substitution(&value.value) {
                continue;
            }
            for piece in split(&value.value) {
                let Piece::Bad { whole, problem } = piece else { continue };
                let message = format!("the reference {} {problem}", &value.value[whole.clone()]);
                let help = Some("write ${section:option} or ${:option}".to_owned());
                let found = Found { section: name, option, message, help };
                report.add(Rule::BadReference, level, Some(value.origin(whole.start).0), found);
            }
            let Err(error) = values.get(name, option) else { continue };
            // One cycle is seen from each of its options.
            if error.kind() == ErrorKind::CircularReference && cycles.insert(members(&error)) {
                let (message, help) = (error.message().to_owned(), error.help().map(str::to_owned));
                let span = error.span().unwrap_or(value.span);
                let found = Found { section: name, option, message, help };
                report.add(Rule::Cycle, level, Some(span), found);
            }
        }
    }
}

/// The options, or sections, of a cycle, wherever one begins to tell it.
pub(super) fn members(error: &ProfileError) -> BTreeSet<String> {
    let (_, chain) = error.message().split_once(": ").unwrap_or_default();
    chain.replace(" <= ", " -> ").split(" -> ").map(str::to_owned).collect()
}
