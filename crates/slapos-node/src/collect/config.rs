//! `[slapos] collect_cache` and `[collect]`.

use std::time::Duration;

use slapos_config::{Config, ConfigError};

const SECTION: &str = "collect";

/// What `node collect` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectConfig {
    /// Whether there is a section `[collect]`: cron and the agent have the command run then.
    pub wanted: bool,
    /// `collect_cache`: days that samples are kept.
    pub days_kept: u16,
    /// `report_disk_usage`: whether the disks of partitions are measured.
    pub report_disk_usage: bool,
    /// `disk_snapshot_time_cycle`, seconds: how often.
    pub disk_cycle: Duration,
}

impl Default for CollectConfig {
    fn default() -> Self {
        let disk_cycle = Duration::from_secs(86_400);
        Self { wanted: false, days_kept: 15, report_disk_usage: true, disk_cycle }
    }
}

impl CollectConfig {
    /// Reads what concerns collecting.
    ///
    /// # Errors
    /// Names the file and line of what is wrong, or cannot be honoured.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let text = |section: &str, option: &str| {
            config.get(section, option).map(str::trim).filter(|value| !value.is_empty())
        };
        let flag = |option: &str| {
            text(SECTION, option).map(|word| ["true", "on", "1"].contains(&&*word.to_lowercase()))
        };
        let number = |section: &str, option: &str| match text(section, option).map(str::parse) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => {
                let word = text(section, option).unwrap_or_default();
                let why = format!("`{option}` must be a number, not `{word}`");
                Err(config.error(section, option, why))
            }
        };
        if flag("disk_snapshot_use_quota") == Some(true) {
            let why = "disk quotas are not read; take `disk_snapshot_use_quota` out";
            return Err(config.error(SECTION, "disk_snapshot_use_quota", why));
        }
        let default = Self::default();
        let days = number("slapos", "collect_cache")?;
        let days = days.map(|days| u16::try_from(days).unwrap_or(u16::MAX));
        let cycle = number(SECTION, "disk_snapshot_time_cycle")?.map(Duration::from_secs);
        Ok(Self {
            wanted: config.sections().any(|section| section == SECTION),
            days_kept: days.unwrap_or(default.days_kept),
            report_disk_usage: flag("report_disk_usage").unwrap_or(default.report_disk_usage),
            disk_cycle: cycle.unwrap_or(default.disk_cycle),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CollectConfig, ConfigError> {
        CollectConfig::from_config(&Config::parse(text, "slapos.cfg").unwrap())
    }

    #[test]
    fn options_are_the_originals_and_quotas_are_refused() {
        assert_eq!(read("").unwrap(), CollectConfig::default());
        assert!(read("[collect]\n").unwrap().wanted);
        let told = read("[slapos]\ncollect_cache = 3\n[collect]\nreport_disk_usage = off\ndisk_snapshot_time_cycle = 60\n").unwrap();
        assert_eq!((told.days_kept, told.report_disk_usage), (3, false));
        assert_eq!(told.disk_cycle, Duration::from_secs(60));
        insta::assert_snapshot!(read("[collect]\ndisk_snapshot_use_quota = True\n").unwrap_err(), @"slapos.cfg:2: disk quotas are not read; take `disk_snapshot_use_quota` out");
        insta::assert_snapshot!(read("[slapos]\ncollect_cache = long\n").unwrap_err(), @"slapos.cfg:2: `collect_cache` must be a number, not `long`");
    }
}
