//! Sections that change each other: barriers, added sections, and what is kept for the run.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use slapos_profile::{Profile, ProfileError, Resolver};

use super::options;
use super::port::Port;
use crate::cancel::Cancellation;
use crate::dynamic::DynamicPort;
use crate::live::{Live, Variables};
use crate::stragglers::{Place, VARIABLE};

/// Numbers of runs; they only have to differ.
static RUNS: AtomicU64 = AtomicU64::new(1);

/// How many lines recipes may say before anything is done.
const MOST_LINES: usize = 1000;

/// What recipes said that concerns more than their own section.
pub(super) struct Dynamic {
    /// Sections that all later parts depend on.
    barriers: Vec<String>,
    variables: Variables,
    /// Some part wants to read sections while it is installed.
    keeps_sections: bool,
    /// Part and line.
    pub(super) said: Vec<(String, String)>,
    run: u64,
}

impl Dynamic {
    pub(super) fn new() -> Self {
        Self {
            barriers: Vec::new(),
            variables: Variables::new(),
            keeps_sections: false,
            said: Vec::new(),
            run: RUNS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Has `section`, whose recipe is asked now, depend on what said that all later ones do.
    pub(super) fn depend_on_barriers(&self, resolver: &mut Resolver<'_>, section: &str) {
        for barrier in &self.barriers {
            resolver.note_reference(section, barrier);
        }
    }

    /// What parts share while they run.
    pub(super) fn into_live(self, resolver: &Resolver<'_>, profile: &Profile) -> Live {
        let names: Vec<&str> = resolver.names().filter(|_| self.keeps_sections).collect();
        let kept = names.into_iter().filter_map(|name| match resolver.get(name) {
            Some(_) => Some((name.to_owned(), options(resolver, name))),
            None => Some((name.to_owned(), plain(profile, name)?)),
        });
        Live::new(kept.collect(), self.variables)
    }
}

/// The options of a section that nobody has asked for, if there is nothing to substitute and no
/// recipe: it can be read at any time.
fn plain(profile: &Profile, name: &str) -> Option<IndexMap<String, String>> {
    let section = profile.expand(name).ok()?;
    let is_plain = section.get("recipe").is_none()
        && section.options.values().all(|option| !option.value.contains("${"));
    let options = section.options.iter().filter(|_| is_plain);
    let options = options.map(|(option, value)| (option.clone(), value.value.to_string()));
    is_plain.then(|| options.collect())
}

impl DynamicPort for Port<'_, '_, '_> {
    fn section_names(&self) -> Vec<String> {
        self.resolver.names().map(str::to_owned).collect()
    }

    fn references(&self, section: &str) -> BTreeSet<String> {
        self.resolver.get(section).map(|known| known.references.clone()).unwrap_or_default()
    }

    fn set_references(&mut self, section: &str, references: BTreeSet<String>) {
        self.resolver.set_references(section, references);
    }

    fn barrier(&mut self, section: &str) {
        self.host.dynamic.barriers.push(section.to_owned());
    }

    fn parse(&mut self, from: &str, text: &str) -> Result<Vec<String>, ProfileError> {
        let name = format!("<part {from}>");
        self.resolver.parse(self.host, &name, text)
    }

    fn substitute(&mut self, section: &str, text: &str) -> Result<String, ProfileError> {
        self.resolver.substitute(self.host, section, text, None)
    }

    fn set_variable(&mut self, name: &str, value: Option<&str>) {
        self.host.dynamic.variables.insert(name.to_owned(), value.map(str::to_owned));
    }

    fn keep_sections(&mut self) {
        self.host.dynamic.keeps_sections = true;
    }

    fn hold_shared(&self) {
        self.host.holds.take(&self.host.shared_lists, &self.host.settings.cancellation);
    }

    fn lines(&self, section: &str, option: &str) -> Option<(String, u32)> {
        self.resolver.lines(section, option)
    }

    fn say(&mut self, section: &str, text: &str) {
        if self.host.dynamic.said.len() < MOST_LINES {
            self.host.dynamic.said.push((section.to_owned(), text.to_owned()));
        }
    }

    fn run_number(&self) -> u64 {
        self.host.dynamic.run
    }

    fn tag(&self, section: &str) -> (&'static str, String) {
        let place = Place::part(&self.host.settings.ledger_path(), section);
        (VARIABLE, place.value(&self.host.dynamic.run.to_string()))
    }

    fn cancellation(&self) -> &Cancellation {
        &self.host.settings.cancellation
    }
}
