//! The Python package index that this machine's pip uses.
//!
//! pip is asked for its settings only, then the project's page of the index is read: `pip download`
//! would run the package's own build code to learn its metadata.

use std::path::PathBuf;

use serde_json::Value;
use url::Url;

use super::{Found, client};
use crate::http::{Http, Page, redacted};
use crate::{Failure, Progress};

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
#[derive(Debug, Default, PartialEq)]
struct Indexes {
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
        match look_in(http, index, name, file) {
            Ok(Some(url)) => found.push(Found::Url(url)),
            Ok(None) => {}
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

fn look_in(http: &Http, index: &Url, name: &str, file: &str) -> Result<Option<Url>, Failure> {
    let page = project_page(index, name)
        .ok_or_else(|| Failure::Registry(format!("{} is no index", redacted(index))))?;
    let page = http.page(&page, ACCEPT, PAGE_LIMIT)?;
    let mut url = if page.content_type.contains("json") {
        find_in_json(&page, file)?
    } else {
        find_in_html(&page, file)
    };
    if let Some(url) = &mut url {
        // The page may give the digest here; ours comes from the profile.
        url.set_fragment(None);
        // An index with a password has its files behind the same.
        if url.host() == index.host() && url.username().is_empty() {
            let _ = url.set_username(index.username());
            let _ = url.set_password(index.password());
        }
    }
    Ok(url)
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

fn find_in_json(page: &Page, file: &str) -> Result<Option<Url>, Failure> {
    let json: Value = serde_json::from_slice(&page.body).map_err(|error| {
        Failure::Registry(format!("{} is no JSON: {error}", redacted(&page.url)))
    })?;
    let files = json["files"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(files
        .iter()
        .find(|entry| entry["filename"] == file)
        .and_then(|entry| page.url.join(entry["url"].as_str()?).ok()))
}

/// The target of the anchor whose path ends in the file's name.
fn find_in_html(page: &Page, file: &str) -> Option<Url> {
    let html = String::from_utf8_lossy(&page.body);
    let mut rest: &str = &html;
    while let Some(at) = rest.find("href") {
        rest = rest[at + 4..].trim_start();
        let Some(value) = rest.strip_prefix('=').map(str::trim_start) else {
            continue;
        };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let target = match quote {
            Some(quote) => value[1..].split(quote).next(),
            None => value.split([' ', '>']).next(),
        };
        let target = target.unwrap_or_default().replace("&amp;", "&");
        if let Ok(url) = page.url.join(&target)
            && crate::SourceUrl::Http(url.clone()).file_name().as_deref() == Some(file)
        {
            return Some(url);
        }
    }
    None
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
    fn finds_the_file_in_either_form_of_page() {
        let html = page(
            r#"<a HREF="x"></a><a data-href = '../../f/six-1.0.tar.gz#sha256=00'>six-1.0.tar.gz</a>"#,
        );
        let found = find_in_html(&html, "six-1.0.tar.gz").unwrap();
        assert_eq!(found.path(), "/f/six-1.0.tar.gz");
        assert!(find_in_html(&html, "six-2.0.tar.gz").is_none());
        let json =
            page(r#"{"files":[{"filename":"six-1.0.tar.gz","url":"http://f/a/six-1.0.tar.gz"}]}"#);
        let found = find_in_json(&json, "six-1.0.tar.gz").unwrap().unwrap();
        assert_eq!(found.as_str(), "http://f/a/six-1.0.tar.gz");
        assert!(find_in_json(&json, "x").unwrap().is_none());
        assert!(find_in_json(&page("<html>"), "x").is_err());
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
