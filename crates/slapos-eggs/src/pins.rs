//! Versions that a profile fixes: its section `[versions]`.
//!
//! `name = 1.2`, also `>=1.2`; `1.2:whl` takes the wheel of that version and does not build it;
//! `1.2+SlapOSPatched003` is 1.2 with patches applied.

use std::collections::BTreeMap;

use crate::name::normalise;
use crate::{Specifiers, Version};

/// How a version says that it is patched.
const PATCHED: &str = "slapospatched";
/// How a version says that it is of the fork of Buildout that SlapOS uses.
const FORK: &str = "slapos";
/// What of the fork is not published under its version.
const FORKED: [&str; 2] = ["zc-buildout", "zc-recipe-egg"];

/// All pins of a profile; names are compared by their normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, (String, String)>);

/// What one pin asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Versions that will do.
    pub specifiers: Specifiers,
    /// The version, when there is only one.
    pub version: Option<Version>,
    /// It is taken as a wheel.
    pub wheel: bool,
    /// The version whose source is patched to be this one.
    pub patched: Option<Version>,
    /// The version to look for where this one is not published.
    pub fallback: Option<Version>,
    /// The pin as written.
    pub text: String,
}

/// A pin that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[versions] `{name} = {text}` is neither a version nor a comparison")]
pub struct PinError {
    name: String,
    text: String,
}

impl Pins {
    /// The pins of a section: name → text. An empty text pins nothing.
    pub fn new<N: AsRef<str>, T: Into<String>>(section: impl IntoIterator<Item = (N, T)>) -> Self {
        let mut pins = BTreeMap::new();
        for (name, text) in section {
            let name = name.as_ref();
            let text: String = text.into();
            let text = text.trim().to_owned();
            if text.is_empty() {
                pins.remove(&normalise(name));
            } else {
                pins.insert(normalise(name), (name.to_owned(), text));
            }
        }
        Self(pins)
    }

    /// The text of the pin of `name`, as written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(&normalise(name)).map(|(_, text)| text.as_str())
    }

    /// The pin of `name`.
    ///
    /// # Errors
    /// When what is written there makes no sense.
    pub fn get(&self, name: &str) -> Result<Option<Pin>, PinError> {
        let key = normalise(name);
        let Some((name, text)) = self.0.get(&key) else {
            return Ok(None);
        };
        let error = || PinError { name: name.clone(), text: text.clone() };
        parse(&key, text).map(Some).ok_or_else(error)
    }

    /// The same with what is patched pinned to what is patched there: to build others, that will do.
    pub(crate) fn unpatched(&self) -> Self {
        let pins = self.0.iter().map(|(key, (name, text))| {
            let source = parse(key, text).and_then(|pin| pin.patched);
            let text = source.map_or_else(|| text.clone(), |source| source.to_string());
            (key.clone(), (name.clone(), text))
        });
        Self(pins.collect())
    }

    /// The same without the pin of `name`.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut pins = self.clone();
        pins.0.remove(&normalise(name));
        pins
    }
}

fn parse(key: &str, text: &str) -> Option<Pin> {
    let (plain, wheel) = match text.strip_suffix(":whl") {
        Some(plain) => (plain.trim_end(), true),
        None => (text, false),
    };
    let pin = |specifiers, version, patched, fallback| Pin {
        specifiers,
        version,
        wheel,
        patched,
        fallback,
        text: text.to_owned(),
    };
    if plain.starts_with(['<', '>', '~', '!']) {
        return Some(pin(plain.parse().ok()?, None, None, None));
    }
    let plain = plain.trim_start_matches('=').trim_start();
    let lower = plain.to_ascii_lowercase();
    if let Some(at) = lower.rfind(PATCHED).filter(|at| *at > 0) {
        let source: Version = plain[..at - 1].parse().ok()?;
        let version = source.with_local(&lower[at..])?;
        return Some(pin(Specifiers::exactly(&version), Some(version), Some(source), None));
    }
    let version: Version = plain.parse().ok()?;
    let fork = FORKED.contains(&key) && lower.contains(&format!("+{FORK}"));
    // A development release of the fork has a released base.
    let fallback = fork.then(|| version.public());
    Some(pin(Specifiers::exactly(&version), Some(version), None, fallback))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(name: &str, text: &str) -> Pin {
        Pins::new([(name, text)]).get(name).unwrap().unwrap()
    }

    #[test]
    fn all_kinds_are_understood() {
        assert_eq!(pin("a", "1.0").specifiers.to_string(), "==1.0");
        assert!(pin("a", "4.12.0:whl").wheel && !pin("a", "4.12.0").wheel);
        assert_eq!(pin("a", "==1.0").version, "1".parse().ok());
        assert_eq!(pin("a", ">= 1.0").specifiers.to_string(), ">=1.0");
        let patched = pin("ZODB", "5.8.1+SlapOSPatched002");
        assert_eq!(patched.version.unwrap().to_string(), "5.8.1+slapospatched002");
        assert_eq!(patched.patched, "5.8.1".parse().ok());
        let old = pin("x", "1.2-SlapOSPatched001");
        assert_eq!(old.version.unwrap().to_string(), "1.2+slapospatched001");
    }

    #[test]
    fn only_the_forked_buildout_falls_back() {
        assert_eq!(pin("zc.buildout", "3.0.1+slapos010").fallback, "3.0.1".parse().ok());
        assert_eq!(pin("x", "3.0.1+slapos010").fallback, None);
        assert_eq!(pin("zc.buildout", "3.0.1").fallback, None);
    }

    #[test]
    fn names_are_compared_by_normal_form_and_empty_pins_are_none() {
        let pins = Pins::new([("Zope.Interface", "5.0"), ("x", "1"), ("X", "")]);
        assert!(pins.get("zope-interface").unwrap().is_some());
        assert!(pins.get("x").unwrap().is_none());
        let error = Pins::new([("a", "what")]).get("A").unwrap_err();
        insta::assert_snapshot!(error, @"[versions] `a = what` is neither a version nor a comparison");
    }
}
