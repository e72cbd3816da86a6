//! Keeps the logs of parts from filling the disk: what commands print goes straight to them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use slapos_sys::fs;

/// A log that is longer is cut, bytes.
const MOST: u64 = 64 << 20;
/// What stays of its end, bytes: more than an error shows.
const KEPT: u64 = 1 << 20;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Cuts long logs in a directory until it is dropped.
pub(super) struct LogKeeper(Option<Sender<()>>);

impl LogKeeper {
    /// Looks after the logs of the buildout in `directory`.
    pub(super) fn start(directory: &Path) -> Self {
        let (stop, stopped) = channel();
        let logs = directory.join(".slapos/log");
        let looking = std::thread::Builder::new().name("log keeper".to_owned());
        // Without it nothing is worse than before.
        let started = looking.spawn(move || keep(&logs, &stopped));
        Self(started.is_ok().then_some(stop))
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        self.0.take();
    }
}

fn keep(logs: &Path, stopped: &Receiver<()>) {
    while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        for log in long_ones(logs, MOST) {
            // It may be gone again, or no log.
            let _ = cut(&log, KEPT);
        }
    }
}

fn long_ones(logs: &Path, most: u64) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(logs).into_iter().flatten().flatten();
    let long = entries
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > most));
    long.map(|entry| entry.path()).collect()
}

/// Leaves of `log` the lines in its last `kept` bytes. Whoever appends to it goes on.
fn cut(log: &Path, kept: u64) -> std::io::Result<()> {
    let length = std::fs::symlink_metadata(log)?.len();
    let end = fs::tail(log, kept)?;
    let mut file = fs::open_append(log, 0o644)?;
    file.set_len(0)?;
    let left_out = length.saturating_sub(end.len() as u64);
    writeln!(file, "[slapos left {left_out} bytes out of this log here]")?;
    file.write_all(end.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_stays() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("a.log");
        fs::write_atomic(&log, b"beginning, middle, end", 0o644).unwrap();
        let mut writer = fs::open_append(&log, 0o644).unwrap();
        assert_eq!(long_ones(dir.path(), 10), std::slice::from_ref(&log));
        cut(&log, 3).unwrap();
        writer.write_all(b" and on").unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text, "[slapos left 19 bytes out of this log here]\nend and on");
        assert!(long_ones(dir.path(), 100).is_empty());
    }
}
