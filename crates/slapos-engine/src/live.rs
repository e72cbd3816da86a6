//! What parts share while they run, in Buildout's way: options of sections and the environment.
//!
//! Recipes written for Buildout change both behind each other's back: one puts a compiler into
//! `PATH`, another sets a variable in a section that a third uses as its environment. Here is the
//! one place where such changes are kept. Invariants: only a part whose turn is not
//! [free](crate::Turn::Free) changes it, and a part sees it as it was when its turn came, so what it
//! finds does not depend on the number of jobs; nothing in it is recorded or compared.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

/// Options by section, as they are when all recipes have spoken.
pub(crate) type Sections = IndexMap<String, IndexMap<String, String>>;

/// Variable → what recipes have set it to; `None` where they have removed it.
pub(crate) type Variables = BTreeMap<String, Option<String>>;

/// What is shared.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<Snapshot>);

/// What is shared, as it was at some moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Snapshot {
    sections: Arc<Sections>,
    variables: Arc<Variables>,
}

impl Snapshot {
    /// All options of a section; `None` if it was not initialised.
    pub(crate) fn section(&self, section: &str) -> Option<IndexMap<String, String>> {
        self.sections.get(section).cloned()
    }

    /// `environment` as recipes have changed it.
    pub(crate) fn apply_variables(&self, environment: &mut BTreeMap<String, String>) {
        for (name, value) in &*self.variables {
            match value {
                Some(value) => drop(environment.insert(name.clone(), value.clone())),
                None => drop(environment.remove(name)),
            }
        }
    }
}

impl Live {
    pub(crate) fn new(sections: Sections, variables: Variables) -> Self {
        let (sections, variables) = (Arc::new(sections), Arc::new(variables));
        Self(Mutex::new(Snapshot { sections, variables }))
    }

    fn shared(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shared now. A part sees what was there when its turn came, whatever later parts that
    /// run beside it change.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.shared().clone()
    }

    /// Sets or removes an option; false if there is no such section.
    pub(crate) fn set(&self, section: &str, option: &str, value: Option<&str>) -> bool {
        let mut shared = self.shared();
        if !shared.sections.contains_key(section) {
            return false;
        }
        if let Some(options) = Arc::make_mut(&mut shared.sections).get_mut(section) {
            match value {
                Some(value) => drop(options.insert(option.to_owned(), value.to_owned())),
                None => drop(options.shift_remove(option)),
            }
        }
        true
    }

    /// Sets or removes a variable of the environment of later parts.
    pub(crate) fn set_variable(&self, name: &str, value: Option<&str>) {
        let mut shared = self.shared();
        Arc::make_mut(&mut shared.variables).insert(name.to_owned(), value.map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_by_whoever_comes_later() {
        let options = IndexMap::from([("a".to_owned(), "1".to_owned())]);
        let sections = IndexMap::from([("s".to_owned(), options)]);
        let live = Live::new(sections, BTreeMap::from([("LANG".to_owned(), None)]));
        assert!(live.set("s", "b", Some("2")) && live.set("s", "a", None));
        assert!(!live.set("t", "b", Some("2")));
        let before = live.snapshot();
        assert!(live.set("s", "c", Some("3")));
        assert_eq!(before.section("s").unwrap().get("c"), None);
        let section = live.snapshot().section("s").unwrap();
        assert_eq!(section.get("b").map(String::as_str), Some("2"));
        assert_eq!(section.get("a"), None);
        live.set_variable("PATH", Some("/x"));
        let mut environment = BTreeMap::from([("LANG".to_owned(), "C".to_owned())]);
        before.apply_variables(&mut environment);
        assert_eq!(environment, BTreeMap::new());
        live.snapshot().apply_variables(&mut environment);
        assert_eq!(environment, BTreeMap::from([("PATH".to_owned(), "/x".to_owned())]));
    }
}
