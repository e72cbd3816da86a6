//! Macros: a section with `<= other` starts from the options of the other one.
//!
//! Invariant: parents are taken unsubstituted, so `${:x}` in a macro means the section using it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::error::{ErrorKind, ProfileError};
use crate::merge::{MACRO, apply};
use crate::model::{Map, Operator, OptionValue, Pending, Profile, Section};
use crate::suggest::did_you_mean;

/// How many macros may be built on each other.
const MAX_DEPTH: usize = 100;
/// How much macros may copy, in bytes of names and values, each option taken as at least
/// [`OPTION_BYTES`]: far more than any profile needs, and little enough for any machine.
const MAX_COPIED: usize = 64 << 20;
/// What an option without any text takes, about.
pub(crate) const OPTION_BYTES: usize = 64;
/// How many unknown names are compared with the known ones: each takes a look at all of them.
const MAX_GUESSES: usize = 16;

impl Profile {
    /// A section with its macros applied and `<` gone, references not substituted.
    ///
    /// # Errors
    /// If the section or one of its macros does not exist, or a macro is built on itself.
    pub fn expand(&self, section: &str) -> Result<Cow<'_, Section>, ProfileError> {
        let Some(raw) = self.sections.get(section) else {
            let names = self.sections.keys().map(String::as_str);
            return Err(ProfileError::new(
                ErrorKind::UnknownSection,
                format!("there is no section [{section}]"),
            )
            .with_help(did_you_mean(section, names)));
        };
        if !has_macros(section, raw) {
            return Ok(Cow::Borrowed(raw));
        }
        let mut expansion = Expansion::new(self, None);
        expansion.section(section, raw)
    }

    /// All sections as [`Profile::expand`] gives them, or what is wrong with them.
    #[must_use]
    pub fn expand_all(&self) -> IndexMap<&str, Result<Cow<'_, Section>, ProfileError>> {
        let macros = self.sections.values().filter_map(|section| section.get(MACRO));
        let macros = macros.flat_map(|value| value.split('\n')).map(str::trim).collect();
        let mut expansion = Expansion::new(self, Some(macros));
        let each = self.sections.iter().map(|(name, raw)| {
            // What a failed one was doing must not be taken for a cycle.
            expansion.path.clear();
            let section = match has_macros(name, raw) {
                true => expansion.section(name, raw),
                false => Ok(Cow::Borrowed(raw)),
            };
            (name.as_str(), section)
        });
        each.collect()
    }
}

/// A section without its macros: its own, or the profile's if it has none.
type Expanded<'p> = Result<Cow<'p, Section>, ProfileError>;

/// `[buildout]` cannot use macros: there `<` is an option like another.
fn has_macros(name: &str, section: &Section) -> bool {
    name != "buildout" && section.options.contains_key(MACRO)
}

struct Expansion<'p> {
    profile: &'p Profile,
    /// The sections being expanded, outermost first.
    path: Vec<&'p str>,
    /// Macros expanded before, so that diamonds cost nothing.
    done: HashMap<&'p str, Section>,
    /// The sections that others are built on, if known: only these are kept in `done`.
    macros: Option<HashSet<&'p str>>,
    /// Bytes copied so far; see [`MAX_COPIED`].
    copied: usize,
    guesses: usize,
}

impl<'p> Expansion<'p> {
    fn new(profile: &'p Profile, macros: Option<HashSet<&'p str>>) -> Self {
        Self { profile, path: Vec::new(), done: HashMap::new(), macros, copied: 0, guesses: 0 }
    }

    fn section(&mut self, name: &str, raw: &'p Section) -> Expanded<'p> {
        let Some((name, _)) = self.profile.sections.get_key_value(name) else {
            return Ok(Cow::Borrowed(raw));
        };
        if let Some(done) = self.done.get(name.as_str()) {
            return Ok(Cow::Owned(done.clone()));
        }
        if !has_macros(name, raw) {
            return Ok(Cow::Borrowed(raw));
        }
        self.path.push(name);
        let mut options: Map<String, OptionValue> = Map::default();
        if let Some(macros) = raw.options.get(MACRO) {
            let mut offset = 0;
            for line in macros.value.split('\n') {
                let parent = line.trim();
                if !parent.is_empty() {
                    let at = offset + (line.len() - line.trim_start().len());
                    let parent = self.parent(macros, at, parent)?;
                    self.count(&parent, macros, at)?;
                    // Replaced whole, history too: with it, diamonds would double it each time.
                    match parent {
                        Cow::Owned(parent) => options.extend(parent.options),
                        Cow::Borrowed(parent) => {
                            let copies = parent.options.iter().map(|(n, v)| (n.clone(), v.clone()));
                            options.extend(copies);
                        }
                    }
                }
                offset += line.len() + 1;
            }
        }
        let mut own = as_changes(raw.options.clone());
        let waiting = raw.pending.iter().cloned();
        own.extend(waiting.map(|Pending { name, op, value, .. }| (name, op, value)));
        apply(&mut options, own);
        options.shift_remove(MACRO);
        self.path.pop();
        let section = Section { options, header: raw.header, pending: Vec::new() };
        if self.macros.as_ref().is_none_or(|macros| macros.contains(name.as_str())) {
            self.done.insert(name, section.clone());
        }
        Ok(Cow::Owned(section))
    }

    /// Takes note of what a macro at byte `offset` of `macros` copies.
    fn count(
        &mut self,
        parent: &Section,
        macros: &OptionValue,
        offset: usize,
    ) -> Result<(), ProfileError> {
        let bytes = |(name, value): (&String, &OptionValue)| name.len() + value.value.len();
        let sizes = parent.options.iter().map(|option| bytes(option) + OPTION_BYTES);
        self.copied = self.copied.saturating_add(sizes.sum());
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        let (span, column) = macros.origin(offset);
        let message = format!("macros make more than {MAX_COPIED} bytes of options");
        let error = ProfileError::new(ErrorKind::TooLarge, message);
        Err(error.at(&self.profile.sources, span, column..column))
    }

    fn parent(&mut self, macros: &'p OptionValue, offset: usize, name: &'p str) -> Expanded<'p> {
        let sections = &self.profile.sections;
        let (span, column) = macros.origin(offset);
        let fail = |kind, message: String| {
            let at = column..column + name.len();
            ProfileError::new(kind, message).at(&self.profile.sources, span, at)
        };
        let Some(raw) = sections.get(name) else {
            let wanted = self.guesses < MAX_GUESSES;
            self.guesses += 1;
            let known = sections.keys().map(String::as_str).filter(|_| wanted);
            let help = did_you_mean(name, known);
            return Err(fail(
                ErrorKind::UnknownSection,
                format!("there is no section [{name}] to build on"),
            )
            .label("no such section")
            .with_help(help));
        };
        if let Some(start) = self.path.iter().position(|step| *step == name) {
            let mut cycle: Vec<&str> = self.path[start..].to_vec();
            cycle.push(name);
            return Err(fail(
                ErrorKind::CircularMacro,
                format!("sections are built on each other: {}", cycle.join(" <= ")),
            )
            .label("leads back to itself")
            .with_help(Some("remove one of these `<=`".to_owned())));
        }
        if self.path.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} macros are built on each other");
            return Err(fail(ErrorKind::TooDeep, message));
        }
        self.section(name, raw)
    }
}

/// The options of a section as plain assignments.
fn as_changes(options: Map<String, OptionValue>) -> Vec<(String, Operator, OptionValue)> {
    options.into_iter().map(|(name, value)| (name, Operator::Set, value)).collect()
}

#[cfg(test)]
mod tests;
