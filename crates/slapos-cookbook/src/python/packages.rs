//! Distributions that the host imports: recipes, and what templates need.
//!
//! While a Software Release is built they are found by the profile's pins, taken as wheels where
//! there are any, and kept in the store of the node, apart from the eggs of the Software Release. In an
//! instance (`[buildout] offline = true`) they are those of the Software Release.

use std::path::PathBuf;
use std::sync::Arc;

use slapos_eggs::{EggError, Settings, Shelves, WorkingSet};
use slapos_engine::{PartInit, ProfileError};

use super::work::Stoppable;
use super::{Python, host_environment};
use crate::common;
use crate::egg::{self, Choice};

/// Where the host's own distributions are, below the buildout directory.
const SHELF: &str = ".slapos/python-packages";

/// How distributions for the host are found, for one part; clones are the same.
#[derive(Clone)]
pub(crate) struct Packages(Arc<Inner>);

struct Inner {
    choice: Choice,
    shelves: Shelves,
    offline: bool,
    directory: PathBuf,
    work: Stoppable,
}

impl Packages {
    /// As the profile says. Nothing is looked for yet.
    pub(crate) fn of_part(init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let directory = init.buildout_directory().to_owned();
        let choice = Choice::read(init)?;
        let offline = init.offline();
        let shelves = match offline {
            true => Shelves {
                eggs: place(init, "eggs-directory")?,
                develop: Some(place(init, "develop-eggs-directory")?),
                store: None,
            },
            false => {
                Shelves { eggs: directory.join(SHELF), develop: None, store: egg::store(init) }
            }
        };
        let work = Stoppable { cancellation: init.cancellation().clone(), tag: init.tag() };
        Ok(Self(Arc::new(Inner { choice, shelves, offline, directory, work })))
    }

    /// What can be stopped, for other work of the part.
    pub(super) fn work(&self) -> &Stoppable {
        &self.0.work
    }

    /// Whether the profile fixes the version of `name`.
    pub(crate) fn is_pinned(&self, name: &str) -> bool {
        self.0.choice.pins.text(name).is_some()
    }

    /// The distributions that `requirements` need, made if they are missing.
    pub(crate) fn working_set(
        &self,
        python: &Python,
        requirements: &[String],
    ) -> Result<WorkingSet, EggError> {
        self.find(python, requirements, self.0.choice.allow_picked_versions)
    }

    /// The same for what this program itself wants of Python: what is not pinned is picked.
    pub(crate) fn own_working_set(
        &self,
        python: &Python,
        requirements: &[String],
    ) -> Result<WorkingSet, EggError> {
        self.find(python, requirements, true)
    }

    fn find(
        &self,
        python: &Python,
        requirements: &[String],
        allow_picked_versions: bool,
    ) -> Result<WorkingSet, EggError> {
        let Inner { choice, shelves, offline, directory, work } = &*self.0;
        let unusable = |error: slapos_python::HostError| EggError::Interpreter {
            executable: "python3".into(),
            reason: error.to_string(),
        };
        let executable = python.host().python().map_err(unusable)?;
        let interpreter = python.eggs().interpreter(&executable)?;
        let settings = Settings {
            allow_picked_versions,
            prefer_wheels: true,
            offline: *offline,
            environment: host_environment(directory),
            ..choice.settings(interpreter, shelves.clone())
        };
        python.eggs().working_set(&settings, requirements, work)
    }
}

/// A directory that `[buildout]` names.
fn place(init: &mut PartInit<'_>, option: &str) -> Result<PathBuf, ProfileError> {
    let text = init.option("buildout", option)?;
    Ok(common::path(init, &text))
}
