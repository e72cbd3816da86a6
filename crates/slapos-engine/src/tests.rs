//! The engine as a whole, with small recipes made for it.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod aside;
mod finish;
mod parallel;
mod plans;
mod runs;
mod shared_parts;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use slapos_profile::{Files, Location, Profile, ProfileError, ReadError};

use crate::{
    BuildError, Buildout, CommandSpec, Event, Outcome, Part, PartContext, PartError, PartInit,
    Plan, Recipe, Recipes, Settings, Turn,
};

/// Recipe `write`: writes `content` to the path `output` (trivial). With `update-when`, it wants
/// an update while that path does not exist, and then creates it.
struct Write;

struct Written {
    output: PathBuf,
    content: String,
    update_when: Option<PathBuf>,
}

impl Recipe for Write {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let output = init.buildout_directory().join(init.require("output")?);
        let content = init.get("content").unwrap_or("").to_owned();
        let update_when = init.get("update-when").map(|p| init.buildout_directory().join(p));
        Ok(Box::new(Written { output, content, update_when }))
    }
}

impl Part for Written {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.output.clone()]
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        slapos_sys::fs::write_atomic(&self.output, self.content.as_bytes(), 0o644)
            .map_err(|error| PartError::io("write", &self.output, &error))?;
        Ok(self.claims())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        if let Some(path) = &self.update_when {
            std::fs::write(path, "").map_err(|error| PartError::io("write", path, &error))?;
        }
        Ok(())
    }

    fn needs_update(&self) -> Option<String> {
        let path = self.update_when.as_ref()?;
        (!path.exists()).then(|| "it feels like it".to_owned())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

/// Recipe `shell`: runs `command` in the new directory `location` (default: the usual); `barrier =
/// true` makes it run alone, `in-turn` in turn; `shared = true` is understood.
struct Shell;

struct Shelled {
    command: String,
    location: PathBuf,
    shared: bool,
    turn: Turn,
}

impl Recipe for Shell {
    fn version(&self) -> u32 {
        3
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let command = init.require("command")?;
        let turn = match init.get("barrier") {
            Some("true") => Turn::Alone,
            Some("in-turn") => Turn::InTurn,
            _ => Turn::Free,
        };
        let shared = init.shared_location()?;
        let is_shared = shared.is_some();
        let given = init.get("location").map(PathBuf::from);
        let location = shared.or(given).unwrap_or_else(|| init.parts_location());
        init.set("location", &location.to_string_lossy());
        Ok(Box::new(Shelled { command, location, shared: is_shared, turn }))
    }
}

impl Part for Shelled {
    fn claims(&self) -> Vec<PathBuf> {
        if self.shared { Vec::new() } else { vec![self.location.clone()] }
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        if !self.shared {
            std::fs::create_dir(&self.location)
                .map_err(|error| PartError::io("create", &self.location, &error))?;
        }
        let spec = CommandSpec::shell(&self.command)
            .current_dir(&self.location)
            .env("PATH", "/usr/bin:/bin")
            .env("ROOT", cx.directory().to_string_lossy())
            .with_jobserver();
        cx.run(&spec)?;
        Ok(self.claims())
    }

    fn turn(&self) -> Turn {
        self.turn
    }
}

/// Stands for the recipe that makes source trees usable: makes `develop-eggs/<last of setup>`.
struct Link;

impl Recipe for Link {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let setup = PathBuf::from(init.require("setup")?);
        let name = setup.file_name().unwrap_or_default();
        let output = init.buildout_directory().join("develop-eggs").join(name);
        Ok(Box::new(Written { output, content: String::new(), update_when: None }))
    }
}

struct Toys;

impl Recipes for Toys {
    fn find(&self, name: &str) -> Option<Arc<dyn Recipe>> {
        match name {
            "toys:write" => Some(Arc::new(Write)),
            "zc.recipe.egg:develop" => Some(Arc::new(Link)),
            "toys:shell" => Some(Arc::new(Shell)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        vec!["toys:write", "toys:shell"]
    }
}

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _at: &Location) -> Result<String, ReadError> {
        Err(ReadError::NotFound)
    }
}

/// A buildout directory in a temporary place.
struct Yard {
    root: tempfile::TempDir,
    jobs: usize,
    install: Option<Vec<String>>,
    hide_values: bool,
    keep_going: bool,
}

impl Yard {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, jobs: 1, install: None, hide_values: false, keep_going: false }
    }

    fn with_jobs(jobs: usize) -> Self {
        Self { jobs, ..Self::new() }
    }

    /// Runs a profile that makes `up` and then takes long, cancelled when it is there.
    fn cancelled_when_up(&self, profile: &str) -> BuildError {
        let mut buildout = self.buildout(profile);
        let plan = buildout.plan().unwrap();
        let cancellation = buildout.settings().cancellation.clone();
        let (up, started) = (self.path("up"), std::time::Instant::now());
        let stopper = std::thread::spawn(move || {
            while !up.exists() && started.elapsed().as_secs() < 60 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            cancellation.cancel();
        });
        let error = buildout.execute(&plan, &crate::NoObserver).unwrap_err();
        stopper.join().unwrap();
        error
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    fn settings(&self) -> Settings {
        Settings {
            jobs: self.jobs,
            install: self.install.clone(),
            hide_values: self.hide_values,
            keep_going: self.keep_going,
            ..Settings::new(self.root.path())
        }
    }

    fn buildout(&self, profile: &str) -> Buildout {
        let base = Location::from_path(self.root.path()).unwrap();
        let profile = Profile::load_text("software.cfg", profile, &base, &NoFiles, &[]).unwrap();
        Buildout::new(profile, Arc::new(Toys), self.settings())
    }

    fn plan(&self, profile: &str) -> Result<Plan, BuildError> {
        self.buildout(profile).plan()
    }

    fn plan_text(&self, profile: &str) -> String {
        self.clean(&self.plan(profile).unwrap().to_string())
    }

    fn run(&self, profile: &str) -> Result<Outcome, BuildError> {
        self.watch(profile).1
    }

    /// Runs, and tells the events as lines.
    fn watch(&self, profile: &str) -> (Vec<String>, Result<Outcome, BuildError>) {
        let mut buildout = self.buildout(profile);
        let plan = match buildout.plan() {
            Ok(plan) => plan,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let events = Mutex::new(Vec::new());
        let note = |event: &Event| events.lock().unwrap().push(brief(event));
        let result = buildout.execute(&plan, &note);
        (events.into_inner().unwrap(), result)
    }

    /// `text` without what is different in every test run.
    fn clean(&self, text: &str) -> String {
        text.replace(&*self.root.path().to_string_lossy(), "ROOT")
    }
}

fn brief(event: &Event) -> String {
    match event {
        Event::PlanMade { install, update, keep, remove } => {
            format!("plan +{install} ~{update} ={keep} -{remove}")
        }
        Event::PartStarted { part, action, .. } => format!("{action} {part}"),
        Event::PartProgress { part, text } => format!("{part}: {text}"),
        Event::PartFinished { part, .. } => format!("done {part}"),
        Event::PartFailed { part, message, .. } => format!("failed {part}: {message}"),
        Event::Warning { text, .. } => format!("warning: {text}"),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}
