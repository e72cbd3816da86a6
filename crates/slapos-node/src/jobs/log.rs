//! The log of what is done in one directory, for people: `.slapgrid/log/<name>.log` in it.
//!
//! Written by the worker as the directory's user. A log that cannot be written fails nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use slapos_engine::{Event, Observer};
use slapos_sys::clock::{Clock, SystemClock};
use slapos_sys::fs;

use crate::worker::words;

/// From this size on, in bytes, a log is put aside when the next run begins.
const MOST: u64 = 20 << 20;
/// Where it is, below the directory.
pub(super) const FOLDER: &str = ".slapgrid/log";

/// See the module.
pub(super) struct RunLog {
    file: Mutex<Option<File>>,
    verbose: bool,
}

impl RunLog {
    /// The log called `name` of `directory`; `verbose`: it is to say everything.
    pub(super) fn open(directory: &Path, name: &str, verbose: bool) -> Self {
        let path = directory.join(FOLDER).join(name);
        let file = open(&path).or_else(|_| {
            // Whatever is there is no log.
            fs::remove_tree(&path)?;
            open(&path)
        });
        Self { file: Mutex::new(file.ok()), verbose }
    }

    /// Adds `text`, which may have several lines.
    pub(super) fn line(&self, level: &str, text: &str) {
        let mut slot = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(file) = slot.as_mut() else { return };
        let now = SystemClock.now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let pid = std::process::id();
        let _ = file.write_all(format!("{now} slapos[{pid}] {level} {text}\n").as_bytes());
    }

    /// What is told to `next` is logged first.
    pub(super) fn watching<'a>(&'a self, next: &'a dyn Observer) -> impl Observer + 'a {
        move |event: &Event| {
            if let Some((level, text)) = words(event).filter(|(l, _)| *l != "DEBUG" || self.verbose)
            {
                self.line(level, &text);
            }
            next.event(event);
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder, 0o700)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() >= MOST) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        fs::rename(path, Path::new(&aside))?;
    }
    fs::open_append(path, 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(directory: &Path, name: &str) -> String {
        std::fs::read_to_string(directory.join(FOLDER).join(name)).unwrap()
    }

    #[test]
    fn a_long_log_is_put_aside_and_what_is_no_log_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        RunLog::open(dir.path(), "a.log", false).line("INFO", "first");
        let path = dir.path().join(FOLDER).join("a.log");
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(MOST).unwrap();
        RunLog::open(dir.path(), "a.log", false).line("INFO", "second");
        assert_eq!(std::fs::metadata(path.with_extension("log.1")).unwrap().len(), MOST);
        let line = text(dir.path(), "a.log");
        assert!(line.ends_with("] INFO second\n"), "{line}");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        RunLog::open(dir.path(), "a.log", false).line("INFO", "third");
        assert!(text(dir.path(), "a.log").ends_with("] INFO third\n"));
    }

    #[test]
    fn progress_is_logged_where_everything_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Event::PartProgress { part: "p".into(), text: "compiles".into() };
        for (name, verbose) in [("quiet.log", false), ("all.log", true)] {
            let log = RunLog::open(dir.path(), name, verbose);
            log.watching(&slapos_engine::NoObserver).event(&progress);
            assert_eq!(text(dir.path(), name).contains("DEBUG p: compiles"), verbose);
        }
    }
}
