//! The log of a promise: what it found, run after run, and what is concluded from the last ones.
//!
//! One file for each promise, in the original's form; Python plugins write and read theirs
//! themselves. Lines of one run have its transaction id in common; a line that does not start an
//! entry continues the one before.

use std::io::Write;
use std::path::{Path, PathBuf};

use slapos_sys::clock::{self, Timestamp};
use slapos_sys::{fs, random};

/// How far back runs are looked for, bytes: at first, which nearly always has them, and at most.
const LOOK_BACK_FIRST: u64 = 4 << 10;
const LOOK_BACK: u64 = 256 << 10;
/// A log longer than this is cut, bytes, to its last [`KEPT`].
const LONGEST: u64 = 10 << 20;
const KEPT: u64 = 1 << 20;

/// What is concluded from the last runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) problem: bool,
    /// What the last run said.
    pub(super) message: String,
}

/// One run: its lines' texts, and whether one of them is an error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    texts: Vec<String>,
    bad: bool,
}

/// The log of one promise.
pub(super) struct Log {
    path: PathBuf,
}

impl Log {
    /// The folder of the logs of the partition at `directory`.
    pub(super) fn folder(directory: &Path) -> PathBuf {
        directory.join(".slapgrid/promise/log")
    }

    /// The log of the promise called `title`.
    pub(super) fn new(directory: &Path, title: &str) -> Self {
        Self { path: Self::folder(directory).join(format!("{title}.log")) }
    }

    /// Adds what a run found, as a run of its own.
    pub(super) fn write(
        &self,
        found: &Result<String, String>,
        now: Timestamp,
    ) -> std::io::Result<()> {
        let (level, message) = match found {
            Ok(message) => ("INFO", message),
            Err(message) => ("ERROR", message),
        };
        let number = u16::from_str_radix(&random::hex(2)?, 16).unwrap_or_default() % 900 + 100;
        let date = clock::local_text(now, "%Y-%m-%d %H:%M:%S");
        let line = format!("{date} - {level} - {}-{number} - {message}\n", now.as_second());
        fs::open_append(&self.path, 0o644)?.write_all(line.as_bytes())
    }

    /// A problem, if the last run and exactly `amount` of the last `count` runs were bad (counting
    /// stops there).
    pub(super) fn verdict(&self, count: usize, amount: usize) -> std::io::Result<Verdict> {
        // With one more before them, those that are wanted are whole.
        let look = |back| fs::tail(&self.path, back).map(|end| last_runs(&end, count + 1));
        let mut runs = look(LOOK_BACK_FIRST)?;
        if runs.len() <= count {
            runs = look(LOOK_BACK)?;
        }
        runs.truncate(count);
        Ok(conclude(&runs, amount))
    }

    /// Keeps a log from growing for ever.
    pub(super) fn tidy(&self) -> std::io::Result<()> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(meta) if meta.is_file() && meta.len() > LONGEST => {}
            _ => return Ok(()),
        }
        let end = fs::tail(&self.path, KEPT)?;
        fs::write_replace(&self.path, end.as_bytes(), 0o644)
    }
}

/// Level, transaction and text of a line that starts an entry.
fn entry(line: &str) -> Option<(&str, &str, &str)> {
    let mut fields = line.splitn(4, " - ");
    let (date, level) = (fields.next()?, fields.next()?);
    let (transaction, text) = (fields.next()?, fields.next()?);
    let (seconds, number) = transaction.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = date.len() == 19 && digits(seconds) && digits(number) && number.len() == 3;
    fits.then_some((level, transaction, text))
}

/// The last `count` runs, newest first.
fn last_runs(log: &str, count: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut last = None;
    let mut more = String::new();
    for line in log.lines().rev().filter(|line| !line.is_empty()) {
        let Some((level, transaction, text)) = entry(line) else {
            more = format!("\n{line}{more}");
            continue;
        };
        if last != Some(transaction) {
            if runs.len() == count {
                break;
            }
            runs.push(Run::default());
            last = Some(transaction);
        }
        if let Some(run) = runs.last_mut() {
            run.texts.insert(0, format!("{text}{more}").trim().to_owned());
            run.bad |= matches!(level, "ERROR" | "CRITICAL");
        }
        more.clear();
    }
    runs
}

fn conclude(runs: &[Run], amount: usize) -> Verdict {
    let Some(last) = runs.first() else {
        return Verdict { problem: false, message: "No result found!".to_owned() };
    };
    let message = last.texts.join("\n").trim().to_owned();
    // As the original counts: the last run is one, whatever amount is wanted.
    let more = runs.iter().skip(1).filter(|run| run.bad).count();
    let failures = (1 + more).min(amount.max(1));
    Verdict { problem: last.bad && failures == amount, message }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    const TEXT: &str = "\
2026-11-22 19:03:48 - INFO - 1795374228-567 - all is well
2026-11-22 19:03:52 - ERROR - 1795374232-895 - Traceback:
  File x
2026-11-22 19:03:52 - INFO - 1795374232-895 - still here

2026-11-22 19:04:05 - ERROR - 1795374245-535 - no disk
";

    #[test]
    fn lines_of_a_transaction_are_a_run() {
        let runs = last_runs(TEXT, 2);
        assert_eq!(runs[0], Run { texts: vec!["no disk".into()], bad: true });
        assert_eq!(runs[1].texts, ["Traceback:\n  File x", "still here"]);
        assert!(runs[1].bad);
        assert_eq!(runs.len(), 2);
        assert_eq!(last_runs(TEXT, 9).len(), 3);
    }

    #[test]
    fn a_problem_needs_its_amount_of_failures() {
        let problem = |count, amount| conclude(&last_runs(TEXT, count), amount).problem;
        assert!(problem(1, 1) && problem(2, 2) && problem(3, 2));
        assert!(!problem(3, 3), "the first run was good");
        assert!(!problem(1, 2), "only one was looked at");
        assert_eq!(conclude(&[], 1).message, "No result found!");
    }

    #[test]
    fn what_is_written_is_read_back_and_a_long_log_is_cut_at_a_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(Log::folder(dir.path())).unwrap();
        let log = Log::new(dir.path(), "a");
        let now = "2026-01-01T10:00:00Z".parse().unwrap();
        log.write(&Ok("fine".into()), now).unwrap();
        assert!(!log.verdict(1, 1).unwrap().problem);
        log.write(&Err("two\nlines".into()), now).unwrap();
        let verdict = log.verdict(1, 1).unwrap();
        assert_eq!(verdict, Verdict { problem: true, message: "two\nlines".into() });
        let line = "2026-11-22 19:03:48 - INFO - 1795374228-567 - all is well\n";
        std::fs::write(&log.path, line.repeat(200_000)).unwrap();
        log.tidy().unwrap();
        let kept = std::fs::read_to_string(&log.path).unwrap();
        assert!(kept.starts_with("2026-11-22") && kept.len() as u64 <= KEPT);
    }

    #[test]
    fn a_run_that_says_much_is_read_to_its_start() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(Log::folder(dir.path())).unwrap();
        let log = Log::new(dir.path(), "a");
        let at = |second: i64| Timestamp::from_second(1_767_261_600 + second).unwrap();
        let long = format!("beginning\n{}end", "line\n".repeat(2000));
        for second in 0..2 {
            log.write(&Err("short".into()), at(second)).unwrap();
        }
        log.write(&Err(long.clone()), at(2)).unwrap();
        let last = log.verdict(1, 1).unwrap();
        assert_eq!(last, Verdict { problem: true, message: long });
        log.write(&Err("last".into()), at(3)).unwrap();
        assert!(log.verdict(3, 3).unwrap().problem, "also those before it count");
        assert!(!log.verdict(5, 5).unwrap().problem, "there are four");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_run_says_is_its_message(
            messages in proptest::collection::vec(
                (proptest::bool::ANY, "([ -~éß]{0,30}\n){0,3}[ -~é]{0,30}"), 1..6
            ),
        ) {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(Log::folder(dir.path())).unwrap();
            let log = Log::new(dir.path(), "a");
            let now = "2026-01-01T10:00:00Z".parse().unwrap();
            for (fine, message) in &messages {
                let found = if *fine { Ok(message.clone()) } else { Err(message.clone()) };
                log.write(&found, now).unwrap();
            }
            let (fine, message) = messages.last().unwrap();
            let lines: Vec<_> = message.lines().filter(|line| !line.is_empty()).collect();
            // Two runs of one second may, once in 900, look like one.
            let verdict = log.verdict(1, 1).unwrap();
            proptest::prop_assert!(verdict.message.ends_with(lines.join("\n").trim()));
            proptest::prop_assert!(*fine || verdict.problem);
        }
    }
}
