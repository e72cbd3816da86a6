//! What a part uses, written down when it is installed: `.slapos/eggs/<part>.json` in the buildout
//! directory. By it the part learns that pins want other distributions, or that some are gone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_eggs::{Pins, WorkingSet};
use slapos_engine::{PartError, PartInit};
use slapos_sys::fs;

use crate::common;

/// Longest record that is read, in bytes.
const MAX: u64 = 16 << 20;

/// What a part uses.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    distributions: Vec<Used>,
    /// Scripts it wrote.
    pub(super) scripts: Vec<PathBuf>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Used {
    name: String,
    location: PathBuf,
    /// Its pin, as written, if it had one.
    pin: Option<String>,
}

/// Where the record of a part is: under a name that no other part of the directory has, be it of a
/// buildout inside this one.
pub(super) fn place(init: &PartInit<'_>) -> PathBuf {
    let (_, tag) = init.tag();
    let place: String = tag.chars().take(8).collect();
    let name = format!("{}-{place}.json", init.name().replace('/', "_"));
    init.buildout_directory().join(".slapos/eggs").join(name)
}

impl Record {
    pub(super) fn new(set: &WorkingSet, pins: &Pins, scripts: Vec<PathBuf>) -> Self {
        let used = set.distributions().iter().map(|dist| Used {
            name: dist.name.clone(),
            location: dist.location.clone(),
            pin: pins.text(&dist.name).map(str::to_owned),
        });
        Self { distributions: used.collect(), scripts }
    }

    /// The record at `path`; `None` when there is none that can be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string_limited(path, MAX).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), PartError> {
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|error| PartError::new(error.to_string()))?;
        common::write_file(path, &text, 0o644).map(drop)
    }

    /// Why what is recorded is not what is wanted any more.
    pub(super) fn objection(&self, pins: &Pins) -> Option<String> {
        for used in &self.distributions {
            let (name, now) = (&used.name, pins.text(&used.name));
            if now != used.pin.as_deref() {
                let shown = |pin: Option<&str>| pin.unwrap_or("any").to_owned();
                let was = shown(used.pin.as_deref());
                return Some(format!(
                    "the version of `{name}` changed from {was} to {}",
                    shown(now)
                ));
            }
            if !used.location.is_dir() {
                return Some(format!("{} is gone", used.location.display()));
            }
        }
        let gone = self.scripts.iter().find(|script| !script.is_file());
        gone.map(|script| format!("{} is gone", script.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_pin_or_a_missing_egg_is_an_objection() {
        let used = |location: &str, pin: Option<&str>| Record {
            distributions: vec![Used {
                name: "A".into(),
                location: location.into(),
                pin: pin.map(str::to_owned),
            }],
            scripts: Vec::new(),
        };
        let pins = Pins::new([("a", "1.0"), ("other", "3")]);
        assert_eq!(used("/", Some("1.0")).objection(&pins), None);
        let why = |record: Record| record.objection(&pins).unwrap();
        assert_eq!(why(used("/", None)), "the version of `A` changed from any to 1.0");
        assert_eq!(why(used("/no/such", Some("1.0"))), "/no/such is gone");
    }
}
