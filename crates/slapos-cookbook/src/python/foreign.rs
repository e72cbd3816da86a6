//! Recipes that are not native: classes in Python distributions, run by the host.
//!
//! `recipe = DISTRIBUTION[:ENTRY]` names the entry point (default `default`) of the group
//! `zc.buildout` of a distribution, which is found as [`Packages`] says. The class is called with
//! `(buildout, name, options)` when the section is initialised; `install()` when the part is to be
//! made, and `update()` at every later run, as Buildout does. The version of the distribution is part
//! of what the part is made from. What it does for parts that go: [`super::farewell`].

use std::path::PathBuf;

use indexmap::IndexMap;
use slapos_eggs::{EggError, WorkingSet};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe, Turn, closest};
use slapos_python::{Call, Handle};

use super::farewell::Farewell;
use super::{ForPart, Packages, Python};

/// A recipe by its name.
pub(crate) struct Foreign {
    name: String,
    python: Python,
    /// Names of native recipes, for whoever mistyped one.
    natives: Vec<&'static str>,
}

impl Foreign {
    pub(crate) fn new(name: &str, python: Python, natives: Vec<&'static str>) -> Self {
        Self { name: name.to_owned(), python, natives }
    }

    fn distribution_and_entry(&self) -> (&str, &str) {
        match self.name.split_once(':') {
            Some((distribution, entry)) => (distribution.trim(), entry.trim()),
            None => (&self.name, "default"),
        }
    }

    /// The recipe's distribution and all it needs. A name that is nearly that of a native recipe is
    /// looked for only if the profile fixes its version: it is more likely mistyped, and whoever
    /// published something under the mistyped name would be run.
    fn find(&self, init: &mut PartInit<'_>) -> Result<WorkingSet, ProfileError> {
        let (distribution, _) = self.distribution_and_entry();
        let packages = Packages::of_part(init)?;
        let near = closest(&self.name, self.natives.iter().copied());
        let near = near.map(|near| format!("did you mean `{near}`?"));
        let is_native = |name: &&str| name.split(':').next() == Some(distribution);
        let is_known = self.natives.iter().any(is_native) || packages.is_pinned(distribution);
        if near.is_some() && !is_known {
            return Err(self.unknown(init, near.as_deref()));
        }
        let found = packages.working_set(&self.python, &[distribution.to_owned()]);
        found.map_err(|error| match error {
            EggError::NotFound { .. } => self
                .unknown(init, near.as_deref())
                .with_note(format!("it is not native, and {error}")),
            error => {
                let message = format!("recipe `{}` cannot be had: {error}", self.name);
                init.error("recipe", &message, error.help().as_deref())
            }
        })
    }

    fn unknown(&self, init: &PartInit<'_>, help: Option<&str>) -> ProfileError {
        let message =
            format!("there is no recipe `{}`, which part `{}` needs", self.name, init.name());
        init.error("recipe", &message, help)
    }
}

impl Recipe for Foreign {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let set = self.find(init)?;
        let (distribution, entry) = self.distribution_and_entry();
        if let Some(found) = set.get(distribution) {
            init.add_input("its recipe", &format!("{} {}", found.name, found.version));
        }
        let paths = set.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let call = Call::Recipe {
            run: init.run_number(),
            part: init.name().to_owned(),
            path: paths,
            distribution: distribution.to_owned(),
            entry: entry.to_owned(),
        };
        init.keep_sections();
        let outside = ForPart::of_part(&self.python, init)?;
        let handle = self.python.host().initialise(init, &outside, &call);
        let handle = handle.map_err(|error| error.at_option(init, "recipe"))?;
        let handle = handle
            .as_u64()
            .ok_or_else(|| init.error("recipe", "the Python host gave no object", None))?;
        let farewell = Farewell::of(&set, distribution, entry);
        Ok(Box::new(Made { python: self.python.clone(), outside, handle, farewell }))
    }

    fn uninstall(
        &self,
        cx: &PartContext<'_>,
        options: &IndexMap<String, String>,
        made: &[PathBuf],
    ) -> Result<Vec<PathBuf>, PartError> {
        Farewell::say(&self.python, cx, options, made)
    }
}

/// A part whose recipe is an object of the host.
struct Made {
    python: Python,
    outside: ForPart,
    handle: Handle,
    farewell: Option<Farewell>,
}

impl Made {
    /// Calls a method; returns the paths that it names.
    fn call(&self, cx: &PartContext<'_>, method: &'static str) -> Result<Vec<PathBuf>, PartError> {
        let call = Call::Run { handle: self.handle, method };
        let paths = self.python.host().run(cx, &self.outside, &call)?;
        let paths: Option<Vec<String>> = serde_json::from_value(paths).map_err(|error| {
            PartError::new(format!("`{method}` of its recipe returned no paths: {error}"))
        })?;
        Ok(paths.unwrap_or_default().iter().map(|path| cx.directory().join(path)).collect())
    }
}

impl Part for Made {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let mut paths = self.call(cx, "install")?;
        if let Some(farewell) = &self.farewell {
            paths.push(farewell.leave(cx)?);
        }
        Ok(paths)
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let paths = self.call(cx, "update")?;
        paths.iter().try_for_each(|path| cx.record_path(path))
    }

    fn needs_update(&self) -> Option<String> {
        Some("its recipe is asked at each run".to_owned())
    }

    fn turn(&self) -> Turn {
        Turn::InTurn
    }
}
