//! Reads one text line by line into sections and options, each value with the place of each line.
//!
//! Invariants: one pass over the lines, no look-ahead, no recursion; a section whose condition is
//! false leaves no trace.

use std::borrow::Cow;

use crate::condition;
use crate::environment::Environment;
use crate::error::{ErrorKind, ProfileError};
use crate::model::{Map, Operator};
use crate::source::{FileId, LineOrigin, Lines, Sources, Span};

/// The option a line starting with `=>` stands for.
pub(crate) const PART_DEPENDENCIES: &str = "<part-dependencies>";

/// One `name op= value` of a text.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) name: &'t str,
    pub(crate) op: Operator,
    pub(crate) value: String,
    pub(crate) span: Span,
    pub(crate) lines: Lines,
    /// What the same file assigned before under the same key, to no effect.
    pub(crate) replaced: Vec<(Span, String)>,
}

/// One section of a file. Entries are keyed by the name with its operator, as written: a second
/// `a +=` of one file replaces the first one, as in Buildout 3.0.1.
#[derive(Clone, Debug)]
pub(crate) struct FileSection<'t> {
    pub(crate) header: Span,
    pub(crate) entries: Map<Cow<'t, str>, Entry<'t>>,
}

/// The sections of a text by name, in order.
pub(crate) type FileSections<'t> = Map<&'t str, FileSection<'t>>;

impl<'t> FileSection<'t> {
    /// A section without options.
    pub(crate) fn new(header: Span) -> Self {
        Self { header, entries: Map::default() }
    }

    /// The value of a plain assignment.
    pub(crate) fn set(&self, option: &str) -> Option<&Entry<'t>> {
        self.entries.get(option).filter(|entry| entry.op == Operator::Set)
    }
}

/// Reads the text of `file` into its sections.
///
/// # Errors
/// At the first wrong line, the others shown with it; at once for a condition.
pub(crate) fn scan<'t>(
    sources: &Sources,
    file: FileId,
    text: &'t str,
    environment: &Environment,
) -> Result<FileSections<'t>, ProfileError> {
    let mut scanner = Scanner {
        sources,
        environment,
        sections: Map::default(),
        place: Nesting::Outside,
        draft: None,
        lines: Vec::new(),
        mistakes: Vec::new(),
    };
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]);
    for (number, end) in (1..).zip(ends) {
        scanner.line(Span { file, line: number }, &text[start..end])?;
        start = end + 1;
    }
    scanner.close_option();
    match scanner.mistakes.is_empty() {
        true => Ok(scanner.sections),
        false => Err(parse_error(sources, &scanner.mistakes)),
    }
}

/// What the lines below belong to.
enum Nesting {
    /// No header yet.
    Outside,
    /// A section whose condition is false.
    Skipped,
    /// The section of this index.
    Section(usize),
}

struct Scanner<'a, 't> {
    sources: &'a Sources,
    environment: &'a Environment,
    sections: FileSections<'t>,
    place: Nesting,
    draft: Option<Draft<'t>>,
    /// The lines of the draft's value, and where they are.
    lines: Vec<(&'t str, LineOrigin)>,
    mistakes: Vec<Mistake>,
}

/// An option whose value may still be continued.
struct Draft<'t> {
    section: usize,
    key: &'t str,
    name: &'t str,
    op: Operator,
    span: Span,
    /// Nothing on the first line: indentation and blank lines count.
    block: bool,
}

struct Mistake {
    span: Span,
    message: &'static str,
    help: &'static str,
}

impl<'t> Scanner<'_, 't> {
    fn line(&mut self, span: Span, line: &'t str) -> Result<(), ProfileError> {
        if line.starts_with(['#', ';']) {
            return Ok(());
        }
        let indented = line.chars().next().is_none_or(char::is_whitespace);
        if indented && self.draft.is_some() {
            self.continue_option(span, line);
            return Ok(());
        }
        if line.starts_with('[') {
            return self.header(span, line);
        }
        match self.place {
            _ if line.trim().is_empty() => {}
            Nesting::Skipped => {}
            Nesting::Outside => self.mistake(
                span,
                "this line is above the first section header",
                "a file begins with a [section]",
            ),
            Nesting::Section(_) if indented => self.mistake(
                span,
                "this line continues an option, but none is open",
                "an option begins in the first column",
            ),
            Nesting::Section(section) => self.option(span, section, line),
        }
        Ok(())
    }

    fn mistake(&mut self, span: Span, message: &'static str, help: &'static str) {
        self.mistakes.push(Mistake { span, message, help });
    }

    fn header(&mut self, span: Span, line: &'t str) -> Result<(), ProfileError> {
        self.close_option();
        let Some((name, expression)) = split_header(line) else {
            self.place = Nesting::Skipped;
            self.mistake(
                span,
                "this is not a section header",
                "write [name] or [name:expression]; a name has no blanks and none of # [ ] : ; { }",
            );
            return Ok(());
        };
        if let Some((column, expression)) = expression {
            let holds = condition::evaluate(expression, self.environment).map_err(|problem| {
                let start = column + problem.at.start;
                ProfileError::new(ErrorKind::Condition, format!("[{name}]: {}", problem.message))
                    .label("cannot be evaluated")
                    .at(self.sources, span, start..column + problem.at.end)
                    .with_help(problem.help)
            })?;
            if !holds {
                self.place = Nesting::Skipped;
                return Ok(());
            }
        }
        let entry = self.sections.entry(name);
        let index = entry.index();
        entry.or_insert_with(|| FileSection::new(span));
        self.place = Nesting::Section(index);
        Ok(())
    }

    fn option(&mut self, span: Span, section: usize, line: &'t str) {
        self.close_option();
        if let Some(value) = line.strip_prefix("=>") {
            let name = (PART_DEPENDENCIES, PART_DEPENDENCIES, Operator::Set);
            self.open_option(span, section, name, line, value);
            return;
        }
        let Some((left, value)) = line.split_once('=') else {
            let help = if line.contains(':') {
                "an option is written `name = value`, with an equals sign"
            } else {
                "an option is `name = value`; a line that continues a value is indented"
            };
            self.mistake(span, "this is neither an option nor a section header", help);
            return;
        };
        match split_name(left) {
            Some(name) => self.open_option(span, section, name, line, value),
            None => self.mistake(
                span,
                "this is not the name of an option",
                "a name has no blanks and none of { } [ ] = :",
            ),
        }
    }

    fn open_option(
        &mut self,
        span: Span,
        section: usize,
        (key, name, op): (&'t str, &'t str, Operator),
        line: &'t str,
        value: &'t str,
    ) {
        let column = line.len() - value.trim_start().len();
        let value = value.trim();
        self.lines.clear();
        self.lines.push((value, LineOrigin { span, column: narrow(column) }));
        self.draft = Some(Draft { section, key, name, op, span, block: value.is_empty() });
    }

    fn continue_option(&mut self, span: Span, line: &'t str) {
        if self.draft.as_ref().is_some_and(|draft| draft.block) {
            self.lines.push((line.trim_end(), LineOrigin { span, column: 0 }));
            return;
        }
        let text = line.trim();
        if !text.is_empty() {
            let column = narrow(line.len() - line.trim_start().len());
            self.lines.push((text, LineOrigin { span, column }));
        }
    }

    fn close_option(&mut self) {
        let Some(draft) = self.draft.take() else {
            return;
        };
        let Some((_, section)) = self.sections.get_index_mut(draft.section) else {
            return;
        };
        let Draft { key, name, op, span, block, .. } = draft;
        let lines = &mut self.lines;
        if block {
            lay_out_block(lines);
        }
        let mut value = String::with_capacity(lines.iter().map(|(text, _)| text.len() + 1).sum());
        for (index, (text, _)) in lines.iter().enumerate() {
            value.push_str(if index == 0 { "" } else { "\n" });
            value.push_str(text);
        }
        let origins = lines.iter().map(|(_, origin)| *origin);
        let lines = Lines::of(origins, LineOrigin { span, column: 0 });
        let mut entry = Entry { name, op, value, span, lines, replaced: Vec::new() };
        if let Some(old) = section.entries.get_mut(key) {
            entry.replaced = std::mem::take(&mut old.replaced);
            entry.replaced.push((old.span, std::mem::take(&mut old.value)));
        }
        section.entries.insert(Cow::Borrowed(key), entry);
    }
}

/// Drops blank lines around a block and its common indentation; always leaves a line.
fn lay_out_block(lines: &mut Vec<(&str, LineOrigin)>) {
    let Some(last) = lines.iter().rposition(|(text, _)| !text.is_empty()) else {
        lines.truncate(1);
        return;
    };
    lines.truncate(last + 1);
    let first = lines.iter().position(|(text, _)| !text.is_empty()).unwrap_or(0);
    lines.drain(..first);
    let mut margin: Option<&str> = None;
    for (text, _) in lines.iter().filter(|(text, _)| !text.is_empty()) {
        let indent = &text[..text.len() - text.trim_start_matches([' ', '\t']).len()];
        margin = Some(margin.map_or(indent, |m| common_prefix(m, indent)));
    }
    let margin = margin.unwrap_or("").len();
    for (text, origin) in lines {
        // Blank lines are empty by now, whatever their indentation was.
        if let Some(rest) = text.get(margin..) {
            *text = rest;
            origin.column = narrow(margin);
        }
    }
}

fn common_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    &a[..same]
}

/// The name, and the column and text of the expression, of `[name]` or `[name:expression]`.
fn split_header(line: &str) -> Option<(&str, Option<(usize, &str)>)> {
    let end = line.find(['#', ';']).unwrap_or(line.len());
    let inside = line[..end].trim_end().strip_prefix('[')?.strip_suffix(']')?;
    let (name, expression) = match inside.split_once(':') {
        Some((name, expression)) => (name, Some(expression)),
        None => (inside, None),
    };
    let column = 1 + name.len() + 1;
    let name = name.trim();
    let bad = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '{' | '}');
    if name.is_empty() || name.contains(bad) {
        return None;
    }
    let expression = expression.filter(|text| !text.trim().is_empty()).map(|text| (column, text));
    Some((name, expression))
}

/// The key as written, the name and the operator, of what is left of the `=`.
fn split_name(left: &str) -> Option<(&str, &str, Operator)> {
    let key = left.trim_end();
    let (operator, stem) = match key.chars().next_back()? {
        '+' => (Operator::Add, key[..key.len() - 1].trim_end()),
        '-' => (Operator::Remove, key[..key.len() - 1].trim_end()),
        _ => (Operator::Set, key),
    };
    let bad = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '{' | '}' | ':');
    if stem.contains(bad) {
        return None;
    }
    // `c++ = 4` changes `c`: operators at the end of a name never belong to it.
    let name = match operator {
        Operator::Set => stem,
        Operator::Add => stem.trim_end_matches('+'),
        Operator::Remove => stem.trim_end_matches('-'),
    };
    (!name.is_empty()).then_some((key, name, operator))
}

fn narrow(column: usize) -> u32 {
    u32::try_from(column).unwrap_or(u32::MAX)
}

/// How many wrong lines are shown beside the first one.
const MAX_MISTAKES_SHOWN: usize = 5;

fn parse_error(sources: &Sources, mistakes: &[Mistake]) -> ProfileError {
    let Some((first, others)) = mistakes.split_first() else {
        return ProfileError::new(ErrorKind::Syntax, "the file cannot be read");
    };
    let mut error = ProfileError::new(ErrorKind::Syntax, first.message)
        .at(sources, first.span, 0..0)
        .with_help(Some(first.help.to_owned()));
    for other in others.iter().take(MAX_MISTAKES_SHOWN) {
        error = error.also_at(sources.place(other.span, 0..0));
    }
    match others.len() {
        0 => error,
        1 => error.with_note("another line of this file is wrong too"),
        n => error.with_note(format!("{n} more lines of this file are wrong too")),
    }
}

#[cfg(test)]
mod tests;
