//! What options say where that needs no recipe: references are followed to what is written.
//!
//! Invariants: each option is computed once; the depth and the amount of text are bounded.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use indexmap::IndexMap;

use crate::error::{ErrorKind, ProfileError};
use crate::model::{OptionValue, Profile, Section};
use crate::reference::{Piece, needs_substitution, split, unescape};

/// How many options may refer to each other in a row.
const MAX_DEPTH: usize = 300;
/// How many bytes of text are made, far more than any profile needs.
const MAX_TEXT: usize = 64 << 20;
/// What recipes that build shared parts replace by the place of the part, in options of its
/// section: others must not read it.
const LOCATION: &str = "@@LOCATION@@";
/// What the engine makes absolute, seen from the directory that is built in.
const DIRECTORIES: [&str; 4] =
    ["bin-directory", "parts-directory", "eggs-directory", "develop-eggs-directory"];

/// What an option says as far as that is known without building.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// With `$${` kept, so that each `${` is a reference that is open.
    text: String,
    open: BTreeSet<String>,
}

impl Value {
    /// The text. Of a settled value it is what a recipe reads; of an open one, references that are
    /// not open are replaced, each other one names its section, and `$$` is kept.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self.is_settled() && self.text.contains("$${") {
            true => Cow::Owned(unescape(&self.text)),
            false => Cow::Borrowed(&self.text),
        }
    }

    /// Whether nothing in it is open.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Keeps a reference.
    fn leave(&mut self, section: &str, option: &str) {
        self.text.push_str(&format!("${{{section}:{option}}}"));
        self.open.insert(format!("{section}:{option}"));
    }

    /// The options it depends on that are not written anywhere, as `section:option`, in order.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(String::as_str)
    }
}

/// The sections of a profile, macros applied, and the values of their options.
pub struct Values<'p> {
    profile: &'p Profile,
    sections: IndexMap<&'p str, Cow<'p, Section>>,
    errors: IndexMap<&'p str, ProfileError>,
    known: RefCell<HashMap<Key, Rc<Value>>>,
    /// Bytes of text made so far.
    made: Cell<usize>,
}

/// A section and an option of it, by their indices.
type Key = (usize, usize);

/// The options being computed, outermost first, each with the reference that is followed.
type Chain = Vec<(Key, Range<usize>)>;

impl<'p> Values<'p> {
    /// Applies the macros; nothing is substituted yet.
    #[must_use]
    pub fn new(profile: &'p Profile) -> Self {
        let (mut sections, mut errors) = (IndexMap::new(), IndexMap::new());
        for (name, section) in profile.expand_all() {
            match section {
                Ok(section) => drop(sections.insert(name, section)),
                Err(error) => drop(errors.insert(name, error)),
            }
        }
        Self { profile, sections, errors, known: RefCell::default(), made: Cell::new(0) }
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &'p Profile {
        self.profile
    }

    /// The sections, macros applied; those where that failed are missing.
    #[must_use]
    pub fn sections(&self) -> &IndexMap<&'p str, Cow<'p, Section>> {
        &self.sections
    }

    /// The sections whose macros cannot be applied, and why.
    #[must_use]
    pub fn errors(&self) -> &IndexMap<&'p str, ProfileError> {
        &self.errors
    }

    /// What an option says; `None` if it is not written.
    ///
    /// # Errors
    /// References that are malformed or lead back to themselves, and excessive ones.
    pub fn get(&self, section: &str, option: &str) -> Result<Option<Rc<Value>>, ProfileError> {
        match self.key(section, option) {
            Some(key) => self.compute(key, &mut Vec::new()).map(Some),
            None => Ok(None),
        }
    }

    /// The text of an option as far as it is known; empty if there is nothing to say.
    #[must_use]
    pub fn text(&self, section: &str, option: &str) -> String {
        match self.get(section, option) {
            Ok(Some(value)) => value.text().into_owned(),
            _ => String::new(),
        }
    }

    /// Whether somebody who builds may set more options of a section than those written.
    #[must_use]
    pub fn has_recipe(&self, section: &str) -> bool {
        self.sections.get(section).is_some_and(|s| s.options.contains_key("recipe"))
    }

    /// Whether the recipe of a section puts something else in the place of a value.
    fn is_rewritten(&self, section: &str, value: &Value) -> bool {
        value.text.contains(LOCATION) && self.has_recipe(section)
    }

    fn key(&self, section: &str, option: &str) -> Option<Key> {
        let (section, _, found) = self.sections.get_full(section)?;
        Some((section, found.options.get_index_of(option)?))
    }

    fn at(&self, (section, option): Key) -> Option<(&'p str, &str, &OptionValue)> {
        let (section, found) = self.sections.get_index(section)?;
        let (option, value) = found.options.get_index(option)?;
        Some((section, option, value))
    }

    fn compute(&self, key: Key, chain: &mut Chain) -> Result<Rc<Value>, ProfileError> {
        if let Some(known) = self.known.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let Some((section, option, written)) = self.at(key) else {
            return Ok(Rc::default());
        };
        if let Some(start) = chain.iter().position(|(step, _)| *step == key) {
            return Err(self.circular(&chain[start..]));
        }
        if chain.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} options refer to each other in a row");
            return Err(
                ProfileError::custom(Some(written.span), message, None).located(self.profile)
            );
        }
        chain.push((key, 0..0));
        let mut value = self.substitute(section, written, chain)?;
        chain.pop();
        if section == "buildout" && DIRECTORIES.contains(&option) && value.is_settled() {
            let directory = self.profile.raw("buildout", "directory").unwrap_or("");
            value.text = Path::new(directory).join(&value.text).to_string_lossy().into_owned();
        }
        let value = Rc::new(value);
        self.known.borrow_mut().insert(key, Rc::clone(&value));
        Ok(value)
    }

    fn substitute(
        &self,
        owner: &str,
        written: &OptionValue,
        chain: &mut Chain,
    ) -> Result<Value, ProfileError> {
        let text = written.value.as_str();
        if !needs_substitution(text) {
            return Ok(Value { text: text.to_owned(), open: BTreeSet::new() });
        }
        let mut value = Value::default();
        for piece in split(text) {
            match piece {
                Piece::Literal(literal) => value.text.push_str(literal),
                Piece::Bad { whole, problem } => {
                    let message = format!("the reference {} {problem}", &text[whole.clone()]);
                    let help = "write ${section:option} or ${:option}".to_owned();
                    let error = ProfileError::new(ErrorKind::BadReference, message);
                    return Err(self.pointing(error, written, &whole).with_help(Some(help)));
                }
                Piece::Reference { section, option, whole } => {
                    let (section, option) = (&text[section], &text[option]);
                    let section = if section.is_empty() { owner } else { section };
                    match self.key(section, option) {
                        Some(key) => {
                            if let Some(link) = chain.last_mut() {
                                link.1 = whole.clone();
                            }
                            let other = self.compute(key, chain)?;
                            self.count(other.text.len(), written, &whole)?;
                            if self.is_rewritten(section, &other) {
                                value.leave(section, option);
                                continue;
                            }
                            value.text.push_str(&other.text);
                            value.open.extend(other.open.iter().cloned());
                        }
                        // As in Buildout: the section that asks, whichever it names.
                        None if option == "_buildout_section_name_" => value.text.push_str(owner),
                        None if (section, option) == ("buildout", "versions") => {
                            value.text.push_str("versions");
                        }
                        None => {
                            value.leave(section, option);
                        }
                    }
                }
            }
        }
        Ok(value)
    }

    fn count(
        &self,
        bytes: usize,
        written: &OptionValue,
        at: &Range<usize>,
    ) -> Result<(), ProfileError> {
        self.made.set(self.made.get().saturating_add(bytes));
        if self.made.get() <= MAX_TEXT {
            return Ok(());
        }
        let message = format!("references make more than {MAX_TEXT} bytes of text");
        Err(self.pointing(ProfileError::new(ErrorKind::TooLarge, message), written, at))
    }

    fn pointing(
        &self,
        error: ProfileError,
        value: &OptionValue,
        at: &Range<usize>,
    ) -> ProfileError {
        let (span, column) = value.origin(at.start);
        error.at(&self.profile.sources, span, column..column + at.len())
    }

    fn circular(&self, cycle: &[(Key, Range<usize>)]) -> ProfileError {
        let steps = cycle.iter().filter_map(|(key, site)| Some((self.at(*key)?, site)));
        let steps: Vec<_> = steps.collect();
        let mut names: Vec<String> =
            steps.iter().map(|((s, o, _), _)| format!("{s}:{o}")).collect();
        names.extend(names.first().cloned());
        let message = format!("these options refer to each other: {}", names.join(" -> "));
        let mut error = ProfileError::new(ErrorKind::CircularReference, message)
            .label("leads back to itself")
            .with_help(Some("replace one of these references by a plain value".to_owned()));
        if let Some(((_, _, value), site)) = steps.last() {
            error = self.pointing(error, value, site).without_notes();
        }
        for (pair, ((_, _, value), site)) in names.windows(2).zip(&steps) {
            let at = self.profile.location(value.origin(site.start).0);
            error = error.with_note(format!("{} refers to {} at {at}", pair[0], pair[1]));
        }
        error
    }
}
