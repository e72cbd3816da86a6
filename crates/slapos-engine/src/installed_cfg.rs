//! `.installed.cfg`: what is installed, in the form that Buildout's own tools read.
//!
//! It is written for them only. The [ledger](crate::Ledger) is the truth: nothing of this file
//! comes back into a plan, except where there is no ledger yet because Buildout itself has worked in
//! the directory. The form is that of zc.buildout, sorted, with one `[buildout]` section:
//!
//! - an option per line, `$${` where the value has `${`;
//! - white space around a line break, at the start and at the end of a value is spelled
//!   (`%(__buildout_space__)s` and the like), and so is every carriage return;
//! - `__buildout_installed__` holds the recorded paths, `__buildout_signature__` the recipe with
//!   its version and each section referred to with its identity.
//!
//! What the form cannot hold: tabs, and white space outside ASCII, at the edges of a line (they
//! are lost on reading); texts that look like the spelling itself; options whose name has a blank
//! or one of `{ } [ ] = :`, begins like a comment or ends like an operator (they are left out).

mod quote;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_profile::{ProfileError, escape, plain_sections, unescape};
use slapos_sys::fs;

use crate::identity::Fingerprint;
use crate::initialise::develop;
use crate::ledger::{Entry, EntryState, Ledger};

/// Identity of what Buildout itself made.
pub(crate) const BY_BUILDOUT: &str = "made by Buildout";
/// Option that holds the paths of a part, one a line.
const PATHS: &str = "__buildout_installed__";
/// Option that holds what a part was made by and from.
const SIGNATURE: &str = "__buildout_signature__";
/// Option of `[buildout]` for what leads to source trees that `develop` names.
const DEVELOP_EGGS: &str = "installed_develop_eggs";

/// The content of an `.installed.cfg`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Options of each part as the file has them (with `$${` for `${`), in the order of
    /// installation.
    pub parts: IndexMap<String, BTreeMap<String, String>>,
    /// What `installed_develop_eggs` lists.
    pub develop_eggs: Vec<String>,
}

impl Installed {
    /// What `ledger` says is there: each part that was whole and whose paths were not taken away
    /// since. What the ledger does not know (secrets) is not in it.
    pub fn of_ledger(ledger: &Ledger) -> Self {
        let parts = ledger.parts.iter().filter_map(|(name, entry)| {
            let there = usable(entry).filter(|_| quote::is_section(name) && name != "buildout")?;
            Some((name.clone(), options(there)))
        });
        let developed = ledger.parts.iter().filter(|(name, _)| name.starts_with(develop::PREFIX));
        let links = developed.filter_map(|(_, entry)| usable(entry)).flat_map(|entry| &entry.paths);
        let links = links.map(|path| path.to_string_lossy().into_owned()).collect();
        Self { parts: parts.collect(), develop_eggs: links }
    }

    /// The same as a ledger, for a directory in which Buildout itself has worked: what its parts made
    /// is then replaced, or removed, as if it had been made here.
    pub(crate) fn into_ledger(self) -> Ledger {
        let entry = |mut options: BTreeMap<String, String>| {
            let paths = options.remove(PATHS).unwrap_or_default();
            options.remove(SIGNATURE);
            let recipe = options.get("recipe").cloned().unwrap_or_default();
            let options = options.into_iter().map(|(name, text)| (name, unescape(&text)));
            let fingerprint =
                Fingerprint { recipe, options: options.collect(), ..Fingerprint::default() };
            Entry {
                state: EntryState::Installed,
                identity: BY_BUILDOUT.to_owned(),
                fingerprint,
                paths: paths.lines().filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
                shared: None,
                aside: None,
                setback: None,
            }
        };
        let parts = self.parts.into_iter().map(|(name, options)| (name, entry(options)));
        Ledger { parts: parts.collect(), ..Ledger::default() }
    }

    /// Reads the text of a file called `name`, also one that zc.buildout wrote.
    ///
    /// # Errors
    /// A line that is none of the form, shown with its number; a part that is listed and not there.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let mut sections = plain_sections(name, text)?;
        for value in sections.values_mut().flat_map(IndexMap::values_mut) {
            *value = quote::read(value);
        }
        let buildout = sections.shift_remove("buildout").unwrap_or_default();
        let list = |option| buildout.get(option).map(String::as_str).unwrap_or_default();
        let mut parts = IndexMap::new();
        for part in list("parts").split_whitespace() {
            let Some(options) = sections.shift_remove(part) else {
                let message = format!("{name} lists the part `{part}` and has no section [{part}]");
                let help = "remove the file: it is written again".to_owned();
                return Err(ProfileError::custom(None, message, Some(help)));
            };
            parts.insert(part.to_owned(), options.into_iter().collect());
        }
        let eggs = list(DEVELOP_EGGS).lines().filter(|line| !line.is_empty());
        Ok(Self { develop_eggs: eggs.map(str::to_owned).collect(), parts })
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.develop_eggs.is_empty()
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let parts: Vec<&str> = self.parts.keys().map(String::as_str).collect();
        let mut text = String::from("[buildout]\n");
        write_option(&mut text, DEVELOP_EGGS, &self.develop_eggs.join("\n"));
        write_option(&mut text, "parts", &parts.join(" "));
        for (part, options) in &self.parts {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[{part}]\n");
            for (option, value) in options.iter().filter(|(option, _)| quote::is_option(option)) {
                write_option(&mut text, option, value);
            }
        }
        text
    }
}

fn write_option(text: &mut String, option: &str, value: &str) {
    let _ = writeln!(text, "{option} = {}", quote::write(value));
}

/// The entry of what is in place; `None` if nothing whole is.
fn usable(entry: &Entry) -> Option<&Entry> {
    let was_whole = !entry.identity.is_empty();
    match (&entry.state, entry.aside.is_some()) {
        (EntryState::Installed, _) => Some(entry),
        // A trivial part is replaced file by file: the old or the new ones are there.
        (_, false) => Some(entry).filter(|_| was_whole),
        (_, true) => None,
    }
}

fn options(entry: &Entry) -> BTreeMap<String, String> {
    let made_of = &entry.fingerprint;
    let values = made_of.options.iter();
    let mut options: BTreeMap<String, String> =
        values.map(|(name, value)| (name.clone(), escape(value))).collect();
    let paths: Vec<_> = entry.paths.iter().map(|path| path.to_string_lossy()).collect();
    options.insert(PATHS.to_owned(), escape(&paths.join("\n")));
    let mut signature = format!("{}-{}", made_of.recipe, made_of.recipe_version);
    for (section, identity) in &made_of.references {
        let _ = write!(signature, " {section}:{identity}");
    }
    options.insert(SIGNATURE.to_owned(), signature);
    options
}

/// The file in its place.
pub(crate) struct InstalledFile<'p> {
    /// None: `[buildout] installed` is empty, no file is wanted.
    path: Option<&'p Path>,
    mode: u32,
}

impl<'p> InstalledFile<'p> {
    /// A file that others may read, unless it is `private`.
    pub(crate) fn new(path: Option<&'p Path>, private: bool) -> Self {
        Self { path, mode: if private { 0o600 } else { 0o644 } }
    }

    /// Makes the file say what `ledger` says; without any part there is no file. Atomic, and
    /// nothing is written that is there already.
    ///
    /// # Errors
    /// What was tried with which file, and the refusal.
    pub(crate) fn write(&self, ledger: &Ledger) -> Result<(), (&'static str, PathBuf, io::Error)> {
        let Some(path) = self.path else { return Ok(()) };
        let installed = Installed::of_ledger(ledger);
        if installed.is_empty() {
            return remove(path).map_err(|error| ("remove", path.to_owned(), error));
        }
        let text = installed.to_text();
        fs::write_atomic_if_changed(path, text.as_bytes(), self.mode)
            .map(drop)
            .map_err(|error| ("write", path.to_owned(), error))
    }

    /// True when [`Self::write`] would change nothing.
    pub(crate) fn is_current(&self, ledger: &Ledger) -> bool {
        let Some(path) = self.path else { return true };
        let installed = Installed::of_ledger(ledger);
        match fs::read(path) {
            Ok(found) => !installed.is_empty() && found == installed.to_text().as_bytes(),
            Err(error) => installed.is_empty() && error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// Removes an ordinary file and nothing else.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => fs::remove_tree(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
