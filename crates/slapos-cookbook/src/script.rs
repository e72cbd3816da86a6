//! `slapos.recipe.build`: a part made by Python in the profile itself.
//!
//! Options:
//! - `init`, `install`, `update` (at least one): Python, run in the host when the section is
//!   initialised, when the part is installed, and at each later run. Without `install`, `update` is
//!   run instead. They know `self` (`buildout`, `options`, `name`, `location`, `environ`, `logger`,
//!   `download`, `extract`, `copyTree`, `pipeCommand`, `applyPatchList`, `cleanup_list`), `options`,
//!   `location`, `call`, `guessworkdir` and `is_true`;
//! - `location`: with `install`, what it makes; default `<parts-directory>/<name>` or the shared
//!   place. `init` may change it, unless the part is shared; empty means that nothing is tracked.
//!   It is removed before `install` and must exist after it;
//! - `shared`: `true` puts the part among the shared ones; needs `install`, excludes `update`;
//! - `environment`: see [`crate::common::environment`]; for `self.environ`;
//! - `url`, `md5sum`: what `self.download()` brings; `allow-unverified`: see
//!   [`crate::common::source`];
//! - `slapos_promise`: lines `file:PATH`, `statlib:PATH`, `directory:PATH` or `dynlib:PATH
//!   linked:A,B rpath:X,!/lib` of what must be there after `install`;
//! - `keep-on-error`: `true` keeps temporary directories when `install` fails.
//!
//! - `setup-eggs`: lines, distributions that the scripts, and every Python of SlapOS that they start,
//!   may import; which they are counts among what the part is made from.

use std::path::{Path, PathBuf};

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe, Turn};
use slapos_python::{Call, Handle};
use slapos_sys::fs;

use crate::common::environment::Environment;
use crate::common::{self, OptionsOnly};
use crate::python::{ForPart, Python};

/// Options that hold Python.
const SCRIPTS: [&str; 3] = ["init", "install", "update"];

/// The recipe.
pub(crate) struct Script {
    python: Python,
}

impl Script {
    pub(crate) fn new(python: Python) -> Self {
        Self { python }
    }

    /// Where the distributions of `setup-eggs` are, made if they are missing.
    fn setup_eggs(
        &self,
        init: &mut PartInit<'_>,
        outside: &ForPart,
    ) -> Result<Vec<String>, ProfileError> {
        let text = init.get("setup-eggs").unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let wanted: Vec<String> = lines.map(str::to_owned).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let set = outside.packages().working_set(&self.python, &wanted);
        let set = set.map_err(|error| {
            let message = format!("part `{}`: {error}", init.name());
            init.error("setup-eggs", &message, error.help().as_deref())
        })?;
        let used = set.distributions().iter();
        let mut used: Vec<String> = used.map(|d| format!("{} {}", d.name, d.version)).collect();
        used.sort();
        init.add_input("its eggs", &used.join(", "));
        Ok(set.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    /// Has the host prepare the scripts, and run `init`.
    fn prepare(
        &self,
        init: &mut PartInit<'_>,
        outside: &ForPart,
        location: &Path,
        shared: bool,
    ) -> Result<Handle, ProfileError> {
        let environment = Environment::of_part(init)?.for_host();
        let path = self.setup_eggs(init, outside)?;
        let places =
            SCRIPTS.iter().filter_map(|option| Some(((*option).to_owned(), init.lines(option)?)));
        let places = places.collect();
        let call = Call::Script {
            run: init.run_number(),
            part: init.name().to_owned(),
            location: location.to_string_lossy().into_owned(),
            environment,
            shared,
            places,
            path,
        };
        init.keep_sections();
        let handle = self.python.host().initialise(init, outside, &call);
        let handle = handle.map_err(|error| error.at_option(init, "init"))?;
        handle.as_u64().ok_or_else(|| init.error("init", "the Python host gave no object", None))
    }
}

fn has(init: &PartInit<'_>, option: &str) -> bool {
    init.get(option).is_some_and(|text| !text.is_empty())
}

fn check(init: &PartInit<'_>) -> Result<(), ProfileError> {
    if !SCRIPTS.iter().any(|option| has(init, option)) {
        let message = format!("part `{}` has neither `init`, `install` nor `update`", init.name());
        let help = Some("write what it does, in Python, in one of them");
        return Err(init.error("recipe", &message, help));
    }
    if !common::boolean(init, "shared", false)? {
        return Ok(());
    }
    if has(init, "update") {
        let message = "a shared part never changes: it cannot have `update`";
        return Err(init.error("update", message, None));
    }
    if !has(init, "install") {
        return Err(init.error("shared", "a shared part needs `install`", None));
    }
    Ok(())
}

impl Recipe for Script {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        check(init)?;
        let outside = ForPart::of_part(&self.python, init)?;
        let installs = has(init, "install");
        let updates = has(init, "update");
        let shared = if installs { init.shared_location()? } else { None };
        let place = shared.clone().unwrap_or_else(|| init.parts_location());
        let handle = self.prepare(init, &outside, &place, shared.is_some())?;
        if !installs && !updates {
            return Ok(Box::new(OptionsOnly));
        }
        let location = init.get("location").filter(|text| installs && !text.is_empty());
        let location = location.map(|text| common::path(init, text));
        if let Some(shared) = &shared
            && location.as_ref() != Some(shared)
        {
            let message = "the `location` of a shared part cannot be changed";
            return Err(init.error("location", message, None));
        }
        Ok(Box::new(Scripted {
            python: self.python.clone(),
            outside,
            handle,
            location,
            is_shared: shared.is_some(),
            updates,
        }))
    }
}

/// A part whose scripts wait in the host.
struct Scripted {
    python: Python,
    outside: ForPart,
    handle: Handle,
    location: Option<PathBuf>,
    is_shared: bool,
    updates: bool,
}

impl Scripted {
    fn run(&self, cx: &PartContext<'_>, method: &'static str) -> Result<(), PartError> {
        let call = Call::Run { handle: self.handle, method };
        self.python.host().run(cx, &self.outside, &call)?;
        Ok(())
    }

    /// Nothing is where the script is going to make something.
    fn make_room(&self) -> Result<(), PartError> {
        let Some(location) = &self.location else {
            return Ok(());
        };
        fs::remove_tree(location).map_err(|error| PartError::io("remove", location, &error))?;
        common::create_parent(location)
    }
}

impl Part for Scripted {
    fn claims(&self) -> Vec<PathBuf> {
        self.location.iter().filter(|_| !self.is_shared).cloned().collect()
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.make_room()?;
        self.run(cx, "install")?;
        if let Some(location) = self.location.as_ref().filter(|location| !location.exists()) {
            let message = format!("`install` did not make {}", location.display());
            let help = "it must make `location`; set `location =` in `init` if it makes nothing";
            return Err(PartError::new(message).with_help(help));
        }
        Ok(self.claims())
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.run(cx, "update")
    }

    fn needs_update(&self) -> Option<String> {
        self.updates.then(|| "it has an `update`, which is run each time".to_owned())
    }

    fn turn(&self) -> Turn {
        Turn::InTurn
    }
}
