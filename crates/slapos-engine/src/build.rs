//! A buildout: one profile, one directory, and the way from plan to outcome.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use slapos_profile::Profile;
use slapos_sys::lock::FileLock;

use crate::aside;
use crate::cancel::Cancellation;
use crate::context::RunState;
use crate::error::BuildError;
use crate::event::{Action, Event, Observer};
use crate::execute;
use crate::finish::Due;
use crate::initialise::{Initialised, initialise};
use crate::installed_cfg::{Installed, InstalledFile};
use crate::jobs::Jobserver;
use crate::ledger::{Ledger, LedgerWriter};
use crate::nested::{self, Within};
use crate::plan::Plan;
use crate::recipe::Recipes;

/// Milliseconds between looks at a lock that is taken.
const LOCK_WAITS: [u64; 6] = [1, 5, 20, 50, 100, 0];

/// How a buildout is worked on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The buildout directory, absolute: `${buildout:directory}`.
    pub directory: PathBuf,
    /// How many jobs run at once, parts and the make processes in them taken together; at least 1.
    pub jobs: usize,
    /// Nothing may be downloaded; a profile says the same by `[buildout] offline = true`.
    pub offline: bool,
    /// Directories of shared parts, in order of preference; if empty, `[buildout]
    /// shared-part-list` of the profile.
    pub shared_part_list: Vec<PathBuf>,
    /// The ledger; default `<directory>/.slapos/installed.json`.
    pub ledger: Option<PathBuf>,
    /// Where `.installed.cfg` goes, whatever `[buildout] installed` says.
    pub installed: Option<PathBuf>,
    /// `${buildout:executable}` where the profile says nothing: the machine's Python.
    pub executable: Option<PathBuf>,
    /// Install these parts, and what they refer to, instead of `${buildout:parts}`, and remove
    /// nothing.
    pub install: Option<Vec<String>>,
    /// Plans do not show values of options, which may come from an instance's parameters.
    pub hide_values: bool,
    /// After a part failed, others that do not need it are still worked on.
    pub keep_going: bool,
    /// How the run is told to stop.
    pub cancellation: Cancellation,
    /// Section → option → text that it has whatever the profile says, and that is never
    /// substituted. Such a section counts as a part that needs nothing to be done.
    pub frozen: IndexMap<String, IndexMap<String, String>>,
    /// The runs that this one is inside of, if any; only [`crate::PartInit::nested_settings`] says so.
    pub within: Option<Within>,
}

impl Settings {
    /// One job, online, no shared parts, everything at its default place in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            jobs: 1,
            offline: false,
            shared_part_list: Vec::new(),
            ledger: None,
            installed: None,
            executable: None,
            install: None,
            hide_values: false,
            keep_going: false,
            cancellation: Cancellation::new(),
            frozen: IndexMap::new(),
            within: None,
        }
    }

    /// Settings of a buildout that `part` runs inside this one: same directory and limits, own
    /// ledger. `None` when buildouts run inside each other too deep.
    pub(crate) fn nested(&self, part: &str) -> Option<Self> {
        let outer = self.ledger_path();
        let ledger = nested::ledger_path(&outer, part);
        Some(Self {
            within: Some(Within::deeper(self.within.as_ref(), &outer)?),
            installed: Some(nested::installed_path(&self.directory, &ledger)),
            ledger: Some(ledger),
            install: None,
            frozen: IndexMap::new(),
            ..self.clone()
        })
    }

    /// Where the engine keeps its own files.
    fn private_directory(&self) -> PathBuf {
        self.directory.join(".slapos")
    }

    /// The ledger's path.
    pub fn ledger_path(&self) -> PathBuf {
        self.ledger.clone().unwrap_or_else(|| self.private_directory().join("installed.json"))
    }

    /// Where each part logs to `<part>.log`.
    pub fn log_directory(&self) -> PathBuf {
        self.private_directory().join("log")
    }
}

/// What a run did; names of parts in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Installed, for the first time or again.
    pub installed: Vec<String>,
    /// Updated.
    pub updated: Vec<String>,
    /// Left as they were.
    pub kept: Vec<String>,
    /// Removed.
    pub removed: Vec<String>,
}

/// What [`Buildout::plan`] found, kept for [`Buildout::execute`].
struct Observed {
    initialised: Initialised,
    ledger: Ledger,
    plan: Plan,
    due: Due,
}

/// One profile to be made true in one directory.
pub struct Buildout {
    profile: Profile,
    recipes: Arc<dyn Recipes>,
    settings: Settings,
    observed: Option<Observed>,
}

impl Buildout {
    /// A buildout of `profile` with `recipes`; nothing happens yet.
    pub fn new(profile: Profile, recipes: Arc<dyn Recipes>, settings: Settings) -> Self {
        Self { profile, recipes, settings, observed: None }
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How it is worked on.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Initialises all parts, compares them with the ledger and says what is to be done. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`BuildError::Profile`] for whatever is wrong in the profile or refused by a recipe,
    /// [`BuildError::Ledger`] when the ledger cannot be read. [`BuildError::Cancelled`].
    pub fn plan(&mut self) -> Result<Plan, BuildError> {
        let ledger = self.ledger()?;
        let initialised = initialise(&self.profile, &*self.recipes, &self.settings, &ledger);
        let mut initialised = match initialised {
            Err(_) if self.settings.cancellation.is_cancelled() => {
                return Err(BuildError::Cancelled);
            }
            other => other?,
        };
        let mut plan = Plan::make(&initialised.parts, &ledger, &self.settings);
        plan.warnings.extend(initialised.notices.iter().cloned());
        let finishing = std::mem::take(&mut initialised.finishing);
        let due = finishing.due(&self.settings, &initialised.parts, &plan);
        plan.finish = due.lines();
        plan.said = std::mem::take(&mut initialised.said);
        let observed = Observed { initialised, ledger, plan, due };
        Ok(self.observed.insert(observed).plan.clone())
    }

    /// Does what `plan` says. What is finished stays recorded whatever happens afterwards.
    ///
    /// # Errors
    /// [`BuildError::Part`] when parts fail: those running are finished, and no further ones are
    /// started, or with [`Settings::keep_going`] only those that do not need what failed; nothing is
    /// removed then. [`BuildError::Stale`] when `plan` is not the last one made, or the ledger changed
    /// since. [`BuildError::Busy`] when another run works here. [`BuildError::Cancelled`].
    pub fn execute(&mut self, plan: &Plan, observer: &dyn Observer) -> Result<Outcome, BuildError> {
        let observed = self.observed.take().filter(|observed| observed.plan == *plan);
        let Some(observed) = observed else {
            return Err(BuildError::Stale(self.settings.directory.clone()));
        };
        announce(plan, observer);
        let Observed { initialised, ledger, due, .. } = observed;
        let installed =
            InstalledFile::new(initialised.installed.as_deref(), self.settings.hide_values);
        if plan.is_noop() && is_settled(&ledger, &installed) {
            return Ok(kept(plan));
        }
        // The outermost run holds the lock for those inside it.
        let _lock = match &self.settings.within {
            None => Some(self.lock()?),
            Some(_) => None,
        };
        let ledger_path = self.settings.ledger_path();
        if self.ledger()? != ledger {
            return Err(BuildError::Stale(self.settings.directory.clone()));
        }
        for directory in &initialised.directories {
            create(directory)?;
        }
        due.begin()?;
        let damaged = ledger.corrupt.is_some();
        let run = RunState {
            directory: &self.settings.directory,
            log_directory: self.settings.log_directory(),
            offline: initialised.offline,
            cancellation: &self.settings.cancellation,
            observer,
            secrets: initialised.secrets,
            holds: initialised.holds,
            recipes: &*self.recipes,
            jobserver: self.jobserver()?,
            ledger: self.ledger_writer(ledger_path, ledger),
            live: initialised.live,
            id: self.random_id()?,
        };
        if damaged {
            run.ledger.put_damaged_aside()?;
        }
        let repaired = aside::repair(&run).map_err(|failure| BuildError::Part(vec![*failure]));
        let result =
            repaired.and_then(|()| execute::execute(&run, plan, initialised.parts, &self.settings));
        let told = installed.write(&run.ledger.snapshot());
        let told = told.map_err(|(what, path, source)| BuildError::Io { what, path, source });
        let outcome = result.and_then(|outcome| told.map(|()| outcome))?;
        for text in self.recipes.conclude() {
            observer.event(&Event::Warning { part: None, text });
        }
        due.end(&run)?;
        Ok(outcome)
    }

    /// The ledger; where there is none and Buildout itself has worked in the directory, what its own
    /// record says.
    fn ledger(&self) -> Result<Ledger, BuildError> {
        let ledger = Ledger::read(&self.settings.ledger_path())?;
        if !ledger.fresh || self.settings.within.is_some() {
            return Ok(ledger);
        }
        let written = self.profile.raw("buildout", "installed").unwrap_or(".installed.cfg");
        let path = match &self.settings.installed {
            Some(path) => path.clone(),
            None => self.settings.directory.join(written),
        };
        match slapos_sys::fs::read_to_string(&path) {
            Ok(text) => Ok(Installed::parse(&path.to_string_lossy(), &text)?.into_ledger()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ledger),
            Err(source) => Err(BuildError::Io { what: "read Buildout's record", path, source }),
        }
    }

    fn ledger_writer(&self, path: PathBuf, ledger: Ledger) -> LedgerWriter {
        let writer = LedgerWriter::new(path, ledger);
        match &self.settings.within {
            None => writer,
            Some(within) => writer.below(&within.root),
        }
    }

    fn random_id(&self) -> Result<String, BuildError> {
        slapos_sys::random::hex(8).map_err(|source| BuildError::Io {
            what: "get a random number for",
            path: self.settings.directory.clone(),
            source,
        })
    }

    fn jobserver(&self) -> Result<Option<Jobserver>, BuildError> {
        Jobserver::new(self.settings.jobs).map_err(|source| BuildError::Io {
            what: "make a jobserver for",
            path: self.settings.directory.clone(),
            source,
        })
    }

    /// Taken for the time of an execution; a plan needs none. A lock that was let go a moment ago
    /// may still be held by a copy in a process that is about to become a command, so a taken
    /// lock is looked at again before it is believed.
    fn lock(&self) -> Result<FileLock, BuildError> {
        let private = self.settings.private_directory();
        create(&private)?;
        let path = private.join("lock");
        for wait in LOCK_WAITS {
            match FileLock::try_acquire(&path) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) => std::thread::sleep(Duration::from_millis(wait)),
                Err(source) => {
                    return Err(BuildError::Io { what: "lock", path, source });
                }
            }
        }
        Err(BuildError::Busy { directory: self.settings.directory.clone(), lock: path })
    }
}

fn create(directory: &std::path::Path) -> Result<(), BuildError> {
    slapos_sys::fs::create_dir_all(directory, 0o755).map_err(|source| BuildError::Io {
        what: "create",
        path: directory.to_owned(),
        source,
    })
}

/// True when the last run came to its end and left its record for others, too.
fn is_settled(ledger: &Ledger, installed: &InstalledFile<'_>) -> bool {
    ledger.corrupt.is_none() && ledger.disturbed().next().is_none() && installed.is_current(ledger)
}

fn announce(plan: &Plan, observer: &dyn Observer) {
    for text in &plan.warnings {
        observer.event(&Event::Warning { part: None, text: text.clone() });
    }
    for (part, text) in &plan.said {
        observer.event(&Event::PartProgress { part: part.clone(), text: text.clone() });
    }
    observer.event(&Event::PlanMade {
        install: plan.count(Action::Install),
        update: plan.count(Action::Update),
        keep: plan.count(Action::Keep),
        remove: plan.count(Action::Remove),
    });
}

/// The outcome of a plan of which nothing was done yet.
pub(crate) fn kept(plan: &Plan) -> Outcome {
    let kept = plan.steps.iter().filter(|step| step.action == Action::Keep);
    Outcome { kept: kept.map(|step| step.part.clone()).collect(), ..Outcome::default() }
}
