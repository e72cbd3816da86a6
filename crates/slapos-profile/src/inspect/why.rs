//! How an option got its value: the lines that changed it, in order.

use serde::Serialize;

use super::values::Values;
use crate::error::{ErrorKind, ProfileError};
use crate::model::{OptionValue, Profile};
use crate::source::Span;
use crate::suggest::did_you_mean;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The value comes of it.
    Used,
    /// A later `=` replaced what it gave, or the section what its macro gave.
    Replaced,
    /// A later line of the same file, with the same name and operator, took its place.
    Lost,
}

/// One line that changed an option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `file:line`.
    pub at: String,
    /// The section it is written in: another one than that of the option if that is a macro.
    pub section: String,
    /// `=`, `+=` or `-=`.
    pub op: &'static str,
    /// What it assigns, adds or removes.
    pub value: String,
    /// What became of it.
    pub effect: Effect,
    /// How its file came to be read, nearest first: each is the `file:line` of an `extends`.
    pub extended_at: Vec<String>,
}

/// An option, its value and the changes that gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The section.
    pub section: String,
    /// The option.
    pub option: String,
    /// The value, macros applied, references not replaced.
    pub value: String,
    /// With references replaced, as far as that needs no recipe; `None` if they are wrong.
    pub resolved: Option<String>,
    /// The options, as `section:option`, that would have to be known to replace the others.
    pub unresolved: Vec<String>,
    /// All changes, oldest first.
    pub changes: Vec<Change>,
}

/// Why an option has its value.
///
/// # Errors
/// If there is no such section or option, or the macros of the section are wrong.
pub fn why(values: &Values<'_>, section: &str, option: &str) -> Result<Why, ProfileError> {
    let (name, found) = find(values, section)?;
    match found.options.get_full(option) {
        Some((_, option, value)) => Ok(explain(values, name, option, value)),
        None => {
            let message = format!("section [{section}] has no option `{option}`");
            let error = ProfileError::new(ErrorKind::UnknownOption, message)
                .at(&values.profile().sources, found.header, 0..0)
                .without_notes();
            let near = did_you_mean(option, found.options.keys().map(String::as_str));
            let recipe = values.has_recipe(section).then(|| "its recipe may set it".to_owned());
            Err(error.with_help(near.or(recipe)))
        }
    }
}

/// Why each option of a section, or of all, has its value.
///
/// # Errors
/// If there is no such section, or its macros are wrong.
pub fn annotate(
    values: &Values<'_>,
    section: Option<&str>,
) -> Result<Vec<(String, Vec<Why>)>, ProfileError> {
    let wanted = match section {
        Some(section) => vec![find(values, section)?],
        None => values.sections().iter().map(|(name, found)| (*name, &**found)).collect(),
    };
    let explained = wanted.into_iter().map(|(name, section)| {
        let options = section.options.iter();
        (name.to_owned(), options.map(|(option, v)| explain(values, name, option, v)).collect())
    });
    Ok(explained.collect())
}

fn find<'v>(
    values: &'v Values<'_>,
    section: &str,
) -> Result<(&'v str, &'v crate::Section), ProfileError> {
    if let Some((_, name, found)) = values.sections().get_full(section) {
        return Ok((name, found));
    }
    if let Some(error) = values.errors().get(section) {
        return Err(error.clone());
    }
    let message = format!("there is no section [{section}]");
    let near = did_you_mean(section, values.sections().keys().copied());
    Err(ProfileError::new(ErrorKind::UnknownSection, message).with_help(near))
}

fn explain(values: &Values<'_>, section: &str, option: &str, value: &OptionValue) -> Why {
    let resolved = values.get(section, option).ok().flatten();
    Why {
        section: section.to_owned(),
        option: option.to_owned(),
        value: value.value.clone(),
        resolved: resolved.as_ref().map(|value| value.text().into_owned()),
        unresolved: resolved.iter().flat_map(|v| v.open()).map(str::to_owned).collect(),
        changes: changes(values.profile(), section, value),
    }
}

fn changes(profile: &Profile, section: &str, value: &OptionValue) -> Vec<Change> {
    let steps = value.history();
    let change = |step: &crate::Step| Change {
        at: profile.location(step.span),
        section: profile.section_at(step.span).unwrap_or(section).to_owned(),
        op: step.op.as_str(),
        value: step.value.clone(),
        effect: match () {
            () if step.lost => Effect::Lost,
            () if step.replaced => Effect::Replaced,
            () => Effect::Used,
        },
        extended_at: extended_at(profile, step.span),
    };
    steps.iter().map(change).collect()
}

/// The lines that lead from the main profile to the file of a line, nearest first.
fn extended_at(profile: &Profile, span: Span) -> Vec<String> {
    let file = |span: Span| profile.files().get(span.file.0 as usize);
    let mut chain = Vec::new();
    let mut next = file(span).and_then(|file| file.extended_at);
    while let Some(span) = next {
        chain.push(profile.location(span));
        next = file(span).and_then(|file| file.extended_at);
    }
    chain
}
