//! One profile, loaded with everything around it, and one run of it.
//!
//! As in the original: the directory of the profile is the buildout directory, unless the profile
//! or the command line names another one; a profile at a URL must. Paths in assignments are seen
//! from the current directory where the original sees them so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slapos_cookbook::{Ports, machine_python, own_python, registry};
use slapos_engine::{Buildout, Cancellation, Observer, Outcome, Plan, Settings};
use slapos_profile::inspect::Values;
use slapos_profile::{Location, Operator, Profile, ProfileError};
use slapos_sources::{Fetcher, FetcherConfig, Patience};

use crate::arguments::Invocation;
use crate::error::Error;
use crate::files::{Early, Extended};
use crate::lines::threshold;
use crate::surroundings::Surroundings;

/// A loaded profile and what a run of it needs.
pub struct Session {
    profile: Profile,
    fetcher: Arc<Fetcher>,
    directory: PathBuf,
    threshold: i32,
    dry_run: bool,
    keep_going: bool,
    jobs: usize,
}

/// What a run came to.
#[derive(Debug)]
pub enum Done {
    /// Nothing was done, this would be.
    Planned(Plan),
    /// The parts are as the profile wants them.
    Installed(Outcome),
}

impl Session {
    /// Loads the profile that `invocation` names.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no such profile or no directory, [`Error::Profile`] for what
    /// is wrong in it.
    pub fn load(invocation: &Invocation, around: &Surroundings) -> Result<Self, Error> {
        let main = main_profile(&invocation.profile, around)?;
        let defaults = around.user_defaults().filter(|_| invocation.user_defaults);
        let early = early(&main, defaults.as_deref(), invocation);
        let fetcher = |cache: &Option<String>| -> Result<Arc<Fetcher>, Error> {
            let cache = match cache {
                Some(written) => cache_directory(written, &main, around)?,
                None => around.cache.clone(),
            };
            Ok(Arc::new(Fetcher::new(fetcher_config(cache, &early))))
        };
        let profiles = fetcher(&early.extends_cache)?;
        let (offline, newest) = (early.offline, early.newest);
        let files = |python| Extended { fetcher: &profiles, offline, newest, python };
        let defaults: Vec<Location> =
            defaults.iter().map(|path| location(path)).collect::<Result<_, _>>()?;
        let read =
            |python| Profile::load_over(&defaults, &main, &files(python), &invocation.assignments);
        let mut profile = read(None)?;
        if let Some(version) = own_python(&profile) {
            profile = read(Some(version))?;
        }
        let options = Options::read(&profile, invocation.verbosity)?;
        Ok(Self {
            directory: directory(&profile, &invocation.profile, around)?,
            fetcher: fetcher(&early.download_cache)?,
            threshold: options.threshold,
            dry_run: invocation.dry_run || options.dry_run,
            keep_going: invocation.keep_going,
            jobs: invocation.jobs.unwrap_or_else(processors),
            profile,
        })
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The buildout directory, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The least [`Level`](crate::Level) of lines to show.
    pub fn threshold(&self) -> i32 {
        self.threshold
    }

    /// Installs the parts of the profile, or only `parts` and what they refer to, or says what it
    /// would do.
    ///
    /// # Errors
    /// [`Error::Build`]; what was installed before is recorded, and a new run goes on from there.
    pub fn install(
        self,
        parts: &[String],
        cancellation: &Cancellation,
        observer: &dyn Observer,
    ) -> Result<Done, Error> {
        let settings = Settings {
            jobs: self.jobs,
            executable: machine_python(),
            keep_going: self.keep_going,
            install: (!parts.is_empty()).then(|| parts.to_vec()),
            cancellation: cancellation.clone(),
            ..Settings::new(&self.directory)
        };
        let recipes = registry(Ports { fetcher: self.fetcher, slap: None, python: None });
        let mut buildout = Buildout::new(self.profile, Arc::new(recipes), settings);
        let plan = buildout.plan()?;
        if self.dry_run {
            return Ok(Done::Planned(plan));
        }
        Ok(Done::Installed(buildout.execute(&plan, observer)?))
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The place of the profile. Links are kept: what it extends is relative to where it seems to be.
fn main_profile(written: &str, around: &Surroundings) -> Result<Location, Error> {
    if written.contains("://") {
        let parsed = Location::parse(written);
        return parsed.map_err(|error| {
            Error::usage(error.to_string(), "name a file, or a URL such as https://host/a.cfg")
        });
    }
    let path = around.directory.join(written);
    if !path.exists() {
        let help = "name the profile with -c FILE, or write one with `slapos buildout init`";
        return Err(Error::usage(format!("there is no profile {}", path.display()), help));
    }
    location(&path)
}

fn location(path: &Path) -> Result<Location, Error> {
    Location::from_path(path)
        .map_err(|error| Error::usage(error.to_string(), "use a directory whose name is UTF-8"))
}

fn early(main: &Location, defaults: Option<&Path>, invocation: &Invocation) -> Early {
    let mut early = Early::default();
    defaults.into_iter().chain(main.as_path()).for_each(|path| early.read(path));
    let of_buildout = invocation.assignments.iter().filter(|a| a.section == "buildout");
    for assignment in of_buildout.filter(|assignment| assignment.op == Operator::Set) {
        early.set(&assignment.option, &assignment.value);
    }
    early
}

/// A cache that is needed before references can be followed.
fn cache_directory(
    written: &str,
    main: &Location,
    around: &Surroundings,
) -> Result<PathBuf, Error> {
    if written.contains("${") {
        return Err(Error::usage(
            format!("the cache directory `{written}` is needed before references are replaced"),
            "write its path without ${...} into extends-cache or download-cache",
        ));
    }
    Ok(match main.parent().as_path() {
        Some(base) if !written.starts_with('~') => base.join(written),
        _ => around.absolute(Path::new(written)),
    })
}

fn fetcher_config(cache: PathBuf, early: &Early) -> FetcherConfig {
    let mut config = FetcherConfig::new(cache);
    config.offline = early.offline;
    if let Some(seconds) = early.timeout {
        let timeout = Duration::from_secs(seconds);
        config.patience = Patience { connect: timeout, stall: timeout, ..config.patience };
    }
    config
}

/// The buildout directory.
fn directory(profile: &Profile, written: &str, around: &Surroundings) -> Result<PathBuf, Error> {
    let values = Values::new(profile);
    let value = values.get("buildout", "directory")?;
    match value {
        Some(value) if value.is_settled() => Ok(around.absolute(Path::new(value.text().trim()))),
        Some(value) => {
            let open: Vec<&str> = value.open().collect();
            let message = format!("the buildout directory depends on {}", open.join(", "));
            Err(at_option(profile, "directory", &message, "write its path").into())
        }
        None => Err(Error::usage(
            format!("the profile {written} is at a URL and names no directory to build in"),
            "add the assignment buildout:directory=DIRECTORY",
        )),
    }
}

/// Options of `[buildout]` that concern the command and not the parts.
struct Options {
    threshold: i32,
    dry_run: bool,
}

impl Options {
    fn read(profile: &Profile, verbosity: i32) -> Result<Self, ProfileError> {
        let values = Values::new(profile);
        let text = |option: &str| values.text("buildout", option);
        for option in ["offline", "newest", "dry-run"] {
            let value = text(option);
            if !matches!(&*value, "true" | "false") {
                let message = format!("`{option}` must be `true` or `false`, not `{value}`");
                return Err(at_option(profile, option, &message, "write true or false"));
            }
        }
        let (level, more) = (text("log-level"), text("verbosity"));
        let Some(threshold) = threshold(&level, &more, verbosity) else {
            let (option, value) = match threshold(&level, "", 0) {
                None => ("log-level", level),
                Some(_) => ("verbosity", more),
            };
            let message = format!("`{value}` is no {option}");
            let help = "write DEBUG, INFO, WARNING, ERROR, CRITICAL or a number";
            return Err(at_option(profile, option, &message, help));
        };
        Ok(Self { threshold, dry_run: text("dry-run") == "true" })
    }
}

/// An error at the line of an option of `[buildout]`.
fn at_option(profile: &Profile, option: &str, message: &str, help: &str) -> ProfileError {
    let section = profile.sections().get("buildout");
    let span = section.and_then(|section| Some(section.options.get(option)?.span));
    ProfileError::custom(span, message, Some(help.to_owned())).located(profile)
}
