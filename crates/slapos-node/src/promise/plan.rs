//! Which promises are to be checked now: a pure function of what is asked and what is known.

use slapos_sys::clock::Timestamp;

use super::Mode;
use super::state::{Cache, epoch};

/// What is to be done with a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Check it.
    Check,
    /// It has said something lately that still counts.
    NotDue,
    /// It has nothing to say to what is asked.
    Disabled,
}

/// What is asked of all promises of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) mode: Mode,
    /// Also those that are not due.
    pub(super) force: bool,
    pub(super) now: Timestamp,
}

/// Decides about a promise of which `cache` is known.
pub(super) fn decide(asked: Asked, cache: Option<&Cache>) -> Step {
    let Some(cache) = cache else { return Step::Check };
    if !enabled(cache, asked.mode) {
        return Step::Disabled;
    }
    let now = epoch(asked.now);
    // A clock that was set back must not silence a promise.
    let due = now >= cache.next_run_after || now < cache.timestamp;
    if asked.force || due { Step::Check } else { Step::NotDue }
}

/// When a promise of which `cache` is known is to be asked for anomalies, seconds since the epoch.
pub(super) fn next(cache: &Cache) -> Option<f64> {
    enabled(cache, Mode::Anomaly).then_some(cache.next_run_after)
}

fn enabled(cache: &Cache, mode: Mode) -> bool {
    match mode {
        Mode::Test => cache.is_tested,
        Mode::Anomaly => cache.is_anomaly_detected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Cache {
        Cache {
            is_tested: true,
            is_anomaly_detected: true,
            periodicity: 2.into(),
            next_run_after: 1120.0,
            timestamp: 1000.0,
            module_file: "/p/a.py".into(),
            module_file_mtime: 1.0,
        }
    }

    fn decided(second: i64, mode: Mode, force: bool, cache: &Cache) -> Step {
        let now = Timestamp::from_second(second).unwrap();
        decide(Asked { mode, force, now }, Some(cache))
    }

    #[test]
    fn one_that_is_not_known_is_checked() {
        let now = Timestamp::from_second(1000).unwrap();
        assert_eq!(decide(Asked { mode: Mode::Test, force: false, now }, None), Step::Check);
    }

    #[test]
    fn its_periodicity_counts_unless_forced_or_the_clock_went_back() {
        let at = |second, force| decided(second, Mode::Anomaly, force, &cache());
        assert_eq!(at(1119, false), Step::NotDue);
        assert_eq!(at(1120, false), Step::Check);
        assert_eq!(at(1001, true), Step::Check);
        assert_eq!(at(999, false), Step::Check);
    }

    #[test]
    fn what_it_has_not_is_not_asked_even_if_forced() {
        let testless = Cache { is_tested: false, ..cache() };
        assert_eq!(decided(9999, Mode::Test, true, &testless), Step::Disabled);
        assert_eq!(decided(9999, Mode::Anomaly, true, &testless), Step::Check);
        assert_eq!(next(&testless), Some(1120.0));
        assert_eq!(next(&Cache { is_anomaly_detected: false, ..cache() }), None);
    }
}
