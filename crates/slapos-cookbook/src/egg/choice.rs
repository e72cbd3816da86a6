//! Which distributions a profile wants, and where they are: what `[buildout]` and `[versions]` say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_eggs::{Hosts, Interpreter, Pins, PythonPlaces, Settings, Shelves};
use slapos_engine::{PartInit, ProfileError};

use super::picks::Picks;
use crate::common;

/// The section of pins where `[buildout]` says nothing.
const DEFAULT_PINS: &str = "versions";

/// What is the same for all distributions of a part.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) pins: Pins,
    /// As written; the part's own option or that of `[buildout]`.
    pub(super) index: Option<String>,
    pub(super) links: Vec<String>,
    places: PythonPlaces,
    hosts: Hosts,
    /// Where the files that were fetched are kept.
    archives: Option<PathBuf>,
    pub(super) picks: Picks,
    pub(crate) allow_picked_versions: bool,
    allow_unknown_extras: bool,
    prefer_final: bool,
}

impl Choice {
    /// As the options of the part and of `[buildout]` say.
    pub(crate) fn read(init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let index = own_or_of_buildout(init, "index")?;
        let links = own_or_of_buildout(init, "find-links")?.unwrap_or_default();
        let links: Vec<String> = links.split_whitespace().map(str::to_owned).collect();
        let absolute = |text: &str| match text.contains("://") {
            true => text.to_owned(),
            false => common::path(init, text).to_string_lossy().into_owned(),
        };
        let places = PythonPlaces {
            index: index.as_deref().map(absolute),
            links: links.iter().map(|link| absolute(link)).collect(),
        };
        let archives = archives(init)?;
        let places = only_kept(init, archives.as_deref())?.unwrap_or(places);
        let hosts = Hosts::new(&of_buildout(init, "allow-hosts")?.unwrap_or_default());
        let yes = |init: &mut PartInit<'_>, option: &str, default: bool| {
            let text = of_buildout(init, option)?;
            Ok::<_, ProfileError>(text.map_or(default, |text| text == "true"))
        };
        Ok(Self {
            pins: pins(init)?,
            index,
            links,
            places,
            hosts,
            archives,
            picks: Picks::read(init)?,
            allow_picked_versions: yes(init, "allow-picked-versions", true)?,
            allow_unknown_extras: yes(init, "allow-unknown-extras", false)?,
            prefer_final: yes(init, "prefer-final", true)?,
        })
    }

    /// Settings for `python` and `shelves`; everything else is as usual.
    pub(crate) fn settings(&self, python: Arc<Interpreter>, shelves: Shelves) -> Settings {
        Settings {
            pins: self.pins.clone(),
            places: self.places.clone(),
            hosts: self.hosts.clone(),
            archives: self.archives.clone(),
            allow_picked_versions: self.allow_picked_versions,
            allow_unknown_extras: self.allow_unknown_extras,
            prefer_final: self.prefer_final,
            ..Settings::new(python, shelves)
        }
    }
}

/// Below `download-cache`, as in Buildout.
fn archives(init: &mut PartInit<'_>) -> Result<Option<PathBuf>, ProfileError> {
    let text = of_buildout(init, "download-cache")?;
    Ok(text.map(|text| common::path(init, &text).join("dist")))
}

/// With `install-from-cache` the files that are kept there are all there is.
fn only_kept(
    init: &mut PartInit<'_>,
    archives: Option<&Path>,
) -> Result<Option<PythonPlaces>, ProfileError> {
    if of_buildout(init, "install-from-cache")?.is_none_or(|text| text != "true") {
        return Ok(None);
    }
    let Some(archives) = archives else {
        let message = "`install-from-cache` of [buildout] needs a `download-cache`";
        let help = "name the directory whose `dist` holds the files";
        return Err(init.error("recipe", message, Some(help)));
    };
    let index = Some(archives.to_string_lossy().into_owned());
    Ok(Some(PythonPlaces { index, links: Vec::new() }))
}

fn own_or_of_buildout(
    init: &mut PartInit<'_>,
    option: &str,
) -> Result<Option<String>, ProfileError> {
    match init.get(option).map(|text| text.trim().to_owned()) {
        Some(own) => Ok(Some(own).filter(|text| !text.is_empty())),
        None => of_buildout(init, option),
    }
}

/// An option of `[buildout]`; empty is absent.
pub(super) fn of_buildout(
    init: &mut PartInit<'_>,
    option: &str,
) -> Result<Option<String>, ProfileError> {
    let text = init.try_option("buildout", option)?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// The versions that the profile fixes; whoever asks does not depend on them.
fn pins(init: &mut PartInit<'_>) -> Result<Pins, ProfileError> {
    let section = of_buildout(init, "versions")?.unwrap_or_else(|| DEFAULT_PINS.to_owned());
    if !init.has_section(&section) {
        if section == DEFAULT_PINS {
            return Ok(Pins::default());
        }
        let message =
            format!("there is no section [{section}], which `versions` of [buildout] names");
        return Err(init.error("recipe", &message, Some("no version would be fixed without it")));
    }
    let hidden = |name: &str| name == "recipe" || name.starts_with(['_', '<']);
    Ok(Pins::new(init.look(&section)?.into_iter().filter(|(name, _)| !hidden(name))))
}

/// The node's store of eggs, where nothing goes until the run ends.
pub(crate) fn store(init: &PartInit<'_>) -> Option<PathBuf> {
    let lists = init.shared_lists().iter();
    let store = lists.map(|list| list.join("python")).find(|place| can_be_made(place))?;
    init.hold_shared();
    Some(store)
}

/// Asks, and changes nothing.
fn can_be_made(place: &Path) -> bool {
    let existing = place.ancestors().find(|path| path.symlink_metadata().is_ok());
    existing.is_some_and(|path| path.is_dir() && slapos_sys::fs::may_change_entries(path))
}
