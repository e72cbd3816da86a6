//! Promises: checks that an instance carries with it and that say whether it is healthy.
//!
//! A promise is a Python plugin in `etc/plugin` or an executable in `etc/promise`. They belong to
//! the partition, so they run in its worker, never in the node itself.
//!
//! - [`discover`] finds them, [`plan`] decides which are to be checked, [`run`] has them checked side
//!   by side, [`one`] checks one: by a check that this program has ([`native`]), by executing the
//!   file ([`execute`]), or in Python ([`host`], as [`python`] chooses).
//! - [`state`] and [`log`] are the files where monitoring finds what came of it. Their forms are the
//!   original's ([`json`]).
//!
//! Invariants: what a promise starts does not outlive the check; one that hangs delays no other; a
//! promise that is not looked at keeps its last result; what went wrong with a promise is its
//! result, never an error of the check.

mod discover;
mod execute;
mod host;
mod json;
mod log;
mod native;
mod one;
mod plan;
mod python;
mod run;
mod state;

use serde::{Deserialize, Serialize};
use slapos_sys::clock::Timestamp;

pub(crate) use run::{Checked, Limits, Wanted, check_all};

/// What promises are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Whether the instance is as it was asked for: while it is deployed, or when somebody wants to
    /// know.
    Test,
    /// Whether a deployed instance went astray.
    Anomaly,
}

/// Of which kind a result is. Not always that of the [`Mode`]: an anomaly that calls for people
/// rather than for a new deployment is a test result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Of a test.
    #[default]
    #[serde(rename = "Test Result")]
    Test,
    /// Of a watch for anomalies.
    #[serde(rename = "Anomaly Result")]
    Anomaly,
}

/// What a promise said when last checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromiseResult {
    /// File name.
    pub name: String,
    /// File name without extension, under which the result is filed.
    pub title: String,
    /// The file.
    pub path: std::path::PathBuf,
    /// Whether the promise is broken.
    pub failed: bool,
    /// What it said: at most its last 5000 characters.
    pub message: String,
    /// When it was checked.
    pub date: Timestamp,
    /// How long that took, seconds.
    pub seconds: f64,
    /// After how many seconds it is due again.
    pub periodicity: f64,
    /// Of which kind this is.
    #[serde(default)]
    pub kind: Kind,
    /// It calls for a bang: the instance's tree is to be deployed again.
    #[serde(default)]
    pub bang: bool,
    /// It was looked at in this run; else this is what it said before.
    #[serde(default)]
    pub checked: bool,
}

/// When the promises of a partition are to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// When they were.
    pub checked: Timestamp,
    /// When the first of them is due again.
    pub due: Timestamp,
}

impl Schedule {
    /// Whether it is time to look.
    pub fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was set back must not silence a promise.
        now >= self.due || now < self.checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_when_it_is_time_and_when_the_clock_went_back() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let schedule =
            Schedule { checked: at("2026-01-01T10:00:00Z"), due: at("2026-01-01T10:02:00Z") };
        assert!(!schedule.is_due(at("2026-01-01T10:01:59Z")));
        assert!(schedule.is_due(at("2026-01-01T10:02:00Z")));
        assert!(schedule.is_due(at("2026-01-01T09:00:00Z")));
    }
}
