//! `slapos.cookbook:zero-knowledge.read` and `.write`: options in a file that people may edit.
//!
//! Options of both:
//! - `file-path`: the file, in the syntax of Python's `ConfigParser`; or `filename`: its name in
//!   the buildout directory.
//!
//! `.read` sets all options of all sections of the file, if it is there, in place of its own.
//! `.write` sees to it that the file has, in a section named after the part, all other options of
//! the part that do not begin with `_`, `-` or `<`; a value that the file has already is kept. The
//! file is kept when the part goes. Comments in it are lost when an option is added.

use std::path::PathBuf;

use indexmap::IndexMap;
use slapos_config::Config;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common::{self, OptionsOnly};

/// The recipe that reads.
pub(crate) struct Read;

/// The recipe that writes.
pub(crate) struct Write;

/// The file, and the option that names it.
fn file(init: &PartInit<'_>) -> Result<(PathBuf, &'static str), ProfileError> {
    for option in ["filename", "file-path"] {
        if let Some(text) = init.get(option).filter(|text| !text.trim().is_empty()) {
            return Ok((common::path(init, text), option));
        }
    }
    Err(init.error("recipe", "one of `filename` and `file-path` is needed", None))
}

/// Sections of the file → options → values.
type Sections = IndexMap<String, IndexMap<String, String>>;

fn sections(text: &str, name: &str) -> Result<Sections, String> {
    let config = Config::parse(text, name).map_err(|error| error.to_string())?;
    let owned = |(option, value): (&str, &str)| (option.to_owned(), value.to_owned());
    let section = |name: &str| (name.to_owned(), config.items(name).map(owned).collect());
    Ok(config.sections().map(section).collect())
}

impl Recipe for Read {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let (path, option) = file(init)?;
        let text = common::read_if_there(init, option, &path)?.unwrap_or_default();
        let found = sections(&text, &path.display().to_string())
            .map_err(|message| init.error(option, &message, None))?;
        for (name, value) in found.into_values().flatten() {
            init.set(&name, &value);
        }
        Ok(Box::new(OptionsOnly))
    }
}

impl Recipe for Write {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let (path, _) = file(init)?;
        let is_own = |name: &str| {
            !["recipe", "filename", "file-path"].contains(&name)
                && !name.starts_with(['_', '-', '<'])
        };
        let options = init.options().into_iter().filter(|(name, _)| is_own(name));
        let options = options.map(|(name, value)| (name.to_lowercase(), value)).collect();
        Ok(Box::new(Written { path, section: init.name().to_owned(), options }))
    }
}

struct Written {
    path: PathBuf,
    section: String,
    options: IndexMap<String, String>,
}

impl Written {
    /// The file as it has to be; `None` when it is so already.
    fn wanted(&self) -> Result<Option<String>, PartError> {
        let text = match slapos_sys::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(PartError::io("read", &self.path, &error)),
        };
        let mut found =
            sections(&text, &self.path.display().to_string()).map_err(PartError::new)?;
        let has_section = found.contains_key(&self.section);
        let section = found.entry(self.section.clone()).or_default();
        if has_section && self.options.keys().all(|name| section.contains_key(name)) {
            return Ok(None);
        }
        for (name, value) in &self.options {
            section.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Ok(Some(printed(&found)))
    }

    fn write(&self) -> Result<(), PartError> {
        match self.wanted()? {
            Some(text) => common::write_file(&self.path, text.as_bytes(), 0o600).map(drop),
            None => Ok(()),
        }
    }
}

fn printed(sections: &Sections) -> String {
    let mut text = String::new();
    for (section, options) in sections {
        text.push_str(&format!("[{section}]\n"));
        for (name, value) in options {
            let value = value.replace('%', "%%").replace('\n', "\n\t");
            text.push_str(&format!("{name} = {value}\n"));
        }
        text.push('\n');
    }
    text
}

impl Part for Written {
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.write().map(|()| Vec::new())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.write()
    }

    fn needs_update(&self) -> Option<String> {
        let is_there = matches!(self.wanted(), Ok(None));
        (!is_there).then(|| format!("{} has not all its options", self.path.display()))
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
