//! What an index offers of a project, and which of it is taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use slapos_sources::{Failure, Fetcher, PythonFile, PythonPlaces};

use crate::name::normalise;
use crate::wheel::Watch;
use crate::{EggError, Hosts, Interpreter, Specifiers, Version, Work};

/// Endings of source distributions.
const ARCHIVES: [&str; 6] = [".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar"];

/// A file that would do.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) version: Version,
    pub(crate) kind: Kind,
    pub(crate) file: PythonFile,
}

/// Kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To be built.
    Source,
    /// To be unpacked; the rank of its tags.
    Wheel(usize),
}

/// How a file is chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) specifiers: &'a Specifiers,
    /// Wheels are preferred to sources, instead of only taken where there is no source.
    pub(crate) wheels: bool,
    /// Only sources will do.
    pub(crate) source_only: bool,
    /// Final versions are preferred.
    pub(crate) prefer_final: bool,
    /// Where it may come from.
    pub(crate) hosts: &'a Hosts,
}

/// Normal name and places → what they offer.
type Known = HashMap<(String, PythonPlaces), Arc<Vec<PythonFile>>>;

/// Files of projects, each asked for once in a run.
pub(crate) struct Index {
    fetcher: Arc<Fetcher>,
    known: Mutex<Known>,
}

impl Index {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher, known: Mutex::default() }
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    fn files(
        &self,
        project: &str,
        places: &PythonPlaces,
        work: &dyn Work,
    ) -> Result<Arc<Vec<PythonFile>>, Failure> {
        let key = (normalise(project), places.clone());
        if let Some(known) = self.known().get(&key) {
            return Ok(known.clone());
        }
        let files = Arc::new(self.fetcher.python_files(project, places, &Watch(work))?);
        self.known().insert(key, files.clone());
        Ok(files)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file to take of `project`; the inner error says what was found instead.
    pub(crate) fn choose(
        &self,
        python: &Interpreter,
        project: &str,
        places: &PythonPlaces,
        choice: Choice<'_>,
        work: &dyn Work,
    ) -> Result<Result<Candidate, String>, EggError> {
        let places = match choice.hosts.among(places) {
            Ok(places) => places,
            Err(host) => return Ok(Err(not_allowed(&host))),
        };
        let files = match self.files(project, &places, work) {
            Ok(files) => files,
            Err(Failure::Cancelled) => return Err(EggError::Cancelled),
            Err(failure) => return Ok(Err(failure.to_string())),
        };
        let is_allowed = |file: &&PythonFile| choice.hosts.refused(&file.source).is_none();
        let allowed = files.iter().filter(is_allowed);
        let all: Vec<Candidate> =
            allowed.filter_map(|file| candidate(project, file, python)).collect();
        let best = best(&all, choice);
        Ok(best.cloned().ok_or_else(|| explain(project, &files, &all, choice)))
    }
}

fn best<'a>(all: &'a [Candidate], choice: Choice<'_>) -> Option<&'a Candidate> {
    let fits = |c: &&Candidate| {
        let withdrawn = c.file.yanked && choice.specifiers.single().is_none();
        let kind = c.kind == Kind::Source || !choice.source_only;
        kind && !withdrawn && choice.specifiers.contains(&c.version)
    };
    let early = choice.specifiers.names_prerelease() || !choice.prefer_final;
    let version = |early: bool| {
        let versions = all.iter().filter(fits).map(|c| &c.version);
        versions.filter(|version| early || !version.is_prerelease()).max()
    };
    let version = version(early).or_else(|| version(true))?;
    let of_version = all.iter().filter(fits).filter(|c| c.version == *version);
    of_version.min_by_key(|c| match (c.kind, choice.wheels) {
        (Kind::Source, wheels) => (wheels, 0),
        (Kind::Wheel(rank), wheels) => (!wheels, rank),
    })
}

fn candidate(project: &str, file: &PythonFile, python: &Interpreter) -> Option<Candidate> {
    if let (Some(wanted), Some(version)) = (&file.requires_python, python.version()) {
        // A condition that cannot be read excludes nothing.
        if wanted.parse::<Specifiers>().is_ok_and(|wanted| !wanted.contains(&version)) {
            return None;
        }
    }
    let (version, kind) = match file.name.strip_suffix(".whl") {
        Some(stem) => wheel(project, stem, python)?,
        None => (source(project, &file.name)?, Kind::Source),
    };
    Some(Candidate { version, kind, file: file.clone() })
}

/// `name-version[-build]-python-abi-platform`.
fn wheel(project: &str, stem: &str, python: &Interpreter) -> Option<(Version, Kind)> {
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, version, tags) = match parts.as_slice() {
        [name, version, tags @ ..] if tags.len() == 3 => (name, version, tags),
        [name, version, _build, tags @ ..] if tags.len() == 3 => (name, version, tags),
        _ => return None,
    };
    if normalise(name) != normalise(project) {
        return None;
    }
    let rank = python.tags.rank(tags[0], tags[1], tags[2])?;
    Some((version.replace('_', "-").parse().ok()?, Kind::Wheel(rank)))
}

/// `name-version.tar.gz`; older names may hold the separator.
fn source(project: &str, file: &str) -> Option<Version> {
    let stem = ARCHIVES.iter().find_map(|ending| file.strip_suffix(ending))?;
    let mut cuts = stem.match_indices('-');
    cuts.find_map(|(at, _)| {
        let same = normalise(&stem[..at]) == normalise(project);
        same.then(|| stem[at + 1..].parse().ok()).flatten()
    })
}

fn not_allowed(host: &str) -> String {
    format!("`allow-hosts` of [buildout] does not allow {host}, where it is")
}

fn explain(project: &str, files: &[PythonFile], all: &[Candidate], choice: Choice<'_>) -> String {
    let own =
        |file: &&PythonFile| normalise(&file.name).starts_with(&format!("{}-", normalise(project)));
    let refused = files.iter().filter(own).find_map(|file| choice.hosts.refused(&file.source));
    if let Some(host) = refused.filter(|_| all.is_empty()) {
        return not_allowed(&host);
    }
    let files = files.iter().filter(own).count();
    if files == 0 {
        return format!("nothing is known of a project `{project}`");
    }
    let mut versions: Vec<&Version> = all.iter().map(|candidate| &candidate.version).collect();
    versions.sort();
    versions.dedup();
    let Some(newest) = versions.last() else {
        return format!("none of the {files} files of `{project}` is for this Python");
    };
    if choice.source_only && all.iter().any(|c| choice.specifiers.contains(&c.version)) {
        return "there are wheels of it only, and it is to be built from its source".to_owned();
    }
    format!("of the {} versions that this Python takes, the newest is {newest}", versions.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_sources::{Source, SourceUrl};

    fn python() -> Interpreter {
        let mut python = Interpreter::examine(std::path::Path::new("python3")).unwrap();
        python.markers.insert("python_full_version".into(), "3.11.7".into());
        python
    }

    fn file(name: &str, requires_python: Option<&str>, yanked: bool) -> PythonFile {
        let source = Source::new(SourceUrl::File(format!("/{name}").into()));
        let requires_python = requires_python.map(str::to_owned);
        PythonFile { name: name.to_owned(), source, requires_python, yanked }
    }

    fn chosen(files: &[PythonFile], specifiers: &str, wheels: bool) -> Option<String> {
        let python = python();
        let all: Vec<Candidate> =
            files.iter().filter_map(|file| candidate("a-b", file, &python)).collect();
        let specifiers = specifiers.parse().unwrap();
        let hosts = Hosts::default();
        let choice = Choice {
            specifiers: &specifiers,
            wheels,
            source_only: false,
            prefer_final: true,
            hosts: &hosts,
        };
        best(&all, choice).map(|candidate| candidate.file.name.clone())
    }

    #[test]
    fn a_source_is_built_unless_a_wheel_is_asked_for_or_all_there_is() {
        let files = [
            file("a_b-1.0-py3-none-any.whl", None, false),
            file("a-b-1.0.tar.gz", None, false),
            file("A.B-2.0-py2.py3-none-any.whl", None, false),
            file("a_b-3.0.zip", Some(">=4"), false),
            file("a_b-3.1rc1.tar.gz", None, false),
            file("a_b-2.5.tar.gz", None, true),
            file("a-b-c-9.tar.gz", None, false),
            file("a_b-2.0-cp27-none-any.whl", None, false),
        ];
        let chosen = |specifiers, wheels| chosen(&files, specifiers, wheels).unwrap();
        assert_eq!(chosen("==1.0", false), "a-b-1.0.tar.gz");
        assert_eq!(chosen("==1.0", true), "a_b-1.0-py3-none-any.whl");
        assert_eq!(chosen("", false), "A.B-2.0-py2.py3-none-any.whl");
        assert_eq!(chosen(">=3", false), "a_b-3.1rc1.tar.gz");
        assert_eq!(chosen("==2.5", false), "a_b-2.5.tar.gz");
    }

    #[test]
    fn versions_are_found_in_names_of_sources() {
        let version = |project, name| source(project, name).map(|v| v.to_string());
        assert_eq!(version("zc.buildout", "zc.buildout-3.0.1.tar.gz").as_deref(), Some("3.0.1"));
        assert_eq!(version("a-b", "a-b-1.0-2.tar.bz2").as_deref(), Some("1.0.post2"));
        assert_eq!(version("a", "a-b-1.0.tar.gz"), None);
        assert_eq!(version("a", "a-1.0.exe"), None);
    }
}
