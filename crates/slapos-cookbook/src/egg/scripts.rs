//! `zc.recipe.egg`, `:scripts`, `:script`, `:eggs`: distributions, and scripts that use them.
//!
//! Options, besides those of [`super`]:
//! - `eggs`: lines of requirements, default the name of the part.
//!
//! Only with scripts:
//! - `scripts`: words `name` or `name=new-name`; empty for no script at all; default: every script
//!   that the listed distributions offer;
//! - `entry-points`: words `name=module:attributes`, more scripts;
//! - `dependent-scripts`: `true` makes the scripts of what the listed ones need as well;
//! - `interpreter`: name of a Python that has all of them on its path;
//! - `initialization`: Python code run first in each script; `arguments`: what entry points are
//!   called with; `extra-paths`: lines, put at the end of the path;
//! - `relative-paths` (also in `[buildout]`): `true` finds what is below the buildout directory
//!   from where the script is; then `buildout-directory` is set;
//! - set: `bin-directory`, `_b`, `executable`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_eggs::{Distribution, EntryPoint, Requirement, Script, Scripts, WorkingSet};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sys::fs;

use super::record::{self, Record};
use super::work::PartWork;
use super::{Base, Shop, of_buildout, part_error};
use crate::common::environment::Environment;
use crate::common::{self};

/// The recipes that only need distributions.
pub(crate) struct Distributions {
    shop: Arc<Shop>,
    scripts: bool,
}

impl Distributions {
    pub(crate) fn new(shop: Arc<Shop>, scripts: bool) -> Self {
        Self { shop, scripts }
    }
}

/// A part of them.
struct Installed {
    base: Base,
    requirements: Vec<String>,
    wanted: Option<Wanted>,
    record: PathBuf,
}

/// The scripts that are wanted.
struct Wanted {
    directory: PathBuf,
    /// Name → name of the file; `None` for all as they are.
    names: Option<BTreeMap<String, String>>,
    entry_points: Vec<EntryPoint>,
    dependent: bool,
    interpreter: Option<String>,
    initialization: String,
    arguments: String,
    extra_paths: Vec<PathBuf>,
    relative_to: Option<PathBuf>,
}

impl Recipe for Distributions {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let base = Base::read(&self.shop, init)?;
        let text = init.get("eggs").unwrap_or(init.name()).to_owned();
        let requirements = base.requirements(init, "eggs", &text)?;
        let wanted = if self.scripts { Wanted::read(init)? } else { None };
        let record = record::place(init);
        Ok(Box::new(Installed { base, requirements, wanted, record }))
    }
}

impl Wanted {
    fn read(init: &mut PartInit<'_>) -> Result<Option<Self>, ProfileError> {
        let directory = of_buildout(init, "bin-directory")?.unwrap_or_else(|| "bin".to_owned());
        let directory = common::path(init, &directory);
        init.set("bin-directory", &directory.to_string_lossy());
        init.set("_b", &directory.to_string_lossy());
        let lines = init.get("extra-paths").unwrap_or_default().to_owned();
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        let extra_paths: Vec<PathBuf> = lines.map(|line| common::path(init, line)).collect();
        if !extra_paths.is_empty() {
            let texts: Vec<_> = extra_paths.iter().map(|path| path.to_string_lossy()).collect();
            init.set("extra-paths", &texts.join("\n"));
        }
        let relative_to = relative(init)?;
        let text = |option: &str| init.get(option).unwrap_or_default().to_owned();
        let names = init.get("scripts").map(|words| {
            let words = words.split_whitespace();
            words
                .map(|word| word.split_once('=').unwrap_or((word, word)))
                .map(|(name, file)| (name.to_owned(), file.to_owned()))
                .collect::<BTreeMap<_, _>>()
        });
        if names.as_ref().is_some_and(BTreeMap::is_empty) {
            return Ok(None);
        }
        Ok(Some(Self {
            directory,
            names,
            entry_points: entry_points(init)?,
            dependent: common::boolean(init, "dependent-scripts", false)?,
            interpreter: init.get("interpreter").filter(|name| !name.is_empty()).map(str::to_owned),
            initialization: text("initialization"),
            arguments: text("arguments"),
            extra_paths,
            relative_to,
        }))
    }
}

fn relative(init: &mut PartInit<'_>) -> Result<Option<PathBuf>, ProfileError> {
    let inherited = of_buildout(init, "relative-paths")?.is_some_and(|text| text == "true");
    if !common::boolean(init, "relative-paths", inherited)? {
        return Ok(None);
    }
    let directory = init.buildout_directory().to_owned();
    init.set("buildout-directory", &directory.to_string_lossy());
    Ok(Some(directory))
}

fn entry_points(init: &PartInit<'_>) -> Result<Vec<EntryPoint>, ProfileError> {
    let text = init.get("entry-points").unwrap_or_default();
    text.split_whitespace()
        .map(|word| {
            let parsed = word.split_once('=').and_then(|(name, target)| {
                let (module, attrs) = target.split_once(':')?;
                let fits = !name.is_empty() && is_dotted(module) && is_dotted(attrs);
                let [name, module, attrs] = [name, module, attrs].map(str::to_owned);
                fits.then_some(EntryPoint { name, module, attrs })
            });
            parsed.ok_or_else(|| {
                let message = format!("`{word}` is not of the form name=module:attributes");
                init.error_at_word("entry-points", word, &message, None)
            })
        })
        .collect()
}

/// Names of Python separated by dots.
fn is_dotted(text: &str) -> bool {
    let name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    text.split('.').all(name)
}

impl Installed {
    fn make(&self, cx: &PartContext<'_>) -> Result<Record, PartError> {
        let home = self.base.home()?;
        let home = home.as_ref().map_or(Path::new("/nonexistent"), |home| home.path());
        let settings = self.base.settings(cx, &Environment::default(), home)?;
        let work = PartWork(cx);
        let eggs = &self.base.shop.eggs;
        let set = eggs.working_set(&settings, &self.requirements, &work).map_err(part_error)?;
        self.base.shop.picked.note(&set, &self.base.choice.picks);
        let scripts = match &self.wanted {
            Some(wanted) => wanted.scripts(&self.requirements, &set, &settings, cx)?,
            None => Vec::new(),
        };
        let mut written = Vec::new();
        for script in scripts {
            cx.record_path(&script.path)?;
            common::write_file(&script.path, script.text.as_bytes(), 0o777 & !common::umask())?;
            if !written.contains(&script.path) {
                written.push(script.path);
            }
        }
        let record = Record::new(&set, &self.base.choice.pins, written);
        record.write(&self.record)?;
        Ok(record)
    }
}

impl Part for Installed {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.record.clone()]
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let mut paths = self.make(cx)?.scripts;
        paths.push(self.record.clone());
        Ok(paths)
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let before = Record::read(&self.record).unwrap_or_default();
        let after = self.make(cx)?;
        for script in before.scripts.iter().filter(|script| !after.scripts.contains(script)) {
            fs::remove_tree(script).map_err(|error| PartError::io("remove", script, &error))?;
        }
        Ok(())
    }

    fn needs_update(&self) -> Option<String> {
        match Record::read(&self.record) {
            Some(record) => record.objection(&self.base.choice.pins),
            None => Some(format!("{} is gone", self.record.display())),
        }
    }
}

impl Wanted {
    /// All scripts; of two with one name, the later one counts.
    fn scripts(
        &self,
        requirements: &[String],
        set: &WorkingSet,
        settings: &slapos_eggs::Settings,
        cx: &PartContext<'_>,
    ) -> Result<Vec<Script>, PartError> {
        let mut paths: Vec<PathBuf> = set.paths().iter().map(|path| real_parent(path)).collect();
        for path in &self.extra_paths {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let scripts = Scripts {
            python: &settings.python.executable,
            directory: &self.directory,
            paths,
            initialization: &self.initialization,
            arguments: &self.arguments,
            relative_to: self.relative_to.as_deref(),
        };
        let mut made = Vec::new();
        let mut offered: Vec<String> = Vec::new();
        let mut old = Vec::new();
        for dist in self.offering(requirements, set, settings) {
            for entry in dist.console_scripts().map_err(part_error)? {
                made.extend(self.name_of(&entry.name).map(|name| scripts.console(name, &entry)));
                offered.push(entry.name);
            }
            for (name, text) in dist.old_scripts().map_err(part_error)? {
                let file = self.name_of(&name);
                old.extend(file.and_then(|file| scripts.old(file, &text)));
                offered.push(name);
            }
        }
        for entry in &self.entry_points {
            made.extend(self.name_of(&entry.name).map(|name| scripts.console(name, entry)));
            offered.push(entry.name.clone());
        }
        made.extend(old);
        made.extend(self.interpreter.iter().map(|name| scripts.interpreter(name)));
        for name in self.names.iter().flat_map(|names| names.keys()) {
            if !offered.contains(name) {
                cx.warn(&format!("script `{name}` is not offered by any of the eggs"));
            }
        }
        Ok(made)
    }

    fn name_of<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        match &self.names {
            Some(names) => names.get(name).map(String::as_str),
            None => Some(name),
        }
    }

    /// The distributions whose scripts are wanted.
    fn offering<'s>(
        &self,
        requirements: &[String],
        set: &'s WorkingSet,
        settings: &slapos_eggs::Settings,
    ) -> Vec<&'s Distribution> {
        let mut found: Vec<&Distribution> = Vec::new();
        for requirement in requirements.iter().filter_map(|r| r.parse::<Requirement>().ok()) {
            let marker = requirement.marker.as_ref();
            let here = marker.is_none_or(|m| m.holds(&settings.python.markers, ""));
            found.extend(set.get(&requirement.name).filter(|_| here));
        }
        if self.dependent {
            let others = set.distributions().iter().filter(|dist| dist.key() != "setuptools");
            let others: Vec<_> = others.filter(|dist| !found.contains(dist)).collect();
            found.extend(others);
        }
        found
    }
}

/// The path with links in its directory followed, but not itself: an egg is named where the
/// buildout has it, which may be a link into the store.
fn real_parent(path: &Path) -> PathBuf {
    let real = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (real, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}
