//! Runs a program of the partition as a promise: what it prints says how it is.

use std::path::Path;

use slapos_sys::process::Command;

use crate::program::{self, Patience, Whose};

/// Bytes read of what a program prints.
const MOST_OUTPUT: u64 = 64 << 10;

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself: well, or not. What it printed.
    Itself(Result<String, String>),
    /// Its time was over, or the whole run was stopped.
    Late,
}

/// Runs `command` in the partition at `directory`.
pub(super) fn run(
    command: &mut Command,
    directory: &Path,
    patience: Patience<'_>,
) -> std::io::Result<Ended> {
    command.current_dir(directory);
    let ended = program::run(command, Whose::Partition(directory), MOST_OUTPUT, patience)?;
    let program::Ended::Itself(status, said) = ended else { return Ok(Ended::Late) };
    Ok(Ended::Itself(match said.is_empty() {
        _ if status.success() => Ok(said),
        true => Err(format!("{status}")),
        false => Err(said),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slapos_engine::Cancellation;
    use std::time::{Duration, Instant};

    fn sh(script: &str) -> Ended {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let cancellation = Cancellation::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        run(&mut command, dir.path(), Patience { deadline, cancellation: &cancellation }).unwrap()
    }

    #[test]
    fn what_it_printed_is_told_by_how_it_ended() {
        assert_eq!(sh("echo fine"), Ended::Itself(Ok("fine".into())));
        let bad = sh("echo out; echo no disk >&2; exit 3");
        assert_eq!(bad, Ended::Itself(Err("out\nno disk".into())));
        assert_eq!(sh("exit 3"), Ended::Itself(Err("exit status: 3".into())));
    }
}
