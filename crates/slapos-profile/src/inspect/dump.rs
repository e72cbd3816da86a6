//! A profile as data, at one of three stages.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;

use super::json::Json;
use super::values::Values;
use crate::error::ProfileError;
use crate::model::{OptionValue, Profile};
use crate::source::WrittenAt;

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

/// Something of each option, by section, in order. It is written once and printed, so no name
/// is hashed.
#[derive(Clone, Debug)]
pub struct Table<'p, T>(Vec<(&'p str, Row<'p, T>)>);

/// Something of each option of a section.
#[derive(Clone, Debug)]
struct Row<'p, T>(Vec<(Cow<'p, str>, T)>);

impl<'p, T> Table<'p, T> {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sections, each with its options.
    pub fn iter(&self) -> impl Iterator<Item = (&'p str, impl Iterator<Item = (&str, &T)>)> {
        self.0.iter().map(|(name, row)| (*name, row.0.iter().map(|(o, value)| (&**o, value))))
    }

    /// What is known of an option.
    #[must_use]
    pub fn get(&self, section: &str, option: &str) -> Option<&T> {
        let (_, row) = self.0.iter().find(|(name, _)| *name == section)?;
        row.0.iter().find(|(name, _)| name == option).map(|(_, value)| value)
    }

    fn write(
        &self,
        json: &mut Json<'_>,
        value: impl Fn(&mut Json<'_>, &T) -> io::Result<()>,
    ) -> io::Result<()> {
        json.map(|json| {
            self.0.iter().try_for_each(|(name, row)| {
                json.key(name)?;
                json.map(|json| {
                    row.0.iter().try_for_each(|(option, of)| {
                        json.key(option)?;
                        value(json, of)
                    })
                })
            })
        })
    }

    fn push(&mut self, section: &'p str, options: Vec<(Cow<'p, str>, T)>) {
        self.0.push((section, Row(options)));
    }
}

impl<T> Default for Table<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A profile at a stage.
#[derive(Debug)]
pub struct Dump<'p> {
    /// The files in the order they were merged: their paths or URLs.
    pub files: Vec<&'p str>,
    /// The text of each option. At [`Stage::Resolved`], an option that is in `unresolved` keeps its
    /// open references as `${section:option}`, and `$$` protects what is none.
    pub sections: Table<'p, Cow<'p, str>>,
    /// `file:line` of the last change of each option.
    pub source: Table<'p, WrittenAt<'p>>,
    /// At [`Stage::Resolved`]: the options that depend on what is not written, and on what
    /// (`section:option`): a recipe sets that, or the node, or nobody does.
    pub unresolved: Table<'p, Vec<String>>,
    /// What is wrong, by section and option (`<` for macros). The sections whose macros are wrong
    /// are left out above; options whose references are wrong are there as they are written.
    pub errors: Table<'p, String>,
    /// The same, to be shown to people.
    pub failures: Vec<ProfileError>,
    /// The messages of `failures`.
    told: HashSet<String>,
}

/// What a profile says at a stage.
#[must_use]
pub fn dump(profile: &Profile, stage: Stage) -> Dump<'_> {
    let files = profile.merge_order().iter().filter_map(|id| profile.files().get(id.0 as usize));
    let mut dump = Dump {
        files: files.filter(|f| f.location.is_some()).map(|f| f.name.as_str()).collect(),
        sections: Table::default(),
        source: Table::default(),
        unresolved: Table::default(),
        errors: Table::default(),
        failures: Vec::new(),
        told: HashSet::new(),
    };
    match stage {
        Stage::Merged => dump.merged(profile),
        Stage::Expanded => dump.expanded(profile),
        Stage::Resolved => dump.resolved(profile),
    }
    dump
}

impl Dump<'_> {
    /// Writes the JSON of `slapos profile dump`, indented; `unresolved` and `errors` only if there
    /// are any.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut json = Json::new(out);
        json.map(|json| {
            json.key("files")?;
            json.list(self.files.iter().copied())?;
            json.key("sections")?;
            self.sections.write(json, |json, text| json.text(text))?;
            json.key("source")?;
            self.source.write(json, |json, at| json.text_and_number(at.file, at.line))?;
            if !self.unresolved.is_empty() {
                json.key("unresolved")?;
                self.unresolved
                    .write(json, |json, open| json.list(open.iter().map(String::as_str)))?;
            }
            if !self.errors.is_empty() {
                json.key("errors")?;
                self.errors.write(json, |json, error| json.text(error))?;
            }
            Ok(())
        })?;
        json.finish()
    }
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
            self.sections.push(name, all.iter().map(text).collect());
            let place = |(option, value): &(&'p String, &'p OptionValue)| {
                (Cow::Borrowed(option.as_str()), profile.written_at(value.span))
            };
            self.source.push(name, all.iter().map(place).collect());
        }
    }

    fn expanded(&mut self, profile: &'p Profile) {
        for (name, section) in profile.expand_all() {
            let amount = section.as_ref().map_or(0, |section| section.options.len());
            let (mut options, mut source) =
                (Vec::with_capacity(amount), Vec::with_capacity(amount));
            match section {
                Err(error) => {
                    self.fail(name, Cow::Borrowed("<"), error);
                    continue;
                }
                Ok(Cow::Borrowed(section)) => {
                    for (option, value) in &section.options {
                        let option = Cow::Borrowed(option.as_str());
                        source.push((option.clone(), profile.written_at(value.span)));
                        options.push((option, Cow::Borrowed(value.value.as_str())));
                    }
                }
                Ok(Cow::Owned(section)) => {
                    for (option, value) in section.options {
                        source.push((Cow::Owned(option.clone()), profile.written_at(value.span)));
                        options.push((Cow::Owned(option), Cow::Owned(value.value)));
                    }
                }
            }
            self.sections.push(name, options);
            self.source.push(name, source);
        }
    }

    fn resolved(&mut self, profile: &'p Profile) {
        let values = Values::new(profile);
        for (name, error) in values.errors() {
            self.fail(name, Cow::Borrowed("<"), error.clone());
        }
        for (name, section) in values.sections() {
            let (mut options, mut source) = (Vec::new(), Vec::new());
            let mut open = Vec::new();
            for (option, written) in &section.options {
                let key: Cow<'p, str> = Cow::Owned(option.clone());
                source.push((key.clone(), profile.written_at(written.span)));
                let text = match values.get(name, option) {
                    Ok(None) => continue,
                    Ok(Some(value)) => {
                        if !value.is_settled() {
                            open.push((key.clone(), value.open().map(str::to_owned).collect()));
                        }
                        value.text().into_owned()
                    }
                    Err(error) => {
                        self.fail(name, key.clone(), error);
                        written.value.clone()
                    }
                };
                options.push((key, Cow::Owned(text)));
            }
            self.sections.push(name, options);
            self.source.push(name, source);
            if !open.is_empty() {
                self.unresolved.push(name, open);
            }
        }
    }

    fn fail(&mut self, section: &'p str, option: Cow<'p, str>, error: ProfileError) {
        match self.errors.0.last_mut().filter(|(last, _)| *last == section) {
            Some((_, row)) => row.0.push((option, error.to_string())),
            None => self.errors.push(section, vec![(option, error.to_string())]),
        }
        // One mistake may be seen from many places.
        if self.told.insert(error.to_string()) {
            self.failures.push(error);
        }
    }
}
