//! `zc.recipe.egg:custom`: a distribution built from its source with options of its own, and
//! `zc.recipe.egg:develop`: a source tree used where it is.
//!
//! Options of both, besides those of [`super`]:
//! - `include-dirs`, `library-dirs`, `rpath`: lines, relative to the buildout directory; set to
//!   their absolute form (`rpath` keeps `$ORIGIN` and the like);
//! - `define`, `undef`, `libraries`, `link-objects`, `debug`, `force`, `compiler`, `swig`,
//!   `swig-cpp`, `swig-opts`: as the command `build_ext` of setuptools takes them;
//! - `environment`: see [`crate::common::environment`]; `_environment-data` is set;
//! - `setup-eggs`: lines, distributions that the build may import.
//!
//! Of `:custom`: `egg` (or `eggs`, or the name of the part), a requirement; `patches` for it. The
//! result is in the develop-eggs directory, which is looked at first. Of `:develop`: `setup`, the
//! source tree; `egg` only tells others its name. Offline, nothing is built, and what is there is
//! kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_eggs::{BuildExt, Shelves};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::Digest;

use super::work::PartWork;
use super::{Base, Shop, part_error, requirement_name};
use crate::common::environment::Environment;
use crate::common::{self, Literal};

/// What stands at the beginning of an rpath for the linker to replace.
const LINKER_WORDS: [&str; 6] =
    ["$ORIGIN", "$LIB", "$PLATFORM", "${ORIGIN}", "${LIB}", "${PLATFORM}"];
/// Options handed on as they are.
const PLAIN: [&str; 9] = [
    "define",
    "undef",
    "libraries",
    "link-objects",
    "debug",
    "force",
    "compiler",
    "swig-cpp",
    "swig-opts",
];
/// Files by which a source tree says how it is built.
const SETUP_FILES: [&str; 3] = ["setup.py", "setup.cfg", "pyproject.toml"];

/// The recipe `:custom`.
pub(crate) struct Custom(pub(crate) Arc<Shop>);

/// The recipe `:develop`.
pub(crate) struct Develop(pub(crate) Arc<Shop>);

/// A special build.
struct Special {
    base: Base,
    build_ext: BuildExt,
    setup_eggs: Vec<String>,
    environment: Environment,
    what: What,
}

enum What {
    /// A requirement.
    Build(String),
    /// A source tree.
    Tree(PathBuf),
}

impl Recipe for Custom {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let base = Base::read(&self.0, init)?;
        let option = if init.get("egg").is_some() { "egg" } else { "eggs" };
        let egg = init.get(option).unwrap_or(init.name()).trim().to_owned();
        base.requirements(init, option, &egg)?;
        if egg.lines().count() != 1 {
            let message = format!("`{option}` must be exactly one requirement");
            return Err(init.error(option, &message, None));
        }
        check_revision(init, &base, &egg)?;
        base.makes(init, &requirement_name(&egg));
        special(init, base, What::Build(egg))
    }
}

impl Recipe for Develop {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let base = Base::read(&self.0, init)?;
        let setup = common::path(init, &init.require("setup")?);
        init.set("setup", &setup.to_string_lossy());
        // Without a name it may be any: what comes later waits for it all the same.
        let egg = init.get("egg").unwrap_or(init.name()).to_owned();
        base.makes(init, &requirement_name(&egg));
        if !init.is_made_by_reference(&setup) {
            let directory = if setup.is_file() { setup.parent().unwrap_or(&setup) } else { &setup };
            for file in SETUP_FILES.map(|name| directory.join(name)) {
                if let Ok(bytes) = slapos_sys::fs::read(&file) {
                    let digest = Digest::sha256_of(&bytes).to_string();
                    init.add_input(&file.to_string_lossy(), &digest);
                }
            }
        }
        special(init, base, What::Tree(setup))
    }
}

/// A `patch-revision` must be what the version to be built says: no other would be found.
fn check_revision(init: &PartInit<'_>, base: &Base, egg: &str) -> Result<(), ProfileError> {
    let Some(revision) = init.get("patch-revision").map(str::trim) else {
        return Ok(());
    };
    let name = requirement_name(egg);
    let version = base.choice.pins.text(&name).unwrap_or(egg).to_ascii_lowercase();
    let number = version.rsplit_once("slapospatched").and_then(|(_, n)| n.parse::<u32>().ok());
    if number.is_some() && revision.parse().ok() == number {
        return Ok(());
    }
    let message = format!("`patch-revision = {revision}` is not what the version of {name} says");
    let help = "it is the number after `+SlapOSPatched`: leave it out";
    Err(init.error("patch-revision", &message, Some(help)))
}

fn special(init: &mut PartInit<'_>, base: Base, what: What) -> Result<Box<dyn Part>, ProfileError> {
    let environment = Environment::of_part(init)?;
    let pairs = environment
        .variables()
        .iter()
        .map(|(name, value)| Literal::Tuple(vec![name.as_str().into(), value.as_str().into()]));
    let data = Literal::List(pairs.collect());
    init.set("_environment-data", &data.to_string());
    let text = init.get("setup-eggs").unwrap_or_default().to_owned();
    let setup_eggs = base.requirements(init, "setup-eggs", &text)?;
    let build_ext = build_ext(init);
    Ok(Box::new(Special { base, build_ext, setup_eggs, environment, what }))
}

fn build_ext(init: &mut PartInit<'_>) -> BuildExt {
    let mut found = BTreeMap::new();
    for option in ["include-dirs", "library-dirs", "rpath"] {
        let Some(text) = init.get(option).map(str::to_owned) else {
            continue;
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let kept = |line: &str| {
            option == "rpath" && LINKER_WORDS.iter().any(|word| line.starts_with(word))
        };
        let paths = lines.map(|line| match kept(line) {
            true => line.to_owned(),
            false => common::path(init, line).to_string_lossy().into_owned(),
        });
        let joined = paths.collect::<Vec<_>>().join(":");
        init.set(option, &joined);
        found.insert(option.replace('-', "_"), joined);
    }
    if let Some(swig) = init.get("swig").map(str::trim).filter(|text| !text.is_empty()) {
        let swig = common::path(init, swig).to_string_lossy().into_owned();
        init.set("swig", &swig);
        found.insert("swig".to_owned(), swig);
    }
    for option in PLAIN {
        if let Some(value) = init.get(option) {
            found.insert(option.replace('-', "_"), value.to_owned());
        }
    }
    BuildExt(found)
}

impl Special {
    /// Makes it; returns the file in the develop-eggs directory, recorded before it was written.
    fn make(&self, cx: &PartContext<'_>) -> Result<PathBuf, PartError> {
        let home = self.base.home()?;
        let home = home.as_ref().map_or(Path::new("/nonexistent"), |home| home.path());
        let settings = self.base.settings(cx, &self.environment, home)?;
        let work = PartWork(cx);
        let eggs = &self.base.shop.eggs;
        match &self.what {
            What::Build(requirement) => {
                let variables = self.environment.variables().iter();
                let custom = slapos_eggs::Custom {
                    requirement: requirement.clone(),
                    build_ext: self.build_ext.clone(),
                    setup_eggs: self.setup_eggs.clone(),
                    identity: variables.map(|(name, value)| format!("{name}={value}")).collect(),
                };
                let egg = eggs.custom(&settings, &custom, &work).map_err(part_error)?;
                let link = settings.shelves.special_place(&egg, &settings.python);
                let link = link.map_err(part_error)?;
                cx.record_path(&link)?;
                Shelves::link(&egg, &link).map_err(part_error)?;
                Ok(link)
            }
            What::Tree(setup) => {
                let (ext, needs) = (&self.build_ext, &self.setup_eggs);
                let link = eggs.develop(&settings, setup, ext, needs, &work).map_err(part_error)?;
                cx.record_path(&link.path)?;
                link.write().map_err(part_error)?;
                Ok(link.path)
            }
        }
    }
}

impl Part for Special {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        if cx.offline() {
            cx.warn("nothing is built offline: what is there is used");
            return Ok(Vec::new());
        }
        Ok(vec![self.make(cx)?])
    }
}
