//! What is said in the log though it happens all the time: once, and then not for a minute.

use std::time::Duration;

use tokio::time::Instant;

/// How long it is not said again.
const AGAIN: Duration = Duration::from_secs(60);

/// When something was last said.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    /// Whether it is to be said now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= AGAIN);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute() {
        let (mut seldom, now) = (Seldom::default(), Instant::now());
        assert!(seldom.is_due(now) && !seldom.is_due(now + AGAIN / 2));
        assert!(seldom.is_due(now + AGAIN) && !seldom.is_due(now + AGAIN));
    }
}
