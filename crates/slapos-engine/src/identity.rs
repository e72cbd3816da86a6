//! What makes a section what it is, reduced to a hash, and the parts of it that explain a change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Option that holds where a profile lies. Its value says nothing about what is built: contents
/// are declared, and the same profile elsewhere must find the same shared part.
pub(crate) const BASE_LOCATION: &str = "_profile_base_location_";

/// All that decides whether an installed section is still the wanted one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// Recipe as the profile names it; empty for a section that only holds values.
    #[serde(default)]
    pub(crate) recipe: String,
    /// The recipe's own version of what it does with options.
    #[serde(default)]
    pub(crate) recipe_version: u32,
    /// Resolved options, those set by the recipe included.
    #[serde(default)]
    pub(crate) options: IndexMap<String, String>,
    /// Section referred to → its identity.
    #[serde(default)]
    pub(crate) references: BTreeMap<String, String>,
    /// Declared input (for example a file) → digest of its content.
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, String>,
}

impl Fingerprint {
    /// 64 hexadecimal digits; the order of options does not matter.
    pub(crate) fn identity(&self) -> String {
        let mut hash = Framed::default();
        hash.field(&self.recipe);
        hash.field(&self.recipe_version.to_string());
        let mut options: Vec<(&String, &String)> = self.options.iter().collect();
        options.sort();
        let base = self.options.get(BASE_LOCATION);
        for (name, value) in options.into_iter().filter(|(name, _)| *name != BASE_LOCATION) {
            hash.pair("option", name, &without_base(value, base));
        }
        for (section, identity) in &self.references {
            hash.pair("reference", section, identity);
        }
        for (input, digest) in &self.inputs {
            hash.pair("input", &without_base(input, base), digest);
        }
        hash.finish()
    }
}

/// `value` with the place of the profile replaced by the reference to it.
pub(crate) fn without_base(value: &str, base: Option<&String>) -> String {
    match base.filter(|base| !base.is_empty()) {
        Some(base) => value.replace(base.as_str(), "${:_profile_base_location_}"),
        None => value.to_owned(),
    }
}

/// A hash over texts, each with its length before it so that no two lists read the same.
#[derive(Default)]
struct Framed(Sha256);

impl Framed {
    fn field(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn pair(&mut self, kind: &str, name: &str, value: &str) {
        self.field(kind);
        self.field(name);
        self.field(value);
    }

    fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(options: &[(&str, &str)]) -> Fingerprint {
        Fingerprint {
            recipe: "r".into(),
            options: options.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            ..Fingerprint::default()
        }
    }

    #[test]
    fn order_of_options_and_place_of_the_profile_do_not_matter() {
        let a = fingerprint(&[("x", "1"), ("y", "/p/f"), (BASE_LOCATION, "/p")]);
        let b = fingerprint(&[(BASE_LOCATION, "/q"), ("y", "/q/f"), ("x", "1")]);
        assert_eq!(a.identity(), b.identity());
    }

    #[test]
    fn every_ingredient_matters() {
        let base = fingerprint(&[("x", "1")]);
        let mut others = vec![fingerprint(&[("x", "2")]), fingerprint(&[("x1", "")])];
        others.push(Fingerprint { recipe_version: 7, ..base.clone() });
        others.push(Fingerprint { references: [("a".into(), "b".into())].into(), ..base.clone() });
        others.push(Fingerprint { inputs: [("a".into(), "b".into())].into(), ..base.clone() });
        for other in others {
            assert_ne!(base.identity(), other.identity(), "{other:?}");
        }
    }
}
