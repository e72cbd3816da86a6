//! Checks the promises of one partition: those that are due, several at once, each within its time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::clock::{Clock, SystemClock, Timestamp};

use super::discover::{Found, Promise, discover};
use super::host::Host;
use super::log::Log;
use super::one::{Answer, Outcome, Room, Traits, Way};
use super::plan::{self, Asked, Step};
use super::state::{Cache, State, epoch, instant};
use super::{Kind, Mode, PromiseResult, python};
use crate::pool;
use crate::program::Patience;

/// Checks of one partition that run at once.
const AT_ONCE: usize = 8;
/// Seconds between two checks of a promise that could not say.
const USUAL_PERIODICITY: f64 = 120.0;
/// Between two tries of a failing promise within the grace, at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// How long checks may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// One promise.
    pub(crate) timeout: Duration,
    /// How long a failing promise is tried again.
    pub(crate) grace: Duration,
}

/// What is asked.
pub(crate) struct Wanted<'a> {
    /// The partition.
    pub(crate) directory: &'a Path,
    /// Its Software Release.
    pub(crate) software: Option<&'a Path>,
    pub(crate) mode: Mode,
    /// Also promises that are not due.
    pub(crate) force: bool,
    pub(crate) limits: Limits,
    /// What plugins are told of where they are, beside what is known here.
    pub(crate) config: &'a BTreeMap<String, String>,
    pub(crate) cancellation: &'a Cancellation,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// One for each promise that has said something, plugins first.
    pub(crate) results: Vec<PromiseResult>,
    /// How many were not looked at.
    pub(crate) skipped: usize,
    /// What is wrong, but not with a promise.
    pub(crate) warnings: Vec<String>,
    /// When the first promise is due.
    pub(crate) due: Option<Timestamp>,
}

/// Checks the promises of a partition, and keeps what came of it where monitoring finds it.
pub(crate) fn check_all(wanted: &Wanted<'_>) -> std::io::Result<Checked> {
    let Found { promises, warnings } = discover(wanted.directory)?;
    let state = State::open(wanted.directory)?;
    let titles: Vec<_> = promises.iter().map(|promise| promise.title.as_str()).collect();
    state.tidy(&titles)?;
    let asked = Asked { mode: wanted.mode, force: wanted.force, now: SystemClock.now() };
    let entries: Vec<_> =
        promises.iter().map(|promise| Entry::new(promise, asked, &state)).collect();
    let open: Vec<_> = entries.iter().filter(|entry| entry.step == Step::Check).collect();
    let room = Room {
        directory: wanted.directory,
        mode: wanted.mode,
        timeout: wanted.limits.timeout,
        cancellation: wanted.cancellation,
        host: host(wanted, &open),
    };
    let checks = check_each(&room, &open, wanted.limits.grace);
    let mut checked = Checked { warnings, ..Checked::default() };
    let mut checks = checks.into_iter();
    for entry in &entries {
        match entry.step {
            Step::Check => {
                if let Some(check) = checks.next() {
                    entry.conclude(wanted.mode, check, &state, &mut checked);
                }
            }
            Step::NotDue | Step::Disabled => entry.skip(&state, &mut checked),
        }
    }
    Ok(checked)
}

/// The Python, if a check needs it.
fn host(wanted: &Wanted<'_>, open: &[&Entry<'_>]) -> Result<Host, String> {
    let plugins = open.iter().filter(|entry| matches!(entry.way, Way::Python));
    let plugins: Vec<_> = plugins.map(|entry| entry.promise.path.as_path()).collect();
    if plugins.is_empty() {
        return Err("nobody needs it".to_owned());
    }
    let interpreter = python::interpreter(wanted.software)
        .ok_or("there is no python3 to run promises with: install one")?;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut config = wanted.config.clone();
    config.insert("partition-folder".to_owned(), path(wanted.directory));
    config.insert("log-folder".to_owned(), path(&Log::folder(wanted.directory)));
    config.insert("promise-timeout".to_owned(), wanted.limits.timeout.as_secs_f64().to_string());
    config.insert("slapgrid-version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    // The host sets the limit of its start itself.
    let patience = Patience { deadline: Instant::now(), cancellation: wanted.cancellation };
    Host::start(&interpreter, wanted.directory, &config, &plugins, patience)
}

/// A check that was made.
struct Check {
    answer: Answer,
    started: Timestamp,
    seconds: f64,
}

fn check_each(room: &Room<'_>, open: &[&Entry<'_>], grace: Duration) -> Vec<Check> {
    let give_up = Instant::now() + grace;
    pool::map(open, AT_ONCE, |entry| entry.check(room, give_up))
}

/// A promise with what is known of it and what is to be done.
struct Entry<'p> {
    promise: &'p Promise,
    way: Way,
    cache: Option<Cache>,
    step: Step,
}

impl<'p> Entry<'p> {
    fn new(promise: &'p Promise, asked: Asked, state: &State) -> Self {
        let cache = state.cache(&promise.title, &promise.path);
        let step = plan::decide(asked, cache.as_ref());
        Self { promise, way: Way::of(promise), cache, step }
    }

    /// Until it does not fail, or it is time to `give_up`.
    fn check(&self, room: &Room<'_>, give_up: Instant) -> Check {
        // What cannot be tidied will not be writable either, and that is told.
        let _ = Log::new(room.directory, &self.promise.title).tidy();
        let mut pause = FIRST_RETRY;
        loop {
            let (started, clock) = (SystemClock.now(), Instant::now());
            let answer = room.check(self.promise, &self.way);
            let seconds = clock.elapsed().as_secs_f64();
            let fine = match &answer.outcome {
                Outcome::Said { failed, .. } => !failed,
                Outcome::Empty => true,
                Outcome::Nothing(_) => false,
            };
            let left = give_up.saturating_duration_since(Instant::now());
            if fine || left.is_zero() || room.cancellation.is_cancelled() {
                return Check { answer, started, seconds };
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Files what came of a check.
    fn conclude(&self, mode: Mode, check: Check, state: &State, checked: &mut Checked) {
        let Check { answer, started, seconds } = check;
        let title = &self.promise.title;
        let former = state.result(title);
        let cache = answer.traits.map(|traits| {
            let ran = answer.outcome != Outcome::Empty;
            cache_of(traits, epoch(started), ran)
        });
        let result = judged(answer.outcome, mode, former.as_ref()).map(|judged| PromiseResult {
            name: self.promise.name.clone(),
            title: title.clone(),
            path: self.promise.path.clone(),
            date: judged.date.unwrap_or_else(|| SystemClock.now()),
            seconds,
            periodicity: cache.as_ref().map_or(USUAL_PERIODICITY, seconds_of),
            failed: judged.failed,
            message: judged.message,
            kind: judged.kind,
            bang: judged.bang,
            checked: true,
        });
        let kept = cache.as_ref().map_or(Ok(()), |cache| state.set_cache(title, cache));
        let filed = result.as_ref().map_or(Ok(()), |result| state.set_result(result));
        if let Err(error) = kept.and(filed) {
            let name = &self.promise.name;
            checked.warnings.push(format!("the result of {name} cannot be filed: {error}"));
        }
        let due = match &cache {
            Some(cache) => plan::next(cache),
            None => Some(epoch(started) + USUAL_PERIODICITY),
        };
        checked.expect(due);
        checked.results.extend(result);
    }

    /// What it said before still counts, if it has something to say.
    fn skip(&self, state: &State, checked: &mut Checked) {
        checked.skipped += 1;
        checked.expect(self.cache.as_ref().and_then(plan::next));
        if self.step == Step::NotDue {
            let result = state.result(&self.promise.title);
            checked.results.extend(result.map(|result| PromiseResult {
                // What is in the file names only itself.
                name: self.promise.name.clone(),
                title: self.promise.title.clone(),
                path: self.promise.path.clone(),
                periodicity: self.cache.as_ref().map_or(USUAL_PERIODICITY, seconds_of),
                ..result
            }));
        }
    }
}

impl Checked {
    fn expect(&mut self, due: Option<f64>) {
        if let Some(due) = due.map(instant) {
            self.due = Some(self.due.map_or(due, |first| first.min(due)));
        }
    }
}

/// One that was made but had nothing to say may be asked the other thing at once.
fn cache_of(traits: Traits, started: f64, ran: bool) -> Cache {
    let minutes = traits.periodicity.as_f64().unwrap_or_default();
    Cache {
        is_tested: traits.tested,
        is_anomaly_detected: traits.anomaly_detected,
        next_run_after: if ran { started + minutes * 60.0 } else { started },
        periodicity: traits.periodicity,
        timestamp: started,
        module_file: traits.code,
        module_file_mtime: traits.changed,
    }
}

fn seconds_of(cache: &Cache) -> f64 {
    cache.periodicity.as_f64().unwrap_or_default() * 60.0
}

struct Judged {
    kind: Kind,
    failed: bool,
    bang: bool,
    date: Option<Timestamp>,
    message: String,
}

/// A promise that says nothing is broken; a watch forgives that once.
fn judged(outcome: Outcome, mode: Mode, former: Option<&PromiseResult>) -> Option<Judged> {
    match outcome {
        Outcome::Empty => None,
        Outcome::Said { kind, failed, bang, date, message } => {
            Some(Judged { kind, failed, bang, date, message })
        }
        Outcome::Nothing(message) => {
            let again =
                former.is_some_and(|f| f.failed || f.message.to_lowercase().contains("error:"));
            let (kind, failed) = match mode {
                Mode::Test => (Kind::Test, true),
                Mode::Anomaly => (Kind::Anomaly, again),
            };
            Some(Judged { kind, failed, bang: false, date: None, message })
        }
    }
}

#[cfg(test)]
mod tests;
