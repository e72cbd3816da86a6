//! `--log-file`: what is said on standard error, kept in a file as well, as cron's entries ask for.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use slapos_node::NodeError;
use slapos_sys::clock::{Clock as _, SystemClock, local_text};

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
    // There is one log for a process.
    let _ = FILE.set(Mutex::new(file));
    Ok(())
}

/// Adds a line, if a log is open. One that cannot be written fails nothing.
pub(super) fn line(level: &str, subject: &str, text: &str) {
    let Some(file) = FILE.get() else { return };
    let now = local_text(SystemClock.now(), "%Y-%m-%d %H:%M:%S");
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = file.write_all(format!("{now} {level} {subject}: {text}\n").as_bytes());
}
