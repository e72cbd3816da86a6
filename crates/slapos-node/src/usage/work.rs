//! The worker's part, as the partition's user: runs what makes reports, reads reports, and takes
//! them away.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::process::Command;
use slapos_sys::{fs, random};

use crate::listing::first_files;
use crate::program::{self, Ended, Patience, Whose};
use crate::worker::{Done, Failure, Gathered, ReportFile, UsageJob};

/// Where programs that make reports are.
pub(super) const PROGRAMS: &str = "etc/report";
/// Where they put them.
pub(super) const REPORTS: &str = "var/xml_report";
/// How long all of a partition's may take together: the others wait for them.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
/// More are not run, or read.
const MOST_FILES: usize = 100;
/// A longer report is not read, bytes.
pub(super) const LONGEST: u64 = 1 << 20;
/// More is not read of all reports of a partition in one run, bytes.
const MOST_BYTES: usize = 4 << 20;
/// Bytes kept of what a failing program prints.
const MOST_WORDS: u64 = 2000;

/// Does `job`.
pub(crate) fn work(job: &UsageJob) -> Result<Done, Failure> {
    match job {
        UsageJob::Gather { directory } => {
            let mut warnings = Vec::new();
            let failed = make_reports(directory, &mut warnings)?;
            let files = read_reports(&directory.join(REPORTS), &mut warnings);
            Ok(Done::Usage { gathered: Gathered { failed, warnings, files } })
        }
        UsageJob::Discard { directory, files } => {
            discard(&directory.join(REPORTS), files)?;
            Ok(Done::Removed)
        }
    }
}

/// Runs every executable with the path of a report that does not exist yet.
fn make_reports(directory: &Path, warnings: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    let programs = names(&directory.join(PROGRAMS), warnings);
    if programs.is_empty() {
        return Ok(Vec::new());
    }
    let reports = directory.join(REPORTS);
    fs::create_dir_all(&reports, 0o750).map_err(|error| Failure::io("create", &reports, &error))?;
    let mark = random::hex(4).map_err(|error| Failure::io("name a report in", &reports, &error))?;
    let report = reports.join(format!("slapreport.{mark}"));
    let cancellation = Cancellation::new();
    let patience = Patience { deadline: Instant::now() + LIMIT, cancellation: &cancellation };
    let failed = |name: &String| {
        let why = execute(directory, name, &report, patience).err()?;
        Some(format!("{PROGRAMS}/{name} failed: {why}"))
    };
    Ok(programs.iter().filter_map(failed).collect())
}

fn execute(
    directory: &Path,
    name: &str,
    report: &Path,
    patience: Patience<'_>,
) -> Result<(), String> {
    let programs = directory.join(PROGRAMS);
    let mut command = Command::new(programs.join(name));
    command.arg(report).current_dir(&programs).die_with_parent();
    let ended = program::run(&mut command, Whose::Partition(directory), MOST_WORDS, patience);
    match ended.map_err(|error| format!("it cannot be run: {error}"))? {
        Ended::Itself(status, _) if status.success() => Ok(()),
        Ended::Itself(status, said) => Err(format!("{status} {said}").trim().to_owned()),
        Ended::Late => {
            Err(format!("all of them together did not end within {} s", LIMIT.as_secs()))
        }
    }
}

/// The first ordinary files in `directory`; none if there is no such directory.
fn names(directory: &Path, warnings: &mut Vec<String>) -> Vec<String> {
    let listing = match first_files(directory, MOST_FILES) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            warnings.push(format!("{} cannot be listed: {error}", directory.display()));
            return Vec::new();
        }
    };
    if listing.more {
        let name = directory.display();
        warnings.push(format!("{name} has more than {MOST_FILES} files; the others are ignored"));
    }
    listing.names
}

/// The reports in `directory`, as far as they are short texts; what is none is told in `warnings`.
pub(super) fn read_reports(directory: &Path, warnings: &mut Vec<String>) -> Vec<ReportFile> {
    let mut left = MOST_BYTES;
    let mut files = Vec::new();
    for name in names(directory, warnings) {
        let text = match fs::read_untrusted(&directory.join(&name), LONGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                warnings.push(format!("usage report {name} is not told to the Master: {error}"));
                continue;
            }
        };
        if text.len() > left {
            break;
        }
        left -= text.len();
        files.push(ReportFile { name, text });
    }
    files
}

/// Removes those of `files` from `directory` that still say what they said.
pub(super) fn discard(directory: &Path, files: &[ReportFile]) -> Result<(), Failure> {
    for file in files {
        // A name from a record, and no path.
        let path = match Path::new(&file.name).file_name() {
            Some(name) if name == file.name.as_str() => directory.join(name),
            _ => continue,
        };
        if fs::read_untrusted(&path, LONGEST).is_ok_and(|text| text == file.text) {
            fs::remove_tree(&path).map_err(|error| Failure::io("remove", &path, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn partition(programs: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(PROGRAMS)).unwrap();
        for (name, script) in programs {
            let path = dir.path().join(PROGRAMS).join(name);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    fn gather(dir: &tempfile::TempDir) -> Gathered {
        match work(&UsageJob::Gather { directory: dir.path().to_owned() }).unwrap() {
            Done::Usage { gathered } => gathered,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn programs_make_reports_and_those_that_fail_are_named() {
        let dir = partition(&[
            ("good", "#!/bin/sh\necho '<consumption/>' > \"$1\"\n"),
            ("bad", "#!/bin/sh\necho no disk >&2\nexit 3\n"),
        ]);
        let gathered = gather(&dir);
        assert_eq!(gathered.failed, ["etc/report/bad failed: exit status: 3 no disk"]);
        assert_eq!(gathered.files.len(), 1);
        assert_eq!(gathered.files[0].text, "<consumption/>\n");
        assert!(gathered.files[0].name.starts_with("slapreport."));
    }

    #[test]
    fn nothing_is_made_where_nothing_reports() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(gather(&dir), Gathered::default());
        assert!(!dir.path().join("var").exists());
    }

    #[test]
    fn what_is_no_report_is_named_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        write("bytes", b"\xff");
        write("good", b"<consumption/>");
        write("long", &vec![b' '; usize::try_from(LONGEST).unwrap() + 1]);
        let mut warnings = Vec::new();
        let files = read_reports(dir.path(), &mut warnings);
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["good"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("usage report bytes is not told to the Master: "));
        assert!(warnings[1].contains("long is longer than 1048576 bytes"), "{warnings:?}");
        let (mut warnings, file) = (Vec::new(), dir.path().join("good"));
        assert!(read_reports(&file, &mut warnings).is_empty());
        assert!(warnings[0].contains("good cannot be listed: "), "{warnings:?}");
    }

    #[test]
    fn only_what_still_says_the_same_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| ReportFile { name: name.into(), text: text.into() };
        for (name, text) in [("a", "1"), ("b", "2"), ("keep", "3")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let victim = dir.path().join("keep").display().to_string();
        discard(dir.path(), &[file("a", "1"), file("b", "old"), file(&victim, "3")]).unwrap();
        let left = read_reports(dir.path(), &mut Vec::new());
        assert_eq!(left, [file("b", "2"), file("keep", "3")]);
    }
}
