//! What a recipe is to the engine, and what a recipe sees while a part is initialised.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_profile::ProfileError;
use slapos_sys::Secret;

use crate::build::Settings;
use crate::context::PartContext;
use crate::dynamic::DynamicPort;
use crate::error::PartError;

/// Finds recipes by the name that profiles use (`slapos.recipe.cmmi`, `slapos.cookbook:wrapper`).
pub trait Recipes: Send + Sync {
    /// The recipe called `name`.
    fn find(&self, name: &str) -> Option<Arc<dyn Recipe>>;
    /// All names, for "did you mean".
    fn names(&self) -> Vec<&str>;
    /// Called when all parts of a run are as they should be: does what recipes have left for then, and
    /// tells people what they should know, a line each.
    fn conclude(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Turns the options of a section into a part.
pub trait Recipe: Send + Sync {
    /// Number of what the recipe makes of its options: raised when the same options come to give
    /// another result, so that installed parts are made again.
    fn version(&self) -> u32;

    /// Reads the options, sets those that other sections may refer to, and touches nothing.
    /// Called once per section and plan, in the order in which references need it.
    ///
    /// # Errors
    /// When options are missing or make no sense; see [`PartInit::error`].
    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError>;

    /// Why what an installed part made must stay although the part is no longer wanted, if it
    /// must: for example, somebody works there. `options` are those it was installed with.
    fn keeps(&self, options: &IndexMap<String, String>) -> Option<String> {
        let _ = options;
        None
    }

    /// Undoes what a part did besides making its paths, before these are removed, or moved aside
    /// because the part is made again. `options` are those it was installed with, `made` its paths.
    /// Returns those of them that must stay. May be called again for the same part, should the run be
    /// cut short or the part not be made again.
    ///
    /// # Errors
    /// Whatever went wrong; the part then stays as it is.
    fn uninstall(
        &self,
        cx: &PartContext<'_>,
        options: &IndexMap<String, String>,
        made: &[PathBuf],
    ) -> Result<Vec<PathBuf>, PartError> {
        let _ = (cx, options, made);
        Ok(Vec::new())
    }
}

/// A part that can be installed. Everything it needs was read when it was initialised.
pub trait Part: Send {
    /// The paths it is going to make, as far as they are known before; recorded before
    /// [`Self::install`] is called, so that an interrupted part can be cleaned.
    fn claims(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Makes the part and returns the paths to remove when it is no longer wanted. What an
    /// earlier installation of the part recorded is out of the way already, unless the part is
    /// [trivial](Self::is_trivial).
    ///
    /// # Errors
    /// Whatever went wrong. What an earlier installation made is then put back; if there was none,
    /// what was made stays for inspection and is removed before the next try.
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError>;

    /// Looks after a part that stays as it is. Only called when [`Self::needs_update`] says why.
    ///
    /// # Errors
    /// Whatever went wrong; the part stays recorded as installed, and is updated by the next run.
    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let _ = cx;
        Ok(())
    }

    /// Why [`Self::update`] must be called although nothing about the part changed, if it must.
    fn needs_update(&self) -> Option<String> {
        None
    }

    /// True for a part that only writes a few whole files, in place and atomically, and can be
    /// made again at any time: no ledger is written around it alone, and files that stay are
    /// replaced rather than removed first.
    fn is_trivial(&self) -> bool {
        false
    }

    /// True for a part that must be updated whenever a part before it is installed or updated,
    /// because it may use what it does not refer to.
    fn follows_others(&self) -> bool {
        false
    }

    /// What may run beside the part.
    fn turn(&self) -> Turn {
        Turn::Free
    }
}

/// What may run beside a part, besides what its references allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Anything: it uses only what it refers to and changes nothing but its own.
    Free,
    /// Earlier parts, but no later one: it may change what later ones find (the environment,
    /// options of other sections).
    InTurn,
    /// Nothing: it may also use what it does not refer to.
    Alone,
}

/// What [`PartInit`] needs from the engine; object-safe, so that lifetimes stay out of recipes.
pub(crate) trait InitPort: DynamicPort {
    fn get(&self, section: &str, option: &str) -> Option<&str>;
    fn options(&self, section: &str) -> IndexMap<String, String>;
    fn visit(&mut self, from: &str, section: &str) -> Result<(), ProfileError>;
    fn option(
        &mut self,
        from: &str,
        section: &str,
        option: &str,
    ) -> Result<Option<String>, ProfileError>;
    fn required(&mut self, from: &str, section: &str, option: &str)
    -> Result<String, ProfileError>;
    fn error_at_word(
        &self,
        section: &str,
        option: &str,
        word: &str,
        message: &str,
        help: Option<&str>,
    ) -> ProfileError;
    fn set(&mut self, section: &str, option: &str, value: &str);
    fn set_secret(&mut self, section: &str, option: &str, value: Secret);
    fn is_secret(&self, section: &str, option: &str) -> bool;
    fn remove(&mut self, section: &str, option: &str);
    fn is_begun(&self, section: &str) -> bool;
    fn explain_missing(&mut self, section: &str, prefix: &str, help: &str);
    fn substitute_file(
        &mut self,
        section: &str,
        text: &str,
        name: &str,
    ) -> Result<String, ProfileError>;
    fn error(&self, section: &str, option: &str, message: &str, help: Option<&str>)
    -> ProfileError;
    fn previous(&self, section: &str, option: &str) -> Option<&str>;
    fn made_by(&self, section: &str, path: &Path) -> bool;
    fn add_input(&mut self, section: &str, name: &str, digest: &str);
    fn shared_location(&mut self, section: &str) -> Result<Option<PathBuf>, ProfileError>;
    fn look(&mut self, section: &str) -> Result<IndexMap<String, String>, ProfileError>;
    fn shared_lists(&self) -> &[PathBuf];
    fn jobs(&self) -> usize;
    fn directory(&self) -> &Path;
    fn offline(&self) -> bool;
    fn exists(&self, section: &str) -> bool;
    fn nested_settings(&self, section: &str) -> Option<Settings>;
}

/// A section while its recipe reads and completes it.
pub struct PartInit<'a> {
    pub(crate) port: &'a mut (dyn InitPort + 'a),
    pub(crate) name: &'a str,
}

impl<'a> PartInit<'a> {
    pub(crate) fn new(port: &'a mut (dyn InitPort + 'a), name: &'a str) -> Self {
        Self { port, name }
    }

    /// Name of the section, and of the part.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The value of an option of this section, substituted.
    pub fn get(&self, option: &str) -> Option<&str> {
        self.port.get(self.name, option)
    }

    /// The value of an option that must be there.
    ///
    /// # Errors
    /// When it is not, naming the option and the section.
    pub fn require(&self, option: &str) -> Result<String, ProfileError> {
        match self.get(option) {
            Some(value) => Ok(value.to_owned()),
            None => Err(self.error(
                option,
                &format!("part `{}` lacks the option `{option}`", self.name),
                Some(&format!("its recipe needs it: add `{option} = ...` to [{}]", self.name)),
            )),
        }
    }

    /// All options of this section, substituted, in the order of the profile.
    pub fn options(&self) -> IndexMap<String, String> {
        self.port.options(self.name)
    }

    /// Sets an option of this section. The value is never substituted.
    pub fn set(&mut self, option: &str, value: &str) {
        self.port.set(self.name, option, value);
    }

    /// Sets an option of this section that is a secret: it is neither recorded nor compared, and
    /// shown as `***`. Options of this section and of those that refer to it are recorded with
    /// `***` where they hold it, and compared by a digest.
    pub fn set_secret(&mut self, option: &str, value: Secret) {
        self.port.set_secret(self.name, option, value);
    }

    /// Says what to tell whoever asks for an option of `section` (this one, if empty) that is not
    /// there and whose name begins with `prefix`.
    pub fn explain_missing(&mut self, section: &str, prefix: &str, help: &str) {
        let section = if section.is_empty() { self.name } else { section };
        self.port.explain_missing(section, prefix, help);
    }

    /// Sets an option of another section before that section is initialised, whatever the
    /// profile says; false, and nothing is done, when it is too late.
    #[must_use]
    pub fn preset(&mut self, section: &str, option: &str, value: &str) -> bool {
        let in_time = !self.port.is_begun(section);
        if in_time {
            self.port.set(section, option, value);
        }
        in_time
    }

    /// Whether the initialisation of a section has begun.
    pub fn is_begun(&self, section: &str) -> bool {
        self.port.is_begun(section)
    }

    /// Whether the recipe of a section said that its option is a secret.
    pub fn is_secret(&self, section: &str, option: &str) -> bool {
        self.port.is_secret(section, option)
    }

    /// Forgets an option of an initialised section, so that nothing can refer to it there.
    pub fn remove_in(&mut self, section: &str, option: &str) {
        self.port.remove(section, option);
    }

    /// Sets an option unless the section has it, and returns what it is then.
    pub fn set_default(&mut self, option: &str, value: &str) -> String {
        if let Some(existing) = self.get(option) {
            return existing.to_owned();
        }
        self.set(option, value);
        value.to_owned()
    }

    /// The value of an option of another section, which is initialised first; this part then
    /// depends on it. An empty `section` is this one.
    ///
    /// # Errors
    /// When there is no such section or option, or the other section cannot be initialised.
    pub fn option(&mut self, section: &str, option: &str) -> Result<String, ProfileError> {
        let section = if section.is_empty() { self.name } else { section };
        self.port.required(self.name, section, option)
    }

    /// As [`Self::option`], with `None` for a missing option of a section that exists.
    ///
    /// # Errors
    /// When there is no such section, or it cannot be initialised.
    pub fn try_option(
        &mut self,
        section: &str,
        option: &str,
    ) -> Result<Option<String>, ProfileError> {
        let section = if section.is_empty() { self.name } else { section };
        self.port.option(self.name, section, option)
    }

    /// All options of another section, which is initialised first; this part then depends on it.
    ///
    /// # Errors
    /// When there is no such section, or it cannot be initialised.
    pub fn section(&mut self, section: &str) -> Result<IndexMap<String, String>, ProfileError> {
        self.port.visit(self.name, section)?;
        Ok(self.port.options(section))
    }

    /// As [`Self::section`], but this part does not depend on all of it: what it uses must be
    /// declared with [`Self::add_input`].
    ///
    /// # Errors
    /// When there is no such section, or it cannot be initialised.
    pub fn look(&mut self, section: &str) -> Result<IndexMap<String, String>, ProfileError> {
        self.port.look(section)
    }

    /// Directories of shared parts, in order of preference.
    pub fn shared_lists(&self) -> &[PathBuf] {
        self.port.shared_lists()
    }

    /// How many jobs run at once, at least 1.
    pub fn jobs(&self) -> usize {
        self.port.jobs()
    }

    /// Whether there is a section of this name.
    pub fn has_section(&self, section: &str) -> bool {
        self.port.exists(section)
    }

    /// Substitutes `${section:option}` in `text`, the content of a file called `name`, as in an
    /// option of this section. `$$` stays as it is.
    ///
    /// # Errors
    /// As for options; they show the line of the text.
    pub fn substitute_file(&mut self, text: &str, name: &str) -> Result<String, ProfileError> {
        self.port.substitute_file(self.name, text, name)
    }

    /// The directory that holds everything built.
    pub fn buildout_directory(&self) -> &Path {
        self.port.directory()
    }

    /// Where a part that makes a directory makes it: `<parts-directory>/<name>`.
    pub fn parts_location(&self) -> PathBuf {
        let parts = self.port.get("buildout", "parts-directory").unwrap_or("parts");
        self.port.directory().join(parts).join(self.name)
    }

    /// True when nothing may be downloaded.
    pub fn offline(&self) -> bool {
        self.port.offline()
    }

    /// Settings for a buildout that this part runs, while it is installed or updated, inside the
    /// one it is in: same directory, limits and log directory, but a ledger of its own. When the
    /// part is no longer wanted, what that buildout installed is removed with it.
    ///
    /// # Errors
    /// When buildouts run inside each other too deep.
    pub fn nested_settings(&self) -> Result<Settings, ProfileError> {
        self.port.nested_settings(self.name).ok_or_else(|| {
            let message = format!("part `{}` runs too many buildouts inside each other", self.name);
            let help = "a profile that this part runs must not lead to this part again";
            self.error("recipe", &message, Some(help))
        })
    }

    /// The value that `option` had when this part was last installed.
    pub fn previous(&self, option: &str) -> Option<&str> {
        self.port.previous(self.name, option)
    }

    /// True when `path` is made by a section this one refers to (its `location`, `target` or
    /// `output` is `path` or holds it): it may not exist yet, and its content is accounted for.
    pub fn is_made_by_reference(&self, path: &Path) -> bool {
        self.port.made_by(self.name, path)
    }

    /// Declares that the result depends on `name` (say, a file) having this content.
    pub fn add_input(&mut self, name: &str, digest: &str) {
        self.port.add_input(self.name, name, digest);
    }

    /// For a part that says `shared = true`, to be called when all its options are set: where it
    /// lives among the shared parts, a place named by the hash of what it is made of. The engine
    /// then makes the empty directory before [`Part::install`], seals it after, and never calls
    /// `install` when a whole one is there. `None` when it is not shared, or nothing is shared
    /// here. Sets `location`.
    ///
    /// # Errors
    /// When `shared` is neither `true` nor `false`.
    pub fn shared_location(&mut self) -> Result<Option<PathBuf>, ProfileError> {
        self.port.shared_location(self.name)
    }

    /// As [`Self::error`], shown at the first place of `word` in the value of `option`.
    pub fn error_at_word(
        &self,
        option: &str,
        word: &str,
        message: &str,
        help: Option<&str>,
    ) -> ProfileError {
        self.port.error_at_word(self.name, option, word, message, help)
    }

    /// An error about `option` of this section, shown at its line if it has one.
    pub fn error(&self, option: &str, message: &str, help: Option<&str>) -> ProfileError {
        self.port.error(self.name, option, message, help)
    }
}
