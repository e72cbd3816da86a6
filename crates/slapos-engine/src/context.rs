//! What a part may do while it is installed or updated: log, run commands, and say what it
//! writes before it writes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use slapos_sys::process::Command;

use crate::apart::Output;
use crate::cancel::Cancellation;
use crate::command::CommandSpec;
use crate::error::PartError;
use crate::event::{Event, Observer};
use crate::hold::Holds;
use crate::jobs::Jobserver;
use crate::ledger::LedgerWriter;
use crate::live::{Live, Snapshot};
use crate::recipe::Recipes;
use crate::secret::Secrets;
use crate::stragglers::{self, Place};

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 30;
/// How much of the end of a log is looked at for them.
const TAIL_BYTES: u64 = 64 * 1024;

/// What all parts of one run share.
pub(crate) struct RunState<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) log_directory: PathBuf,
    pub(crate) offline: bool,
    pub(crate) cancellation: &'a Cancellation,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) secrets: Secrets,
    pub(crate) holds: Arc<Holds>,
    pub(crate) recipes: &'a dyn Recipes,
    pub(crate) jobserver: Option<Jobserver>,
    pub(crate) ledger: LedgerWriter,
    pub(crate) live: Live,
    /// Random; tells the commands of this run from those of others.
    pub(crate) id: String,
}

/// The run as one part sees it.
pub struct PartContext<'a> {
    run: &'a RunState<'a>,
    part: &'a str,
    log_path: PathBuf,
    log: Mutex<Option<File>>,
    /// Paths are recorded at once; a trivial part's are known already.
    records: bool,
    /// What the part's commands work for.
    place: Place,
    /// What parts share, as this one sees it.
    seen: Mutex<Snapshot>,
}

impl<'a> PartContext<'a> {
    /// A part whose turn has come: `seen` is what it finds of what others changed.
    pub(crate) fn seeing(self, seen: Snapshot) -> Self {
        Self { seen: Mutex::new(seen), ..self }
    }

    fn seen(&self) -> MutexGuard<'_, Snapshot> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new(run: &'a RunState<'a>, part: &'a str, records: bool) -> Self {
        let log_path = log_path(&run.log_directory, part);
        let place = Place::part(run.ledger.path(), part);
        Self { run, part, log_path, log: Mutex::new(None), records, place, seen: Mutex::default() }
    }

    /// The same, for commands that make the shared part at `location`.
    pub(crate) fn in_shared(self, location: &Path) -> Self {
        Self { place: Place::shared(location), ..self }
    }

    /// Ends what an earlier run that was cut short has left running for `place`.
    pub(crate) fn end_stragglers(&self, place: &Place) -> Result<(), PartError> {
        match place.clear()? {
            0 => {}
            1 => self.progress("ended a process that an earlier run left behind"),
            n => self.progress(&format!("ended {n} processes that an earlier run left behind")),
        }
        Ok(())
    }

    /// Keeps the shared parts of `list` where they are until the run ends.
    pub(crate) fn hold(&self, list: &Path) {
        self.run.holds.take(&[list.to_owned()], self.run.cancellation);
    }

    /// Name of the part.
    pub fn part(&self) -> &str {
        self.part
    }

    /// The buildout directory; commands run there by default.
    pub fn directory(&self) -> &Path {
        self.run.directory
    }

    /// Whoever watches the run; for a part that runs a buildout of its own.
    pub fn observer(&self) -> &dyn Observer {
        self.run.observer
    }

    /// True when nothing may be downloaded.
    pub fn offline(&self) -> bool {
        self.run.offline
    }

    /// True when the run was asked to stop; long work in a recipe should look now and then.
    pub fn cancelled(&self) -> bool {
        self.run.cancellation.is_cancelled()
    }

    /// The part's log file; it is created by the first thing that is logged.
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Tells the observer, and the log, what the part is doing now, in one short line.
    pub fn progress(&self, text: &str) {
        let shown = self.run.secrets.redact(text);
        self.run.observer.event(&Event::PartProgress { part: self.part.to_owned(), text: shown });
        // A log that cannot be written must not fail a part; commands will say so if they need it.
        let _ = self.log(text);
    }

    /// Tells the observer, and the log, of something suspicious that does not fail the part.
    pub fn warn(&self, text: &str) {
        let shown = self.run.secrets.redact(text);
        self.run.observer.event(&Event::Warning { part: Some(self.part.to_owned()), text: shown });
        let _ = self.log(&format!("warning: {text}"));
    }

    /// Adds a line to the log.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn log(&self, text: &str) -> Result<(), PartError> {
        let mut file = self.log_file()?;
        writeln!(file, "{}", self.run.secrets.redact(text)).map_err(|error| self.log_error(&error))
    }

    /// Records that the part is about to make `path`, so that it is removed should the part be
    /// interrupted or one day be unwanted. Not needed for what [`crate::Part::claims`] names.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn record_path(&self, path: &Path) -> Result<(), PartError> {
        self.run
            .ledger
            .record_path(self.part, path, self.records)
            .map_err(|error| PartError::new(error.to_string()))
    }

    /// All options of a section, changes by earlier parts included. `None` if it was
    /// not initialised, or if no part of this run said that it
    /// [needs them](crate::PartInit::keep_sections).
    pub fn section(&self, section: &str) -> Option<IndexMap<String, String>> {
        self.seen().section(section)
    }

    /// Sets (or removes) an option of a section for later parts; false if there is no such
    /// section. Only for parts whose [turn](crate::Turn) is not free.
    #[must_use]
    pub fn set_option(&self, section: &str, option: &str, value: Option<&str>) -> bool {
        let found = self.run.live.set(section, option, value);
        *self.seen() = self.run.live.snapshot();
        found
    }

    /// Sets (or removes) a variable of the environment of later parts. Only for parts whose
    /// [turn](crate::Turn) is not free.
    pub fn set_variable(&self, name: &str, value: Option<&str>) {
        self.run.live.set_variable(name, value);
        *self.seen() = self.run.live.snapshot();
    }

    /// Changes `environment` as earlier recipes have.
    pub fn apply_variables(&self, environment: &mut BTreeMap<String, String>) {
        self.seen().apply_variables(environment);
    }

    /// The variable by which what this part starts is found should its run be cut short.
    pub fn tag(&self) -> (&'static str, String) {
        (stragglers::VARIABLE, self.place.value(&self.run.id))
    }

    /// The part's log file, opened for appending.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_log_file(&self) -> Result<File, PartError> {
        self.log_file()
    }

    /// How the run is told to stop, for a part that waits for something of its own.
    pub fn cancellation(&self) -> &Cancellation {
        self.run.cancellation
    }

    /// Runs `spec` to its end, its output going to the log.
    ///
    /// # Errors
    /// When it cannot be started, ends with another status than 0, or the run is stopped.
    pub fn run(&self, spec: &CommandSpec) -> Result<(), PartError> {
        if self.cancelled() {
            return Err(PartError::cancelled());
        }
        let shown = spec.display();
        self.log(&format!("$ {shown}"))?;
        let (status, output) = self.spawn_and_wait(spec).map_err(|error| {
            PartError::new(format!("cannot start {}: {error}", spec.program.to_string_lossy()))
                .with_command(&shown)
        })?;
        if self.cancelled() && !status.success() {
            // What the command had started, should its end not have ended it; best effort, as the
            // next run looks again.
            let _ = self.place.clear();
            return Err(PartError::cancelled().with_command(shown));
        }
        match describe(status) {
            None => Ok(()),
            Some(how) => {
                let error = PartError::new(format!("the command {how}")).with_command(&shown);
                let said = output.and_then(|output| output.end(TAIL_BYTES).ok());
                Err(match said {
                    Some(said) => error.with_said(last_lines(&format!("$ {shown}\n{said}"))),
                    None => error,
                })
            }
        }
    }

    /// How the command ended, and what it said if that was kept apart.
    fn spawn_and_wait(&self, spec: &CommandSpec) -> std::io::Result<(ExitStatus, Option<Output>)> {
        let log = self.log_file().map_err(std::io::Error::other)?;
        let mut apart = match spec.apart {
            true => Some(Output::new(&self.run.log_directory)?),
            false => None,
        };
        let out = apart.as_ref().map_or_else(|| log.try_clone(), Output::for_command)?;
        let mut command = Command::new(&spec.program);
        command.args(&spec.args).envs(&spec.environment);
        command.current_dir(spec.directory.as_deref().unwrap_or(self.run.directory));
        command.env(stragglers::VARIABLE, self.place.value(&self.run.id));
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        command.process_group().die_with_parent();
        if let Some(jobserver) = self.run.jobserver.as_ref().filter(|_| spec.jobserver) {
            command.env("MAKEFLAGS", jobserver.makeflags()).pass_fds(&jobserver.descriptors());
        }
        let mut child = command.spawn()?;
        let _watched = self.run.cancellation.watch(child.id());
        let status = match &mut apart {
            Some(output) => output.follow(&mut child, &log)?,
            None => child.wait()?,
        };
        Ok((status, apart))
    }

    /// The log, opened for appending; the first use in a run empties what the last run left.
    fn log_file(&self) -> Result<File, PartError> {
        let mut slot = self.log_slot();
        if slot.is_none() {
            *slot = Some(self.open_log().map_err(|error| self.log_error(&error))?);
        }
        let file = slot.as_ref().ok_or_else(|| PartError::new("the log is not open"))?;
        file.try_clone().map_err(|error| self.log_error(&error))
    }

    fn log_slot(&self) -> MutexGuard<'_, Option<File>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_log(&self) -> std::io::Result<File> {
        slapos_sys::fs::create_dir_all(&self.run.log_directory, 0o755)?;
        let file = slapos_sys::fs::open_append(&self.log_path, 0o644)?;
        file.set_len(0)?;
        Ok(file)
    }

    fn log_error(&self, error: &std::io::Error) -> PartError {
        PartError::io("write the log", &self.log_path, error)
    }

    /// The last lines of what this run logged for the part; empty when it logged nothing.
    pub(crate) fn tail(&self) -> Vec<String> {
        if self.log_slot().is_none() {
            return Vec::new();
        }
        read_tail(&self.log_path).unwrap_or_default()
    }
}

fn log_path(directory: &Path, part: &str) -> PathBuf {
    directory.join(format!("{}.log", part.replace('/', "_")))
}

fn read_tail(path: &Path) -> std::io::Result<Vec<String>> {
    let mut file = slapos_sys::fs::open_ordinary(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(last_lines(match text.split_once('\n') {
        Some((_, whole)) if start > 0 => whole,
        _ => &text,
    }))
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(TAIL_LINES);
    lines[skip..].iter().map(|line| (*line).to_owned()).collect()
}

/// How a command ended, unless it ended well.
fn describe(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("ended with status {code}")),
        (None, Some(signal)) => Some(format!("was killed by signal {signal}")),
        (None, None) => Some("ended in an unknown way".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    #[test]
    fn the_tail_is_the_last_thirty_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: Vec<String> = (0..20_000).map(|n| format!("line {n}")).collect();
        std::fs::write(&path, text.join("\n")).unwrap();
        let tail = read_tail(&path).unwrap();
        assert_eq!(tail.len(), 30);
        assert_eq!(tail[0], "line 19970");
        assert_eq!(tail[29], "line 19999");
    }

    #[test]
    fn a_part_name_never_leaves_the_log_directory() {
        assert_eq!(log_path(Path::new("/l"), "../x"), Path::new("/l/.._x.log"));
    }
}
