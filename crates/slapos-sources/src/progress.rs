//! How long work tells its watcher where it is, and learns that it should stop.

/// Watches a fetch or an extraction. Called from the thread that works; it should return quickly.
pub trait Progress: Sync {
    /// `done` bytes of `total` are there; `total` is `None` while it is not known.
    fn bytes(&self, done: u64, total: Option<u64>) {
        let _ = (done, total);
    }

    /// What is being done now, one line for people.
    fn text(&self, text: &str) {
        let _ = text;
    }

    /// True when the work should stop as soon as it can.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
