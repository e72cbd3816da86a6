//! The audit log: who changed what, and who was refused. What of it is kept says each route
//! ([`super::access::Audited`]).
//!
//! Entries are gathered for a moment and written together, so that the log costs no write for each
//! request. What was answered in the last moment before the Master is killed may be missing in it,
//! unless it made or took back what somebody proves himself by, or on which depends what he may do: that
//! is written before it is answered. After an orderly end nothing is missing, and what cannot be written is
//! tried again. Who goes away before he is answered is noted with what he asked for; of nodes and instances
//! only what they may have changed. What is refused again within a minute, or asked again of which it is not
//! known whether it was done, is noted once, so that a program that goes wild does not fill it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use slapos_slap::{ComputerId, InstanceRequest, SoftwareState, SoftwareUrl};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::App;
use super::rate::network;
use crate::connections::Refusal;
use crate::store::AuditEntry;

/// How long entries are gathered.
const MOMENT: Duration = Duration::from_millis(300);

/// So many are written at once, without waiting for more.
const MANY: usize = 1000;

/// When it is tried again to write what could not be written.
const LATER: Duration = Duration::from_secs(2);

/// So many may wait to be written.
const MOST: usize = 10_000;

/// What is not done for the same caller at the same route is noted again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// Refusals, and what may be done or not, that are remembered for that; beyond them all are forgotten.
const REMEMBERED: usize = 10_000;

/// See [`left`].
const LEFT: u16 = 499;

/// The longest text about what was touched, in bytes.
const LONGEST: usize = 200;

tokio::task_local! {
    static SAID: RefCell<Said>;
}

/// What a handler said of a request.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What it is about.
    pub(super) about: String,
    /// Whether it changed something that is kept in the log whoever changes it, or was about to.
    pub(super) changed: bool,
}

/// Notes what the present request is about, for its entry.
pub(crate) fn about(thing: impl Display) {
    let _ = SAID.try_with(|said| {
        let mut text = thing.to_string();
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        said.borrow_mut().about = text;
    });
}

/// Which instance a request asks for, and in which state.
pub(super) fn wish(project: &str, request: &InstanceRequest) -> String {
    let mut words = request.title.to_string();
    if !project.is_empty() {
        words = format!("{project}/{words}");
    }
    if let Some(state) = request.state {
        words = format!("{words} {state}");
    }
    words
}

/// Which Software Release is wanted where, or is not any more.
pub(super) fn supply(computer: &ComputerId, url: &SoftwareUrl, state: SoftwareState) -> String {
    format!("{computer}: {state} {url}")
}

/// Notes that the present request changes something, if it does. What may be done although nobody waits for
/// the end any more is noted before it is made sure; if that is refused, it counts for nothing.
pub(super) fn changed_if(changed: bool) {
    let _ = SAID.try_with(|said| said.borrow_mut().changed |= changed);
}

/// Runs a handler; also returns what it said that the request is about. If nobody waits for its end,
/// `left` is told what it had said so far.
pub(super) async fn listening<T>(
    handler: impl Future<Output = T>,
    left: impl FnOnce(Said),
) -> (T, Said) {
    let scope = async {
        let mut left = Left(Some(left));
        let answer = handler.await;
        left.0 = None;
        (answer, SAID.with(RefCell::take))
    };
    SAID.scope(RefCell::default(), scope).await
}

/// What is to be done with what a handler said whose end nobody waits for.
struct Left<F: FnOnce(Said)>(Option<F>);

impl<F: FnOnce(Said)> Drop for Left<F> {
    fn drop(&mut self) {
        if let Some(left) = self.0.take() {
            left(SAID.try_with(RefCell::take).unwrap_or_default());
        }
    }
}

/// How it is told that whoever asked went away before he was answered, so that it is not known whether
/// it was done: as some proxies do, by a status that no answer has.
pub(super) fn left() -> StatusCode {
    StatusCode::from_u16(LEFT).unwrap_or(StatusCode::REQUEST_TIMEOUT)
}

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Audit {
    waiting: Mutex<Vec<AuditEntry>>,
    /// When it was last noted of a caller that at a route something was not done, or perhaps not, and how.
    refused: Mutex<HashMap<(String, String), Instant>>,
    /// Held while entries are written, so that who waits for it knows that they are.
    writing: tokio::sync::Mutex<()>,
}

impl Audit {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<AuditEntry>> {
        // Nothing that can panic is done under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is to be written; how many wait now.
    fn take(&self, entry: AuditEntry) -> usize {
        let mut waiting = self.waiting();
        waiting.push(entry);
        keep_latest(&mut waiting);
        waiting.len()
    }

    /// Takes back what could not be written, before what came since.
    fn put_back(&self, entries: Vec<AuditEntry>) {
        let mut waiting = self.waiting();
        waiting.splice(..0, entries);
        keep_latest(&mut waiting);
    }

    /// Whether it was done, or was not noted a moment ago.
    fn is_news(&self, entry: &AuditEntry, now: Instant) -> bool {
        let AuditEntry { caller, method, route, about, outcome, .. } = entry;
        if *outcome < 400 {
            return true;
        }
        // What was perhaps done has to be there, each of it.
        let about = if *outcome == LEFT || *outcome >= 500 { about.as_str() } else { "" };
        let key = (caller.clone(), format!("{method} {route} {outcome} {about}"));
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < AGAIN) {
            return false;
        }
        if refused.len() >= REMEMBERED {
            refused.clear();
        }
        refused.insert(key, now);
        true
    }
}

impl App {
    /// Takes an entry into the log, unless the same was not done a moment ago; whether it did.
    pub(super) async fn note(self: &Arc<App>, entry: AuditEntry) -> bool {
        let Some(waiting) = self.gather(entry) else { return false };
        if waiting >= MANY {
            self.write_audit().await;
        }
        true
    }

    /// The same; how many wait to be written now, if it did.
    pub(super) fn gather(self: &Arc<App>, entry: AuditEntry) -> Option<usize> {
        if !self.audit.is_news(&entry, Instant::now()) {
            return None;
        }
        let waiting = self.audit.take(entry);
        // There is none any more where all ends.
        let runtime = Handle::try_current().ok().filter(|_| waiting == 1);
        if let Some(runtime) = runtime {
            let app = Arc::clone(self);
            runtime.spawn(async move {
                tokio::time::sleep(MOMENT).await;
                while !app.write_audit().await {
                    tokio::time::sleep(LATER).await;
                }
            });
        }
        Some(waiting)
    }

    /// Notes whose certificates are refused before there is a request, for as long as they may come.
    pub(crate) async fn note_refused(self: Arc<App>, mut refusals: mpsc::Receiver<Refusal>) {
        while let Some((address, refused)) = refusals.recv().await {
            // Who fails all the time is not told of all the time, whatever addresses he has.
            if self.failures.take(network(address), Instant::now()).is_err() {
                continue;
            }
            let entry = AuditEntry {
                at: self.store.time(),
                caller: format!("stranger at {}", address.to_canonical()),
                method: "TLS".to_owned(),
                route: "handshake".to_owned(),
                about: refused.to_string(),
                outcome: 401,
            };
            if self.note(entry).await {
                tracing::warn!("refused a TLS handshake of {}: {refused}", address.to_canonical());
            }
        }
    }

    /// Writes what waits; whether nothing waits for another try. (Who is cut off meanwhile has not lost
    /// what he took: it is written by a task of its own.)
    pub(crate) async fn write_audit(self: &Arc<App>) -> bool {
        let app = Arc::clone(self);
        let write = async move {
            let _writing = app.audit.writing.lock().await;
            let entries = std::mem::take(&mut *app.audit.waiting());
            if entries.is_empty() {
                return true;
            }
            let Err(error) = app.store.keep_audit(&entries).await else { return true };
            tracing::error!("the audit log was not written, and is tried again: {error}");
            app.audit.put_back(entries);
            false
        };
        tokio::spawn(write).await.unwrap_or(false)
    }

    /// Writes what waits, for the last time. What cannot be written is told in the Master's own log.
    pub(crate) async fn close_audit(self: &Arc<App>) {
        if !self.write_audit().await {
            tell_lost(std::mem::take(&mut *self.audit.waiting()));
        }
    }
}

/// Leaves no more than may wait: the latest.
fn keep_latest(waiting: &mut Vec<AuditEntry>) {
    let lost = waiting.len().saturating_sub(MOST);
    tell_lost(waiting.drain(..lost));
}

/// Tells in the Master's own log what the audit log does not have.
fn tell_lost(entries: impl IntoIterator<Item = AuditEntry>) {
    for entry in entries {
        tracing::warn!("not in the audit log: {entry:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_waits_before_what_came_since() {
        let entries = |places: std::ops::Range<i64>| -> Vec<_> {
            places.map(|at| AuditEntry { at, ..AuditEntry::default() }).collect()
        };
        let audit = Audit::default();
        audit.waiting().extend(entries(4..6));
        audit.put_back(entries(0..4));
        assert_eq!(*audit.waiting(), entries(0..6));
        let many = i64::try_from(MOST).unwrap();
        audit.put_back(entries(10..10 + many));
        let waiting = audit.waiting();
        assert_eq!((waiting.len(), waiting[0].at, waiting[MOST - 1].at), (MOST, 16, 5));
        drop(waiting);
        // Also of who does not wait for his answer.
        assert_eq!(audit.take(AuditEntry::default()), MOST);
        assert_eq!(audit.waiting()[0].at, 17);
    }

    #[tokio::test]
    async fn that_something_changes_is_known_also_of_who_is_cut_off() {
        async fn changing() {
            about("it");
            changed_if(true);
            changed_if(false);
            std::future::pending::<()>().await;
        }
        // Its time is over.
        let late = listening(tokio::time::timeout(Duration::ZERO, changing()), |_| ());
        let (answer, said) = late.await;
        assert!(answer.is_err() && said.changed && said.about == "it");
        // Nobody waits for it.
        let told = std::cell::Cell::new(None);
        let left = listening(changing(), |said| told.set(Some(said.changed)));
        assert!(tokio::time::timeout(Duration::ZERO, left).await.is_err());
        assert_eq!(told.get(), Some(true));
    }

    #[test]
    fn a_refusal_is_noted_once_a_minute() {
        let entry = |caller: &str, outcome| AuditEntry {
            at: 0,
            caller: caller.to_owned(),
            method: "GET".to_owned(),
            route: "/x".to_owned(),
            about: String::new(),
            outcome,
        };
        let audit = Audit::default();
        let start = Instant::now();
        assert!(audit.is_news(&entry("a", 403), start));
        assert!(!audit.is_news(&entry("a", 403), start + AGAIN / 2));
        assert!(audit.is_news(&entry("b", 403), start) && audit.is_news(&entry("a", 201), start));
        assert!(audit.is_news(&entry("a", 201), start), "what was done is always noted");
        assert!(audit.is_news(&entry("a", 403), start + AGAIN));
        // What does not fit or is not there is refused too.
        assert!(audit.is_news(&entry("a", 404), start) && !audit.is_news(&entry("a", 404), start));
    }

    #[test]
    fn what_may_be_done_is_noted_once_a_minute_each_of_it() {
        let entry = |about: &str, outcome| AuditEntry {
            about: about.to_owned(),
            outcome,
            ..AuditEntry::default()
        };
        let audit = Audit::default();
        let start = Instant::now();
        for outcome in [LEFT, 503] {
            assert!(audit.is_news(&entry("one", outcome), start));
            assert!(!audit.is_news(&entry("one", outcome), start + AGAIN / 2));
            assert!(audit.is_news(&entry("two", outcome), start));
            assert!(audit.is_news(&entry("one", outcome), start + AGAIN));
        }
        // Of what is refused it does not matter what it was.
        assert!(audit.is_news(&entry("one", 404), start));
        assert!(!audit.is_news(&entry("two", 404), start));
    }
}
