//! The audit log: who changed what, and who was refused.
//!
//! Entries are gathered for a moment and written together, so that the log costs no write for each
//! request. What was answered in the last moment before the Master is killed may be missing in it;
//! after an orderly end nothing is.

use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::App;
use crate::store::Entry;

/// How long entries are gathered.
const MOMENT: Duration = Duration::from_millis(300);

/// So many are written at once, without waiting for more.
const MANY: usize = 1000;

/// The longest text about what was touched, in bytes.
const LONGEST: usize = 200;

tokio::task_local! {
    static ABOUT: RefCell<String>;
}

/// Notes what the present request is about, for its entry.
pub(crate) fn about(thing: impl Display) {
    let _ = ABOUT.try_with(|about| {
        let mut text = thing.to_string();
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        about.replace(text);
    });
}

/// Runs a handler; also returns what it said that the request is about.
pub(super) async fn listening<T>(handler: impl Future<Output = T>) -> (T, String) {
    ABOUT
        .scope(RefCell::default(), async {
            let answer = handler.await;
            (answer, ABOUT.with(RefCell::take))
        })
        .await
}

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Audit {
    waiting: Mutex<Vec<Entry>>,
    /// Held while entries are written, so that who waits for it knows that they are.
    writing: tokio::sync::Mutex<()>,
}

impl Audit {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        // Nothing that can panic is done under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Takes an entry into the log.
    pub(super) async fn note(self: &Arc<App>, entry: Entry) {
        let waiting = {
            let mut waiting = self.audit.waiting();
            waiting.push(entry);
            waiting.len()
        };
        if waiting == 1 {
            let app = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(MOMENT).await;
                app.write_audit().await;
            });
        } else if waiting >= MANY {
            self.write_audit().await;
        }
    }

    /// Writes what waits. What cannot be written is told in the Master's own log.
    pub(crate) async fn write_audit(&self) {
        let _writing = self.audit.writing.lock().await;
        let entries = std::mem::take(&mut *self.audit.waiting());
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self.store.keep_audit(&entries).await {
            tracing::error!("the audit log was not written: {error}");
            for entry in &entries {
                tracing::warn!("not in the audit log: {entry:?}");
            }
        }
    }
}
