//! Checks the promises of one partition, several at once, each within its time.

use std::io::{Read, Seek};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slapos_sys::clock::{Clock, SystemClock};
use slapos_sys::fs;
use slapos_sys::process::{Command, Signal, kill_group};

use super::PromiseResult;
use super::discover::{Check, Promise, discover};
use super::native;

/// Checks of one partition that run at once.
const AT_ONCE: usize = 8;
/// Seconds between two checks of a promise that does not say.
const DEFAULT_PERIODICITY: f64 = 120.0;
/// Characters kept of what a promise says.
const LONGEST_MESSAGE: usize = 5000;
/// Bytes read of what an executable promise prints.
const MOST_OUTPUT: u64 = 64 << 10;
/// Between two tries of a failing promise within the grace.
const RETRY: Duration = Duration::from_millis(100);

/// How long checks may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// One promise.
    pub(crate) timeout: Duration,
    /// How long a failing promise is tried again.
    pub(crate) grace: Duration,
}

/// Checks the promises of the partition at `directory` (all, or those named) and files the
/// results in `.slapgrid/promise/result`, where monitoring reads them.
pub(crate) fn check_all(
    directory: &Path,
    only: Option<&[String]>,
    limits: Limits,
) -> std::io::Result<Vec<PromiseResult>> {
    let mut promises = discover(directory)?;
    promises.retain(|promise| only.is_none_or(|names| names.contains(&promise.name)));
    let results = Mutex::new(Vec::with_capacity(promises.len()));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..promises.len().min(AT_ONCE) {
            scope.spawn(|| {
                while let Some(promise) = promises.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = check_with_grace(promise, directory, limits);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by(|a, b| a.name.cmp(&b.name));
    for result in &results {
        file_result(directory, result)?;
    }
    Ok(results)
}

fn check_with_grace(promise: &Promise, directory: &Path, limits: Limits) -> PromiseResult {
    let give_up = Instant::now() + limits.grace;
    loop {
        let result = check_once(promise, directory, limits.timeout);
        let hopeless = matches!(promise.check, Check::Impossible(_));
        if !result.failed || hopeless || Instant::now() >= give_up {
            return result;
        }
        std::thread::sleep(RETRY);
    }
}

fn check_once(promise: &Promise, directory: &Path, timeout: Duration) -> PromiseResult {
    let date = SystemClock.now();
    let started = Instant::now();
    let said = match &promise.check {
        Check::Native(header) => native::check(header, timeout),
        Check::Executable => execute(promise, directory, timeout),
        Check::Impossible(why) => Err(why.clone()),
    };
    let periodicity = match &promise.check {
        Check::Native(header) => native::periodicity(header).unwrap_or(DEFAULT_PERIODICITY),
        _ => DEFAULT_PERIODICITY,
    };
    PromiseResult {
        name: promise.name.clone(),
        title: promise.title.clone(),
        path: promise.path.clone(),
        failed: said.is_err(),
        message: shorten(said.unwrap_or_else(|message| message)),
        date,
        seconds: started.elapsed().as_secs_f64(),
        periodicity,
    }
}

/// Runs the executable in the partition, in a session of its own that is killed when its time is
/// over. Output goes to a file, so that a child that holds on to it cannot make us wait.
fn execute(promise: &Promise, directory: &Path, timeout: Duration) -> Result<String, String> {
    let words = |error: std::io::Error| format!("cannot be run: {error}");
    // It has no name, so that nothing is left of it whatever happens.
    let mut output = tempfile::tempfile_in(directory).map_err(words)?;
    let mut command = Command::new(&promise.path);
    command.current_dir(directory).env("HOME", directory).env("LANG", "C.UTF-8");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").new_session().die_with_parent();
    let copy = || output.try_clone().map_err(words);
    command.stdin(Stdio::null()).stdout(copy()?).stderr(copy()?);
    let mut child = command.spawn().map_err(words)?;
    let deadline = Instant::now() + timeout;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(words)? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let _ = kill_group(child.id(), Signal::SIGKILL);
    let _ = child.wait();
    let mut said = Vec::new();
    output.rewind().map_err(words)?;
    output.take(MOST_OUTPUT).read_to_end(&mut said).map_err(words)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match status {
        None => Err(format!("timed out after {} s", timeout.as_secs_f64())),
        Some(status) if status.success() => Ok(said),
        Some(status) if said.is_empty() => Err(format!("{status}")),
        Some(_) => Err(said),
    }
}

fn shorten(message: String) -> String {
    let length = message.chars().count();
    if length <= LONGEST_MESSAGE {
        return message;
    }
    let kept: String = message.chars().skip(length - LONGEST_MESSAGE).collect();
    format!("...{kept}")
}

fn file_result(directory: &Path, result: &PromiseResult) -> std::io::Result<()> {
    let folder = directory.join(".slapgrid/promise/result");
    fs::create_dir_all(&folder, 0o755)?;
    let document = serde_json::json!({
        "title": result.title,
        "name": result.name,
        "path": result.path,
        "execution-time": result.seconds,
        "result": {
            "type": "Test Result",
            "failed": result.failed,
            "date": result.date.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
            "message": result.message,
        },
    });
    let path = folder.join(format!("{}.status.json", result.title));
    fs::write_replace(&path, document.to_string().as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), grace: Duration::ZERO };

    fn partition(promises: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in promises {
            let path = dir.path().join("etc").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        dir
    }

    #[test]
    fn executables_keep_or_break_their_word_and_results_are_filed() {
        let dir = partition(&[
            ("promise/good", "#!/bin/sh\necho fine\n"),
            ("promise/bad", "#!/bin/sh\necho out; echo no disk >&2; exit 3\n"),
            ("plugin/python.py", "import sys\n"),
        ]);
        let results = check_all(dir.path(), None, LIMITS).unwrap();
        let told: Vec<_> = results.iter().map(|r| (r.name.as_str(), r.failed)).collect();
        assert_eq!(told, [("bad", true), ("good", false), ("python.py", true)]);
        assert_eq!(results[0].message, "out\nno disk");
        assert!(results[2].message.contains("no Python host"), "{}", results[2].message);
        let filed = dir.path().join(".slapgrid/promise/result/bad.status.json");
        let filed: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(filed).unwrap()).unwrap();
        assert_eq!(filed["result"]["failed"], true);
    }

    #[test]
    fn only_the_named_ones_are_checked() {
        let dir = partition(&[("promise/a", "#!/bin/sh\n"), ("promise/b", "#!/bin/sh\n")]);
        let results = check_all(dir.path(), Some(&["b".to_owned()]), LIMITS).unwrap();
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].name, "b");
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let dir = partition(&[("promise/slow", "#!/bin/sh\nsleep 600 &\nsleep 600\n")]);
        let limits = Limits { timeout: Duration::from_millis(50), ..LIMITS };
        let results = check_all(dir.path(), None, limits).unwrap();
        assert_eq!(results[0].message, "timed out after 0.05 s");
    }

    #[test]
    fn one_that_comes_right_within_the_grace_is_kept() {
        let dir = partition(&[(
            "promise/late",
            "#!/bin/sh\ntest -e ready || { touch ready; exit 1; }\n",
        )]);
        let limits = Limits { grace: Duration::from_secs(30), ..LIMITS };
        assert!(!check_all(dir.path(), None, limits).unwrap()[0].failed);
    }
}
