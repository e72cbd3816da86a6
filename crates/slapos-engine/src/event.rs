//! What a run tells the one who watches it. Snapshotted: the node reads these as JSON lines.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is done with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Made, or made again from the beginning.
    Install,
    /// Kept, and asked to look after itself (for example: publish again).
    Update,
    /// Left as it is.
    Keep,
    /// Taken away: no longer wanted.
    Remove,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Keep => "keep",
            Self::Remove => "remove",
        })
    }
}

/// Something that happened during a run. JSON form: `{"event": "part-started", ...}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The plan is made and its execution begins; numbers of parts.
    PlanMade {
        /// To be installed.
        install: usize,
        /// To be updated.
        update: usize,
        /// Left alone.
        keep: usize,
        /// To be removed.
        remove: usize,
    },
    /// Work on a part begins.
    PartStarted {
        /// Its name.
        part: String,
        /// What is done.
        action: Action,
        /// Why.
        reason: String,
    },
    /// A part says what it is doing.
    PartProgress {
        /// Its name.
        part: String,
        /// One short line.
        text: String,
    },
    /// A part is done and recorded.
    PartFinished {
        /// Its name.
        part: String,
        /// Wall-clock time it took.
        seconds: f64,
    },
    /// A part failed; what is needed to say why.
    PartFailed {
        /// Its name.
        part: String,
        /// What went wrong.
        message: String,
        /// The command that failed, if it was one.
        command: Option<String>,
        /// The last lines of its log.
        tail: Vec<String>,
        /// The whole log.
        log: PathBuf,
        /// `file:line` of the section that defines the part.
        at: String,
        /// What to do about it, if known.
        help: Option<String>,
    },
    /// Something that does not stop the run but that a person should know.
    Warning {
        /// The part it is about, if it is about one.
        part: Option<String>,
        /// One line.
        text: String,
    },
}

/// Receives events, from several threads at once.
pub trait Observer: Sync {
    /// Called for each event, in the order in which they happen within one part.
    fn event(&self, event: &Event);
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn event(&self, _event: &Event) {}
}

impl<F: Fn(&Event) + Sync> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_a_stable_json_form() {
        let event = Event::PartStarted {
            part: "zlib".into(),
            action: Action::Install,
            reason: "never installed".into(),
        };
        insta::assert_snapshot!(
            serde_json::to_string(&event).unwrap(),
            @r#"{"event":"part-started","part":"zlib","action":"install","reason":"never installed"}"#
        );
    }
}
