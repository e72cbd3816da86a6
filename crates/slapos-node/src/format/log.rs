//! What a run says, also to `log_file`, in the lines of the original.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use slapos_engine::Event;
use slapos_sys::clock::Clock;
use slapos_sys::fs;

use crate::error::{IoContext, NodeError};
use crate::reporter::Reporter;

/// Tells another reporter everything, and writes it down.
pub(super) struct Logged<'a> {
    inner: &'a dyn Reporter,
    clock: &'a dyn Clock,
    file: Mutex<File>,
}

impl<'a> Logged<'a> {
    /// Appends to the file at `path`, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be opened, or is no ordinary file.
    pub(super) fn new(
        inner: &'a dyn Reporter,
        clock: &'a dyn Clock,
        path: &Path,
    ) -> Result<Self, NodeError> {
        let file = fs::open_append(path, 0o644).context("open `log_file`", path)?;
        Ok(Self { inner, clock, file: Mutex::new(file) })
    }

    /// A log that cannot be written, on a full disk, must not keep the node from its work.
    pub(super) fn line(&self, level: &str, text: &str) {
        let now = self.clock.now().strftime("%Y-%m-%d %H:%M:%S,%3f");
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = writeln!(file, "[{now}] {level:<8} {text}");
    }
}

impl Reporter for Logged<'_> {
    fn note(&self, subject: &str, text: &str) {
        self.line("INFO", text);
        self.inner.note(subject, text);
    }

    fn warn(&self, subject: &str, text: &str) {
        self.line("WARNING", text);
        self.inner.warn(subject, text);
    }

    fn part(&self, subject: &str, event: &Event) {
        self.inner.part(subject, event);
    }

    fn failed(&self, subject: &str, error: &NodeError) {
        self.line("ERROR", &error.to_string());
        self.inner.failed(subject, error);
    }
}
