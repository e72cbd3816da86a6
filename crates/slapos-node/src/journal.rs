//! What the node did with each partition and Software Release, and why: for `slapos explain`.
//!
//! One JSON object a line, appended when something was done; nothing is decided by it, so a line
//! that a full disk swallows is no error. Kept under the instance root's `var`, where partitions
//! cannot write, a bounded length for each subject.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_engine::{Action, Event};
use slapos_sys::clock::Timestamp;
use slapos_sys::fs;

/// Bytes of one subject's file, of which there are two.
const LONGEST: u64 = 512 << 10;
/// Characters kept of a message.
const LONGEST_TEXT: usize = 500;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "kebab-case")]
pub(crate) enum Deed {
    /// An instance is processed, or a Software Release built.
    Begun {
        /// What: `process`, `build`.
        what: String,
        /// Why.
        reason: String,
    },
    /// That came to its end.
    Ended {
        /// What went wrong, if anything did.
        error: Option<String>,
    },
    /// A part was made, or taken away.
    Part {
        /// Its name.
        part: String,
        /// What was done.
        action: Action,
        /// Why.
        reason: String,
    },
    /// It could not be.
    PartFailed {
        /// Its name.
        part: String,
        /// Why not.
        message: String,
    },
    /// Anything else, in words.
    Note {
        /// The words.
        text: String,
    },
}

/// A deed and when it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When.
    pub(crate) at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub(crate) deed: Deed,
}

/// The journal of a node.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// That below `instance_root`; the directory is made when something is written.
    pub(crate) fn new(instance_root: &Path) -> Self {
        Self { directory: instance_root.join("var/slapgrid/journal") }
    }

    /// Writes down what was done with `subject`: a partition, or the directory of a Software
    /// Release.
    pub(crate) fn write(&self, subject: &str, at: Timestamp, deed: Deed) {
        let Ok(mut text) = serde_json::to_string(&Line { at, deed: deed.shortened() }) else {
            return;
        };
        text.push('\n');
        let _ = self.append(subject, text.as_bytes());
    }

    /// As [`write`](Self::write), if the event of a run is one that changes a part.
    pub(crate) fn event(&self, subject: &str, at: Timestamp, event: &Event) {
        let deed = match event {
            Event::PartStarted { part, action, reason } if *action != Action::Keep => {
                Deed::Part { part: part.clone(), action: *action, reason: reason.clone() }
            }
            Event::PartFailed { part, message, .. } => {
                Deed::PartFailed { part: part.clone(), message: message.clone() }
            }
            _ => return,
        };
        self.write(subject, at, deed);
    }

    fn append(&self, subject: &str, line: &[u8]) -> std::io::Result<()> {
        let path = self.path(subject);
        match path.metadata() {
            Ok(meta) if meta.len() > LONGEST => fs::rename(&path, &path.with_extension("old"))?,
            Ok(_) => {}
            Err(_) => fs::create_dir_all(&self.directory, 0o700)?,
        }
        // One write, so that lines of two processes do not mix.
        fs::open_append(&path, 0o600)?.write_all(line)
    }

    /// What was done with `subject`, oldest first. Lines that cannot be understood are left out.
    pub(crate) fn read(&self, subject: &str) -> Vec<Line> {
        let path = self.path(subject);
        let files = [path.with_extension("old"), path];
        let files = files.iter().filter_map(|path| fs::open_ordinary(path).ok());
        let lines = files.flat_map(|file| BufReader::new(file).lines().map_while(Result::ok));
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// All that something was done with, by name.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut subjects: Vec<_> =
            names.filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned())).collect();
        subjects.sort();
        subjects
    }

    fn path(&self, subject: &str) -> PathBuf {
        self.directory.join(format!("{subject}.jsonl"))
    }
}

impl Deed {
    /// Work of the kind `what` begins because of `reason`.
    pub(crate) fn begun(what: &str, reason: &impl std::fmt::Display) -> Self {
        Self::Begun { what: what.to_owned(), reason: reason.to_string() }
    }

    /// It came to `result`.
    pub(crate) fn ended<T>(result: &Result<T, crate::error::NodeError>) -> Self {
        Self::Ended { error: result.as_ref().err().map(ToString::to_string) }
    }

    fn shortened(self) -> Self {
        let cut = |mut text: String| {
            if crate::text::cut(&mut text, LONGEST_TEXT) {
                text.push('…');
            }
            text
        };
        match self {
            Self::Begun { what, reason } => Self::Begun { what, reason: cut(reason) },
            Self::Ended { error } => Self::Ended { error: error.map(cut) },
            Self::Part { part, action, reason } => {
                Self::Part { part: cut(part), action, reason: cut(reason) }
            }
            Self::PartFailed { part, message } => {
                Self::PartFailed { part: cut(part), message: cut(message) }
            }
            Self::Note { text } => Self::Note { text: cut(text) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Timestamp {
        format!("2026-01-01T00:00:{second:02}Z").parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_and_only_so_much_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path());
        let begun = |reason: &str| Deed::Begun { what: "process".into(), reason: reason.into() };
        journal.write("slappart0", at(1), begun("it is new"));
        journal.write("slappart0", at(2), Deed::Ended { error: None });
        let lines = journal.read("slappart0");
        assert_eq!(lines[0], Line { at: at(1), deed: begun("it is new") });
        assert_eq!(lines.len(), 2);
        assert_eq!(journal.subjects(), ["slappart0"]);
        assert_eq!(journal.read("other"), []);
        for _ in 0..5000 {
            journal.write("slappart0", at(3), begun(&"x".repeat(600)));
        }
        let folder = dir.path().join("var/slapgrid/journal");
        let sizes =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
        assert!(sizes.sum::<u64>() < 2 * LONGEST + 4096);
        assert!(!journal.read("slappart0").is_empty());
    }

    #[test]
    fn lines_have_a_stable_form() {
        let deed =
            Deed::Part { part: "p".into(), action: Action::Install, reason: "new part".into() };
        insta::assert_snapshot!(
            serde_json::to_string(&Line { at: at(0), deed }).unwrap(),
            @r#"{"at":"2026-01-01T00:00:00Z","deed":"part","part":"p","action":"install","reason":"new part"}"#
        );
    }
}
