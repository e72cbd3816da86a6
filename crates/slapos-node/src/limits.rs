//! `[service_limits]` of `slapos.cfg`: what the services of partitions may take.
//!
//! The operator of the node decides, not whoever asks for an instance. `[service_limits]` is for
//! every partition, `[service_limits:PARTITION]` changes single options for one. `rlimit_*` options
//! hold each process (`setrlimit`), the others a partition's services together (control groups of
//! version 2; where there are none, services that are to be limited so do not start, and say why).
//! They take effect when a partition is processed. What managers run for a partition (`portredir`,
//! `prerm`) is limited alike, as a group of its own.

use std::collections::BTreeMap;

use slapos_config::{Config, ConfigError};
use slapos_supervisor::{GroupLimits, Limits};

const SECTION: &str = "service_limits";

/// The limits of all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLimits {
    all: PartitionLimits,
    /// Those that have a section of their own, with what is for all in it.
    some: BTreeMap<String, PartitionLimits>,
}

/// The limits of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionLimits {
    /// Of each process.
    pub process: Limits,
    /// Of all services together.
    pub together: GroupLimits,
}

impl ServiceLimits {
    /// Reads the sections.
    ///
    /// # Errors
    /// Names the line of an option or value that is none.
    pub(crate) fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let mut all = PartitionLimits::default();
        all.read(config, SECTION)?;
        let mut some = BTreeMap::new();
        for section in config.sections() {
            if let Some((SECTION, partition)) = section.split_once(':') {
                let mut own = all.clone();
                own.read(config, section)?;
                some.insert(partition.trim().to_owned(), own);
            }
        }
        Ok(Self { all, some })
    }

    /// Those of `partition`.
    pub fn of(&self, partition: &str) -> &PartitionLimits {
        self.some.get(partition).unwrap_or(&self.all)
    }
}

impl PartitionLimits {
    fn read(&mut self, config: &Config, section: &str) -> Result<(), ConfigError> {
        if config.section_line(section).is_none() {
            return Ok(());
        }
        for (option, value) in config.items(section) {
            let set = match option.strip_prefix("rlimit_") {
                Some(name) => self.process.set(name, value),
                None => self.together.set(option, value),
            };
            set.map_err(|message| config.error(section, option, message))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServiceLimits, ConfigError> {
        ServiceLimits::from_config(&Config::parse(text, "slapos.cfg")?)
    }

    #[test]
    fn a_partitions_own_section_changes_single_options() {
        let limits = read(
            "[service_limits]\nrlimit_nofile = 1024\nmemory_max = 2GB\n\
             [service_limits:slappart1]\nmemory_max = 8GB\n",
        );
        let limits = limits.unwrap();
        let memory = |partition: &str| {
            let mut options = limits.of(partition).together.options();
            options.find(|(name, _)| *name == "memory_max").map(|(_, value)| value.to_owned())
        };
        assert_eq!(memory("slappart0").as_deref(), Some("2GB"));
        assert_eq!(memory("slappart1").as_deref(), Some("8GB"));
        assert!(!limits.of("slappart1").process.is_empty());
        assert_eq!(read("[slapos]\n").unwrap(), ServiceLimits::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("[service_limits]\nmemory = 1GB\n"), @"slapos.cfg:2: `memory` is no limit of a group; known are cpu_max, cpu_weight, io_weight, memory_high, memory_max, tasks_max");
        insta::assert_snapshot!(error("[service_limits:p]\ncpu_max = 2\n"), @"slapos.cfg:2: `cpu_max` must be a percentage such as 150%, not `2`");
    }
}
