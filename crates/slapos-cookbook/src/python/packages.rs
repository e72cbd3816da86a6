//! Distributions that the host imports: recipes, and what templates need.
//!
//! While a Software Release is built they are found by the profile's pins, taken as wheels where
//! there are any, and kept in the store of the node, apart from the eggs of the Software Release. In an
//! instance (`[buildout] offline = true`) they are those of the Software Release.

use std::path::PathBuf;

use slapos_eggs::{Direct, EggError, Pins, Settings, Shelves, WorkingSet};
use slapos_engine::{PartInit, ProfileError};
use slapos_sources::PythonPlaces;

use super::{Python, host_environment};
use crate::egg;

/// Where the host's own distributions are, below the buildout directory.
const SHELF: &str = ".slapos/python-packages";

/// How distributions for the host are found, for one profile.
#[derive(Clone)]
pub(crate) struct Packages {
    pins: Pins,
    places: PythonPlaces,
    shelves: Shelves,
    allow_picked_versions: bool,
    offline: bool,
    directory: PathBuf,
}

impl Packages {
    /// As `[buildout]` of the profile says. Nothing is looked for yet.
    pub(crate) fn of_part(init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let directory = init.buildout_directory().to_owned();
        let offline = init.offline();
        let store = egg::store(init);
        let pins = egg::pins(init)?;
        let mut option =
            |name: &str| init.try_option("buildout", name).map(Option::unwrap_or_default);
        let place = |text: &str| directory.join(text.trim());
        let shelves = match offline {
            true => Shelves {
                eggs: place(&option("eggs-directory")?),
                develop: Some(place(&option("develop-eggs-directory")?)),
                store: None,
            },
            false => Shelves { eggs: directory.join(SHELF), develop: None, store },
        };
        let places = PythonPlaces {
            index: Some(option("index")?).filter(|index| !index.trim().is_empty()),
            links: option("find-links")?.split_whitespace().map(str::to_owned).collect(),
        };
        let allow_picked_versions = option("allow-picked-versions")? != "false";
        Ok(Self { pins, places, shelves, allow_picked_versions, offline, directory })
    }

    /// Whether the profile fixes the version of `name`.
    pub(crate) fn is_pinned(&self, name: &str) -> bool {
        self.pins.text(name).is_some()
    }

    /// The distributions that `requirements` need, made if they are missing.
    pub(crate) fn working_set(
        &self,
        python: &Python,
        requirements: &[String],
    ) -> Result<WorkingSet, EggError> {
        self.find(python, requirements, self.allow_picked_versions)
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
        let unusable = |error: slapos_python::HostError| EggError::Interpreter {
            executable: "python3".into(),
            reason: error.to_string(),
        };
        let executable = python.host().python().map_err(unusable)?;
        let settings = Settings {
            pins: self.pins.clone(),
            places: self.places.clone(),
            allow_picked_versions,
            prefer_wheels: true,
            offline: self.offline,
            environment: host_environment(&self.directory),
            ..Settings::new(python.eggs().interpreter(&executable)?, self.shelves.clone())
        };
        python.eggs().working_set(&settings, requirements, &Direct)
    }
}
