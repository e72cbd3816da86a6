//! Where a profile lives: an absolute path or a URL, normalised so that equal places compare equal.
//!
//! Invariant: a [`Location`] never holds `.` or `..` steps, and a `file://` URL is held as its path.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use url::Url;

/// A normalised absolute path or URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location(Inner);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Inner {
    Path(PathBuf),
    Url(Url),
}

/// Why a text is not a [`Location`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The text is neither an absolute path nor a URL.
    #[error("`{0}` is neither an absolute path nor a URL")]
    NotAbsolute(String),
    /// The text has a scheme but is not a valid URL.
    #[error("`{text}` is not a valid URL: {reason}")]
    BadUrl {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Location {
    /// Reads an absolute path or a URL (anything with `://`).
    ///
    /// # Errors
    /// [`LocationError`] if `text` is a relative path or a malformed URL.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if text.contains("://") {
            return Self::parse_url(text);
        }
        if text.starts_with('/') {
            return Ok(Self(Inner::Path(normalise(Path::new(text)))));
        }
        Err(LocationError::NotAbsolute(text.to_owned()))
    }

    /// The location of an absolute path.
    ///
    /// # Errors
    /// [`LocationError::NotAbsolute`] if `path` is relative.
    pub fn from_path(path: &Path) -> Result<Self, LocationError> {
        if path.is_absolute() {
            Ok(Self(Inner::Path(normalise(path))))
        } else {
            Err(LocationError::NotAbsolute(path.display().to_string()))
        }
    }

    fn parse_url(text: &str) -> Result<Self, LocationError> {
        let bad = |reason: String| LocationError::BadUrl { text: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(bad("it has no path".to_owned()));
        }
        if url.scheme() != "file" {
            return Ok(Self(Inner::Url(url)));
        }
        let path = url.to_file_path().map_err(|()| bad("it names no local file".to_owned()))?;
        Ok(Self(Inner::Path(normalise(&path))))
    }

    /// Resolves `reference` seen from `self` taken as a *directory*: `file.parent().join(..)` is
    /// how a file names another one. A URL or an absolute path stands for itself, even when
    /// `self` is a URL.
    ///
    /// # Errors
    /// [`LocationError::BadUrl`] if the result is not a valid URL.
    pub fn join(&self, reference: &str) -> Result<Self, LocationError> {
        if reference.contains("://") || reference.starts_with('/') {
            return Self::parse(reference);
        }
        match &self.0 {
            Inner::Path(directory) => Ok(Self(Inner::Path(normalise(&directory.join(reference))))),
            Inner::Url(url) => {
                let mut base = url.clone();
                base.set_query(None);
                base.set_fragment(None);
                if !base.path().ends_with('/') {
                    base.set_path(&format!("{}/", base.path()));
                }
                // "./" keeps a reference such as `a:b.cfg` from being read as a scheme.
                let joined = base.join(&format!("./{reference}"));
                let url = joined.map_err(|e| LocationError::BadUrl {
                    text: format!("{base}{reference}"),
                    reason: e.to_string(),
                })?;
                Ok(Self(Inner::Url(url)))
            }
        }
    }

    /// The directory (or URL directory, without query) this location is in; the root is its own
    /// parent.
    #[must_use]
    pub fn parent(&self) -> Self {
        match &self.0 {
            Inner::Path(path) => Self(Inner::Path(path.parent().unwrap_or(path).to_path_buf())),
            Inner::Url(url) => {
                let mut directory = url.clone();
                directory.set_query(None);
                directory.set_fragment(None);
                let path = url.path();
                let end = path.rfind('/').unwrap_or(0);
                directory.set_path(&path[..end]);
                Self(Inner::Url(directory))
            }
        }
    }

    /// Whether this is a URL other than `file://`.
    #[must_use]
    pub fn is_url(&self) -> bool {
        matches!(self.0, Inner::Url(_))
    }

    /// The path, if this is not a URL.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Inner::Path(path) => Some(path),
            Inner::Url(_) => None,
        }
    }

    /// The text put in `_profile_base_location_`: as displayed, without a trailing slash.
    pub(crate) fn base_text(&self) -> String {
        let text = self.to_string();
        match text.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() => shorter.to_owned(),
            _ => text,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Path(path) => path.display().fmt(f),
            Inner::Url(url) => url.fmt(f),
        }
    }
}

/// Removes `.` and `..` of an absolute path lexically, as the paths of a profile are compared before they are opened.
fn normalise(path: &Path) -> PathBuf {
    let mut out = Vec::with_capacity(path.as_os_str().len());
    for step in path.as_os_str().as_bytes().split(|byte| *byte == b'/') {
        match step {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            _ => {
                out.push(b'/');
                out.extend_from_slice(step);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> String {
        Location::parse(base).unwrap().join(reference).unwrap().to_string()
    }

    #[test]
    fn paths_are_normalised() {
        assert_eq!(Location::parse("/a/./b/../c").unwrap().to_string(), "/a/c");
        assert_eq!(Location::parse("/../a//b/").unwrap().to_string(), "/a/b");
        assert_eq!(Location::parse("file:///a/../b%20c").unwrap().to_string(), "/b c");
        assert_eq!(Location::parse("a/b"), Err(LocationError::NotAbsolute("a/b".to_owned())));
        assert!(Location::parse("http://").is_err());
    }

    #[test]
    fn references_are_relative_to_the_directory() {
        assert_eq!(joined("/a/b", "../c/d.cfg"), "/a/c/d.cfg");
        assert_eq!(joined("/a/b", "/z.cfg"), "/z.cfg");
        assert_eq!(joined("https://h/a/b", "../c/d.cfg"), "https://h/a/c/d.cfg");
        assert_eq!(joined("https://h/a/b", "x:y.cfg"), "https://h/a/b/x:y.cfg");
        assert_eq!(joined("https://h/a/b", "/etc/x.cfg"), "/etc/x.cfg");
        assert_eq!(joined("/a/b", "https://h/../x.cfg"), "https://h/x.cfg");
    }

    #[test]
    fn parents_drop_the_last_step_and_the_query() {
        let parent = |text: &str| Location::parse(text).unwrap().parent().base_text();
        assert_eq!(parent("/a/b.cfg"), "/a");
        assert_eq!(parent("/b.cfg"), "/");
        assert_eq!(parent("https://h/a/b.cfg?x=/y/z#f"), "https://h/a");
        assert_eq!(parent("https://h/b.cfg"), "https://h");
    }
}
