//! Programs of the machine that hooks run as they are configured: with this process's own search
//! path, without a terminal, within a time limit, and with an end to what is read of their output.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::process::Command;

use crate::error::NodeError;
use crate::program::{self, Ended, Patience, Whose};

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Bytes read of what it prints.
const MOST_OUTPUT: u64 = 16 << 20;
/// Where programs are if this process does not know.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it ended with exit code 0.
    pub(crate) success: bool,
    /// What it printed, errors included, without white space around.
    pub(crate) output: String,
}

/// Runs `words` (a program and arguments) to its end.
///
/// # Errors
/// When there are no words, it cannot be started, or takes longer than two minutes.
pub(crate) fn run(words: &[String]) -> Result<Said, NodeError> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(NodeError::user("there is no program to run"));
    };
    let failed = |error: std::io::Error| NodeError::user(format!("cannot run `{name}`: {error}"));
    let mut command = Command::new(name);
    command.args(arguments).env("PATH", search_path()).current_dir("/").die_with_parent();
    let cancellation = Cancellation::new();
    let patience = Patience { deadline: Instant::now() + LIMIT, cancellation: &cancellation };
    match program::run(&mut command, Whose::Machine, MOST_OUTPUT, patience).map_err(failed)? {
        Ended::Itself(status, output) => Ok(Said { success: status.success(), output }),
        Ended::Late => {
            let text = format!("`{}` did not end within {} s", words.join(" "), LIMIT.as_secs());
            Err(NodeError::user(text))
        }
    }
}

/// Where the program `name` is, if it is found.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        std::fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&search_path()).map(|directory| directory.join(name)).find(executable)
}

fn search_path() -> OsString {
    std::env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| USUAL_PATH.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Said {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()]).unwrap()
    }

    #[test]
    fn what_a_program_prints_and_how_it_ends_are_told() {
        let said = sh("echo out; echo err >&2; read x; exit 3");
        assert!(!said.success);
        assert_eq!(said.output, "out\nerr");
        assert!(sh("exit 0").success);
        let missing = run(&["no-such-program-here".to_owned()]).unwrap_err();
        assert!(missing.to_string().starts_with("cannot run `no-such-program-here`"));
        assert!(run(&[]).is_err());
    }

    #[test]
    fn programs_are_found_where_the_search_path_leads() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program-here"), None);
    }
}
