//! Checks one promise.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::clock::{Clock, SystemClock, Timestamp};
use slapos_sys::process::Command;

use super::discover::{Promise, Source};
use super::execute::{self, Ended};
use super::host::Host;
use super::log::Log;
use super::native::{Native, Rule, Surroundings};
use super::{Kind, Mode};
use crate::program::Patience;
use crate::text::last;

/// Characters kept of what a promise says.
const LONGEST_MESSAGE: usize = 5000;
/// Minutes between two checks of an executable.
const EXECUTABLE_PERIODICITY: u64 = 2;
/// How the original judges executables: no deployment would help them, so they never bang.
const EXECUTABLE_TEST: Rule = Rule::test(1, 1);
const EXECUTABLE_ANOMALY: Rule = Rule::test(3, 3);

/// How a promise is checked.
pub(super) enum Way {
    /// By a check that this program has.
    Native(Native),
    /// In Python.
    Python,
    /// By executing the file.
    Execute,
}

impl Way {
    /// Natively if that does what the file asks for.
    pub(super) fn of(promise: &Promise) -> Self {
        match (promise.header.as_ref().and_then(Native::find), promise.source) {
            (Some(native), _) => Self::Native(native),
            (None, Source::Plugin) => Self::Python,
            (None, Source::Executable) => Self::Execute,
        }
    }
}

/// What a promise says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traits {
    pub(super) tested: bool,
    pub(super) anomaly_detected: bool,
    /// Minutes.
    pub(super) periodicity: serde_json::Number,
    /// The file of its code, and when that was changed, seconds since the epoch.
    pub(super) code: PathBuf,
    pub(super) changed: f64,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Said {
        kind: Kind,
        failed: bool,
        bang: bool,
        date: Option<Timestamp>,
        message: String,
    },
    /// It has nothing to say to what was asked.
    Empty,
    /// It said nothing; what to say in its place.
    Nothing(String),
}

impl Outcome {
    /// The words of the original for a promise that ends without a result, and why.
    pub(super) fn silence(traceback: Option<&str>) -> Self {
        let words = "Error: No output returned by the promise";
        Self::Nothing(match traceback {
            Some(traceback) => format!("{words}\n{}", traceback.trim()),
            None => words.to_owned(),
        })
    }
}

/// The end of a check.
#[derive(Debug)]
pub(super) struct Answer {
    /// As far as the promise came to say.
    pub(super) traits: Option<Traits>,
    pub(super) outcome: Outcome,
    /// It had to be ended.
    pub(super) late: bool,
}

impl Answer {
    pub(super) fn nothing(why: &str) -> Self {
        Self { traits: None, outcome: Outcome::Nothing(why.to_owned()), late: false }
    }
}

/// What all checks of a partition have in common.
pub(super) struct Room<'a> {
    pub(super) directory: &'a std::path::Path,
    pub(super) mode: Mode,
    pub(super) timeout: Duration,
    pub(super) cancellation: &'a Cancellation,
    /// The Python, or why there is none.
    pub(super) host: Result<Host, String>,
}

impl Room<'_> {
    /// Checks `promise` once.
    pub(super) fn check(&self, promise: &Promise, way: &Way) -> Answer {
        let deadline = Instant::now() + self.timeout;
        let patience = Patience { deadline, cancellation: self.cancellation };
        let mut answer = match (way, &self.host) {
            (Way::Native(native), _) => self.native(promise, native),
            (Way::Execute, _) => self.execute(promise, patience),
            (Way::Python, Ok(host)) => host.run(promise, self.mode, patience),
            (Way::Python, Err(why)) => Answer::nothing(&format!("Error: {why}")),
        };
        if answer.late {
            answer.outcome = Outcome::Nothing(self.too_late());
        }
        if let Outcome::Said { message, .. } | Outcome::Nothing(message) = &mut answer.outcome {
            shorten(message);
        }
        answer
    }

    fn too_late(&self) -> String {
        format!("Error: Promise timed out after {} seconds", self.timeout.as_secs_f64())
    }

    fn native(&self, promise: &Promise, native: &Native) -> Answer {
        let traits = Traits {
            tested: native.tested,
            anomaly_detected: native.anomaly_detected,
            ..own_traits(promise, native.frequency.clone())
        };
        let enabled = match self.mode {
            Mode::Test => native.tested,
            Mode::Anomaly => native.anomaly_detected,
        };
        if !enabled {
            return Answer { traits: Some(traits), outcome: Outcome::Empty, late: false };
        }
        let surroundings = Surroundings {
            directory: self.directory.to_owned(),
            limit: self.timeout,
            cancellation: self.cancellation.clone(),
        };
        let rule = match promise.source {
            Source::Plugin => native.rule(self.mode),
            Source::Executable => self.executable_rule(),
        };
        self.judge(promise, traits, native.check(&surroundings), rule)
    }

    fn execute(&self, promise: &Promise, patience: Patience<'_>) -> Answer {
        let ended = execute::run(&mut Command::new(&promise.path), self.directory, patience);
        let found = match ended {
            Ok(Ended::Itself(found)) => Some(found),
            Ok(Ended::Late) => None,
            Err(error) => Some(Err(format!("it cannot be run: {error}"))),
        };
        let traits = own_traits(promise, EXECUTABLE_PERIODICITY.into());
        self.judge(promise, traits, found, self.executable_rule())
    }

    fn executable_rule(&self) -> Rule {
        match self.mode {
            Mode::Test => EXECUTABLE_TEST,
            Mode::Anomaly => EXECUTABLE_ANOMALY,
        }
    }

    /// Logs what was `found` (none: in time) and concludes from the log, as plugins do.
    fn judge(
        &self,
        promise: &Promise,
        traits: Traits,
        found: Option<Result<String, String>>,
        rule: Rule,
    ) -> Answer {
        let log = Log::new(self.directory, &promise.title);
        let late = found.is_none();
        let mut found = found.unwrap_or_else(|| Err(self.too_late()));
        let (Ok(message) | Err(message)) = &mut found;
        shorten(message);
        let concluded = log.write(&found, SystemClock.now());
        let outcome = match concluded.and_then(|()| log.verdict(rule.count, rule.amount)) {
            Ok(verdict) => Outcome::Said {
                kind: if rule.bangs { Kind::Anomaly } else { Kind::Test },
                failed: verdict.problem,
                bang: verdict.problem && rule.bangs,
                date: None,
                message: verdict.message,
            },
            // What was found counts, even where it cannot be kept.
            Err(error) => Outcome::Said {
                kind: Kind::Test,
                failed: found.is_err(),
                bang: false,
                date: None,
                message: format!("{}\n(its log cannot be kept: {error})", text_of(&found)),
            },
        };
        Answer { traits: Some(traits), outcome, late }
    }
}

fn text_of(found: &Result<String, String>) -> &str {
    let (Ok(text) | Err(text)) = found;
    text
}

/// Of a promise whose code is its own file.
fn own_traits(promise: &Promise, periodicity: serde_json::Number) -> Traits {
    Traits {
        tested: true,
        anomaly_detected: true,
        periodicity,
        code: promise.path.clone(),
        changed: super::state::modified(&promise.path).unwrap_or_default(),
    }
}

fn shorten(message: &mut String) {
    // What has been shortened already begins with dots.
    if message.chars().count() > LONGEST_MESSAGE + 3 {
        *message = format!("...{}", last(message, LONGEST_MESSAGE));
    }
}
