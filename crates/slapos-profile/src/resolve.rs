//! Substitution on demand: initialising sections, calling the host for recipes, finding cycles.
//!
//! Invariants:
//! - a section is initialised at most once, and while it is, its options can be read;
//! - a value set by a recipe is never substituted;
//! - cycles are found on (section, option) pairs, within one chain of references.

mod blame;
mod evaluate;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::error::{ErrorKind, ProfileError};
use crate::model::{OptionValue, Profile, Section};
use crate::reference::{self, Piece, escape, unescape};
use crate::source::{FileId, Place, Span};
use crate::suggest::did_you_mean;

/// Builds recipes for the [`Resolver`].
pub trait Host {
    /// Called once for each section that has a `recipe`, after its references are substituted and
    /// its `<part-dependencies>` are initialised. May read other sections through the resolver
    /// (which initialises them first and records the dependency) and set options.
    ///
    /// # Errors
    /// Whatever the recipe finds wrong: [`Resolver::error_at`] or [`ProfileError::custom`].
    fn initialise(
        &mut self,
        resolver: &mut Resolver<'_>,
        section: &str,
    ) -> Result<(), ProfileError>;
}

/// An option as recipes read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedOption {
    /// The text, references substituted and `$${` read as `${`.
    pub value: String,
    /// Where it is written; `None` if a recipe set it.
    pub span: Option<Span>,
    /// The text with escapes, which goes into other values; `None` if it is the same.
    escaped: Option<String>,
}

impl ResolvedOption {
    fn from_escaped(text: String, span: Option<Span>) -> Self {
        let value = unescape(&text);
        let escaped = (value != text).then_some(text);
        Self { value, span, escaped }
    }

    /// The text with `$${` kept, as it goes into other values and into ledgers.
    #[must_use]
    pub fn escaped(&self) -> &str {
        self.escaped.as_deref().unwrap_or(&self.value)
    }
}

/// A section whose references are substituted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Its options in order of first appearance, then those added by recipes.
    pub options: IndexMap<String, ResolvedOption>,
    /// Sections it depends on, directly: never `buildout`, never itself. They need not have a
    /// recipe, so a reader that wants parts follows them further.
    pub references: BTreeSet<String>,
}

impl Resolved {
    /// The text of an option.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&str> {
        self.options.get(option).map(|o| o.value.as_str())
    }
}

/// How far the initialisation of a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Options are computed when somebody reads them.
    Substituting,
    /// All options are there; the recipe is being built.
    Substituted,
    Ready,
}

struct State {
    /// Macros applied.
    raw: Rc<Section>,
    resolved: Resolved,
    phase: Phase,
}

/// What an error points at, and the line whose chain of `extends` it tells.
type Shown = (Place, Option<Span>);

/// An option being computed, and the reference in it that is being followed.
struct Link {
    section: String,
    option: String,
    /// Bytes of the option's text.
    site: Range<usize>,
}

/// Where a text being substituted is written.
enum Origin<'a> {
    Value(&'a OptionValue),
    Line(Option<Span>),
    Named { name: &'a str, text: Arc<str> },
}

/// How deep sections and options may need each other; real profiles stay below a hundred.
const MAX_DEPTH: usize = 300;

/// How many bytes of substituted text a resolver makes; far above any real profile, and low enough
/// that options doubling each other give an error and not an exhausted machine.
const MAX_TEXT: usize = 64 << 20;

/// Initialises sections on demand.
pub struct Resolver<'p> {
    profile: Cow<'p, Profile>,
    states: IndexMap<String, State>,
    preset: IndexMap<String, IndexMap<String, String>>,
    active: Vec<String>,
    order: Vec<String>,
    depth: usize,
    /// Bytes of text made so far.
    made: usize,
}

impl<'p> Resolver<'p> {
    /// A resolver that has initialised nothing yet.
    #[must_use]
    pub fn new(profile: &'p Profile) -> Self {
        Self {
            profile: Cow::Borrowed(profile),
            states: IndexMap::new(),
            preset: versions(profile),
            active: Vec::new(),
            order: Vec::new(),
            depth: 0,
            made: 0,
        }
    }

    /// The profile being resolved.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Initialises a section, unless it is already, or is being. If a recipe is being built, its
    /// section is recorded to depend on this one.
    ///
    /// # Errors
    /// Anything wrong in the section, in what it refers to, or in their recipes.
    pub fn section(&mut self, host: &mut dyn Host, section: &str) -> Result<(), ProfileError> {
        if let Some(asking) = self.active.last().cloned() {
            self.note_reference(&asking, section);
        }
        self.look(host, section)
    }

    /// As [`Resolver::section`], without recording a dependency.
    ///
    /// # Errors
    /// As [`Resolver::section`].
    pub fn look(&mut self, host: &mut dyn Host, section: &str) -> Result<(), ProfileError> {
        if !self.exists(section) {
            let error = self.unknown_section(section, self.asking_place());
            return Err(error.label("asks for it"));
        }
        self.ensure(host, section)
    }

    /// As [`Resolver::section`], for a name that is a word of an option: an unknown name is
    /// reported at that word.
    ///
    /// # Errors
    /// As [`Resolver::section`].
    pub fn section_named_in(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        section: &str,
        option: &str,
    ) -> Result<(), ProfileError> {
        if self.exists(name) {
            return self.section(host, name);
        }
        Err(self.unknown_section(name, self.word_place(section, option, name)))
    }

    /// The text of an option, initialising its section first.
    ///
    /// # Errors
    /// As [`Resolver::section`], and if there is no such option.
    pub fn option(
        &mut self,
        host: &mut dyn Host,
        section: &str,
        option: &str,
    ) -> Result<String, ProfileError> {
        match self.try_option(host, section, option)? {
            Some(value) => Ok(value),
            None => {
                let error = self.unknown_option(section, option, self.asking_place());
                Err(error.label("asks for it"))
            }
        }
    }

    /// As [`Resolver::option`], with `None` for a missing option.
    ///
    /// # Errors
    /// As [`Resolver::section`].
    pub fn try_option(
        &mut self,
        host: &mut dyn Host,
        section: &str,
        option: &str,
    ) -> Result<Option<String>, ProfileError> {
        self.section(host, section)?;
        Ok(self.reading(host, section, option, &mut Vec::new())?.map(|text| unescape(&text)))
    }

    /// Substitutes the references of a text as if it were an option of `section`. `$$` is kept:
    /// the caller decides what it stands for ([`unescape`], or `$$` read as `$`).
    ///
    /// # Errors
    /// As for an option; reported at `span`.
    pub fn substitute(
        &mut self,
        host: &mut dyn Host,
        section: &str,
        text: &str,
        span: Option<Span>,
    ) -> Result<String, ProfileError> {
        self.ensure_exists(host, section)?;
        self.substituted(host, section, text, &Origin::Line(span), &mut Vec::new())
    }

    /// As [`Resolver::substitute`], for the text of a file called `name`: errors are shown at the
    /// line of that text.
    ///
    /// # Errors
    /// As [`Resolver::substitute`].
    pub fn substitute_file(
        &mut self,
        host: &mut dyn Host,
        section: &str,
        text: &str,
        name: &str,
    ) -> Result<String, ProfileError> {
        self.ensure_exists(host, section)?;
        let origin = Origin::Named { name, text: text.into() };
        self.substituted(host, section, text, &origin, &mut Vec::new())
    }

    /// What is known of a section; `None` before its initialisation begins. During it, options
    /// may still be missing.
    #[must_use]
    pub fn get(&self, section: &str) -> Option<&Resolved> {
        self.states.get(section).map(|state| &state.resolved)
    }

    /// Whether a section is defined, by the profile or by [`Resolver::set`].
    #[must_use]
    pub fn exists(&self, section: &str) -> bool {
        self.profile.sections.contains_key(section)
            || self.preset.contains_key(section)
            || self.states.contains_key(section)
    }

    /// Sets an option to exactly this text. Before the initialisation of the section it overrides
    /// what the profile says; a section that does not exist is created.
    pub fn set(&mut self, section: &str, option: &str, value: impl Into<String>) {
        let value = value.into();
        let Some(state) = self.states.get_mut(section) else {
            self.preset.entry(section.to_owned()).or_default().insert(option.to_owned(), value);
            return;
        };
        state.resolved.options.insert(option.to_owned(), set_option(value));
    }

    /// Forgets an option that a recipe does not want to be seen any more: whether it was there.
    /// Has no effect before the section is substituted.
    pub fn remove(&mut self, section: &str, option: &str) -> bool {
        match self.states.get_mut(section) {
            Some(state) if state.phase != Phase::Substituting => {
                state.resolved.options.shift_remove(option).is_some()
            }
            _ => false,
        }
    }

    /// Adds the sections of a text called `name` and initialises them; returns their names.
    ///
    /// # Errors
    /// When the text is no profile, a section is there already, or one cannot be initialised.
    pub fn parse(
        &mut self,
        host: &mut dyn Host,
        name: &str,
        text: &str,
    ) -> Result<Vec<String>, ProfileError> {
        let (grown, names) = self.profile.grown(name, text)?;
        self.profile = Cow::Owned(grown);
        for section in &names {
            self.ensure(host, section)?;
        }
        Ok(names)
    }

    /// Names of all sections: those of the profile in its order, then those made by recipes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let profile = self.profile.sections.keys();
        let others = self.preset.keys().chain(self.states.keys());
        let others = others.filter(|name| !self.profile.sections.contains_key(*name));
        let others: IndexSet<&String> = others.collect();
        profile.chain(others).map(String::as_str)
    }

    /// Replaces what a section is known to depend on.
    pub fn set_references(&mut self, section: &str, references: BTreeSet<String>) {
        if let Some(state) = self.states.get_mut(section) {
            state.resolved.references = references;
        }
    }

    /// Records that a section depends on another one.
    pub fn note_reference(&mut self, section: &str, other: &str) {
        if other == section || other == "buildout" {
            return;
        }
        if let Some(state) = self.states.get_mut(section)
            && !state.resolved.references.contains(other)
        {
            state.resolved.references.insert(other.to_owned());
        }
    }

    /// Sections with a recipe, in the order in which their initialisation ended: what a section
    /// depends on comes before it.
    #[must_use]
    pub fn order(&self) -> &[String] {
        &self.order
    }
}

/// `versions = versions` is not a default like others: it is set when all is merged and nothing
/// else was, so that `versions +=` finds nothing to add to.
fn versions(profile: &Profile) -> IndexMap<String, IndexMap<String, String>> {
    let mut preset: IndexMap<String, IndexMap<String, String>> = IndexMap::new();
    if profile.raw("buildout", "versions").is_none() {
        let versions = IndexMap::from([("versions".to_owned(), "versions".to_owned())]);
        preset.insert("buildout".to_owned(), versions);
    }
    preset
}

/// An option as a recipe sets it: read back exactly, and never substituted.
fn set_option(value: String) -> ResolvedOption {
    let text = escape(&value);
    let escaped = (text != value).then_some(text);
    ResolvedOption { value, span: None, escaped }
}

#[cfg(test)]
mod tests;
