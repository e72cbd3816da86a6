//! Reads a profile and everything it extends, each file once, and merges them in one line.
//!
//! Invariants: depth first, children before the file that extends them, in the order written; a
//! file reached twice keeps its first position; the defaults of `[buildout]` come first, the
//! assignments of the caller last.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::environment::Environment;
use crate::error::{ErrorKind, ProfileError};
use crate::location::Location;
use crate::merge::merge;
use crate::model::{Assignment, Files, Map, Operator, Profile, ReadError, Section};
use crate::scan::{Entry, FileSection, FileSections, scan};
use crate::source::{FileId, LineOrigin, Lines, Sources, Span};
use crate::suggest::did_you_mean;

/// How deep files may extend each other.
const MAX_DEPTH: usize = 100;

/// The hard-coded options of `[buildout]`; the engine makes the directories absolute.
const DEFAULTS: &str = "\
[buildout]
allow-hosts = *
allow-picked-versions = true
allow-unknown-extras = false
bin-directory = bin
develop-eggs-directory = develop-eggs
eggs-directory = eggs
find-links =
install-from-cache = false
installed = .installed.cfg
log-format =
log-level = INFO
newest = true
offline = false
parts-directory = parts
prefer-final = true
python = buildout
show-picked-versions = false
socket-timeout =
update-versions-file =
use-dependency-links = true
dry-run = false
check-signature = true
";

/// The option added to a section of a file that uses it.
const BASE_LOCATION: &str = "_profile_base_location_";
const BASE_LOCATION_REFERENCE: &str = "${:_profile_base_location_}";

impl Profile {
    /// Reads the profile at `main` and everything it extends.
    ///
    /// # Errors
    /// The first mistake found in any of the files, or the `extends` that leads to none.
    pub fn load(
        main: &Location,
        files: &dyn Files,
        assignments: &[Assignment],
    ) -> Result<Self, ProfileError> {
        Self::load_over(&[], main, files, assignments)
    }

    /// As [`Profile::load`], with files that count as if the profile extended them before
    /// everything else: the defaults of a user, if there are any.
    ///
    /// # Errors
    /// As [`Profile::load`].
    pub fn load_over(
        defaults: &[Location],
        main: &Location,
        files: &dyn Files,
        assignments: &[Assignment],
    ) -> Result<Self, ProfileError> {
        let mut loader = Loader::new(files, &main.parent())?;
        for location in defaults.iter().chain([main]) {
            loader.visit(location, None)?;
        }
        loader.finish(&main.parent(), assignments)
    }

    /// As [`Profile::load`], with the main profile given as a text called `name`; `base` is the
    /// directory its `extends` are relative to.
    ///
    /// # Errors
    /// As [`Profile::load`].
    pub fn load_text(
        name: &str,
        text: &str,
        base: &Location,
        files: &dyn Files,
        assignments: &[Assignment],
    ) -> Result<Self, ProfileError> {
        let mut loader = Loader::new(files, base)?;
        let file = loader.sources.add(name.to_owned(), None, text, None);
        loader.text(file, base)?;
        loader.finish(base, assignments)
    }
}

/// The state of a file during the walk.
enum Visit {
    /// Being read: what it extends is not merged yet.
    Open,
    Done(FileId),
}

struct Loader<'a> {
    files: &'a dyn Files,
    environment: Environment,
    sources: Sources,
    order: Vec<FileId>,
    sections: Map<String, Section>,
    visits: HashMap<Location, Visit, foldhash::fast::RandomState>,
    /// Which file extends which.
    extends: Vec<(FileId, FileId)>,
    /// The files being read, outermost first, each with the line that extends it.
    path: Vec<(Location, Option<Span>)>,
}

/// One name in an `extends`.
struct Reference<'t> {
    text: &'t str,
    span: Span,
    column: usize,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files, directory: &Location) -> Result<Self, ProfileError> {
        let mut loader = Self {
            files,
            environment: files.environment(),
            sources: Sources::default(),
            order: Vec::new(),
            sections: Map::default(),
            visits: HashMap::default(),
            extends: Vec::new(),
            path: Vec::new(),
        };
        let mut defaults = DEFAULTS.to_owned();
        if let Some(path) = directory.as_path() {
            defaults.push_str(&format!("directory = {}\n", path.display()));
        }
        let file = loader.sources.add("<defaults>".to_owned(), None, &defaults, None);
        let scanned = scan(&loader.sources, file, &defaults, &loader.environment)?;
        merge(&mut loader.sections, scanned);
        loader.order.push(file);
        Ok(loader)
    }

    /// Reads a file unless it was read before.
    fn visit(
        &mut self,
        at: &Location,
        from: Option<&Reference<'_>>,
    ) -> Result<FileId, ProfileError> {
        match self.visits.get(at) {
            Some(Visit::Done(file)) => return Ok(*file),
            Some(Visit::Open) => return Err(self.circular(at, from)),
            None => {}
        }
        if self.path.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} files extend each other");
            return Err(self.fail(ErrorKind::TooDeep, message, from));
        }
        let text = self.files.read(at).map_err(|e| self.unreadable(at, &e, from))?;
        let extended_at = from.map(|reference| reference.span);
        let file = self.sources.add(at.to_string(), Some(at.clone()), &text, extended_at);
        self.visits.insert(at.clone(), Visit::Open);
        self.path.push((at.clone(), extended_at));
        self.text(file, &at.parent())?;
        self.path.pop();
        self.visits.insert(at.clone(), Visit::Done(file));
        Ok(file)
    }

    /// Reads what a text extends, then merges the text itself.
    fn text(&mut self, file: FileId, base: &Location) -> Result<(), ProfileError> {
        let text = self.sources.text(file);
        let mut scanned = scan(&self.sources, file, &text, &self.environment)?;
        if let Some(buildout) = scanned.get_mut("buildout") {
            self.refuse_obsolete(buildout)?;
            if let Some(extends) = buildout.entries.shift_remove("extends") {
                self.extend(&extends, base)?;
            }
        }
        for section in scanned.values_mut() {
            add_base_location(section, base);
        }
        merge(&mut self.sections, scanned);
        self.order.push(file);
        Ok(())
    }

    fn extend(&mut self, extends: &Entry<'_>, base: &Location) -> Result<(), ProfileError> {
        for reference in references(extends) {
            let target = self.target(&reference, base)?;
            let file = self.visit(&target, Some(&reference))?;
            self.extends.push((extends.span.file, file));
        }
        Ok(())
    }

    fn target(&self, reference: &Reference<'_>, base: &Location) -> Result<Location, ProfileError> {
        let joined = match (reference.text.strip_prefix("~/"), &self.environment.home) {
            (None, _) => base.join(reference.text),
            (Some(rest), Some(home)) => Location::parse(&format!("{home}/{rest}")),
            (Some(_), None) => {
                let message = format!("cannot extend `{}`: there is no home", reference.text);
                let error = self.fail(ErrorKind::Read, message, Some(reference));
                return Err(error.with_help(Some("write the absolute path".to_owned())));
            }
        };
        joined.map_err(|e| {
            let message = format!("cannot extend `{}`: {e}", reference.text);
            self.fail(ErrorKind::Read, message, Some(reference))
        })
    }

    fn refuse_obsolete(&self, buildout: &FileSection<'_>) -> Result<(), ProfileError> {
        let refused = buildout.entries.values().find_map(|entry| match entry.name {
            "extended-by" => Some((entry, "`extended-by` is no longer supported")),
            "extends" if entry.op != Operator::Set => {
                Some((entry, "`extends` can only be set: each file names what it extends itself"))
            }
            _ => None,
        });
        let Some((entry, message)) = refused else {
            return Ok(());
        };
        Err(ProfileError::new(ErrorKind::Syntax, message)
            .at(&self.sources, entry.span, 0..entry.name.len())
            .with_help(Some("use `extends =`".to_owned())))
    }

    /// Reads what the command line extends, then applies its assignments.
    fn finish(
        mut self,
        base: &Location,
        assignments: &[Assignment],
    ) -> Result<Profile, ProfileError> {
        for (origin, group) in by_origin(assignments) {
            let (text, mut sections) = write_assignments(&group, self.sources.files.len());
            let file = self.sources.add(origin.to_owned(), None, &text, None);
            if let Some(buildout) = sections.get_mut("buildout") {
                self.refuse_obsolete(buildout)?;
                if let Some(extends) = buildout.entries.shift_remove("extends") {
                    self.extend(&extends, base)?;
                }
            }
            merge(&mut self.sections, sections);
            self.order.push(file);
        }
        let Self { sources, order, sections, extends, environment, .. } = self;
        Ok(Profile { sources, order, sections, extends, environment })
    }

    fn fail(&self, kind: ErrorKind, message: String, from: Option<&Reference<'_>>) -> ProfileError {
        let error = ProfileError::new(kind, message);
        match from {
            Some(r) => error.at(&self.sources, r.span, r.column..r.column + r.text.len()),
            None => error,
        }
    }

    fn circular(&self, at: &Location, from: Option<&Reference<'_>>) -> ProfileError {
        let start = self.path.iter().position(|(step, _)| step == at).unwrap_or(0);
        let message = format!("{at} extends itself");
        let mut error = self.fail(ErrorKind::CircularExtends, message, from);
        error = error.label("leads back to where it began");
        // The chain of `extends` is the cycle, so it is shown once, from the start of the cycle.
        error = error.without_notes();
        let mut names: Vec<String> =
            self.path[start..].iter().map(|(step, _)| step.to_string()).collect();
        names.push(at.to_string());
        let spans = self.path[start..].iter().skip(1).map(|(_, span)| *span);
        let spans = spans.chain([from.map(|r| r.span)]);
        for (pair, span) in names.windows(2).zip(spans) {
            let place =
                span.map_or_else(String::new, |s| format!(" at {}", self.sources.describe(s)));
            error = error.with_note(format!("{} extends {}{place}", pair[0], pair[1]));
        }
        error.with_help(Some("remove one of these `extends`".to_owned()))
    }

    fn unreadable(
        &self,
        at: &Location,
        why: &ReadError,
        from: Option<&Reference<'_>>,
    ) -> ProfileError {
        let message = match why {
            ReadError::NotFound => format!("there is no file {at}"),
            ReadError::Other(reason) => format!("cannot read {at}: {reason}"),
        };
        let error = self.fail(ErrorKind::Read, message, from);
        let (ReadError::NotFound, Some(from)) = (why, from) else {
            return error;
        };
        error.label("not found").with_help(self.nearby(at, from))
    }

    /// A file that exists and whose name is a likely slip away from the one that does not.
    fn nearby(&self, at: &Location, from: &Reference<'_>) -> Option<String> {
        if from.text.contains("${") {
            return Some("references are not substituted in `extends`".to_owned());
        }
        // Guesses are only tried on disk: a download each would be slow and surprising.
        let directory = (!at.is_url()).then(|| {
            let base = self.sources.get(from.span.file)?.location.as_ref()?.parent();
            (!base.is_url()).then_some(base)
        });
        if let Some(base) = directory.flatten() {
            let text = from.text.trim_end_matches('/');
            let guesses = [
                format!("{text}.cfg"),
                format!("{text}/buildout.cfg"),
                format!("{text}/software.cfg"),
                format!("../{text}"),
                text.strip_prefix("../").unwrap_or_default().to_owned(),
            ];
            let exists = |guess: &&String| {
                !guess.is_empty()
                    && base.join(guess).is_ok_and(|there| self.files.read(&there).is_ok())
            };
            if let Some(found) = guesses.iter().find(exists) {
                return Some(format!("did you mean `{found}`?"));
            }
        }
        let wanted = at.to_string();
        let known: Vec<String> = self.visits.keys().map(ToString::to_string).collect();
        did_you_mean(&wanted, known.iter().map(String::as_str))
    }
}

/// The white-space separated words of an `extends`, with their places.
fn references<'e>(extends: &'e Entry<'_>) -> Vec<Reference<'e>> {
    let mut found = Vec::new();
    for (line, origin) in extends.value.split('\n').zip(extends.lines.iter()) {
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
            let word = &rest[start..];
            let end = word.find(char::is_whitespace).unwrap_or(word.len());
            let column = origin.column as usize + (line.len() - word.len());
            found.push(Reference { text: &word[..end], span: origin.span, column });
            rest = &word[end..];
        }
    }
    found
}

/// Gives a section that asks for it the directory of its file.
fn add_base_location(section: &mut FileSection<'_>, base: &Location) {
    let user = section.entries.values().find(|e| e.value.contains(BASE_LOCATION_REFERENCE));
    let Some(span) = user.map(|entry| entry.span) else {
        return;
    };
    let entry = Entry {
        name: BASE_LOCATION,
        op: Operator::Set,
        value: base.base_text(),
        span,
        lines: Lines::one(LineOrigin { span, column: 0 }),
        replaced: Vec::new(),
    };
    section.entries.insert(Cow::Borrowed(BASE_LOCATION), entry);
}

/// Assignments in runs of one origin, order kept.
fn by_origin(assignments: &[Assignment]) -> Vec<(&str, Vec<&Assignment>)> {
    let mut groups: Vec<(&str, Vec<&Assignment>)> = Vec::new();
    for assignment in assignments {
        match groups.last_mut() {
            Some((origin, group)) if *origin == assignment.origin => group.push(assignment),
            _ => groups.push((&assignment.origin, vec![assignment])),
        }
    }
    groups
}

/// Assignments as a text to show in errors, one after another, and as sections.
fn write_assignments<'a>(group: &[&'a Assignment], file: usize) -> (String, FileSections<'a>) {
    let file = FileId(u32::try_from(file).unwrap_or(u32::MAX));
    let mut text = String::new();
    let mut sections = FileSections::default();
    let mut line = 1;
    for a in group {
        let span = Span { file, line };
        let start = format!("{}:{}{}", a.section, a.option, a.op.as_str());
        let count = u32::try_from(a.value.split('\n').count()).unwrap_or(u32::MAX);
        let first = u32::try_from(start.len()).unwrap_or(u32::MAX);
        let lines = (0..count).map(|n| LineOrigin {
            span: Span { file, line: line + n },
            column: if n == 0 { first } else { 0 },
        });
        let entry = Entry {
            name: &a.option,
            op: a.op,
            value: a.value.clone(),
            span,
            lines: Lines::of(lines, LineOrigin { span, column: first }),
            replaced: Vec::new(),
        };
        text.push_str(&start);
        text.push_str(&a.value);
        text.push('\n');
        line = line.saturating_add(count);
        let section = sections.entry(&*a.section).or_insert_with(|| FileSection::new(span));
        let key = match a.op {
            Operator::Set => Cow::Borrowed(&*a.option),
            // Each one applies: the number keeps a second `+=` from replacing the first.
            Operator::Add | Operator::Remove => format!("{} {}", a.option, span.line).into(),
        };
        section.entries.insert(key, entry);
    }
    (text, sections)
}

#[cfg(test)]
mod tests;
