//! Requirements (PEP 508): `name[extra] >=1,<2 ; condition`.

use std::fmt;
use std::str::FromStr;

use crate::marker::Marker;
use crate::name::normalise;
use crate::specifier::Specifiers;

/// A distribution that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Its name, as written.
    pub name: String,
    /// Extras that are wanted, as written.
    pub extras: Vec<String>,
    /// Versions that will do.
    pub specifiers: Specifiers,
    /// It is only wanted where this holds.
    pub marker: Option<Marker>,
}

/// Text that is no requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a requirement: {reason}")]
pub struct RequirementError {
    text: String,
    reason: String,
}

impl Requirement {
    /// Any version of `name`.
    pub fn any(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            extras: Vec::new(),
            specifiers: Specifiers::default(),
            marker: None,
        }
    }

    /// Its name, as names are compared.
    pub fn key(&self) -> String {
        normalise(&self.name)
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        parse(text.trim())
            .map_err(|reason| RequirementError { text: text.trim().to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Requirement, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("it must begin with the name of a distribution".to_owned());
    }
    if !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(format!("`{name}` is no name of a distribution"));
    }
    let (extras, rest) = extras(rest.trim_start())?;
    if rest.starts_with('@') {
        return Err("distributions are found by name and version, not by address".to_owned());
    }
    let (versions, condition) = match rest.split_once(';') {
        Some((versions, condition)) => (versions, Some(condition)),
        None => (rest, None),
    };
    let versions = versions.trim();
    let bare = versions.strip_prefix('(').and_then(|inner| inner.strip_suffix(')'));
    let specifiers = bare.unwrap_or(versions).parse().map_err(|error| format!("{error}"))?;
    let marker = condition.map(Marker::parse).transpose()?;
    Ok(Requirement { name: name.to_owned(), extras, specifiers, marker })
}

fn extras(rest: &str) -> Result<(Vec<String>, &str), String> {
    let Some(inner) = rest.strip_prefix('[') else {
        return Ok((Vec::new(), rest));
    };
    let (list, rest) = inner.split_once(']').ok_or("`]` is missing after the extras")?;
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok((names.map(str::to_owned).collect(), rest.trim_start()))
}

impl fmt::Display for Requirement {
    /// Without its condition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        write!(f, "{}", self.specifiers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_forms_are_read() {
        for (text, shown) in [
            ("slapos.core", "slapos.core"),
            (" Zope [a, b]>=1 ,< 2 ; python_version > '3' ", "Zope[a,b]>=1,<2"),
            ("x (>=1.0)", "x>=1.0"),
            ("GDAL ==3.2+SlapOSPatched001", "GDAL==3.2+SlapOSPatched001"),
            ("a[]", "a"),
        ] {
            assert_eq!(text.parse::<Requirement>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let error = |text: &str| text.parse::<Requirement>().unwrap_err().to_string();
        insta::assert_snapshot!(error("-x"), @"`-x` is not a requirement: it must begin with the name of a distribution");
        insta::assert_snapshot!(error("x[a"), @"`x[a` is not a requirement: `]` is missing after the extras");
        insta::assert_snapshot!(error("x 1.0"), @"`x 1.0` is not a requirement: `1.0` is not a version");
        insta::assert_snapshot!(error("x @ file:///y"), @"`x @ file:///y` is not a requirement: distributions are found by name and version, not by address");
        insta::assert_snapshot!(error("x; y"), @"`x; y` is not a requirement: the condition ends too early");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-z0-9.@;()\\[\\]'\" <>=!~,é-]{0,40}") {
            if let Ok(requirement) = text.parse::<Requirement>() {
                let shown = requirement.to_string();
                prop_assert_eq!(shown.parse::<Requirement>().unwrap().to_string(), shown);
            }
        }
    }
}
