//! Values that recipes call secret, and how they are kept out of whatever is written or shown.
//!
//! A section's own secret option is neither recorded nor compared. Where other options of that
//! section, or of sections that refer to it, hold the secret, they are recorded with `***` in its
//! place and compared by a digest. Texts for people (events, errors, the log) show `***`, too.
//! What a command itself prints to its log is not looked at, and neither are other spellings of a
//! secret (quoted, percent-encoded).

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use slapos_sys::Secret;

use crate::identity::{Fingerprint, hex};

/// What stands for a secret.
const MASK: &str = "***";
/// Shorter secrets, in bytes, are not looked for in texts: they would blot out half of a log.
const SHORTEST: usize = 4;

/// Section → option → value.
#[derive(Debug, Default, Clone)]
pub(crate) struct Secrets(BTreeMap<String, BTreeMap<String, Secret>>);

impl Secrets {
    pub(crate) fn add(&mut self, section: &str, option: &str, value: Secret) {
        self.0.entry(section.to_owned()).or_default().insert(option.to_owned(), value);
    }

    pub(crate) fn holds(&self, section: &str, option: &str) -> bool {
        self.0.get(section).is_some_and(|options| options.contains_key(option))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the secrets of `reachable` sections out of what `section` is made of.
    pub(crate) fn conceal(
        &self,
        section: &str,
        reachable: &BTreeSet<String>,
        fingerprint: &mut Fingerprint,
    ) {
        if let Some(own) = self.0.get(section) {
            fingerprint.options.retain(|option, _| !own.contains_key(option));
        }
        let known = self.0.iter().filter(|(name, _)| reachable.contains(*name));
        let known: Vec<&str> = longest_first(known.flat_map(|(_, options)| options.values()))
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .collect();
        let Fingerprint { options, inputs, .. } = fingerprint;
        conceal_options(options, inputs, &known);
    }

    /// `text` as people may see it.
    pub(crate) fn redact(&self, text: &str) -> String {
        let all = longest_first(self.0.values().flat_map(BTreeMap::values));
        let long = all.into_iter().filter(|secret| secret.len() >= SHORTEST);
        long.fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

/// One secret may be part of another.
fn longest_first<'s>(secrets: impl Iterator<Item = &'s Secret>) -> Vec<&'s str> {
    let mut texts: Vec<&str> = secrets.map(Secret::expose).collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts
}

fn conceal_options(
    options: &mut IndexMap<String, String>,
    inputs: &mut BTreeMap<String, String>,
    secrets: &[&str],
) {
    for (option, value) in options.iter_mut() {
        let hidden = secrets.iter().fold(value.clone(), |text, s| text.replace(s, MASK));
        if hidden != *value {
            let digest = hex(&Sha256::digest(value.as_bytes()));
            inputs.insert(format!("option `{option}`, which holds a secret,"), digest);
            *value = hidden;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_where_it_can_come_from_and_still_compared() {
        let mut secrets = Secrets::default();
        secrets.add("gen", "passwd", Secret::new("hunter2"));
        let fingerprint = |section: &str, reachable: &[&str]| {
            let mut fingerprint = Fingerprint::default();
            fingerprint.options.insert("passwd".into(), "hunter2".into());
            fingerprint.options.insert("url".into(), "x:hunter2@".into());
            let reachable = reachable.iter().map(|name| (*name).to_owned()).collect();
            secrets.conceal(section, &reachable, &mut fingerprint);
            fingerprint
        };
        let own = fingerprint("gen", &["gen"]);
        assert_eq!(own.options.get("passwd"), None);
        assert_eq!(own.options["url"], "x:***@");
        assert_eq!(own.inputs.len(), 1);
        let other = fingerprint("user", &["gen"]);
        assert_eq!(other.options["passwd"], "***");
        assert_eq!(other.inputs.len(), 2);
        assert_eq!(fingerprint("stranger", &[]).options["url"], "x:hunter2@");
    }

    #[test]
    fn texts_show_stars_and_a_part_of_a_secret_hides_nothing_of_it() {
        let mut secrets = Secrets::default();
        secrets.add("a", "x", Secret::new("word"));
        secrets.add("a", "y", Secret::new("password"));
        secrets.add("a", "z", Secret::new("s"));
        assert_eq!(secrets.redact("password word s"), "*** *** s");
    }
}
