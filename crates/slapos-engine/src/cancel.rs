//! Stopping a run: one flag, and the process groups that must hear of it.
//!
//! Nothing here installs a signal handler: whoever owns the process calls [`Cancellation::cancel`]
//! from wherever it learns of SIGTERM or ^C.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slapos_sys::process::{self, Signal};

/// How long a command has to end after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A request to stop, shared by all who must hear it; clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: AtomicBool,
    /// Process groups of running commands: leader's pid → its start time, so that a number that
    /// was reused is never signalled.
    groups: Mutex<BTreeMap<u32, u64>>,
}

impl Cancellation {
    /// A request nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// True once [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Asks the run to stop: no part is started any more, and running commands get SIGTERM, and
    /// SIGKILL five seconds later. Returns at once, and may be called from any thread and any
    /// number of times, but not inside a signal handler.
    pub fn cancel(&self) {
        if self.0.asked.swap(true, Ordering::SeqCst) {
            return;
        }
        self.signal(Signal::SIGTERM);
        let this = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(GRACE);
            this.signal(Signal::SIGKILL);
        });
    }

    /// Remembers a running command until the guard is dropped. A command that started while the
    /// request was made is told at once.
    pub(crate) fn watch(&self, pid: u32) -> Watched<'_> {
        if let Some(start) = process::start_time(pid) {
            self.groups().insert(pid, start);
        }
        if self.is_cancelled() {
            self.signal(Signal::SIGTERM);
        }
        Watched { owner: self, pid }
    }

    fn groups(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, u64>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signals all groups whose leader still is who it was.
    fn signal(&self, signal: Signal) {
        let groups = self.groups();
        for (pid, start) in groups.iter() {
            if process::alive(*pid, *start) {
                // It may have ended just now, and then it needs no signal.
                let _ = process::kill_group(*pid, signal);
            }
        }
    }
}

/// A running command that is told when the run is stopped.
pub(crate) struct Watched<'a> {
    owner: &'a Cancellation,
    pid: u32,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.owner.groups().remove(&self.pid);
    }
}

// Whoever learns of the wish to stop is another thread than the one that works.
const _: fn() = || {
    fn handed_around<T: Clone + Send + Sync + 'static>() {}
    handed_around::<Cancellation>();
};
