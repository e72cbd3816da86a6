//! `%(name)s` in values.

use std::collections::HashMap;

use crate::{Config, ConfigError, Entry, Section, shown_section};

const DEFAULTS: &str = "DEFAULT";

/// Fills `value` of every option from its `raw` text, those of `[DEFAULT]` in every section included.
pub(crate) fn interpolate(config: &mut Config) -> Result<(), ConfigError> {
    share_defaults(config);
    config.sections.iter_mut().try_for_each(|section| expand_section(section, &config.name))
}

/// Gives every section the options of `[DEFAULT]` that it does not set.
pub(crate) fn share_defaults(config: &mut Config) {
    let defaults = take_defaults(config);
    for section in &mut config.sections {
        for default in &defaults {
            if !section.entries.iter().any(|entry| entry.name == default.name) {
                section.entries.push(Entry { shared: true, ..default.clone() });
            }
        }
    }
}

fn take_defaults(config: &mut Config) -> Vec<Entry> {
    let Some(at) = config.index.remove(DEFAULTS) else {
        return Vec::new();
    };
    let section = config.sections.remove(at);
    let names = config.sections.iter().enumerate();
    config.index = names.map(|(index, section)| (section.name.clone(), index)).collect();
    section.entries
}

fn expand_section(section: &mut Section, file: &str) -> Result<(), ConfigError> {
    let raw: HashMap<String, String> =
        section.entries.iter().map(|entry| (entry.name.clone(), entry.raw.clone())).collect();
    let name = section.name.clone();
    for entry in &mut section.entries {
        let expansion = Expansion { raw: &raw, section: &name, option: &entry.name };
        entry.value = expansion.expand(&entry.raw, 0).map_err(|message| ConfigError::Syntax {
            file: file.to_owned(),
            line: entry.line,
            message,
        })?;
    }
    Ok(())
}

struct Expansion<'a> {
    raw: &'a HashMap<String, String>,
    section: &'a str,
    option: &'a str,
}

impl Expansion<'_> {
    /// As in Python, ten levels are taken for an endless loop.
    const DEPTH: usize = 10;
    /// A value that doubles at each level must not fill the memory.
    const LENGTH: usize = 1 << 20;

    fn expand(&self, raw: &str, depth: usize) -> Result<String, String> {
        let mut value = String::new();
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('%') {
            value.push_str(before);
            rest = self.expand_one(after, depth, &mut value)?;
            if value.len() > Self::LENGTH {
                return Err(format!("`{}` grows beyond 1 MiB through %(...)s", self.option));
            }
        }
        value.push_str(rest);
        Ok(value)
    }

    /// Expands what follows a `%` and returns what is left of the text.
    fn expand_one<'t>(
        &self,
        after: &'t str,
        depth: usize,
        value: &mut String,
    ) -> Result<&'t str, String> {
        if let Some(rest) = after.strip_prefix('%') {
            value.push('%');
            return Ok(rest);
        }
        let Some((name, rest)) = after.strip_prefix('(').and_then(|text| text.split_once(")s"))
        else {
            return Err(format!("a `%` in `{}` must be `%%` or `%(name)s`", self.option));
        };
        let Some(raw) = self.raw.get(&name.to_lowercase()) else {
            let (option, section) = (self.option, shown_section(self.section));
            return Err(format!(
                "`%({name})s` in `{option}`: there is no option `{name}` in [{section}]"
            ));
        };
        if depth == Self::DEPTH {
            return Err(format!("`{}` refers to itself through %(...)s", self.option));
        }
        value.push_str(&self.expand(raw, depth + 1)?);
        Ok(rest)
    }
}
