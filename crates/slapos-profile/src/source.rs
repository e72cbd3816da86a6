//! The texts a profile was made of, and how a place in them is named and shown.
//!
//! Invariant: line endings are normalised to `\n` when a text enters, so byte columns hold.

use std::fmt;
use std::sync::Arc;

use crate::location::Location;

/// Number of a source file within one profile: index into [`crate::Profile::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A line of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The line, counted from 1.
    pub line: u32,
}

/// A line of a file, shown as `path:line`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenAt<'p> {
    /// What people call the file.
    pub file: &'p str,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for WrittenAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One text a profile was made of.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// What people call it: its location, or `<defaults>`, or the origin of an assignment.
    pub name: String,
    /// Where it was read; `None` for texts that are not files.
    pub location: Option<Location>,
    /// The content, with `\n` line endings.
    pub text: Arc<str>,
    /// The line of the file that extends it, for the first one that does.
    pub extended_at: Option<Span>,
}

/// Where one line of a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineOrigin {
    pub(crate) span: Span,
    /// Bytes before the value's text in that source line.
    pub(crate) column: u32,
}

/// Where each line of a value was written; most have one. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    first: LineOrigin,
    rest: Vec<LineOrigin>,
}

impl Lines {
    /// Of a value of one line.
    pub(crate) fn one(first: LineOrigin) -> Self {
        Self { first, rest: Vec::new() }
    }

    /// Of a value of several lines; `or` if there are none.
    pub(crate) fn of(lines: impl IntoIterator<Item = LineOrigin>, or: LineOrigin) -> Self {
        let mut lines = lines.into_iter();
        Self { first: lines.next().unwrap_or(or), rest: lines.collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LineOrigin> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    pub(crate) fn get(&self, index: usize) -> Option<&LineOrigin> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.rest.get(index),
        }
    }

    /// Adds those of the lines that were put below.
    pub(crate) fn append(&mut self, below: Self) {
        self.rest.push(below.first);
        self.rest.extend(below.rest);
    }
}

/// A stretch of one source line, with all that is needed to show it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
    /// Counted from 1.
    pub(crate) line: u32,
    /// Byte columns within the line; an empty or excessive range is widened to the whole line.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Place {
    /// The whole trimmed line, or the range if it lies in the line: as bytes of `text`.
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let (offset, line) = nth_line(&self.text, self.line);
        let inside = self.start < self.end
            && line.is_char_boundary(self.start)
            && line.is_char_boundary(self.end)
            && self.end <= line.len();
        let (start, end) = if inside {
            (self.start, self.end)
        } else {
            let trimmed = line.trim_end();
            (trimmed.len() - trimmed.trim_start().len(), trimmed.len())
        };
        offset + start..offset + end
    }
}

/// The byte offset and text of a line counted from 1; the end of the text if there is no such line.
fn nth_line(text: &str, line: u32) -> (usize, &str) {
    let mut offset = 0;
    for (number, content) in (1..).zip(text.split('\n')) {
        if number == line {
            return (offset, content);
        }
        offset += content.len() + 1;
    }
    (text.len(), "")
}

/// All texts of one profile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) files: Vec<SourceFile>,
}

impl Sources {
    /// Takes a text in, normalising its line endings and dropping a byte order mark.
    pub(crate) fn add(
        &mut self,
        name: String,
        location: Option<Location>,
        text: &str,
        extended_at: Option<Span>,
    ) -> FileId {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text: Arc<str> = if text.contains('\r') {
            text.replace("\r\n", "\n").replace('\r', "\n").into()
        } else {
            text.into()
        };
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile { name, location, text, extended_at });
        id
    }

    pub(crate) fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// A line and the name of its file.
    pub(crate) fn written_at(&self, span: Span) -> WrittenAt<'_> {
        let file = self.get(span.file).map_or("?", |file| &file.name);
        WrittenAt { file, line: span.line }
    }

    /// `path:line`.
    pub(crate) fn describe(&self, span: Span) -> String {
        self.written_at(span).to_string()
    }

    /// The text of a file that was taken in; empty for any other.
    pub(crate) fn text(&self, file: FileId) -> Arc<str> {
        self.get(file).map_or_else(|| Arc::from(""), |source| Arc::clone(&source.text))
    }

    /// The byte range `columns` of a line, ready to be shown.
    pub(crate) fn place(&self, span: Span, columns: std::ops::Range<usize>) -> Option<Place> {
        let file = self.get(span.file)?;
        Some(Place {
            name: file.name.clone(),
            text: Arc::clone(&file.text),
            line: span.line,
            start: columns.start,
            end: columns.end,
        })
    }

    /// Who extends the file, who extends that one, and so on: one sentence per step.
    pub(crate) fn extends_chain(&self, id: FileId) -> Vec<String> {
        let mut chain = Vec::new();
        let mut current = self.get(id);
        while let Some(file) = current {
            let Some(at) = file.extended_at else { break };
            chain.push(format!("{} is extended at {}", file.name, self.describe(at)));
            current = self.get(at.file);
        }
        chain
    }
}
