//! Profiles in memory, for the tests of this crate.

use std::collections::BTreeMap;

use crate::{
    Environment, Files, Host, Location, Pending, Profile, ProfileError, ReadError, Resolver,
    Section,
};

/// Files by location.
#[derive(Default)]
pub(crate) struct Memory(BTreeMap<String, String>);

impl Memory {
    /// A text in which `--- path` lines begin a new file; the first one is `/p/main.cfg`.
    pub(crate) fn new(text: &str) -> Self {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut current = "/p/main.cfg".to_owned();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("--- ") {
                Some(path) => current = path.trim().to_owned(),
                None => files.entry(current.clone()).or_default().push_str(line),
            }
        }
        Self(files)
    }
}

impl Files for Memory {
    fn read(&self, at: &Location) -> Result<String, ReadError> {
        self.0.get(&at.to_string()).cloned().ok_or(ReadError::NotFound)
    }

    fn environment(&self) -> Environment {
        Environment {
            platform: "linux".to_owned(),
            machine: "x86_64".to_owned(),
            bits64: true,
            home: Some("/home/me".to_owned()),
            ..Environment::host()
        }
    }
}

pub(crate) fn load(text: &str) -> Result<Profile, ProfileError> {
    Profile::load(&Location::parse("/p/main.cfg").unwrap(), &Memory::new(text), &[])
}

/// The sections that come from files, as `[section] option=value` with escaped newlines.
pub(crate) fn merged(text: &str) -> String {
    let profile = load(text).unwrap();
    let shown = profile.sections().iter().filter(|(name, _)| *name != "buildout");
    shown.map(|(name, section)| show(name, section)).collect::<Vec<_>>().join("; ")
}

pub(crate) fn show(name: &str, section: &Section) -> String {
    let mut out = format!("[{name}]");
    for (option, value) in &section.options {
        out.push_str(&format!(" {option}={}", value.value.escape_debug()));
    }
    for Pending { name, op, value, .. } in section.pending() {
        out.push_str(&format!(" {name}{}{}", op.as_str(), value.value.escape_debug()));
    }
    out
}

/// A host whose recipes set `location` to `/parts/NAME`, after reading the options named by
/// `needs` (words `section:option`) and setting `got` to what they read; `set` holds `name=value`
/// words to set.
#[derive(Default)]
pub(crate) struct Recipes {
    pub(crate) calls: Vec<String>,
}

impl Host for Recipes {
    fn initialise(
        &mut self,
        resolver: &mut Resolver<'_>,
        section: &str,
    ) -> Result<(), ProfileError> {
        self.calls.push(section.to_owned());
        let read = |resolver: &Resolver<'_>, option: &str| {
            resolver.get(section).and_then(|s| s.get(option)).unwrap_or("").to_owned()
        };
        if read(resolver, "recipe") == "broken" {
            return Err(resolver.error_at(section, "recipe", "there is no recipe `broken`", None));
        }
        let mut got = Vec::new();
        for word in read(resolver, "needs").split_whitespace() {
            let (other, option) = word.split_once(':').unwrap_or((word, "location"));
            got.push(resolver.option(self, other, option)?);
        }
        for word in read(resolver, "set").split_whitespace() {
            if let Some((option, value)) = word.split_once('=') {
                resolver.set(section, option, value);
            }
        }
        if !got.is_empty() {
            resolver.set(section, "got", got.join(","));
        }
        resolver.set(section, "location", format!("/parts/{section}"));
        Ok(())
    }
}
