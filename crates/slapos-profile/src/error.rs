//! What is told to a person when a profile is wrong: what, where, and what to do.
//!
//! Invariants: an error owns all it shows, so it outlives the profile and crosses threads; what it
//! shows has no password of a URL in it.

mod veil;

use std::fmt;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};

use crate::model::Profile;
use crate::source::{Place, Sources, Span};

/// What sort of mistake a [`ProfileError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A line that is no header, option or continuation.
    Syntax,
    /// A section header whose expression cannot be evaluated.
    Condition,
    /// An `extends` that names no readable file.
    Read,
    /// Files that extend each other.
    CircularExtends,
    /// A section that is not defined.
    UnknownSection,
    /// An option that is not defined.
    UnknownOption,
    /// `${...}` that is not `${section:option}`.
    BadReference,
    /// Options that refer to each other.
    CircularReference,
    /// Sections that are macros of each other.
    CircularMacro,
    /// Nesting deeper than any real profile.
    TooDeep,
    /// References that make more text than any real profile.
    TooLarge,
    /// Made by a recipe or the engine with [`ProfileError::custom`].
    Custom,
}

/// A mistake in a profile.
#[derive(Clone)]
pub struct ProfileError(Box<Diagnostic>);

#[derive(Clone)]
struct Diagnostic {
    kind: ErrorKind,
    message: String,
    label: Option<String>,
    place: Option<Place>,
    /// A span that no profile has turned into a place yet.
    unplaced: Option<Span>,
    /// The span that became the place.
    at: Option<Span>,
    others: Vec<Place>,
    notes: Vec<String>,
    help: Option<String>,
    callers: usize,
}

/// How many "needed by" notes an error collects before it only counts them.
const MAX_CALLERS: usize = 8;

impl ProfileError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Diagnostic {
            kind,
            message: message.into(),
            label: None,
            place: None,
            unplaced: None,
            at: None,
            others: Vec::new(),
            notes: Vec::new(),
            help: None,
            callers: 0,
        }))
    }

    /// An error of a recipe or of the engine. The span is turned into a shown line when the error
    /// passes through a [`crate::Resolver`], or by [`ProfileError::located`].
    pub fn custom(span: Option<Span>, message: impl Into<String>, help: Option<String>) -> Self {
        let mut error = Self::new(ErrorKind::Custom, message);
        error.0.unplaced = span;
        error.0.help = help;
        error
    }

    /// Gives an error made by [`ProfileError::custom`] the line of its span to show.
    #[must_use]
    pub fn located(self, profile: &Profile) -> Self {
        self.placed_by(&profile.sources)
    }

    pub(crate) fn placed_by(mut self, sources: &Sources) -> Self {
        if let Some(span) = self.0.unplaced.take() {
            self = self.at(sources, span, 0..0);
        }
        self
    }

    /// Points at byte columns of a line, and says how the file came to be read.
    pub(crate) fn at(mut self, sources: &Sources, span: Span, at: std::ops::Range<usize>) -> Self {
        self.0.place = sources.place(span, at);
        self.0.at = Some(span);
        self.0.notes.extend(sources.extends_chain(span.file));
        self
    }

    pub(crate) fn at_place(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    pub(crate) fn also_at(mut self, place: Option<Place>) -> Self {
        self.0.others.extend(place);
        self
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = Some(label.into());
        self
    }

    /// Adds a sentence of context below the source line.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }

    /// Says what to do; `None` leaves the error as it is.
    #[must_use]
    pub fn with_help(mut self, help: Option<String>) -> Self {
        if help.is_some() {
            self.0.help = help;
        }
        self
    }

    /// The same with all its sentences as `redact` gives them; lines of profiles stay.
    #[must_use]
    pub fn redacted(mut self, redact: impl Fn(&str) -> String) -> Self {
        self.0.message = redact(&self.0.message);
        self.0.notes.iter_mut().for_each(|note| *note = redact(note));
        self.0.help = self.0.help.as_deref().map(&redact);
        self
    }

    pub(crate) fn without_notes(mut self) -> Self {
        self.0.notes.clear();
        self
    }

    /// Adds who needed the section in which the error is.
    pub(crate) fn needed_by(mut self, note: impl FnOnce() -> String) -> Self {
        if self.0.callers < MAX_CALLERS {
            self.0.notes.push(note());
        }
        self.0.callers += 1;
        self
    }

    /// What sort of mistake this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, if known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The line of the mistake, if it is one of a profile's.
    pub(crate) fn span(&self) -> Option<Span> {
        self.0.at
    }

    /// `path:line` of the mistake, if known.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        self.0.place.as_ref().map(|place| format!("{}:{}", place.name, place.line))
    }

    /// Several lines for a person: message, source line with a caret, notes, help. With `color`,
    /// ANSI escape sequences are used.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let d = &*self.0;
        let mut group = Group::with_title(Level::ERROR.primary_title(&d.message));
        if let Some(place) = &d.place {
            group = group.element(self.snippet(place));
        }
        let mut notes: Vec<String> = d.notes.clone();
        if d.callers > MAX_CALLERS {
            notes.push(format!("and {} more sections need it", d.callers - MAX_CALLERS));
        }
        group = group.elements(notes.iter().map(|n| Element::from(Level::NOTE.message(n))));
        group = group.elements(d.help.iter().map(|h| Element::from(Level::HELP.message(h))));
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        veil::without_passwords(&renderer.render(&[group])).into_owned()
    }

    fn snippet<'a>(&'a self, place: &'a Place) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let primary = AnnotationKind::Primary.span(place.range()).label(self.0.label.as_deref());
        let others = self.0.others.iter().map(|o| AnnotationKind::Context.span(o.range()));
        Snippet::source(&*place.text).path(&place.name).annotation(primary).annotations(others)
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = self.location() {
            write!(f, "{}: ", veil::without_passwords(&location))?;
        }
        f.write_str(&veil::without_passwords(&self.0.message))
    }
}

impl fmt::Debug for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProfileError({:?}, {:?})", self.0.kind, self.to_string())
    }
}

impl std::error::Error for ProfileError {}

#[cfg(test)]
mod tests;
