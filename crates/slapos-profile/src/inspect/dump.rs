//! A profile as data, at one of three stages.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde::Serialize;

use super::values::Values;
use crate::error::ProfileError;
use crate::model::{OptionValue, Profile};

/// How far a profile is worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// All files merged; macros (`<`) and what waits for them (`a +`) are options like others.
    Merged,
    /// Macros applied.
    Expanded,
    /// References replaced, except those to options that only building gives.
    Resolved,
}

/// Options by section.
type Table<'p, T> = IndexMap<&'p str, IndexMap<Cow<'p, str>, T>>;

/// A profile at a stage; serialises to the JSON of `slapos profile dump`.
#[derive(Debug, Serialize)]
pub struct Dump<'p> {
    /// The files in the order they were merged: their paths or URLs.
    pub files: Vec<&'p str>,
    /// The text of each option. At [`Stage::Resolved`], an option that is in `unresolved` keeps its
    /// open references as `${section:option}`, and `$$` protects what is none.
    pub sections: Table<'p, Cow<'p, str>>,
    /// `file:line` of the last change of each option.
    pub source: Table<'p, String>,
    /// At [`Stage::Resolved`]: the options that depend on what is not written, and on what
    /// (`section:option`): a recipe sets that, or the node, or nobody does.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub unresolved: Table<'p, Vec<String>>,
    /// What is wrong, by section and option (`<` for macros). The sections whose macros are wrong
    /// are left out above; options whose references are wrong are there as they are written.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub errors: Table<'p, String>,
    /// The same, to be shown to people.
    #[serde(skip)]
    pub failures: Vec<ProfileError>,
}

/// What a profile says at a stage.
#[must_use]
pub fn dump(profile: &Profile, stage: Stage) -> Dump<'_> {
    let files = profile.merge_order().iter().filter_map(|id| profile.files().get(id.0 as usize));
    let mut dump = Dump {
        files: files.filter(|f| f.location.is_some()).map(|f| f.name.as_str()).collect(),
        sections: IndexMap::new(),
        source: IndexMap::new(),
        unresolved: IndexMap::new(),
        errors: IndexMap::new(),
        failures: Vec::new(),
    };
    match stage {
        Stage::Merged => dump.merged(profile),
        Stage::Expanded => dump.expanded(profile),
        Stage::Resolved => dump.resolved(profile),
    }
    dump
}

impl<'p> Dump<'p> {
    fn merged(&mut self, profile: &'p Profile) {
        for (name, section) in &profile.sections {
            let options = section.options.iter();
            let waiting = section.pending.iter().map(|p| (&p.written, &p.value));
            let all: Vec<_> = options.chain(waiting).collect();
            let text = |(option, value): &(&'p String, &'p OptionValue)| {
                (Cow::Borrowed(option.as_str()), Cow::Borrowed(value.value.as_str()))
            };
            self.sections.insert(name, all.iter().map(text).collect());
            let place = |(option, value): &(&'p String, &'p OptionValue)| {
                (Cow::Borrowed(option.as_str()), profile.location(value.span))
            };
            self.source.insert(name, all.iter().map(place).collect());
        }
    }

    fn expanded(&mut self, profile: &'p Profile) {
        for (name, section) in profile.expand_all() {
            let (mut options, mut source) = (IndexMap::new(), IndexMap::new());
            match section {
                Err(error) => {
                    self.fail(name, Cow::Borrowed("<"), error);
                    continue;
                }
                Ok(Cow::Borrowed(section)) => {
                    for (option, value) in &section.options {
                        let option = Cow::Borrowed(option.as_str());
                        source.insert(option.clone(), profile.location(value.span));
                        options.insert(option, Cow::Borrowed(value.value.as_str()));
                    }
                }
                Ok(Cow::Owned(section)) => {
                    for (option, value) in section.options {
                        source.insert(Cow::Owned(option.clone()), profile.location(value.span));
                        options.insert(Cow::Owned(option), Cow::Owned(value.value));
                    }
                }
            }
            self.sections.insert(name, options);
            self.source.insert(name, source);
        }
    }

    fn resolved(&mut self, profile: &'p Profile) {
        let values = Values::new(profile);
        for (name, error) in values.errors() {
            self.fail(name, Cow::Borrowed("<"), error.clone());
        }
        for (name, section) in values.sections() {
            let (mut options, mut source) = (IndexMap::new(), IndexMap::new());
            let mut open = IndexMap::new();
            for (option, written) in &section.options {
                let key: Cow<'p, str> = Cow::Owned(option.clone());
                source.insert(key.clone(), profile.location(written.span));
                let text = match values.get(name, option) {
                    Ok(None) => continue,
                    Ok(Some(value)) => {
                        if !value.is_settled() {
                            open.insert(key.clone(), value.open().map(str::to_owned).collect());
                        }
                        value.text().into_owned()
                    }
                    Err(error) => {
                        self.fail(name, key.clone(), error);
                        written.value.clone()
                    }
                };
                options.insert(key, Cow::Owned(text));
            }
            self.sections.insert(name, options);
            self.source.insert(name, source);
            if !open.is_empty() {
                self.unresolved.insert(name, open);
            }
        }
    }

    fn fail(&mut self, section: &'p str, option: Cow<'p, str>, error: ProfileError) {
        self.errors.entry(section).or_default().insert(option, error.to_string());
        // One mistake may be seen from many places.
        let same = |other: &ProfileError| other.to_string() == error.to_string();
        if !self.failures.iter().any(same) {
            self.failures.push(error);
        }
    }
}
