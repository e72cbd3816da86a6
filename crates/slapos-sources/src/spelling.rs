//! `SourceUrl`: the spellings of a place that bytes come from.
//!
//! | spelling | place |
//! | --- | --- |
//! | `https://...`, `http://...` | a web server |
//! | `ftp://...` | a server that is not asked: its bytes are looked for elsewhere, by their hash |
//! | `file:///path`, `/path` | this machine |
//! | `debian:PACKAGE=VERSION/FILE` | a file of a source package in Debian's archive |
//! | `pypi:NAME=VERSION/FILE` | a file of a release in the Python package index |
//! | `crate:NAME=VERSION` | the `.crate` file of a Rust crate |
//! | `npm:NAME=VERSION`, `npm:@SCOPE/NAME=VERSION` | the tarball of a JavaScript package |
//!
//! Invariant: what was parsed has only characters that its registry allows in names, so that it
//! can become part of a path, an argument or a request without quoting; `Display` and `FromStr`
//! are inverse.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// A place that bytes come from. The spellings are in the documentation of the crate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceUrl {
    /// A web server, `http` or `https`; or `ftp`, which is only a name here.
    Http(Url),
    /// An absolute path of this machine.
    File(PathBuf),
    /// A file of a Debian source package.
    Debian {
        /// Source package name.
        package: String,
        /// Exact version, with epoch and revision.
        version: String,
        /// Name of one of the files of the source package.
        file: String,
    },
    /// A file of a Python release.
    Pypi {
        /// Project name; case and `-_.` do not matter to the index.
        name: String,
        /// Exact version.
        version: String,
        /// Name of the source archive or wheel.
        file: String,
    },
    /// The packed sources of a Rust crate.
    Crate {
        /// Crate name.
        name: String,
        /// Exact version.
        version: String,
    },
    /// The packed sources of a JavaScript package.
    Npm {
        /// Package name, with its scope if it has one.
        name: String,
        /// Exact version.
        version: String,
    },
}

/// A text that spells no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a source: {reason}")]
pub struct SpellingError {
    text: String,
    reason: String,
}

impl SpellingError {
    pub(crate) fn new(text: &str, reason: impl Into<String>) -> Self {
        Self { text: text.to_owned(), reason: reason.into() }
    }
}

impl SourceUrl {
    /// The name that a file from there would have: the last segment of the path, or what the
    /// registry calls it. `None` where the path ends in `/`.
    pub fn file_name(&self) -> Option<String> {
        match self {
            Self::Http(url) => url
                .path_segments()
                .and_then(|mut segments| segments.next_back())
                .filter(|name| !name.is_empty())
                .map(|name| percent_decode(name).to_string_lossy().replace('/', "_")),
            Self::File(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
            Self::Debian { file, .. } | Self::Pypi { file, .. } => Some(file.clone()),
            Self::Crate { name, version } => Some(format!("{name}-{version}.crate")),
            Self::Npm { name, version } => {
                let base = name.rsplit('/').next().unwrap_or(name);
                Some(format!("{base}-{version}.tgz"))
            }
        }
    }
}

impl FromStr for SourceUrl {
    type Err = SpellingError;

    fn from_str(text: &str) -> Result<Self, SpellingError> {
        if text.starts_with('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let fail = |reason: String| SpellingError::new(text, reason);
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(fail(
                "it is neither an absolute path nor begins with a scheme (https:, http:, file:, \
                 debian:, pypi:, crate:, npm:)"
                    .into(),
            ));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" | "ftp" => parse_http(text),
            "file" => parse_file(rest),
            "debian" => parse_debian(rest),
            "pypi" => parse_pypi(rest),
            "crate" => parse_crate(rest),
            "npm" => parse_npm(rest),
            other => Err(format!(
                "the scheme {other:?} is not known; known are https, http, ftp, file, debian, pypi, \
                 crate and npm"
            )),
        }
        .map_err(fail)
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url.as_str()),
            Self::File(path) => write!(f, "file://{}", encode_path(path)),
            Self::Debian { package, version, file } => {
                write!(f, "debian:{package}={version}/{file}")
            }
            Self::Pypi { name, version, file } => write!(f, "pypi:{name}={version}/{file}"),
            Self::Crate { name, version } => write!(f, "crate:{name}={version}"),
            Self::Npm { name, version } => write!(f, "npm:{name}={version}"),
        }
    }
}

fn parse_http(text: &str) -> Result<SourceUrl, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    Ok(SourceUrl::Http(url))
}

fn parse_file(rest: &str) -> Result<SourceUrl, String> {
    let path = rest
        .strip_prefix("//localhost/")
        .map(|path| format!("/{path}"))
        .or_else(|| rest.strip_prefix("//").map(str::to_owned))
        .unwrap_or_else(|| rest.to_owned());
    if !path.starts_with('/') {
        return Err("a file needs an absolute path: file:///path".into());
    }
    let bytes = percent_decode(&path);
    if bytes.as_bytes().contains(&0) {
        return Err("a path holds no NUL".into());
    }
    Ok(SourceUrl::File(PathBuf::from(bytes)))
}

fn parse_debian(rest: &str) -> Result<SourceUrl, String> {
    const FORM: &str = "debian:PACKAGE=VERSION/FILE";
    let (package, version, file) = split_release_file(rest, FORM)?;
    check("package", package, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c)
    })?;
    check("version", version, |c| c.is_ascii_alphanumeric() || ".+-:~".contains(c))?;
    check_file(file)?;
    Ok(SourceUrl::Debian { package: package.into(), version: version.into(), file: file.into() })
}

fn parse_pypi(rest: &str) -> Result<SourceUrl, String> {
    const FORM: &str = "pypi:NAME=VERSION/FILE";
    let (name, version, file) = split_release_file(rest, FORM)?;
    check("name", name, |c| c.is_ascii_alphanumeric() || "-_.".contains(c))?;
    check("version", version, |c| c.is_ascii_alphanumeric() || ".!+-_".contains(c))?;
    check_file(file)?;
    Ok(SourceUrl::Pypi { name: name.into(), version: version.into(), file: file.into() })
}

fn parse_crate(rest: &str) -> Result<SourceUrl, String> {
    let (name, version) = split_release(rest, "crate:NAME=VERSION")?;
    check("name", name, |c| c.is_ascii_alphanumeric() || "-_".contains(c))?;
    check_semantic_version(version)?;
    Ok(SourceUrl::Crate { name: name.into(), version: version.into() })
}

fn parse_npm(rest: &str) -> Result<SourceUrl, String> {
    let (name, version) = split_release(rest, "npm:NAME=VERSION or npm:@SCOPE/NAME=VERSION")?;
    let base = match name.strip_prefix('@') {
        None => name,
        Some(scoped) => {
            let (scope, base) =
                scoped.split_once('/').ok_or("a scoped name is written @SCOPE/NAME")?;
            check_npm_word("scope", scope)?;
            base
        }
    };
    check_npm_word("name", base)?;
    check_semantic_version(version)?;
    Ok(SourceUrl::Npm { name: name.into(), version: version.into() })
}

fn split_release<'a>(rest: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    rest.split_once('=').ok_or_else(|| format!("it names no version; write {form}"))
}

fn split_release_file<'a>(
    rest: &'a str,
    form: &str,
) -> Result<(&'a str, &'a str, &'a str), String> {
    let (name, rest) = split_release(rest, form)?;
    let (version, file) = rest
        .split_once('/')
        .ok_or_else(|| format!("it names no file of the release; write {form}"))?;
    Ok((name, version, file))
}

fn check(what: &str, word: &str, allowed: impl Fn(char) -> bool) -> Result<(), String> {
    if word.is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if !word.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(format!("the {what} {word:?} does not begin with a letter or digit"));
    }
    match word.chars().find(|c| !allowed(*c)) {
        Some(bad) => Err(format!("the {what} {word:?} must not hold {bad:?}")),
        None => Ok(()),
    }
}

fn check_file(file: &str) -> Result<(), String> {
    check("file", file, |c| c.is_ascii_alphanumeric() || "._+-~!%".contains(c))
}

fn check_semantic_version(version: &str) -> Result<(), String> {
    check("version", version, |c| c.is_ascii_alphanumeric() || ".+-".contains(c))
}

fn check_npm_word(what: &str, word: &str) -> Result<(), String> {
    // Scopes and old names may begin with `-`, `_` or `~`, but never with `.`.
    match word.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.~".contains(*c)) {
        Some(bad) => Err(format!("the {what} {word:?} must not hold {bad:?}")),
        None if word.is_empty() => Err(format!("the {what} is empty")),
        None if word.starts_with(['.', '-']) => {
            Err(format!("the {what} {word:?} must not begin with a dot or dash"))
        }
        None => Ok(()),
    }
}

fn encode_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => text.push(char::from(*byte)),
            b'/' | b'-' | b'.' | b'_' | b'~' | b'+' | b'@' | b',' | b':' | b'=' => {
                text.push(char::from(*byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

/// Decodes `%XX`; a `%` that begins no such triple stands for itself.
fn percent_decode(text: &str) -> OsString {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        let byte = bytes.get(at).copied()?;
        char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            decoded.push(high << 4 | low);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    OsString::from_vec(decoded)
}

impl From<&Path> for SourceUrl {
    /// The place of a file; the path should be absolute.
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> SourceUrl {
        text.parse().unwrap()
    }

    #[test]
    fn reads_every_spelling() {
        assert_eq!(parse("/a b/c"), SourceUrl::File("/a b/c".into()));
        assert_eq!(parse("file:///a%20b/c"), SourceUrl::File("/a b/c".into()));
        assert_eq!(parse("file://localhost/a"), SourceUrl::File("/a".into()));
        assert!(matches!(parse("https://h/x.tar.gz"), SourceUrl::Http(_)));
        assert_eq!(
            parse("debian:diffutils=1:3.8-4/diffutils_3.8.orig.tar.xz"),
            SourceUrl::Debian {
                package: "diffutils".into(),
                version: "1:3.8-4".into(),
                file: "diffutils_3.8.orig.tar.xz".into()
            }
        );
        assert_eq!(
            parse("npm:@types/node=20.1.0"),
            SourceUrl::Npm { name: "@types/node".into(), version: "20.1.0".into() }
        );
    }

    #[test]
    fn knows_the_name_of_the_file() {
        let name = |text: &str| parse(text).file_name();
        assert_eq!(name("https://h/a/x%2B1.tar.gz?y=1").unwrap(), "x+1.tar.gz");
        assert_eq!(name("https://h/a/"), None);
        assert_eq!(name("crate:itoa=1.0.4").unwrap(), "itoa-1.0.4.crate");
        assert_eq!(name("npm:@types/node=20.1.0").unwrap(), "node-20.1.0.tgz");
    }

    #[test]
    fn refusals_say_what_to_write() {
        let error = |text: &str| text.parse::<SourceUrl>().unwrap_err().to_string();
        insta::assert_snapshot!(error("a/b"), @r#""a/b" is not a source: it is neither an absolute path nor begins with a scheme (https:, http:, file:, debian:, pypi:, crate:, npm:)"#);
        insta::assert_snapshot!(error("gopher://h/x"), @r#""gopher://h/x" is not a source: the scheme "gopher" is not known; known are https, http, ftp, file, debian, pypi, crate and npm"#);
        insta::assert_snapshot!(error("debian:nginx/x"), @r#""debian:nginx/x" is not a source: it names no version; write debian:PACKAGE=VERSION/FILE"#);
        insta::assert_snapshot!(error("pypi:six=1.16.0"), @r#""pypi:six=1.16.0" is not a source: it names no file of the release; write pypi:NAME=VERSION/FILE"#);
        insta::assert_snapshot!(error("crate:--config=1"), @r#""crate:--config=1" is not a source: the name "--config" does not begin with a letter or digit"#);
        insta::assert_snapshot!(error("debian:a=1/../x"), @r#""debian:a=1/../x" is not a source: the file "../x" does not begin with a letter or digit"#);
        insta::assert_snapshot!(error("file:a"), @r#""file:a" is not a source: a file needs an absolute path: file:///path"#);
        insta::assert_snapshot!(error("npm:@a=1"), @r#""npm:@a=1" is not a source: a scoped name is written @SCOPE/NAME"#);
    }

    proptest! {
        #[test]
        fn paths_round_trip(bytes in proptest::collection::vec(1u8.., 0..40)) {
            let mut path = vec![b'/'];
            path.extend(bytes);
            let url = SourceUrl::File(PathBuf::from(OsString::from_vec(path)));
            prop_assert_eq!(url.to_string().parse::<SourceUrl>().unwrap(), url);
        }

        #[test]
        fn registry_names_round_trip(
            name in "[a-z0-9][a-z0-9+.-]{0,20}",
            version in "[0-9][0-9a-z.+~:-]{0,12}",
            file in "[a-z0-9][a-zA-Z0-9._+~-]{0,20}",
            word in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,12}",
            semantic in "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(-[a-z0-9.]{1,6})?",
        ) {
            for text in [
                format!("debian:{name}={version}/{file}"),
                format!("pypi:{word}={semantic}/{file}"),
                format!("crate:{word}={semantic}"),
                format!("npm:{word}={semantic}"),
                format!("npm:@{word}/{word}={semantic}"),
            ] {
                let url: SourceUrl = text.parse().unwrap();
                prop_assert_eq!(url.to_string(), text);
            }
        }

        #[test]
        fn what_is_accepted_round_trips(text in "(https?://[a-z]{1,5}/|file:|/|debian:|pypi:|npm:|crate:)?\\PC{0,30}") {
            if let Ok(url) = text.parse::<SourceUrl>() {
                prop_assert_eq!(url.to_string().parse::<SourceUrl>().unwrap(), url);
            }
        }
    }
}
