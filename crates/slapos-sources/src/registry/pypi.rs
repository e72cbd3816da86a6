//! The Python package index that this machine's pip uses.
//!
//! pip is asked for its settings only, then the project's page of the index is read: `pip download`
//! would run the package's own build code to learn its metadata.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use url::Url;

use super::{Found, PythonFile, PythonPlaces, client};
use crate::http::{Http, Page, redacted};
use crate::{Digest, Failure, Progress, Source, SourceUrl};

const PAGE_LIMIT: u64 = 128 << 20;
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
                      application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// Prints pip's effective settings: its configuration files, its environment, its defaults.
const ASK_PIP: &str = "\
import json
from pip._internal.commands import create_command
o = create_command('download').parser.get_default_values()
print(json.dumps({'indexes': ([] if o.no_index else [o.index_url] + o.extra_index_urls),
                  'links': o.find_links}))
";

/// Where pip would look.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Indexes {
    indexes: Vec<Url>,
    directories: Vec<PathBuf>,
}

/// Finds `file` of project `name`.
pub(super) fn resolve(
    http: &Http,
    name: &str,
    file: &str,
    progress: &dyn Progress,
) -> Result<Vec<Found>, Failure> {
    let indexes = ask_client(progress)?;
    let local = indexes.directories.iter().map(|dir| dir.join(file));
    let mut found: Vec<Found> = local.filter(|p| p.is_file()).map(Found::File).collect();
    let mut last = None;
    for index in &indexes.indexes {
        match listed(http, index, name) {
            Ok(files) => {
                let wanted = files.into_iter().find(|listed| listed.name == file);
                found.extend(wanted.map(|listed| Found::Url(listed.url)));
            }
            Err(failure) => last = Some(failure),
        }
    }
    match (found.is_empty(), last) {
        (false, _) => Ok(found),
        (true, Some(failure)) => Err(failure),
        (true, None) => Err(Failure::Registry(format!(
            "the index lists no file {file:?} of {name:?}; look at the name and version"
        ))),
    }
}

/// All files of project `name`: those of `places.links`, then those of the index.
pub(super) fn files(
    http: &Http,
    settings: &OnceLock<Indexes>,
    name: &str,
    places: &PythonPlaces,
    progress: &dyn Progress,
) -> Result<Vec<PythonFile>, Failure> {
    let mut files = Vec::new();
    let mut unreachable = None;
    for link in &places.links {
        match Link::of(link)? {
            Link::Directory(directory) => files.extend(files_in(&directory)),
            Link::Page(url) => match list_page(http, &url) {
                Ok(found) => files.extend(found.into_iter().map(Listed::into_file)),
                // What it may have had is perhaps in the index as well.
                Err(failure) => {
                    progress.text(&format!("{url} is passed over: {failure}"));
                    unreachable = Some(Failure::Registry(format!("{url}: {failure}")));
                }
            },
        }
    }
    let indexes = match &places.index {
        Some(index) => match Link::of(index)? {
            Link::Directory(directory) => Indexes {
                directories: vec![directory.join(normalised(name)), directory],
                indexes: Vec::new(),
            },
            Link::Page(url) => Indexes { indexes: vec![url], directories: Vec::new() },
        },
        None => known(settings, progress)?,
    };
    for directory in &indexes.directories {
        files.extend(files_in(directory));
    }
    for index in &indexes.indexes {
        match listed(http, index, name) {
            Ok(found) => files.extend(found.into_iter().map(Listed::into_file)),
            Err(Failure::Status { status: 404, .. }) => {}
            Err(failure) => return Err(Failure::Registry(format!("{index}: {failure}"))),
        }
    }
    match unreachable.filter(|_| files.is_empty()) {
        Some(failure) => Err(failure),
        None => Ok(files),
    }
}

/// A place that profiles name.
enum Link {
    Directory(PathBuf),
    Page(Url),
}

impl Link {
    fn of(text: &str) -> Result<Self, Failure> {
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Directory(PathBuf::from(path)));
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self::Page(url)),
            _ => Err(Failure::Registry(format!(
                "{text:?} is neither an address nor the absolute path of a directory"
            ))),
        }
    }
}

/// The files in a directory, by name; none when it cannot be read.
fn files_in(directory: &Path) -> Vec<PythonFile> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    let mut files: Vec<PythonFile> = paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let source = Source::new(SourceUrl::File(path));
            Some(PythonFile { name, source, requires_python: None, yanked: false })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// A file as an index lists it.
#[derive(Debug, PartialEq)]
struct Listed {
    name: String,
    url: Url,
    digest: Option<Digest>,
    requires_python: Option<String>,
    yanked: bool,
}

impl Listed {
    fn into_file(self) -> PythonFile {
        let source = Source::new(SourceUrl::Http(self.url));
        let source = match self.digest {
            Some(digest) => source.with_digest(digest),
            None => source,
        };
        PythonFile {
            name: self.name,
            source,
            requires_python: self.requires_python,
            yanked: self.yanked,
        }
    }
}

fn listed(http: &Http, index: &Url, name: &str) -> Result<Vec<Listed>, Failure> {
    let page = project_page(index, name)
        .ok_or_else(|| Failure::Registry(format!("{} is no index", redacted(index))))?;
    let mut files = list_page(http, &page)?;
    for file in &mut files {
        // An index with a password has its files behind the same.
        if file.url.host() == index.host() && file.url.username().is_empty() {
            let _ = file.url.set_username(index.username());
            let _ = file.url.set_password(index.password());
        }
    }
    Ok(files)
}

fn list_page(http: &Http, url: &Url) -> Result<Vec<Listed>, Failure> {
    let page = http.page(url, ACCEPT, PAGE_LIMIT)?;
    if page.content_type.contains("json") { list_json(&page) } else { Ok(list_html(&page)) }
}

fn project_page(index: &Url, name: &str) -> Option<Url> {
    let mut page = index.clone();
    page.path_segments_mut().ok()?.pop_if_empty().push(&normalised(name)).push("");
    Some(page)
}

/// The name as the index spells it: lower case, runs of `-_.` as one `-`.
fn normalised(name: &str) -> String {
    name.to_ascii_lowercase()
        .split(['-', '_', '.'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn list_json(page: &Page) -> Result<Vec<Listed>, Failure> {
    let json: Value = serde_json::from_slice(&page.body).map_err(|error| {
        Failure::Registry(format!("{} is no JSON: {error}", redacted(&page.url)))
    })?;
    let files = json["files"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(files.iter().filter_map(|entry| of_json(entry, page)).collect())
}

fn of_json(entry: &Value, page: &Page) -> Option<Listed> {
    let sha256 = entry["hashes"]["sha256"].as_str();
    Some(Listed {
        name: entry["filename"].as_str()?.to_owned(),
        url: page.url.join(entry["url"].as_str()?).ok()?,
        digest: sha256.and_then(|hex| format!("sha256:{hex}").parse().ok()),
        requires_python: entry["requires-python"].as_str().map(str::to_owned),
        yanked: !matches!(entry["yanked"], Value::Null | Value::Bool(false)),
    })
}

/// The targets of the anchors of a page; each is named by the end of its path.
fn list_html(page: &Page) -> Vec<Listed> {
    let html = String::from_utf8_lossy(&page.body);
    let tags = html.split('<').filter(|tag| {
        tag.strip_prefix(['a', 'A']).is_some_and(|rest| rest.starts_with(char::is_whitespace))
    });
    tags.filter_map(|tag| of_anchor(tag.split('>').next().unwrap_or(tag), page)).collect()
}

fn of_anchor(tag: &str, page: &Page) -> Option<Listed> {
    let mut url = page.url.join(&attribute(tag, "href")?).ok()?;
    let digest = url.fragment().and_then(|text| text.replacen('=', ":", 1).parse().ok());
    url.set_fragment(None);
    Some(Listed {
        name: SourceUrl::Http(url.clone()).file_name()?,
        url,
        digest,
        requires_python: attribute(tag, "data-requires-python"),
        yanked: attribute(tag, "data-yanked").is_some(),
    })
}

/// The value of an attribute in the text of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag.split_once(char::is_whitespace)?.1.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (found, after) = rest.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(after) => match after.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            },
        };
        if found.eq_ignore_ascii_case(name) {
            let value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            return Some(value.replace("&#39;", "'").replace("&amp;", "&"));
        }
        // A stray sign would otherwise be looked at for ever.
        rest = after.trim_start_matches('=').trim_start();
    }
    None
}

/// What pip says, asked once.
fn known(settings: &OnceLock<Indexes>, progress: &dyn Progress) -> Result<Indexes, Failure> {
    if let Some(known) = settings.get() {
        return Ok(known.clone());
    }
    let asked = ask_client(progress)?;
    Ok(settings.get_or_init(|| asked).clone())
}

/// Asks pip, under whatever name it is installed, else uv's environment.
fn ask_client(progress: &dyn Progress) -> Result<Indexes, Failure> {
    let mut missing = None;
    for python in ["python3", "python"] {
        let mut command = client::command(python);
        match client::output("pip", command.args(["-c", ASK_PIP]), progress) {
            Ok(text) => return parse_settings(&text),
            Err(Failure::Cancelled) => return Err(Failure::Cancelled),
            Err(failure) => {
                missing.get_or_insert(failure);
            }
        }
    }
    let uv = ["UV_DEFAULT_INDEX", "UV_INDEX_URL"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find_map(|text| Url::parse(&text).ok());
    match (uv, missing) {
        (Some(index), _) => Ok(Indexes { indexes: vec![index], directories: vec![] }),
        (None, Some(failure)) => Err(Failure::Registry(format!(
            "pip cannot say which index it uses ({failure}); install Python's pip"
        ))),
        (None, None) => Err(Failure::Registry("pip is not installed".into())),
    }
}

fn parse_settings(text: &str) -> Result<Indexes, Failure> {
    let line = text.lines().rfind(|line| line.starts_with('{'));
    let json: Value = line
        .and_then(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| Failure::Registry("pip's settings could not be read".into()))?;
    let strings = |key: &str| -> Vec<String> {
        let list = json[key].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    Ok(Indexes {
        indexes: strings("indexes").iter().filter_map(|text| Url::parse(text).ok()).collect(),
        directories: strings("links")
            .iter()
            .map(|text| text.strip_prefix("file://").unwrap_or(text))
            .filter(|text| text.starts_with('/'))
            .map(PathBuf::from)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Page {
        Page {
            body: body.into(),
            content_type: String::new(),
            url: Url::parse("http://index/simple/six/").unwrap(),
        }
    }

    #[test]
    fn lists_the_files_of_either_form_of_page() {
        let zeros = "0".repeat(64);
        let html = page(&format!(
            "<A HREF=\"x\">x</A><a class=y data-requires-python='&gt;=3.6, &lt;4' href = \
             '../../f/six-1.0.tar.gz#sha256={zeros}' data-yanked>six-1.0.tar.gz</a><a>none</a>"
        ));
        let found = list_html(&html);
        assert_eq!(found[0].name, "x");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].url.as_str(), "http://index/f/six-1.0.tar.gz");
        assert_eq!(found[1].requires_python.as_deref(), Some(">=3.6, <4"));
        assert!(found[1].yanked && !found[0].yanked);
        assert_eq!(found[1].digest.map(|digest| digest.hex()), Some(zeros.clone()));
        let json = page(&format!(
            r#"{{"files":[{{"filename":"a.whl","url":"/f/a.whl","hashes":{{"sha256":"{zeros}"}},
                "requires-python":">=3","yanked":false}},{{"filename":"b"}}]}}"#
        ));
        let found = list_json(&json).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].url.as_str(), "http://index/f/a.whl");
        assert!(!found[0].yanked);
        assert!(list_json(&page("<html>")).is_err());
    }

    #[test]
    fn attributes_are_found_whatever_surrounds_them() {
        for tag in ["a = = href=x", "a href", "a href='x", "a ==href=\"", "a b=c"] {
            let _ = attribute(tag, "href");
        }
        assert_eq!(attribute("a b=c href=x", "href").as_deref(), Some("x"));
        assert_eq!(attribute("a data-href=c", "href"), None);
    }

    #[test]
    fn names_are_normalised() {
        let index = Url::parse("http://index/simple").unwrap();
        let page = project_page(&index, "Zope.Interface__x").unwrap();
        assert_eq!(page.as_str(), "http://index/simple/zope-interface-x/");
    }

    #[test]
    fn settings_are_read_from_the_last_line() {
        let text = "note\n{\"indexes\": [\"http://i/simple\", null], \"links\": [\"/opt/w\", \"http://x\"]}\n";
        let settings = parse_settings(text).unwrap();
        assert_eq!(settings.indexes.len(), 1);
        assert_eq!(settings.directories, [PathBuf::from("/opt/w")]);
        assert!(parse_settings("oops").is_err());
    }
}
