//! Runs a program of others within a time, and lets nothing of it go on once that is over.

use std::io::{Read, Seek};
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::process::{Command, Piped, Signal, descendants, kill, kill_each, kill_group};

/// How often a wait is interrupted to see whether the run was stopped.
const POLL: Duration = Duration::from_millis(200);
/// How long a program may take to end when it is asked to.
pub(crate) const LAST_DEEDS: Duration = Duration::from_secs(1);

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, after it had printed this, errors included, without white space around.
    Itself(ExitStatus, String),
    /// Its time was over, or the whole run was stopped.
    Late,
}

/// Until when something may take, and who may stop it before.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) deadline: Instant,
    pub(crate) cancellation: &'a Cancellation,
}

impl Patience<'_> {
    /// Calls `ended` with how long to wait this time, until it says that it has; false if it is too
    /// late for that.
    pub(crate) fn wait(
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

/// Whose program runs.
#[derive(Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// The machine's, as its caller arranged it. What it started in the background goes on when it
    /// has ended in time.
    Machine,
    /// That of the partition in this directory, with the partition's surroundings. Its process
    /// group ends with it.
    Partition(&'a Path),
}

/// Runs `command` in a session of its own, without a terminal. Its output goes to a file, so that a
/// child that holds on to it cannot make us wait; at most `most` bytes are read of it. One that is
/// late ends with all that descends from it.
pub(crate) fn run(
    command: &mut Command,
    whose: Whose<'_>,
    most: u64,
    patience: Patience<'_>,
) -> std::io::Result<Ended> {
    // It has no name, so that nothing is left of it whatever happens.
    let mut output = match whose {
        Whose::Machine => tempfile::tempfile()?,
        Whose::Partition(directory) => {
            command.env("HOME", directory).env("PATH", "/usr/local/bin:/usr/bin:/bin");
            tempfile::tempfile_in(directory)?
        }
    };
    command.env("LANG", "C.UTF-8").new_session().print_to(&output);
    let mut child = command.spawn_apart(Piped::default())?;
    let mut status = None;
    let in_time = patience.wait(|limit| {
        status = child.wait_within(limit)?;
        Ok(status.is_some())
    });
    if !in_time.as_ref().is_ok_and(|in_time| *in_time) {
        end_family(child.id(), || child.wait_within(LAST_DEEDS).map(drop));
    } else if matches!(whose, Whose::Partition(_)) {
        let _ = kill_group(child.id(), Signal::SIGKILL);
    }
    let _ = child.wait();
    in_time?;
    let Some(status) = status else { return Ok(Ended::Late) };
    let mut said = Vec::new();
    output.rewind()?;
    output.take(most).read_to_end(&mut said)?;
    Ok(Ended::Itself(status, String::from_utf8_lossy(&said).trim().to_owned()))
}

/// Asks the process `pid`, which leads a group, to end, `wait`s, and kills it with all that
/// descends from it.
pub(crate) fn end_family(pid: u32, wait: impl FnOnce() -> std::io::Result<()>) {
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

    fn sh(script: &str, limit: Duration) -> Option<(bool, String)> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let cancellation = Cancellation::new();
        let deadline = Instant::now() + limit;
        let patience = Patience { deadline, cancellation: &cancellation };
        match run(&mut command, Whose::Partition(dir.path()), 8, patience).unwrap() {
            Ended::Itself(status, said) => Some((status.success(), said)),
            Ended::Late => None,
        }
    }

    #[test]
    fn what_it_printed_is_told_with_how_it_ended() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("echo fine", long), Some((true, "fine".into())));
        assert_eq!(sh("echo out; echo no >&2; exit 3", long), Some((false, "out\nno".into())));
        assert_eq!(sh("echo much too long", long), Some((true, "much too".into())));
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let script = "trap '' TERM; sleep 600 & setsid sleep 600 & sleep 600";
        assert_eq!(sh(script, Duration::from_millis(50)), None);
    }
}
