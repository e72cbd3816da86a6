//! `zc.recipe.egg`: Python distributions, scripts that use them, and special builds of them.
//!
//! | recipe | makes |
//! | --- | --- |
//! | `zc.recipe.egg`, `:scripts`, `:script` | eggs, and scripts in the bin directory: [`scripts`] |
//! | `zc.recipe.egg:eggs` | eggs: [`scripts`] |
//! | `zc.recipe.egg:custom` | an egg built from its source with options: [`custom`] |
//! | `zc.recipe.egg:develop` | a source tree used where it is: [`custom`] |
//!
//! Options of all:
//! - `find-links`, `index` (also in `[buildout]`): pages, and directories of files; where the index
//!   is. Default: what pip is configured for on this machine;
//! - `<egg>-patches`: white-space list of `url[#md5]` (digests as for `url`) that make a version
//!   `X+SlapOSPatchedNNN` of X; `<egg>-patch-options` or `patch-options` (`-p0`);
//!   `<egg>-patch-binary` or `patch-binary` (`patch`); a `patch-revision` must be the NNN;
//! - set: `eggs-directory`, `_e`, `develop-eggs-directory`, `_d`, and `find-links`, `index` if
//!   there are any.
//!
//! Of `[buildout]`: `versions` (default `versions`) names the section of pins; `python` the section
//! whose option `executable` is the Python, else `executable`, else the machine's `python3`;
//! `allow-picked-versions`, `allow-unknown-extras`, `prefer-final` as usual. A version that was
//! picked stays until the part is made again, whatever `newest` says. `allow-hosts`: patterns of the
//! hosts that files of distributions may come from (also where the machine's own index has them);
//! `download-cache`: its `dist` keeps these files, and is looked at before anybody is asked; with
//! `install-from-cache`, nobody is. `show-picked-versions` and `update-versions-file`: [`picks`]. When
//! the run is offline nothing is fetched or built: eggs are found in the eggs
//! directory and the develop-eggs directory.
//!
//! A pin changes the identity of a part that lists its distribution. The pins of what those need
//! are known once it is installed, and looked at then: a part whose distributions are not those
//! that the pins want any more, or are gone, is updated.

mod choice;
mod custom;
mod home;
pub(crate) mod picks;
mod record;
mod scripts;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use slapos_eggs::{EggError, Eggs, Patches, Requirement, Settings, Shelves};
use slapos_engine::{PartContext, PartError, PartInit, ProfileError};
use slapos_sources::{Fetcher, Source};

use choice::of_buildout;
pub(crate) use choice::{Choice, store};
pub(crate) use custom::{Custom, Develop};
use home::Home;
use picks::Picked;
pub(crate) use scripts::Distributions;

use crate::common::{self, environment, source};

/// What all recipes of this kind share in a run.
pub(crate) struct Shop {
    fetcher: Arc<Fetcher>,
    eggs: Arc<Eggs>,
    /// Directory of special eggs and normal name → the section that makes it.
    makers: Mutex<BTreeMap<(PathBuf, String), String>>,
    picked: Picked,
}

impl Shop {
    pub(crate) fn new(fetcher: Arc<Fetcher>, eggs: Arc<Eggs>) -> Arc<Self> {
        Arc::new(Self { eggs, fetcher, makers: Mutex::default(), picked: Picked::default() })
    }

    /// What was picked since this was last asked, told and written down as the profile wants it.
    pub(crate) fn conclude(&self) -> Vec<String> {
        self.picked.conclude()
    }

    fn makers(&self) -> std::sync::MutexGuard<'_, BTreeMap<(PathBuf, String), String>> {
        self.makers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Patches of one distribution, not fetched yet.
struct PatchList {
    name: String,
    sources: Vec<Source>,
    options: Vec<String>,
    binary: String,
}

/// What every part of this kind is made from.
struct Base {
    shop: Arc<Shop>,
    python: PathBuf,
    choice: Choice,
    shelves: Shelves,
    patches: Vec<PatchList>,
    jobs: usize,
}

impl Base {
    /// Reads the options of all; `names` are the distributions that the part itself lists.
    fn read(shop: &Arc<Shop>, init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let choice = Choice::read(init)?;
        tell_places(init, &choice);
        let shelves = shelves(init)?;
        let patches = patches(init, &shop.fetcher)?;
        Ok(Self {
            shop: shop.clone(),
            python: python(init)?,
            choice,
            shelves,
            patches,
            jobs: init.jobs(),
        })
    }

    /// Reads lines of requirements, has what they are pinned to decide what the part is, and has
    /// the sections before that make some of them come first.
    fn requirements(
        &self,
        init: &mut PartInit<'_>,
        option: &str,
        text: &str,
    ) -> Result<Vec<String>, ProfileError> {
        let mut found = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let requirement: Requirement = line
                .parse()
                .map_err(|error| init.error_at_word(option, line, &format!("{error}"), None))?;
            let key = requirement.key();
            let pin = self.choice.pins.get(&key);
            pin.map_err(|error| init.error_at_word(option, line, &error.to_string(), None))?;
            init.add_input(
                &format!("version of {key}"),
                self.choice.pins.text(&key).unwrap_or("any"),
            );
            found.push(line.to_owned());
        }
        self.follow_makers(init)?;
        Ok(found)
    }

    /// Has the sections come first that make distributions in a way of their own: what this part
    /// lists may need one of them without saying so.
    fn follow_makers(&self, init: &mut PartInit<'_>) -> Result<(), ProfileError> {
        let place = self.shelves.develop.clone().unwrap_or_default();
        let makers = self.shop.makers();
        let here = makers.iter().filter(|((directory, _), _)| *directory == place);
        let here: Vec<String> = here.map(|(_, maker)| maker.clone()).collect();
        drop(makers);
        for maker in &here {
            if maker != init.name() && init.has_section(maker) && init.is_begun(maker) {
                init.section(maker)?;
            }
        }
        Ok(())
    }

    /// Tells that this part makes distribution `name` in a way of its own.
    fn makes(&self, init: &PartInit<'_>, name: &str) {
        let place = self.shelves.develop.clone().unwrap_or_default();
        let key = (place, slapos_eggs::normalise(name));
        self.shop.makers().insert(key, init.name().to_owned());
    }

    /// All that is needed when the part is installed; `home` is for what builds leave behind.
    fn settings(
        &self,
        cx: &PartContext<'_>,
        variables: &environment::Environment,
        home: &Path,
    ) -> Result<Settings, PartError> {
        let python = self.shop.eggs.interpreter(&self.python).map_err(part_error)?;
        let mut base = environment::base(home, home);
        // Build systems read files that are not ASCII.
        for name in ["LANG", "LC_ALL"] {
            base.insert(name.to_owned(), "C.UTF-8".to_owned());
        }
        cx.apply_variables(&mut base);
        let mut patches = BTreeMap::new();
        for list in self.patches.iter().filter(|_| !cx.offline()) {
            let files = list.sources.iter();
            let files = files.map(|one| Ok(source::fetch(&self.shop.fetcher, one, cx)?.path));
            let made = Patches {
                files: files.collect::<Result<_, PartError>>()?,
                binary: list.binary.clone(),
                options: list.options.clone(),
            };
            patches.insert(slapos_eggs::normalise(&list.name), made);
        }
        Ok(Settings {
            offline: cx.offline(),
            jobs: self.jobs,
            environment: variables.over(cx, &base)?,
            patches,
            ..self.choice.settings(python, self.shelves.clone())
        })
    }

    /// A directory for what builds leave behind, gone when dropped.
    fn home(&self) -> Result<Option<Home>, PartError> {
        Home::in_directory(&self.shelves.eggs)
    }
}

fn python(init: &mut PartInit<'_>) -> Result<PathBuf, ProfileError> {
    let section = of_buildout(init, "python")?.filter(|name| name != "buildout");
    let mut executable = None;
    if let Some(section) = section.filter(|name| init.has_section(name)) {
        executable = init.try_option(&section, "executable")?;
    }
    if executable.is_none() {
        executable = of_buildout(init, "executable")?;
    }
    let text = executable.unwrap_or_else(|| "python3".to_owned());
    init.set("executable", text.trim());
    let has_directory = text.contains('/');
    Ok(if has_directory { common::path(init, &text) } else { PathBuf::from(text.trim()) })
}

/// Directories of eggs; the node's store is below the first list of shared parts that can be
/// written.
fn shelves(init: &mut PartInit<'_>) -> Result<Shelves, ProfileError> {
    let directory = |init: &mut PartInit<'_>, option: &str, short: &str, default: &str| {
        let text = of_buildout(init, option)?.unwrap_or_else(|| default.to_owned());
        let path = common::path(init, &text);
        init.set(option, &path.to_string_lossy());
        init.set(short, &path.to_string_lossy());
        Ok::<_, ProfileError>(path)
    };
    let eggs = directory(init, "eggs-directory", "_e", "eggs")?;
    let develop = directory(init, "develop-eggs-directory", "_d", "develop-eggs")?;
    Ok(Shelves { eggs, develop: Some(develop), store: store(init) })
}

/// Sets the options that say where distributions were looked for.
fn tell_places(init: &mut PartInit<'_>, choice: &Choice) {
    if !choice.links.is_empty() {
        init.set("find-links", &choice.links.join("\n"));
    }
    if let Some(index) = &choice.index {
        init.set("index", index);
    }
}

/// All `<egg>-patches`, and `patches` for the `egg` of the part.
fn patches(init: &mut PartInit<'_>, fetcher: &Fetcher) -> Result<Vec<PatchList>, ProfileError> {
    let mut found = Vec::new();
    for (option, _) in init.options() {
        let name = match option.strip_suffix("-patches") {
            Some(name) => name.to_owned(),
            None if option == "patches" => match init.get("egg") {
                Some(egg) => requirement_name(egg),
                None => init.name().to_owned(),
            },
            None => continue,
        };
        let sources = source::patches(init, &option)?;
        if sources.is_empty() {
            continue;
        }
        for one in &sources {
            source::declare_local(init, one, fetcher);
        }
        let either = |what: &str| {
            let own = init.get(&format!("{name}-{what}")).or_else(|| init.get(what));
            own.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let words = either("patch-options").unwrap_or_else(|| "-p0".to_owned());
        let options = shlex::split(&words).unwrap_or_else(|| vec![words.clone()]);
        let binary = either("patch-binary").unwrap_or_else(|| "patch".to_owned());
        found.push(PatchList { name, sources, options, binary });
    }
    Ok(found)
}

/// The name alone of a requirement, as well as it can be told.
fn requirement_name(text: &str) -> String {
    match text.trim().parse::<Requirement>() {
        Ok(requirement) => requirement.name,
        Err(_) => text.trim().to_owned(),
    }
}

/// An error of a part, with what to do about it.
#[expect(clippy::needless_pass_by_value, reason = "it is for `map_err`, which gives it away")]
fn part_error(error: EggError) -> PartError {
    if matches!(error, EggError::Cancelled) {
        return PartError::cancelled();
    }
    let part = PartError::new(error.to_string());
    let part = match &error {
        EggError::Build { said, .. } if !said.is_empty() => part.with_said(said.clone()),
        _ => part,
    };
    match error.help() {
        Some(help) => part.with_help(help),
        None => part,
    }
}
