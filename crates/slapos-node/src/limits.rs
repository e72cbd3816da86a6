//! `[service_limits]` of `slapos.cfg`: what the services of partitions may take.
//!
//! The operator of the node decides, not whoever asks for an instance. `[service_limits]` is for
//! every partition, `[service_limits:PARTITION]` changes single options for one. `rlimit_*` options
//! hold each process (`setrlimit`), the others a partition's services together (control groups of
//! version 2; where there are none, services that are to be limited so do not start, and say why).
//! They take effect when a partition is processed, which an instance that is to run is when they were
//! changed. What managers run for a partition (`portredir`,
//! `prerm`) is limited alike, as a group of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slapos_config::{Config, ConfigError};
use slapos_supervisor::{GroupLimits, Limits};

use crate::error::NodeError;

const SECTION: &str = "service_limits";

/// The limits of all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLimits {
    all: PartitionLimits,
    /// Those that have a section of their own, with what is for all in it; or what is wrong with it.
    some: BTreeMap<String, Result<PartitionLimits, String>>,
}

/// The limits of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLimits {
    /// Of each process.
    pub process: Limits,
    /// Of all services together.
    pub together: GroupLimits,
}

impl ServiceLimits {
    /// Reads the sections. What is wrong in that of one partition concerns that one alone.
    ///
    /// # Errors
    /// Names the line of an option or value that is none, in what is for all.
    pub(crate) fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let mut all = PartitionLimits::default();
        all.read(config, SECTION)?;
        let mut some = BTreeMap::new();
        for section in config.sections() {
            if let Some((SECTION, partition)) = section.split_once(':') {
                let mut own = all.clone();
                let read = own.read(config, section).map(|()| own);
                some.insert(partition.trim().to_owned(), read.map_err(|error| error.to_string()));
            }
        }
        Ok(Self { all, some })
    }

    /// Those of `partition`.
    ///
    /// # Errors
    /// Names the line that is wrong in the section of its own: limits that cannot be held are a
    /// reason not to start.
    pub fn of(&self, partition: &str) -> Result<&PartitionLimits, NodeError> {
        match self.some.get(partition) {
            None => Ok(&self.all),
            Some(Ok(own)) => Ok(own),
            Some(Err(wrong)) => Err(NodeError::user(wrong)
                .hint(format!("correct it: the services of {partition} are to have these limits"))),
        }
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
            let mut options = limits.of(partition).unwrap().together.options();
            options.find(|(name, _)| *name == "memory_max").map(|(_, value)| value.to_owned())
        };
        assert_eq!(memory("slappart0").as_deref(), Some("2GB"));
        assert_eq!(memory("slappart1").as_deref(), Some("8GB"));
        assert!(!limits.of("slappart1").unwrap().process.is_empty());
        assert_eq!(read("[slapos]\n").unwrap(), ServiceLimits::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("[service_limits]\nmemory = 1GB\n"), @"slapos.cfg:2: `memory` is no limit of a group; known are cpu_max, cpu_weight, io_weight, memory_high, memory_max, tasks_max");
    }

    #[test]
    fn what_is_wrong_for_one_partition_concerns_that_one() {
        let limits = read("[service_limits:p]\ncpu_max = 2\n").unwrap();
        assert!(limits.of("q").unwrap().process.is_empty());
        insta::assert_snapshot!(limits.of("p").unwrap_err(), @"slapos.cfg:2: `cpu_max` must be a percentage such as 150%, not `2`");
    }
}
