//! The words of the language: profile, section, option, value with its history.
//!
//! Invariant: a value has exactly one origin per line (`lines.len() == value.split('\n').count()`).

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::environment::Environment;
use crate::error::ProfileError;
use crate::location::Location;
use crate::source::{FileId, Lines, SourceFile, Sources, Span, WrittenAt};

/// A map that keeps the order of insertion. Its hash is fast, and seeded against crafted names.
pub type Map<K, V> = IndexMap<K, V, foldhash::fast::RandomState>;

/// Gives a profile the outside it needs: the texts it extends and the facts it asks.
pub trait Files {
    /// The text at a location.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if there is nothing there, [`ReadError::Other`] for the rest.
    fn read(&self, at: &Location) -> Result<String, ReadError>;

    /// What conditional sections and `~/` are evaluated with.
    fn environment(&self) -> Environment {
        Environment::host()
    }
}

/// Why [`Files::read`] gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing is at that location.
    #[error("there is no such file")]
    NotFound,
    /// Something is there, or might be, but it cannot be read: the reason.
    #[error("{0}")]
    Other(String),
}

/// How an option changes what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`: replaces.
    Set,
    /// `+=`: appends lines.
    Add,
    /// `-=`: removes equal lines.
    Remove,
}

impl Operator {
    /// As written in a profile.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "=",
            Self::Add => "+=",
            Self::Remove => "-=",
        }
    }
}

/// `section:option=value` from a command line, or made by a program; overrides all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The section.
    pub section: String,
    /// The option.
    pub option: String,
    /// How it applies to what the files say.
    pub op: Operator,
    /// The value; may hold references and several lines.
    pub value: String,
    /// What to call its source in messages, for example `<command line>`.
    pub origin: String,
}

impl Assignment {
    /// A plain `=` assignment.
    pub fn new(
        section: impl Into<String>,
        option: impl Into<String>,
        value: impl Into<String>,
        origin: impl Into<String>,
    ) -> Self {
        Self {
            section: section.into(),
            option: option.into(),
            op: Operator::Set,
            value: value.into(),
            origin: origin.into(),
        }
    }

    /// Reads `section:option=value`, `option=value` (of `buildout`), with `=`, `+=` or `-=`.
    ///
    /// # Errors
    /// A [`ProfileError`] if the text is not an assignment.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ProfileError> {
        let parsed = text.split_once('=').and_then(|(left, value)| {
            let (name, op) = match left.strip_suffix(['+', '-']) {
                Some(name) if left.ends_with('+') => (name, Operator::Add),
                Some(name) => (name, Operator::Remove),
                None => (left, Operator::Set),
            };
            let (section, option) = name.split_once(':').unwrap_or(("buildout", name));
            let (section, option) = (section.trim(), option.trim());
            let valid = |name: &str| !name.is_empty() && !name.contains([':', '\n', '[', ']']);
            (valid(section) && valid(option)).then(|| Self {
                section: section.to_owned(),
                option: option.to_owned(),
                op,
                value: value.trim().to_owned(),
                origin: origin.to_owned(),
            })
        });
        parsed.ok_or_else(|| {
            ProfileError::custom(
                None,
                format!("`{text}` is not an assignment"),
                Some("write section:option=value".to_owned()),
            )
        })
    }
}

/// One assignment in the life of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How it applied.
    pub op: Operator,
    /// Where it is written.
    pub span: Span,
    /// The text assigned, added or removed.
    pub value: String,
    /// A later line of the same file, with the same name and operator, took its place.
    pub lost: bool,
    /// A later `=` replaced what it gave, or a section replaced what its macro gave.
    pub replaced: bool,
}

impl Step {
    fn set(span: Span, value: String) -> Self {
        Self { op: Operator::Set, span, value, lost: false, replaced: false }
    }
}

/// The value of an option, before substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionValue {
    /// The text, lines joined by `\n`.
    pub value: String,
    /// Where it was last changed.
    pub span: Span,
    /// Everything that was assigned to it; `None` for a single `=`, by far the most frequent.
    pub(crate) steps: Option<Vec<Step>>,
    pub(crate) lines: Lines,
}

impl OptionValue {
    /// Everything that was assigned to it, oldest first.
    #[must_use]
    pub fn history(&self) -> Cow<'_, [Step]> {
        match &self.steps {
            Some(steps) => Cow::Borrowed(steps),
            None => Cow::Owned(vec![Step::set(self.span, self.value.clone())]),
        }
    }

    /// The history, to be continued.
    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        match self.steps.take() {
            Some(steps) => steps,
            None => vec![Step::set(self.span, self.value.clone())],
        }
    }

    /// Where a byte of `value` was written: its line, and the byte column in that line.
    #[must_use]
    pub fn origin(&self, offset: usize) -> (Span, usize) {
        let before = self.value.get(..offset).unwrap_or(&self.value);
        let index = before.matches('\n').count();
        let in_line = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        match self.lines.get(index) {
            Some(origin) => (origin.span, origin.column as usize + in_line),
            None => (self.span, 0),
        }
    }
}

/// A section of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its options, in order of first appearance.
    pub options: Map<String, OptionValue>,
    /// The header that opened it first.
    pub header: Span,
    /// `+=` and `-=` waiting for the value of a macro (`<=`).
    pub(crate) pending: Vec<Pending>,
}

/// A `+=` or `-=` that waits for macros to be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The option and the operator as written, such as `a +`.
    pub written: String,
    /// The option.
    pub name: String,
    /// What is to be done to its value.
    pub op: Operator,
    /// With what.
    pub value: OptionValue,
}

impl Section {
    pub(crate) fn new(header: Span) -> Self {
        Self { options: Map::default(), header, pending: Vec::new() }
    }

    /// The text of an option.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&str> {
        self.options.get(option).map(|o| o.value.as_str())
    }

    /// `+=` and `-=` that wait for macros to be expanded.
    #[must_use]
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }
}

/// A profile with everything it extends, merged; macros and references not yet applied.
#[derive(Clone, Debug)]
pub struct Profile {
    pub(crate) sources: Sources,
    pub(crate) order: Vec<FileId>,
    pub(crate) sections: Map<String, Section>,
    /// Which file extends which, each `extends` in the order it was followed.
    pub(crate) extends: Vec<(FileId, FileId)>,
    /// What the conditions of sections were evaluated with.
    pub(crate) environment: Environment,
}

impl Profile {
    /// The texts it was made of, by [`FileId`].
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.sources.files
    }

    /// The order in which the texts were merged: defaults first, command line last.
    #[must_use]
    pub fn merge_order(&self) -> &[FileId] {
        &self.order
    }

    /// Which text names which in its `extends`, as (the one that extends, the one extended).
    #[must_use]
    pub fn extends(&self) -> &[(FileId, FileId)] {
        &self.extends
    }

    /// The merged sections, `<` not expanded. `buildout` is always there.
    #[must_use]
    pub fn sections(&self) -> &Map<String, Section> {
        &self.sections
    }

    /// The merged text of an option, macros not expanded, references not substituted.
    #[must_use]
    pub fn raw(&self, section: &str, option: &str) -> Option<&str> {
        self.sections.get(section)?.get(option)
    }

    /// The section that a line belongs to, by the header above it; `None` on the command line.
    #[must_use]
    pub fn section_at(&self, span: Span) -> Option<&str> {
        let text = &*self.sources.get(span.file)?.text;
        let above = text.split('\n').take(span.line as usize);
        let header = above.filter(|line| line.starts_with('[')).last()?;
        header[1..].split([':', ']']).next().map(str::trim)
    }

    /// A line and the name of its file.
    #[must_use]
    pub fn written_at(&self, span: Span) -> WrittenAt<'_> {
        self.sources.written_at(span)
    }

    /// `path:line`.
    #[must_use]
    pub fn location(&self, span: Span) -> String {
        self.sources.describe(span)
    }
}
