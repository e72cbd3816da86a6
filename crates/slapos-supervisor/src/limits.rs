//! Limits of resources that the kernel holds a program to, or all programs of a group together.

mod group;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use slapos_sys::process::Resource;

pub use group::GroupLimits;

/// Limits of a program's processes, each set as soft and hard limit (`rlimit_*` options). What is
/// not named is inherited from the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// By the option's name without `rlimit_`, in the order of [`NAMES`]; `None`: no limit.
    set: Vec<(String, Option<u64>)>,
}

/// The option's name after `rlimit_`, as the option is written to files, and the resource.
const NAMES: &[(&str, &str, Resource)] = &[
    ("as", "rlimit_as", Resource::RLIMIT_AS),
    ("core", "rlimit_core", Resource::RLIMIT_CORE),
    ("fsize", "rlimit_fsize", Resource::RLIMIT_FSIZE),
    ("memlock", "rlimit_memlock", Resource::RLIMIT_MEMLOCK),
    ("nofile", "rlimit_nofile", Resource::RLIMIT_NOFILE),
    ("nproc", "rlimit_nproc", Resource::RLIMIT_NPROC),
    ("stack", "rlimit_stack", Resource::RLIMIT_STACK),
];

impl Limits {
    /// Sets the limit `name` (`nofile`, `as` ...) to `value`: a whole number, with a unit `KB`,
    /// `MB` or `GB` if it is of bytes, or `unlimited`.
    ///
    /// # Errors
    /// Words for a name or value that is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let place = NAMES.iter().position(|(known, ..)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
            format!("`rlimit_{name}` is no limit; known are rlimit_{}", known.join(", rlimit_"))
        })?;
        let limit = match value.trim() {
            "unlimited" => None,
            value => Some(size(value).ok_or_else(|| {
                format!("a limit is a number such as 1024, 512MB or `unlimited`, not `{value}`")
            })?),
        };
        self.set.retain(|(other, _)| other != name);
        let rank = |name: &str| NAMES.iter().position(|(known, ..)| *known == name);
        let at = self.set.partition_point(|(other, _)| rank(other) < Some(place));
        self.set.insert(at, (name.to_owned(), limit));
        Ok(())
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The limits by the kernel's name; `u64::MAX` is none.
    pub fn resources(&self) -> impl Iterator<Item = (Resource, u64)> {
        self.set.iter().filter_map(|(name, limit)| {
            let (.., resource) = NAMES.iter().find(|(known, ..)| known == name)?;
            Some((*resource, limit.unwrap_or(u64::MAX)))
        })
    }

    /// As options of a section; [`Limits::set`] understands the values.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.set.iter().filter_map(|(name, limit)| {
            let (_, option, _) = NAMES.iter().find(|(known, ..)| known == name)?;
            Some((*option, limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())))
        })
    }
}

/// A number with an optional unit: `KB`, `MB`, `GB`, powers of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let units = [("kb", 10), ("mb", 20), ("gb", 30)];
    let unit = units.iter().find_map(|(unit, bits)| Some((lower.strip_suffix(unit)?, *bits)));
    let (digits, bits) = unit.unwrap_or((&lower, 0));
    u64::from_str(digits.trim()).ok()?.checked_mul(1 << bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_written_and_refused() {
        let mut limits = Limits::default();
        limits.set("nofile", "100").unwrap();
        limits.set("as", "2GB").unwrap();
        limits.set("core", "unlimited").unwrap();
        limits.set("nofile", "1024").unwrap();
        let options: Vec<_> =
            limits.options().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            options,
            ["rlimit_as=2147483648", "rlimit_core=unlimited", "rlimit_nofile=1024"]
        );
        let files = limits.resources().find(|(name, _)| *name == Resource::RLIMIT_NOFILE);
        assert_eq!(files, Some((Resource::RLIMIT_NOFILE, 1024)));
        insta::assert_snapshot!(limits.set("nofile", "many").unwrap_err(), @"a limit is a number such as 1024, 512MB or `unlimited`, not `many`");
        insta::assert_snapshot!(limits.set("speed", "1").unwrap_err(), @"`rlimit_speed` is no limit; known are rlimit_as, rlimit_core, rlimit_fsize, rlimit_memlock, rlimit_nofile, rlimit_nproc, rlimit_stack");
    }
}
