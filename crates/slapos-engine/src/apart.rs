//! Output of one command among several that run for a part at the same time: each has a file
//! without a name, from which whole lines come to the part's log while the command runs. So lines
//! of two commands are never mixed, and an error shows the end of its own command's output.
//!
//! No pipe: what a command leaves running neither keeps us waiting nor is ended by our going on,
//! and a command that says much never waits for us. Of a run that is killed the log lacks at most
//! what its commands said since they were last looked at.
//!
//! The file takes no more room than what is not copied yet, [`MOST`] of it, and some that is. A command
//! may cut it (`>/dev/stderr`): what it says from then on is copied from the file's beginning.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use slapos_sys::fs::{nameless, punch_out};
use slapos_sys::process::wait_within;

/// How often it is looked whether a command said something.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes that are copied at once. A longer line comes in pieces.
const PIECE: usize = 64 * 1024;
/// What stays of what is copied, bytes: more than an error shows. Room is given back in pieces as long.
const KEPT: u64 = 1 << 20;
/// The most that may wait to be copied, bytes: a log is not let grow longer either.
const MOST: u64 = 64 << 20;

/// What one command says.
pub(crate) struct Output {
    file: File,
    copied: u64,
    /// Up to where its room was given back.
    given_back: u64,
}

impl Output {
    /// Room for it on the file system of `directory`.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: nameless(directory)?, copied: 0, given_back: 0 })
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
            self.keep_up(log)?;
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
            self.give_back();
            if end && whole == length && length < PIECE && !found.ends_with(b"\n") {
                log.write_all(b"\n")?;
            }
        }
    }

    /// Begins again in a file that was cut, and leaves out of the log what a command that says more than
    /// can be copied is ahead.
    fn keep_up(&mut self, mut log: &File) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length < self.copied {
            (self.copied, self.given_back) = (0, 0);
        }
        if length - self.copied <= MOST {
            return Ok(());
        }
        let left_out = length - KEPT - self.copied;
        self.copied += left_out;
        self.give_back();
        writeln!(log, "[slapos left {left_out} bytes out of this log here]")
    }

    /// Gives back the room of what is copied, but for its end. Where the file system cannot, the file is
    /// emptied when it is long, and lacks what was said in that moment.
    fn give_back(&mut self) {
        let end = self.copied.saturating_sub(KEPT) / KEPT * KEPT;
        if end <= self.given_back {
            return;
        }
        self.given_back = end;
        if punch_out(&self.file, 0, end).is_err() && self.copied > MOST {
            let _ = self.file.set_len(0);
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

    /// A log, and the output of a command.
    fn files() -> (File, Output) {
        let dir = tempfile::tempdir().unwrap();
        (nameless(dir.path()).unwrap(), Output::new(dir.path()).unwrap())
    }

    fn text(log: &File) -> String {
        let mut bytes = vec![0; usize::try_from(log.metadata().unwrap().len()).unwrap()];
        log.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn whole_lines_come_at_once_and_the_rest_at_the_end() {
        let (log, mut output) = files();
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
        let (log, mut output) = files();
        let long = "x".repeat(PIECE + 7) + "\n" + &"line\n".repeat(PIECE);
        output.for_command().unwrap().write_all(long.as_bytes()).unwrap();
        output.copy(&log, false).unwrap();
        assert_eq!(text(&log), long);
        output.copy(&log, true).unwrap();
        assert_eq!(text(&log), long);
    }

    #[test]
    fn what_is_copied_takes_no_room() {
        use std::os::unix::fs::MetadataExt as _;
        let (log, mut output) = files();
        if let Err(error) = punch_out(&log, 0, 1) {
            let mut err = io::stderr();
            return writeln!(err, "SKIPPED what_is_copied_takes_no_room: {error}").unwrap();
        }
        let lines = "a line of words\n".repeat(1 << 16);
        for _ in 0..8 {
            output.for_command().unwrap().write_all(lines.as_bytes()).unwrap();
            output.copy(&log, false).unwrap();
        }
        let room = |file: &File| file.metadata().unwrap().blocks() * 512;
        assert!(room(&output.file) <= 3 * KEPT, "{}", room(&output.file));
        assert_eq!(text(&log), lines.repeat(8));
        output.for_command().unwrap().write_all(b"at last\n").unwrap();
        output.copy(&log, true).unwrap();
        assert_eq!(output.end(25).unwrap(), "a line of words\nat last\n");
    }

    #[test]
    fn what_nobody_could_copy_is_left_out() {
        let (log, mut output) = files();
        let mut command = output.for_command().unwrap();
        command.write_all(b"first\n").unwrap();
        output.copy(&log, false).unwrap();
        output.file.set_len(MOST + KEPT).unwrap();
        command.write_all(b"\nlast\n").unwrap();
        output.copy(&log, false).unwrap();
        let text = text(&log);
        let left_out = MOST + "\nlast\n".len() as u64 - "first\n".len() as u64;
        let told = format!("first\n[slapos left {left_out} bytes out of this log here]\n");
        assert!(text.starts_with(&told), "{}", &text[..100]);
        assert!(text.ends_with("\nlast\n"));
        assert_eq!(text.len() as u64, told.len() as u64 + KEPT);
    }

    #[test]
    fn a_command_that_opens_its_output_anew_is_heard() {
        let (log, mut output) = files();
        let mut command = output.for_command().unwrap();
        command.write_all(b"what was said before\n").unwrap();
        output.copy(&log, false).unwrap();
        let mut shell = slapos_sys::process::Command::new("/bin/sh");
        shell.args(["-c", "echo anew >/dev/stderr; echo and on"]);
        shell.stdout(command.try_clone().unwrap()).stderr(command);
        assert!(shell.status().unwrap().success());
        output.copy(&log, false).unwrap();
        assert_eq!(text(&log), "what was said before\nanew\nand on\n");
        assert_eq!(output.end(100).unwrap(), "anew\nand on\n");
    }
}
