//! Keeps shared parts where they are while a build relies on them.
//!
//! A build holds each list of shared parts, together with other builds, from the first look at it
//! until what it uses is recorded; [`crate::SharedStore`] takes parts away only while it holds the
//! list alone. A list that does not exist yet is held from when it is made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slapos_sys::lock::DirectoryLock;

use crate::cancel::Cancellation;

/// How often a list that is being pruned is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// The lists that one run holds; let go when dropped.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<HashMap<PathBuf, DirectoryLock>>);

impl Holds {
    /// Holds `lists`, those that exist, waiting while one is pruned. A list of somebody else cannot
    /// be held: its owner, who prunes it, has to know who uses it.
    pub(crate) fn take(&self, lists: &[PathBuf], cancellation: &Cancellation) {
        lists.iter().for_each(|list| self.take_one(list, cancellation));
    }

    fn take_one(&self, list: &Path, cancellation: &Cancellation) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(list) {
            return;
        }
        while let Ok(found) = DirectoryLock::try_share(list) {
            if let Some(lock) = found {
                held.insert(list.to_owned(), lock);
                return;
            }
            if cancellation.is_cancelled() {
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}
