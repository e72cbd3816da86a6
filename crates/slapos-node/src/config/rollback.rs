//! Whether a deployment that fails is taken back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// When the former generation is brought back by itself: `[slapos] rollback`, or what the instance
/// was requested with (`rollback` among the places where it may live, as `--node rollback=...`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Never, as in the original.
    #[default]
    Off,
    /// When the instance cannot be processed: half-changed configuration does not stay.
    Configuration,
    /// Also when promises fail after services were switched.
    PromiseGated,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "configuration" => Ok(Self::Configuration),
            "promise-gated" => Ok(Self::PromiseGated),
            other => Err(format!("must be off, configuration or promise-gated, not `{other}`")),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Configuration => "configuration",
            Self::PromiseGated => "promise-gated",
        })
    }
}

/// What `slapos.cfg` says about generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// `[slapos] rollback`.
    pub policy: Policy,
    /// `[slapos] rollback_deadline`: how long promises may fail after services were switched,
    /// before that counts; seconds.
    pub deadline: Duration,
    /// `[slapos] generations_kept`: how many of each partition; at least 2.
    pub kept: usize,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { policy: Policy::Off, deadline: Duration::from_secs(60), kept: 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for policy in [Policy::Off, Policy::Configuration, Policy::PromiseGated] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!(
            "yes".parse::<Policy>().unwrap_err(),
            "must be off, configuration or promise-gated, not `yes`"
        );
    }
}
