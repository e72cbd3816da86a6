//! `--log-file`: what is said on standard error, kept in a file as well, as cron's entries ask for.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use slapos_node::NodeError;
use slapos_sys::clock::{Clock as _, SystemClock, local_text};
use slapos_sys::process::inherited_fd;

static FILE: OnceLock<Mutex<File>> = OnceLock::new();

/// Appends to the file at `path` from now on.
///
/// # Errors
/// When it cannot be opened or made, or is a link or no ordinary file.
pub(crate) fn open(path: &Path) -> Result<(), NodeError> {
    let file = slapos_sys::fs::open_append(path, 0o644).map_err(|error| {
        NodeError::user(format!("cannot write the log {}: {error}", path.display()))
            .hint("name another file with --log-file; its directory must exist")
    })?;
    keep(file);
    Ok(())
}

/// Goes on with the log that whoever started this process has open as `fd`.
///
/// # Errors
/// When nothing is open there.
pub(crate) fn take(fd: RawFd) -> Result<(), NodeError> {
    let taken = inherited_fd(fd).map_err(|error| {
        NodeError::user(format!("the log cannot be taken over: {error}"))
            .hint("name a file with --log-file")
    })?;
    keep(File::from(taken));
    Ok(())
}

/// The log that is open, for a process that is to go on with it.
pub(crate) fn descriptor() -> Option<RawFd> {
    let file = FILE.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    Some(file.as_raw_fd())
}

/// Adds a line, if a log is open. One that cannot be written fails nothing.
pub(super) fn line(level: &str, subject: &str, text: &str) {
    let now = local_text(SystemClock.now(), "%Y-%m-%d %H:%M:%S");
    add(format!("{now} {level} {subject}: {text}\n").as_bytes());
}

/// Adds what is written to it in the same way.
pub(super) struct Kept;

impl Write for Kept {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        add(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn add(text: &[u8]) {
    let Some(file) = FILE.get() else { return };
    let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(text);
}

/// There is one log for a process.
fn keep(file: File) {
    let _ = FILE.set(Mutex::new(file));
}
