//! From requirements to a working set, in the order that Buildout gives it.
//!
//! First what is asked for, in that order; then, breadth first from the last of these to the
//! first, what they need, the last requirement of each first. A distribution keeps the place at
//! which it was first needed. Whatever a level needs is made at the same time, as far as
//! `jobs` lets it; the order does not depend on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::eggs::{Eggs, Settings};
use crate::store::Compiled;
use crate::{Distribution, EggError, Requirement, Specifiers, Work};

/// Distributions that work together, in the order of `sys.path`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkingSet {
    distributions: Vec<Distribution>,
    required_by: BTreeMap<String, String>,
    /// Normal names of those whose version neither a pin nor a requirement fixes.
    picked: BTreeSet<String>,
}

impl WorkingSet {
    /// The distributions, in order.
    pub fn distributions(&self) -> &[Distribution] {
        &self.distributions
    }

    /// The distribution called `name`.
    pub fn get(&self, name: &str) -> Option<&Distribution> {
        let key = crate::normalise(name);
        self.distributions.iter().find(|dist| dist.key() == key)
    }

    /// What to put on `sys.path`, each once.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for dist in &self.distributions {
            if !paths.contains(&dist.location) {
                paths.push(dist.location.clone());
            }
        }
        paths
    }

    /// The distribution whose requirement brought `name` in; empty for what was asked for.
    pub fn required_by(&self, name: &str) -> &str {
        self.required_by.get(&crate::normalise(name)).map_or("", String::as_str)
    }

    /// Those whose version neither a pin nor a requirement fixes, in order.
    pub fn picked(&self) -> impl Iterator<Item = &Distribution> {
        self.distributions.iter().filter(|dist| self.picked.contains(&dist.key()))
    }

    /// Source trees in use first, then all else, as the recipe of Buildout has it.
    fn sorted(mut self) -> Self {
        self.distributions.sort_by_key(|dist| !dist.develop);
        self
    }
}

/// A requirement, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) requirement: Requirement,
    pub(crate) required_by: String,
}

/// One resolution under way.
pub(crate) struct Resolution<'a> {
    pub(crate) eggs: &'a Eggs,
    pub(crate) settings: &'a Settings,
    pub(crate) work: &'a dyn Work,
    set: WorkingSet,
    processed: BTreeSet<(String, Vec<String>, String)>,
}

impl<'a> Resolution<'a> {
    pub(crate) fn new(eggs: &'a Eggs, settings: &'a Settings, work: &'a dyn Work) -> Self {
        let set = WorkingSet::default();
        Self { eggs, settings, work, set, processed: BTreeSet::new() }
    }

    pub(crate) fn resolve(mut self, requirements: &[String]) -> Result<WorkingSet, EggError> {
        let mut level = Vec::new();
        for text in requirements {
            let requirement: Requirement =
                text.parse().map_err(|error| EggError::text(&error, ""))?;
            let marker = requirement.marker.as_ref();
            if marker.is_none_or(|marker| marker.holds(&self.settings.python.markers, "")) {
                level.push(Wanted { requirement, required_by: String::new() });
            }
        }
        self.make_missing(&level)?;
        for wanted in &level {
            if self.set.get(&wanted.requirement.name).is_none() {
                self.add(wanted)?;
            }
        }
        level.reverse();
        while !level.is_empty() {
            self.make_missing(&level)?;
            let mut next = Vec::new();
            for wanted in level {
                next.extend(self.process(&wanted)?);
            }
            level = next;
        }
        Ok(self.set.sorted())
    }

    /// Adds what satisfies a requirement; returns what that needs.
    fn process(&mut self, wanted: &Wanted) -> Result<Vec<Wanted>, EggError> {
        let specifiers = self.constrain(wanted)?;
        let Requirement { name, extras, .. } = &wanted.requirement;
        let key = (crate::normalise(name), extras.clone(), specifiers.to_string());
        if !self.processed.insert(key) {
            return Ok(Vec::new());
        }
        let found = match self.set.get(name) {
            Some(found) => found.clone(),
            None => self.add(wanted)?,
        };
        if !specifiers.contains(&found.version) {
            return Err(EggError::Conflict {
                requirement: wanted.requirement.to_string(),
                required_by: wanted.required_by.clone(),
                chosen: found.to_string(),
                chosen_by: self.set.required_by(name).to_owned(),
            });
        }
        let known = self.known_extras(&found, wanted)?;
        let needs = found.requires(&known, &self.settings.python.markers);
        let by = found.to_string();
        let needs = needs.into_iter().rev();
        Ok(needs.map(|requirement| Wanted { requirement, required_by: by.clone() }).collect())
    }

    fn known_extras(&self, found: &Distribution, wanted: &Wanted) -> Result<Vec<String>, EggError> {
        let mut known = Vec::new();
        for extra in &wanted.requirement.extras {
            if found.has_extra(extra) {
                known.push(extra.clone());
                continue;
            }
            if !self.settings.allow_unknown_extras {
                return Err(EggError::UnknownExtra {
                    distribution: found.to_string(),
                    extra: extra.clone(),
                    required_by: wanted.required_by.clone(),
                });
            }
            self.work.warn(&format!("{found} has no extra `{extra}`"));
        }
        Ok(known)
    }

    /// Puts what satisfies a requirement at the end of the set, and after it setuptools if it
    /// cannot do without.
    fn add(&mut self, wanted: &Wanted) -> Result<Distribution, EggError> {
        let specifiers = self.constrain(wanted)?;
        let found = match self.find(wanted, &specifiers)? {
            Some(found) => found,
            None => self.obtain(wanted, &specifiers)?,
        };
        self.check_picked(&found, wanted, &specifiers)?;
        let fixed = specifiers.single().is_some() || self.has_fallback(wanted);
        if !fixed && !found.develop {
            self.set.picked.insert(found.key());
        }
        self.set.required_by.insert(found.key(), wanted.required_by.clone());
        self.set.distributions.push(found.clone());
        if found.needs_setuptools()? && self.set.get("setuptools").is_none() {
            let requirement = Requirement::any("setuptools");
            self.add(&Wanted { requirement, required_by: found.to_string() })?;
        }
        Ok(found)
    }

    /// What the requirement and the pin take together.
    pub(crate) fn constrain(&self, wanted: &Wanted) -> Result<Specifiers, EggError> {
        let requirement = &wanted.requirement;
        let pin = self.settings.pins.get(&requirement.name);
        let pin = pin.map_err(|error| EggError::text(&error, &wanted.required_by))?;
        let Some(pin) = pin else {
            return Ok(requirement.specifiers.clone());
        };
        if let Some(fallback) = &pin.fallback {
            let text = format!("<={fallback}");
            return text.parse().map_err(|error| EggError::text(&error, &wanted.required_by));
        }
        match &pin.version {
            Some(version) if requirement.specifiers.contains(version) => Ok(pin.specifiers),
            Some(_) => Err(EggError::PinRefused {
                requirement: requirement.to_string(),
                required_by: wanted.required_by.clone(),
                name: requirement.name.clone(),
                pin: pin.text,
            }),
            None => format!("{},{}", requirement.specifiers, pin.specifiers)
                .parse()
                .map_err(|error| EggError::text(&error, &wanted.required_by)),
        }
    }

    fn find(
        &self,
        wanted: &Wanted,
        specifiers: &Specifiers,
    ) -> Result<Option<Distribution>, EggError> {
        let Settings { python, shelves, prefer_final, offline, .. } = self.settings;
        let by = self.settings.compiled_by();
        let kind = Compiled { python, by: &by };
        // Where nothing can be made, what is there will do.
        let compiled = (!offline).then_some(&kind);
        shelves.find(python, compiled, &wanted.requirement.name, specifiers, *prefer_final)
    }

    fn check_picked(
        &self,
        found: &Distribution,
        wanted: &Wanted,
        specifiers: &Specifiers,
    ) -> Result<(), EggError> {
        let fixed = specifiers.single().is_some() || self.has_fallback(wanted);
        if fixed || found.develop || self.settings.allow_picked_versions {
            return Ok(());
        }
        Err(not_pinned(wanted, Some(found.version.to_string())))
    }

    pub(crate) fn has_fallback(&self, wanted: &Wanted) -> bool {
        let pin = self.settings.pins.get(&wanted.requirement.name);
        pin.is_ok_and(|pin| pin.is_some_and(|pin| pin.fallback.is_some()))
    }

    /// Makes what a level needs and is not there, several at once. Only the first requirement of
    /// each name counts, as it will when they are processed.
    fn make_missing(&self, level: &[Wanted]) -> Result<(), EggError> {
        if self.settings.offline {
            return Ok(());
        }
        let mut missing: Vec<(&Wanted, Specifiers)> = Vec::new();
        let mut seen = BTreeSet::new();
        for wanted in level {
            let name = &wanted.requirement.name;
            if self.set.get(name).is_some() || !seen.insert(crate::normalise(name)) {
                continue;
            }
            let specifiers = self.constrain(wanted)?;
            if self.find(wanted, &specifiers)?.is_none() {
                missing.push((wanted, specifiers));
            }
        }
        let next = AtomicUsize::new(0);
        let failures: Mutex<HashMap<usize, EggError>> = Mutex::default();
        let worker = || {
            loop {
                let at = next.fetch_add(1, Ordering::SeqCst);
                let Some((wanted, specifiers)) = missing.get(at) else { break };
                if let Err(error) = self.obtain(wanted, specifiers) {
                    failures.lock().unwrap_or_else(PoisonError::into_inner).insert(at, error);
                    next.store(missing.len(), Ordering::SeqCst);
                }
            }
        };
        let threads = self.settings.jobs.max(1).min(missing.len());
        if threads <= 1 {
            worker();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(worker);
                }
            });
        }
        let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failures.keys().min().copied().and_then(|at| failures.remove(&at)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

pub(crate) fn not_pinned(wanted: &Wanted, version: Option<String>) -> EggError {
    EggError::NotPinned {
        name: wanted.requirement.name.clone(),
        required_by: wanted.required_by.clone(),
        version,
    }
}
