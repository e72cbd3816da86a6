//! The machine's own apt sources: which mirrors of Debian it trusts, and for which suites.
//!
//! Reads both formats, one-line (`*.list`) and stanzas (`*.sources`). Repositories of third parties
//! are left out: only suites with Debian's names, component `main`, whose key is not another's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The names that Debian's suites have, less their `-updates`, `-security` and the like.
const SUITES: [&str; 13] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// Options that a private list must repeat for apt to trust the mirror as the machine does.
const KEPT_OPTIONS: [&str; 7] = [
    "Signed-By",
    "Trusted",
    "Check-Valid-Until",
    "Check-Date",
    "Allow-Insecure",
    "Allow-Weak",
    "By-Hash",
];

/// One repository: mirrors that hold the same suites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    pub(super) uris: Vec<String>,
    pub(super) suites: Vec<String>,
    pub(super) components: Vec<String>,
    /// Stanza fields to repeat; a value may have several lines (an embedded key).
    pub(super) options: Vec<(String, String)>,
}

impl Repository {
    /// The stanza of a private list that asks these mirrors for the sources of one suite.
    pub(super) fn stanza(&self, suite: &str) -> String {
        let mut text = format!(
            "Types: deb-src\nURIs: {}\nSuites: {suite}\nComponents: {}\n",
            self.uris.join(" "),
            self.components.join(" ")
        );
        for (name, value) in &self.options {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        text
    }

    /// True for the archive that holds whole suites, as opposed to security updates.
    pub(super) fn is_main_archive(&self) -> bool {
        self.suites.iter().any(|suite| SUITES.contains(&&**suite))
    }

    fn is_debian(&self) -> bool {
        let other_key = self.options.iter().any(|(name, value)| {
            name == "Signed-By"
                && value.contains(".gpg")
                && !value.contains("debian-archive")
                && !value.contains("debian-keyring")
        });
        !other_key
            && self.suites.iter().all(|suite| is_debian_suite(suite))
            && self.components.iter().any(|component| component == "main")
    }
}

/// Debian's repositories among the apt sources below `etc` (`/etc/apt`), none twice.
pub(super) fn read(etc: &Path) -> io::Result<Vec<Repository>> {
    let mut files = vec![etc.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    let mut repositories: Vec<Repository> = Vec::new();
    for path in files {
        let parse: fn(&str) -> Vec<Repository> = match path.extension().and_then(|e| e.to_str()) {
            Some("list") => parse_lines,
            Some("sources") => parse_stanzas,
            _ => continue,
        };
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // Files with passwords may be closed to us; others may do.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(error),
        };
        for repository in parse(&text).into_iter().map(with_mirror_lists) {
            if repository.is_debian() && !repositories.contains(&repository) {
                repositories.push(repository);
            }
        }
    }
    Ok(repositories)
}

fn is_debian_suite(suite: &str) -> bool {
    let base = suite
        .strip_suffix("/updates")
        .or_else(|| suite.strip_suffix("-updates"))
        .or_else(|| suite.strip_suffix("-proposed-updates"))
        .or_else(|| suite.strip_suffix("-security"))
        .or_else(|| suite.strip_suffix("-backports-sloppy"))
        .or_else(|| suite.strip_suffix("-backports"))
        .unwrap_or(suite);
    SUITES.contains(&base)
}

/// `deb [option=value ...] URI SUITE COMPONENT...`, comments after `#`.
fn parse_lines(text: &str) -> Vec<Repository> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Repository> {
    let line = line.split('#').next()?.trim();
    let (kind, rest) = line.split_at(line.find([' ', '\t', '['])?);
    if !matches!(kind, "deb" | "deb-src") {
        return None;
    }
    let rest = rest.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let repository = Repository {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        options: options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
            .filter_map(|(name, value)| kept_option(name, value))
            .collect(),
    };
    Some(repository)
}

/// Paragraphs of `Field: value`, continued by indented lines.
fn parse_stanzas(text: &str) -> Vec<Repository> {
    let mut repositories = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            repositories.extend(from_fields(&std::mem::take(&mut fields)));
        } else if line.starts_with('#') {
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    repositories
}

fn from_fields(fields: &[(String, String)]) -> Option<Repository> {
    let field = |name: &str| {
        let (_, value) = fields.iter().find(|(field, _)| field == name)?;
        Some(value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        let value = field(name).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let disabled = matches!(field("enabled"), Some("no" | "false" | "0"));
    let repository = Repository {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        options: fields.iter().filter_map(|(name, value)| kept_option(name, value)).collect(),
    };
    let complete = !repository.uris.is_empty() && !repository.suites.is_empty();
    (complete && !disabled).then_some(repository)
}

fn kept_option(name: &str, value: &str) -> Option<(String, String)> {
    let kept = KEPT_OPTIONS.iter().find(|option| option.eq_ignore_ascii_case(name))?;
    Some(((*kept).to_owned(), value.to_owned()))
}

/// Replaces `mirror+file:/list` by the mirrors that the file lists, so that each can be asked.
fn with_mirror_lists(mut repository: Repository) -> Repository {
    repository.uris = repository
        .uris
        .into_iter()
        .flat_map(|uri| {
            let path = uri
                .strip_prefix("mirror+file:")
                .map(|path| format!("/{}", path.trim_start_matches('/')));
            let listed = path.and_then(|path| fs::read_to_string(path).ok());
            let mirrors: Vec<String> = listed
                .iter()
                .flat_map(|text| text.lines())
                .filter_map(|line| line.split_whitespace().next())
                .filter(|word| !word.starts_with('#'))
                .map(str::to_owned)
                .collect();
            if mirrors.is_empty() { vec![uri] } else { mirrors }
        })
        .collect();
    repository
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    fn machine(list: &str, sources: &str) -> Vec<Repository> {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        fs::write(etc.path().join("sources.list"), list).unwrap();
        fs::write(etc.path().join("sources.list.d/a.sources"), sources).unwrap();
        fs::write(etc.path().join("sources.list.d/b.sources.off"), sources).unwrap();
        read(etc.path()).unwrap()
    }

    #[test]
    fn reads_one_line_sources_and_leaves_third_parties_out() {
        let list = "# deb http://no/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] http://m/debian bookworm main contrib # x\n\
            deb-src http://m/debian-security bookworm-security main\n\
            deb [signed-by=/k/other.gpg] http://o/apt bookworm main\n\
            deb http://o/docker bookworm stable\n\
            deb http://o/node nodistro main\n\
            debug http://m/debian bookworm main\ndeb\n";
        let found = machine(list, "");
        let stanzas: String =
            found.iter().map(|repository| repository.stanza(&repository.suites[0])).collect();
        insta::assert_snapshot!(stanzas, @"
        Types: deb-src
        URIs: http://m/debian
        Suites: bookworm
        Components: main contrib
        Signed-By: /k/debian-archive-keyring.gpg

        Types: deb-src
        URIs: http://m/debian-security
        Suites: bookworm-security
        Components: main
        ");
        assert!(found[0].is_main_archive());
        assert!(!found[1].is_main_archive());
    }

    #[test]
    fn reads_stanzas_with_embedded_keys() {
        let sources = "Types: deb\n# comment\nURIs: http://m/debian\nSuites: trixie trixie-updates\n\
            Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n\
            Enabled: no\nURIs: http://n/debian\nSuites: trixie\nComponents: main\n";
        let found = machine("", sources);
        assert_eq!(found.len(), 1);
        insta::assert_snapshot!(found[0].stanza("sid"), @"
        Types: deb-src
        URIs: http://m/debian
        Suites: sid
        Components: main
        Signed-By: 
         -----BEGIN PGP PUBLIC KEY BLOCK-----
         .
         abc
        ");
    }

    #[test]
    fn a_mirror_list_is_replaced_by_its_mirrors() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("mirrors");
        fs::write(&list, "# two\nhttp://a/debian priority:1\nhttp://b/debian\n").unwrap();
        let line = format!("deb mirror+file:{} bookworm main\n", list.display());
        let found = machine(&line, "");
        assert_eq!(found[0].uris, ["http://a/debian", "http://b/debian"]);
    }
}
