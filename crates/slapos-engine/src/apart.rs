//! Output of one command among several that run for a part at the same time: each has a file
//! without a name, from which whole lines come to the part's log while the command runs. So lines
//! of two commands are never mixed, and an error shows the end of its own command's output.
//!
//! No pipe: what a command leaves running neither keeps us waiting nor is ended by our going on,
//! and a command that says much never waits for us. Of a run that is killed the log lacks at most
//! what its commands said since they were last looked at.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use slapos_sys::process::wait_within;

/// How often it is looked whether a command said something.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes that are copied at once. A longer line comes in pieces.
const PIECE: usize = 64 * 1024;

/// What one command says.
pub(crate) struct Output {
    file: File,
    copied: u64,
}

impl Output {
    /// Room for it on the file system of `directory`.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: slapos_sys::fs::nameless(directory)?, copied: 0 })
    }

    /// The file, for the command.
    pub(crate) fn for_command(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Waits for `child`, while what it says is added to `log`. A log that cannot be written ends
    /// nothing.
    pub(crate) fn follow(&mut self, child: &mut Child, log: &File) -> io::Result<ExitStatus> {
        loop {
            let ended = wait_within(child, LOOK)?;
            let _ = self.copy(log, ended.is_some());
            if let Some(status) = ended {
                return Ok(status);
            }
        }
    }

    /// Copies what came since the last time: whole lines, or everything if it is the `end`.
    fn copy(&mut self, mut log: &File, end: bool) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = self.file.read_at(&mut piece, self.copied)?;
            let found = &piece[..length];
            let whole = match found.iter().rposition(|byte| *byte == b'\n') {
                Some(last) => last + 1,
                None if end || length == PIECE => length,
                None => 0,
            };
            if whole == 0 {
                return Ok(());
            }
            log.write_all(&found[..whole])?;
            self.copied += whole as u64;
            if end && whole == length && length < PIECE && !found.ends_with(b"\n") {
                log.write_all(b"\n")?;
            }
        }
    }

    /// The last `most` bytes, from the start of a line.
    pub(crate) fn end(&self, most: u64) -> io::Result<String> {
        let start = self.file.metadata()?.len().saturating_sub(most);
        let mut bytes = vec![0; usize::try_from(most).map_err(io::Error::other)?];
        let mut length = 0;
        while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            match self.file.read_at(room, start + length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Ok(match text.split_once('\n') {
            Some((_, whole)) if start > 0 => whole.to_owned(),
            _ => text,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests look at files directly")]
    use super::*;

    fn text(log: &File) -> String {
        let mut bytes = vec![0; usize::try_from(log.metadata().unwrap().len()).unwrap()];
        log.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn whole_lines_come_at_once_and_the_rest_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = slapos_sys::fs::nameless(dir.path()).unwrap();
        let mut output = Output::new(dir.path()).unwrap();
        let mut command = output.for_command().unwrap();
        command.write_all(b"one\ntw").unwrap();
        output.copy(&log, false).unwrap();
        assert_eq!(text(&log), "one\n");
        command.write_all(b"o").unwrap();
        output.copy(&log, false).unwrap();
        assert_eq!(text(&log), "one\n");
        output.copy(&log, true).unwrap();
        assert_eq!(text(&log), "one\ntwo\n");
        assert_eq!(output.end(6).unwrap(), "two");
        assert_eq!(output.end(100).unwrap(), "one\ntwo");
    }

    #[test]
    fn more_than_a_piece_is_copied_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = slapos_sys::fs::nameless(dir.path()).unwrap();
        let mut output = Output::new(dir.path()).unwrap();
        let long = "x".repeat(PIECE + 7) + "\n" + &"line\n".repeat(PIECE);
        output.for_command().unwrap().write_all(long.as_bytes()).unwrap();
        output.copy(&log, false).unwrap();
        assert_eq!(text(&log), long);
        output.copy(&log, true).unwrap();
        assert_eq!(text(&log), long);
    }
}
