//! The daemon's own log: one line for everything it does, with the reason.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::tz::TimeZone;
use slapos_sys::clock::{Clock, SystemClock};

/// Bytes above which the log is rotated, and how many old ones are kept.
pub(crate) const MAX_BYTES: u64 = 10 << 20;
pub(crate) const BACKUPS: u32 = 5;

/// Appends lines to the log. A full disk loses lines, nothing else.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the log for appending.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = slapos_sys::fs::open_append(path, 0o644)?;
        Ok(Self { file })
    }

    /// Something happened as it should.
    pub(crate) fn info(&mut self, text: &str) {
        self.line("INFO", text);
    }

    /// Something is wrong but the daemon goes on.
    pub(crate) fn warn(&mut self, text: &str) {
        self.line("WARN", text);
    }

    fn line(&mut self, level: &str, text: &str) {
        let now = SystemClock.now().to_zoned(TimeZone::system());
        let time = now.strftime("%Y-%m-%d %H:%M:%S,%3f");
        // What a program's name or error holds must not look like a line of ours.
        let text = text.replace('\n', "\n  ");
        // One write, so that lines of two writers do not mix.
        let _ = self.file.write_all(format!("{time} {level} {text}\n").as_bytes());
    }
}
