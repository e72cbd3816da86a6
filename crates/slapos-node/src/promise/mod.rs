//! Promises: checks that an instance carries with it and that say whether it is healthy.
//!
//! A promise is an executable in `etc/promise`, or a plugin in `etc/plugin` whose header names a
//! check that this program has built in (see [`native`]). They belong to the partition, so they
//! run in its worker, never in the node itself.

mod discover;
mod native;
mod run;

use serde::{Deserialize, Serialize};
use slapos_sys::clock::{SignedDuration, Timestamp};

pub(crate) use run::{Limits, check_all};

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
    /// What it said, at most 5000 characters.
    pub message: String,
    /// When it was checked.
    pub date: Timestamp,
    /// How long that took, seconds.
    pub seconds: f64,
    /// After how many seconds it is due again.
    pub periodicity: f64,
}

impl PromiseResult {
    /// Whether it is time to check the promise again.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.date);
        // A clock that was set back must not silence a promise.
        age.is_negative()
            || age > SignedDuration::try_from_secs_f64(self.periodicity).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_after_its_periodicity_and_when_the_clock_went_back() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let result = PromiseResult {
            name: "a.py".into(),
            title: "a".into(),
            path: "/p/a.py".into(),
            failed: false,
            message: String::new(),
            date: at("2026-01-01T10:00:00Z"),
            seconds: 0.1,
            periodicity: 120.0,
        };
        assert!(!result.is_due(at("2026-01-01T10:01:59Z")));
        assert!(result.is_due(at("2026-01-01T10:02:01Z")));
        assert!(result.is_due(at("2026-01-01T09:00:00Z")));
    }
}
