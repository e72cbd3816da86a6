//! What a distribution says of itself: name, version, requirements, entry points.
//!
//! Read from `*.dist-info` (what wheels bring), `EGG-INFO` (what Buildout makes of wheels) or
//! `*.egg-info` (what setuptools leaves in a source tree).

use std::path::{Path, PathBuf};

use crate::marker::{Marker, MarkerValues, Value};
use crate::name::normalise;
use crate::{EggError, Requirement, Version};

/// Longest file of metadata that is read, in bytes.
const MAX: u64 = 16 << 20;

/// A distribution in a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Its name, as it says it.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The directory to put on `sys.path`.
    pub location: PathBuf,
    /// It is a source tree in use, not something installed.
    pub develop: bool,
    /// Where its metadata is.
    pub(crate) info: PathBuf,
    requires: Vec<Requirement>,
    extras: Vec<String>,
}

/// A program that a distribution offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPoint {
    /// Name of the script.
    pub name: String,
    /// The module to import.
    pub module: String,
    /// What to call in it: names separated by dots.
    pub attrs: String,
}

impl Distribution {
    /// Reads the distribution called `name` (any, if `None`) in `location`; `None` when there is
    /// no such.
    ///
    /// # Errors
    /// When its metadata cannot be read or makes no sense.
    pub fn read(location: &Path, name: Option<&str>) -> Result<Option<Self>, EggError> {
        let wanted = name.map(normalise);
        for info in metadata_directories(location)? {
            let file = if info.extension().is_some_and(|e| e == "dist-info") {
                info.join("METADATA")
            } else {
                info.join("PKG-INFO")
            };
            let Some(text) = read(&file)? else {
                continue;
            };
            let headers = Headers::of(&text);
            let Some(name) = headers.first("Name") else {
                continue;
            };
            if wanted.as_ref().is_some_and(|wanted| *wanted != normalise(name)) {
                continue;
            }
            return Self::of(location, info, &headers, name).map(Some);
        }
        Ok(None)
    }

    fn of(
        location: &Path,
        info: PathBuf,
        headers: &Headers<'_>,
        name: &str,
    ) -> Result<Self, EggError> {
        let bad = |error: &dyn std::error::Error| EggError::text(error, &info.to_string_lossy());
        let version = headers.first("Version").unwrap_or_default();
        let version = version.parse().map_err(|error| bad(&error))?;
        let mut extras: Vec<String> = headers.all("Provides-Extra").map(str::to_owned).collect();
        let requires = match read(&info.join("requires.txt"))? {
            Some(text) => from_requires_txt(&text, &mut extras)
                .map_err(|reason| EggError::build(format!("use {}", info.display()), reason))?,
            None => headers
                .all("Requires-Dist")
                .map(|text| text.parse().map_err(|error| bad(&error)))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            name: name.to_owned(),
            version,
            location: location.to_owned(),
            develop: false,
            info,
            requires,
            extras,
        })
    }

    /// The same as a source tree in use.
    pub(crate) fn in_use(self) -> Self {
        Self { develop: true, ..self }
    }

    /// Its name, as names are compared.
    pub fn key(&self) -> String {
        normalise(&self.name)
    }

    /// Whether it offers an extra.
    pub fn has_extra(&self, extra: &str) -> bool {
        self.extras.iter().any(|offered| normalise(offered) == normalise(extra))
    }

    /// What it needs under conditions `values`: without extras first, then for each of `extras`
    /// what that adds.
    pub fn requires(&self, extras: &[String], values: &MarkerValues) -> Vec<Requirement> {
        let needs = |requirement: &Requirement, extra: &str| {
            let marker = requirement.marker.as_ref();
            marker.is_none_or(|marker| marker.holds(values, &normalise(extra)))
        };
        let always: Vec<&Requirement> = self.requires.iter().filter(|r| needs(r, "")).collect();
        let mut all = always.clone();
        for extra in extras {
            all.extend(self.requires.iter().filter(|r| needs(r, extra) && !always.contains(r)));
        }
        all.into_iter().map(|r| Requirement { marker: None, ..r.clone() }).collect()
    }

    /// Programs it offers, in its own order.
    ///
    /// # Errors
    /// When the file that lists them cannot be read.
    pub fn console_scripts(&self) -> Result<Vec<EntryPoint>, EggError> {
        self.entry_points("console_scripts")
    }

    /// The entry points of a group.
    ///
    /// # Errors
    /// When the file that lists them cannot be read.
    pub fn entry_points(&self, group: &str) -> Result<Vec<EntryPoint>, EggError> {
        let text = read(&self.info.join("entry_points.txt"))?.unwrap_or_default();
        Ok(entry_points(&text, group))
    }

    /// Scripts of the old kind that it brings: name and text, sorted. Texts only.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn old_scripts(&self) -> Result<Vec<(String, String)>, EggError> {
        let directory = self.info.join("scripts");
        let mut scripts = Vec::new();
        for path in files_of(&directory)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let bytes = slapos_sys::fs::read(&path).map_err(EggError::io("read", &path))?;
            if let (Some(name), Ok(text)) = (name, String::from_utf8(bytes)) {
                scripts.push((name, text));
            }
        }
        Ok(scripts)
    }

    /// Packages that other distributions may add to, as it declares them.
    pub(crate) fn namespaces(&self) -> Result<Vec<String>, EggError> {
        let text = read(&self.info.join("namespace_packages.txt"))?.unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    }

    /// Whether it only works with `pkg_resources` and does not say so: one of its namespace
    /// packages uses it. The eggs made here can do without, but for Buildout they need it.
    pub(crate) fn needs_setuptools(&self) -> Result<bool, EggError> {
        if self.requires.iter().any(|requirement| requirement.key() == "setuptools") {
            return Ok(false);
        }
        for namespace in self.namespaces()? {
            let file = namespace_file(&self.location, &namespace);
            let text = read(&file)?.unwrap_or_default();
            if text.contains("pkg_resources") && !(self.develop && text.contains("pkgutil")) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

pub(crate) fn namespace_file(location: &Path, namespace: &str) -> PathBuf {
    location.join(namespace.replace('.', "/")).join("__init__.py")
}

/// `EGG-INFO` first, then `*.dist-info` and `*.egg-info`, sorted by name.
fn metadata_directories(location: &Path) -> Result<Vec<PathBuf>, EggError> {
    let mut found: Vec<PathBuf> = entries_of(location)?
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name == "EGG-INFO" || name.ends_with(".dist-info") || name.ends_with(".egg-info")
        })
        .filter(|path| path.is_dir())
        .collect();
    found.sort_by_key(|path| !path.ends_with("EGG-INFO"));
    Ok(found)
}

/// What is in a directory, sorted; nothing when it does not exist.
pub(crate) fn entries_of(directory: &Path) -> Result<Vec<PathBuf>, EggError> {
    let missing = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
    };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if missing(&error) => return Ok(Vec::new()),
        other => other.map_err(EggError::io("read", directory))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> =
        paths.collect::<Result<_, _>>().map_err(EggError::io("read", directory))?;
    paths.sort();
    Ok(paths)
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, EggError> {
    Ok(entries_of(directory)?.into_iter().filter(|path| path.is_file()).collect())
}

/// A small text; `None` when there is no such file.
fn read(path: &Path) -> Result<Option<String>, EggError> {
    match slapos_sys::fs::read_to_string_lossy(path, MAX) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EggError::io("read", path)(error)),
    }
}

/// The header lines of a metadata file.
struct Headers<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Headers<'a> {
    fn of(text: &'a str) -> Self {
        // A line of blanks goes on with the value before it, as in licences; only an empty one ends.
        let lines = text.lines().take_while(|line| !line.is_empty());
        let headers = lines.filter(|line| !line.starts_with([' ', '\t']));
        Self(headers.filter_map(|line| line.split_once(':')).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim()).collect::<Vec<_>>().into_iter()
    }

    fn first(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }
}

/// Reads `requires.txt`: requirements, then sections `[extra]`, `[extra:condition]` or
/// `[:condition]`.
fn from_requires_txt(text: &str, extras: &mut Vec<String>) -> Result<Vec<Requirement>, String> {
    let mut requires = Vec::new();
    let mut condition: Option<Marker> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let (extra, marker) = header.split_once(':').unwrap_or((header, ""));
            if !extra.is_empty() && !extras.iter().any(|e| normalise(e) == normalise(extra)) {
                extras.push(extra.to_owned());
            }
            condition = section_condition(extra, marker)?;
            continue;
        }
        let mut requirement: Requirement = line.parse().map_err(|error| format!("{error}"))?;
        let both = [requirement.marker.take(), condition.clone()];
        let mut both: Vec<Marker> = both.into_iter().flatten().collect();
        requirement.marker = if both.len() > 1 { Some(Marker::All(both)) } else { both.pop() };
        requires.push(requirement);
    }
    Ok(requires)
}

fn section_condition(extra: &str, marker: &str) -> Result<Option<Marker>, String> {
    let mut all = Vec::new();
    if !marker.is_empty() {
        all.push(Marker::parse(marker)?);
    }
    if !extra.is_empty() {
        let name = Value::Name("extra".to_owned());
        all.push(Marker::Compare(name, "==".to_owned(), Value::Text(extra.to_owned())));
    }
    Ok(match all.len() {
        0 => None,
        _ => Some(Marker::All(all)),
    })
}

/// The entry points of one group.
fn entry_points(text: &str, group: &str) -> Vec<EntryPoint> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = header.trim() == group;
        } else if inside && !line.starts_with(['#', ';']) {
            found.extend(line.split_once('=').and_then(|(name, target)| {
                let target = target.split('[').next().unwrap_or(target).trim();
                let (module, attrs) = target.split_once(':')?;
                Some(EntryPoint {
                    name: name.trim().to_owned(),
                    module: module.trim().to_owned(),
                    attrs: attrs.trim().to_owned(),
                })
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    fn shown(requirements: &[Requirement]) -> String {
        requirements.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_wheel_says_what_it_needs_and_with_which_extra() {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("Demo-1.0.dist-info");
        std::fs::create_dir(&info).unwrap();
        let text = "Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\nProvides-Extra: test\n\
                    Requires-Dist: b (>=1)\nRequires-Dist: a ; python_version < '3'\n\
                    Requires-Dist: c[x] ; extra == 'test'\nRequires-Dist: b (>=1) ; extra == 'test'\n\n\
                    Name: not a header\n";
        std::fs::write(info.join("METADATA"), text).unwrap();
        let dist = Distribution::read(dir.path(), Some("demo")).unwrap().unwrap();
        let values = [("python_version".to_owned(), "3.11".to_owned())].into();
        assert_eq!(shown(&dist.requires(&[], &values)), "b>=1");
        assert_eq!(shown(&dist.requires(&["test".into()], &values)), "b>=1 c[x] b>=1");
        assert!(dist.has_extra("Test") && !dist.has_extra("x"));
        assert!(Distribution::read(dir.path(), Some("other")).unwrap().is_none());
    }

    #[test]
    fn a_blank_line_within_a_licence_is_not_the_end() {
        let text = "Name: a\r\nLicense: Do as you like.\n        \n        But do.\n\t\n\
                    Requires-Dist: setuptools\n\nRequires-Dist: no\n";
        let headers = Headers::of(text);
        assert_eq!(headers.all("Requires-Dist").collect::<Vec<_>>(), ["setuptools"]);
        assert_eq!(headers.first("Name"), Some("a"));
    }

    #[test]
    fn sections_of_requires_txt_are_conditions() {
        let mut extras = Vec::new();
        let text = "a\n\n[:python_version < \"3\"]\nb\n\n[t:os_name == 'nt']\nc\n[u]\nd>1\n";
        let requires = from_requires_txt(text, &mut extras).unwrap();
        assert_eq!(extras, ["t", "u"]);
        let values = [("python_version".into(), "2.7".into()), ("os_name".into(), "posix".into())];
        let values: MarkerValues = values.into();
        let holds = |extra: &str| -> Vec<String> {
            let wanted = requires
                .iter()
                .filter(|r| r.marker.as_ref().is_none_or(|marker| marker.holds(&values, extra)));
            wanted.map(ToString::to_string).collect()
        };
        assert_eq!(holds(""), ["a", "b"]);
        assert_eq!(holds("u"), ["a", "b", "d>1"]);
        assert_eq!(holds("t"), ["a", "b"]);
    }

    #[test]
    fn entry_points_are_read_in_their_order() {
        let text = "[x]\na = b:c\n[console_scripts]\n# no\nz = m.n:f.g [extra]\ny=m:h\nbad\n";
        let found = entry_points(text, "console_scripts");
        let shown: Vec<String> =
            found.iter().map(|e| format!("{} {} {}", e.name, e.module, e.attrs)).collect();
        assert_eq!(shown, ["z m.n f.g", "y m h"]);
    }
}
