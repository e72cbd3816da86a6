//! Runs a program of the partition within a time, and whatever it starts with it.

use std::io::{Read, Seek};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::process::{Command, Signal, descendants, kill, kill_each, kill_group, wait_within};

/// Bytes read of what a program prints.
const MOST_OUTPUT: u64 = 64 << 10;
/// How often a wait is interrupted to see whether the run was stopped.
const POLL: Duration = Duration::from_millis(200);
/// How long a program may take to end when it is asked to.
pub(super) const LAST_DEEDS: Duration = Duration::from_secs(1);

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself: well, or not. What it printed.
    Itself(Result<String, String>),
    /// Its time was over, or the whole run was stopped.
    Late,
}

/// Until when something may take, and who may stop it before.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) deadline: Instant,
    pub(super) cancellation: &'a Cancellation,
}

impl Patience<'_> {
    /// Calls `ended` with how long to wait this time, until it says that it has; false if it is too
    /// late for that.
    pub(super) fn wait(
        &self,
        mut ended: impl FnMut(Duration) -> std::io::Result<bool>,
    ) -> std::io::Result<bool> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if ended(left.min(POLL))? {
                return Ok(true);
            }
            if left.is_zero() || self.cancellation.is_cancelled() {
                return Ok(false);
            }
        }
    }
}

/// Runs `command` in the partition at `directory`, in a session of its own. Its output goes to a
/// file, so that a child that holds on to it cannot make us wait.
pub(super) fn run(
    command: &mut Command,
    directory: &Path,
    patience: Patience<'_>,
) -> std::io::Result<Ended> {
    // It has no name, so that nothing is left of it whatever happens.
    let mut output = tempfile::tempfile_in(directory)?;
    command.current_dir(directory).env("HOME", directory).env("LANG", "C.UTF-8");
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").new_session();
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let mut child = command.spawn()?;
    let mut status = None;
    let in_time = patience.wait(|limit| {
        status = wait_within(&mut child, limit)?;
        Ok(status.is_some())
    });
    if !in_time.as_ref().is_ok_and(|in_time| *in_time) {
        end_family(child.id(), || wait_within(&mut child, LAST_DEEDS).map(drop));
    }
    let _ = kill_group(child.id(), Signal::SIGKILL);
    let _ = child.wait();
    in_time?;
    let Some(status) = status else { return Ok(Ended::Late) };
    let mut said = Vec::new();
    output.rewind()?;
    output.take(MOST_OUTPUT).read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Ok(Ended::Itself(match said.is_empty() {
        _ if status.success() => Ok(said),
        true => Err(format!("{status}")),
        false => Err(said),
    }))
}

/// Asks the process `pid`, which leads a group, to end, `wait`s, and kills it with all that
/// descends from it.
pub(super) fn end_family(pid: u32, wait: impl FnOnce() -> std::io::Result<()>) {
    let before = descendants(pid);
    let _ = kill(pid, Signal::SIGTERM);
    let _ = wait();
    let after = descendants(pid);
    let _ = kill_each(&before).and_then(|()| kill_each(&after));
    let _ = kill_group(pid, Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let cancellation = Cancellation::new();
        let deadline = Instant::now() + limit;
        run(&mut command, dir.path(), Patience { deadline, cancellation: &cancellation }).unwrap()
    }

    #[test]
    fn what_it_printed_is_told_by_how_it_ended() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("echo fine", long), Ended::Itself(Ok("fine".into())));
        let bad = sh("echo out; echo no disk >&2; exit 3", long);
        assert_eq!(bad, Ended::Itself(Err("out\nno disk".into())));
        assert_eq!(sh("exit 3", long), Ended::Itself(Err("exit status: 3".into())));
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let script = "trap '' TERM; sleep 600 & setsid sleep 600 & sleep 600";
        assert_eq!(sh(script, Duration::from_millis(50)), Ended::Late);
    }
}
