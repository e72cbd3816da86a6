//! `[slapos] collect_cache` and `[collect]`.

use std::time::Duration;

use slapos_config::{Config, ConfigError};

use super::Reader;

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
        let r = Reader::of(config, SECTION);
        if switch(&r, "disk_snapshot_use_quota", false)? {
            let why = "disk quotas are not read; take `disk_snapshot_use_quota` out".to_owned();
            return Err(r.error("disk_snapshot_use_quota", why));
        }
        let default = Self::default();
        Ok(Self {
            wanted: config.sections().any(|section| section == SECTION),
            days_kept: Reader::of(config, "slapos").parsed("collect_cache", default.days_kept)?,
            report_disk_usage: switch(&r, "report_disk_usage", default.report_disk_usage)?,
            disk_cycle: r.seconds("disk_snapshot_time_cycle", default.disk_cycle.as_secs())?,
        })
    }
}

/// A boolean, for which the original has more words in this section.
fn switch(r: &Reader<'_>, option: &str, default: bool) -> Result<bool, ConfigError> {
    match r.optional(option).map(str::to_lowercase).as_deref() {
        Some("on" | "1") => Ok(true),
        Some("off" | "0") => Ok(false),
        _ => r.boolean(option, default),
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
        insta::assert_snapshot!(read("[slapos]\ncollect_cache = long\n").unwrap_err(), @"slapos.cfg:2: `collect_cache` = `long`: invalid digit found in string");
        insta::assert_snapshot!(read("[collect]\nreport_disk_usage = yes\n").unwrap_err(), @"slapos.cfg:2: `report_disk_usage` must be true or false, not `yes`");
    }
}
