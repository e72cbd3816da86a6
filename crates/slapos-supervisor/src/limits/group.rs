//! Limits of all processes of a group together, by control groups of version 2.

use serde::{Deserialize, Serialize};
use slapos_sys::cgroup::Cgroups;

use super::size;

/// What the processes of a group may take together. What is not named is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLimits {
    /// By the option's name, in the order of [`NAMES`], as it was written.
    set: Vec<(String, String)>,
}

/// The option, the file of the control group, what that holds when nothing is limited, and how the
/// option's value reads there.
type Named = (&'static str, &'static str, &'static str, Reader);
type Reader = fn(&str) -> Option<String>;

const NAMES: &[Named] = &[
    ("cpu_max", "cpu.max", "max 100000", processors),
    ("cpu_weight", "cpu.weight", "100", weight),
    ("io_weight", "io.weight", "default 100", io_weight),
    ("memory_high", "memory.high", "max", bytes),
    ("memory_max", "memory.max", "max", bytes),
    ("tasks_max", "pids.max", "max", bytes),
];

impl GroupLimits {
    /// Whether there is such an option.
    pub fn is_name(name: &str) -> bool {
        NAMES.iter().any(|(known, ..)| *known == name)
    }

    /// Sets the limit `name`: `memory_max`, `memory_high` (a size such as `2GB`), `tasks_max` (a
    /// number), `cpu_max` (a percentage; `150%` are one and a half processors), `cpu_weight` or
    /// `io_weight` (1 to 10000; 100 is what others have).
    ///
    /// # Errors
    /// Words for a name or value that is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let place = NAMES.iter().position(|(known, ..)| *known == name);
        let (_, _, _, read) = place.and_then(|place| NAMES.get(place)).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
            format!("`{name}` is no limit of a group; known are {}", known.join(", "))
        })?;
        let value = value.trim();
        if read(value).is_none() {
            let example = match name {
                "cpu_max" => "a percentage such as 150%",
                "cpu_weight" | "io_weight" => "a number from 1 to 10000",
                "tasks_max" => "a number such as 500",
                _ => "a size such as 512MB or 2GB",
            };
            return Err(format!("`{name}` must be {example}, not `{value}`"));
        }
        self.set.retain(|(other, _)| other != name);
        let rank = |name: &str| NAMES.iter().position(|(known, ..)| *known == name);
        let at = self.set.partition_point(|(other, _)| rank(other) < place);
        self.set.insert(at, (name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The options that are set; [`GroupLimits::set`] understands them.
    pub fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Why they cannot be held by who may not make control groups, as this process; `None` if it may, or
    /// nothing is limited.
    pub fn unsupported_here(&self) -> Option<String> {
        (!self.is_empty() && Cgroups::find().is_none()).then(|| self.unsupported())
    }

    /// Why they cannot be held where there are no control groups.
    pub(crate) fn unsupported(&self) -> String {
        let names: Vec<&str> = self.options().map(|(name, _)| name).collect();
        format!(
            "{} cannot be honoured: there are no control groups of version 2 that the supervisor may \
             change",
            names.join(", ")
        )
    }

    /// The files of a control group and what is to be in them; `None` for an option that is not
    /// set.
    pub(crate) fn files(
        &self,
    ) -> impl Iterator<Item = (&'static str, &'static str, Option<String>)> {
        NAMES.iter().map(|(name, file, default, read)| {
            let value = self.set.iter().find(|(set, _)| set == name);
            (*file, *default, value.and_then(|(_, value)| read(value)))
        })
    }
}

fn bytes(text: &str) -> Option<String> {
    // Elsewhere in slapos.cfg sizes are `2G`.
    size(text).or_else(|| size(&format!("{text}B"))).map(|size| size.to_string())
}

/// A share of each tenth of a second.
fn processors(text: &str) -> Option<String> {
    let percent: u32 =
        text.strip_suffix('%')?.trim().parse().ok().filter(|percent| *percent > 0)?;
    Some(format!("{} 100000", u64::from(percent) * 1000))
}

fn weight(text: &str) -> Option<String> {
    let weight: u32 = text.parse().ok().filter(|weight| (1..=10_000).contains(weight))?;
    Some(weight.to_string())
}

fn io_weight(text: &str) -> Option<String> {
    weight(text).map(|weight| format!("default {weight}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_what_the_kernel_reads() {
        let mut limits = GroupLimits::default();
        for (name, value) in
            [("memory_max", "2G"), ("cpu_max", "150%"), ("tasks_max", "500"), ("io_weight", "50")]
        {
            limits.set(name, value).unwrap();
        }
        let files: Vec<String> = limits
            .files()
            .map(|(file, default, value)| match value {
                Some(value) => format!("{file} = {value}"),
                None => format!("{file} as {default}"),
            })
            .collect();
        insta::assert_snapshot!(files.join("\n"), @r"
        cpu.max = 150000 100000
        cpu.weight as 100
        io.weight = default 50
        memory.high as max
        memory.max = 2147483648
        pids.max = 500
        ");
        insta::assert_snapshot!(limits.set("cpu_max", "2").unwrap_err(), @"`cpu_max` must be a percentage such as 150%, not `2`");
        insta::assert_snapshot!(limits.set("memory", "2").unwrap_err(), @"`memory` is no limit of a group; known are cpu_max, cpu_weight, io_weight, memory_high, memory_max, tasks_max");
        assert!(limits.set("cpu_weight", "0").is_err());
    }
}
