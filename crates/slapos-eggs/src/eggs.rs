//! The entrance: what is to be had, how, and for which Python.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use slapos_sources::{Fetcher, PythonPlaces};

use crate::build::{BuildExt, Patches, short_hash};
use crate::index::Index;
use crate::name::normalise;
use crate::resolve::Resolution;
use crate::{EggError, Hosts, Interpreter, Pins, Shelves, Work, WorkingSet};

/// Where programs that builds use are looked for when nobody says so.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables that decide what compilers make.
const COMPILING: [&str; 17] = [
    "PATH",
    "CC",
    "CXX",
    "CPP",
    "LD",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "LDSHARED",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "LD_RUN_PATH",
    "PKG_CONFIG_PATH",
];

/// Distributions for all who need them in one run; shared between threads.
pub struct Eggs {
    pub(crate) index: Index,
    interpreters: Mutex<HashMap<PathBuf, Arc<Interpreter>>>,
}

/// How distributions are chosen and made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Python they are for.
    pub python: Arc<Interpreter>,
    /// Versions that are fixed.
    pub pins: Pins,
    /// Where they are, and where missing ones are put.
    pub shelves: Shelves,
    /// Where missing ones are looked for.
    pub places: PythonPlaces,
    /// Where they may come from.
    pub hosts: Hosts,
    /// A directory that keeps the files that were fetched, and is looked at before anybody is asked.
    pub archives: Option<PathBuf>,
    /// A distribution without a pin may be taken in the newest version that will do.
    pub allow_picked_versions: bool,
    /// An extra that a distribution lacks is only warned of.
    pub allow_unknown_extras: bool,
    /// Final versions are preferred to others.
    pub prefer_final: bool,
    /// Wheels are preferred to sources, as if every pin said so.
    pub prefer_wheels: bool,
    /// Nothing is fetched or built.
    pub offline: bool,
    /// How many are fetched and built at once; at least 1.
    pub jobs: usize,
    /// The whole environment of builds.
    pub environment: BTreeMap<String, String>,
    /// Normal name → patches that make the patched version that a pin asks for.
    pub patches: BTreeMap<String, Patches>,
    /// Names of what is being built, for which this is needed; empty to begin with.
    pub building: Vec<String>,
}

impl Settings {
    /// Everything as Buildout's defaults are: versions may be picked, final ones are preferred,
    /// sources are built one at a time, with the programs of this machine.
    pub fn new(python: Arc<Interpreter>, shelves: Shelves) -> Self {
        Self {
            python,
            pins: Pins::default(),
            shelves,
            places: PythonPlaces::default(),
            hosts: Hosts::default(),
            archives: None,
            allow_picked_versions: true,
            allow_unknown_extras: false,
            prefer_final: true,
            prefer_wheels: false,
            offline: false,
            jobs: 1,
            environment: BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]),
            patches: BTreeMap::new(),
            building: Vec::new(),
        }
    }

    /// What decides what a compiled module is besides its source and the binary interface: the Python,
    /// and the programs and flags that the environment gives. A module compiled otherwise may look for
    /// libraries elsewhere, at places that go with another Software Release.
    pub(crate) fn compiled_by(&self) -> String {
        let variables = COMPILING.iter().map(|name| self.environment.get(*name));
        let variables = variables.map(|value| value.map_or("", String::as_str).as_bytes());
        short_hash(std::iter::once(self.python.build.as_bytes()).chain(variables))
    }

    /// Settings for what building `name` needs: wheels will do, and so does what is not pinned.
    pub(crate) fn for_build_of(&self, name: &str) -> Result<Self, EggError> {
        let key = normalise(name);
        if self.building.contains(&key) {
            let chain = self.building.join(", for ");
            let reason = format!("building it needs itself (for {chain})");
            return Err(EggError::build(format!("build {name}"), reason));
        }
        let mut settings = self.clone();
        settings.building.push(key);
        settings.shelves = self.shelves.for_builds(&self.python, &self.compiled_by());
        settings.allow_picked_versions = true;
        settings.prefer_wheels = true;
        settings.patches.clear();
        settings.pins = self.pins.unpatched();
        Ok(settings)
    }
}

/// A distribution to be built from its source in a particular way.
#[derive(Debug, Clone, Default)]
pub struct Custom {
    /// What to build: `name`, `name ==1.2`.
    pub requirement: String,
    /// Options of `build_ext`.
    pub build_ext: BuildExt,
    /// Distributions that the build may import besides those it asks for.
    pub setup_eggs: Vec<String>,
    /// What else decides what is built: it is part of the name in the store.
    pub identity: Vec<String>,
}

impl Eggs {
    /// Brings files by `fetcher`. Nothing is asked or touched yet.
    pub fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { index: Index::new(fetcher), interpreters: Mutex::default() }
    }

    /// What the Python at `executable` is; it is asked once.
    ///
    /// # Errors
    /// See [`Interpreter::examine`].
    pub fn interpreter(&self, executable: &Path) -> Result<Arc<Interpreter>, EggError> {
        let known = || self.interpreters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(executable) {
            return Ok(found.clone());
        }
        let found = Arc::new(Interpreter::examine(executable)?);
        known().insert(executable.to_owned(), found.clone());
        Ok(found)
    }

    /// The distributions that `requirements` (lines such as `name[extra] >=1`) need, in Buildout's
    /// order; those that are missing are made.
    ///
    /// # Errors
    /// See [`EggError`].
    pub fn working_set(
        &self,
        settings: &Settings,
        requirements: &[String],
        work: &dyn Work,
    ) -> Result<WorkingSet, EggError> {
        Resolution::new(self, settings, work).resolve(requirements)
    }
}
