//! Which versions a requirement takes (PEP 440): `>=1.2,<2`, `~=1.4`, `==1.*`, `===exact`.

use std::fmt;
use std::str::FromStr;

use crate::version::{Version, VersionError};

/// All of these must hold; none takes every version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specifiers(Vec<Specifier>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Specifier {
    operator: Operator,
    version: Version,
    /// It ended in `.*`.
    prefix: bool,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Exactly,
    Equal,
    NotEqual,
    Compatible,
    AtMost,
    AtLeast,
    Less,
    Greater,
}

const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Exactly),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("~=", Operator::Compatible),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Specifiers {
    /// Exactly `version`.
    pub fn exactly(version: &Version) -> Self {
        Self(vec![Specifier {
            operator: Operator::Equal,
            version: version.clone(),
            prefix: false,
            text: format!("=={version}"),
        }])
    }

    /// Whether every version will do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `version` will do; pre-releases are versions like others here.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|specifier| specifier.contains(version))
    }

    /// The version, when only one will do.
    pub fn single(&self) -> Option<&Version> {
        match self.0.as_slice() {
            [one] if one.operator == Operator::Equal && !one.prefix => Some(&one.version),
            _ => None,
        }
    }

    /// Whether a pre-release is asked for by name.
    pub(crate) fn names_prerelease(&self) -> bool {
        self.0.iter().any(|s| s.operator != Operator::NotEqual && s.version.is_prerelease())
    }
}

impl Specifier {
    fn contains(&self, version: &Version) -> bool {
        match self.operator {
            Operator::Exactly => version == &self.version,
            Operator::Equal => self.equals(version),
            Operator::NotEqual => !self.equals(version),
            Operator::Compatible => {
                version.public() >= self.version
                    && self.version.series().is_some_and(|series| version.starts_with(&series))
            }
            Operator::AtMost => version.public() <= self.version,
            Operator::AtLeast => version.public() >= self.version,
            Operator::Less => version < &self.version && !self.is_fringe(version, true),
            Operator::Greater => version > &self.version && !self.is_fringe(version, false),
        }
    }

    fn equals(&self, version: &Version) -> bool {
        if self.prefix {
            version.starts_with(&self.version)
        } else if self.version.has_local() {
            version == &self.version
        } else {
            version.public() == self.version
        }
    }

    /// `<1` does not take the pre-releases of 1, nor does `>1` take its post-releases or locals.
    fn is_fringe(&self, version: &Version, below: bool) -> bool {
        let same = version.base() == self.version.base();
        same && if below {
            version.is_prerelease() && !self.version.is_prerelease()
        } else {
            version.has_local() || (version.is_postrelease() && !self.version.is_postrelease())
        }
    }
}

impl FromStr for Specifiers {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

fn parse(text: &str) -> Result<Specifier, VersionError> {
    let bad = || VersionError(text.to_owned());
    let found = OPERATORS
        .iter()
        .find_map(|(sign, operator)| Some((*sign, *operator, text.strip_prefix(sign)?.trim())));
    let (sign, operator, version) = found.ok_or_else(bad)?;
    let shown = format!("{sign}{version}");
    let (version, prefix) = match version.strip_suffix(".*") {
        Some(version) => (version, true),
        None => (version, false),
    };
    let version: Version = version.parse().map_err(|_| bad())?;
    if operator == Operator::Compatible && version.series().is_none() {
        return Err(bad());
    }
    Ok(Specifier { operator, version, prefix, text: shown })
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(|specifier| specifier.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(specifiers: &str, version: &str) -> bool {
        specifiers.parse::<Specifiers>().unwrap().contains(&version.parse().unwrap())
    }

    #[test]
    fn each_operator_takes_what_it_should() {
        for (specifiers, version, expected) in [
            ("", "1", true),
            ("==1.0", "1", true),
            ("==1.0", "1.0+local", true),
            ("==1.0+local", "1.0", false),
            ("==1.2.*", "1.2.7", true),
            ("==1.2.*", "1.2rc1", true),
            ("==1.2.*", "1.20", false),
            ("!=1.2.*", "1.2.7", false),
            ("~=1.4.2", "1.4.9", true),
            ("~=1.4.2", "1.5", false),
            ("~=2.2.post3", "2.3", true),
            (">=1,<2", "2.0a1", false),
            ("<2.0a2", "2.0a1", true),
            (">1.7", "1.7.post1", false),
            (">1.7", "1.7+x", false),
            (">1.7.post1", "1.7.post2", true),
            ("<=1.0", "1.0+local", true),
            (">= 2.7.*", "3.11", true),
            ("===1.0", "1.0", true),
        ] {
            assert_eq!(takes(specifiers, version), expected, "{specifiers} {version}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["1.0", "=1", "~=1", "==", ">=x", "==1;"] {
            assert!(text.parse::<Specifiers>().is_err(), "{text}");
        }
        assert_eq!(">= 1 , < 2".parse::<Specifiers>().unwrap().to_string(), ">=1,<2");
    }
}
