//! Running a registry's client: bounded in time and output, stopped when the watcher says so.

use std::io::{self, Read};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use slapos_sys::process::{self, Command};

use crate::{Failure, Progress};

/// Longest time a client may take.
const TIME_LIMIT: Duration = Duration::from_secs(600);
const STEP: Duration = Duration::from_millis(20);
/// How much of a client's output is kept; the rest is read and dropped.
const OUTPUT_LIMIT: u64 = 16 << 20;

/// What clients need to find their own configuration, beside the [`crate::NETWORK_VARIABLES`].
const ENVIRONMENT: [&str; 10] = [
    "PATH",
    "LANG",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CACHE_HOME",
    "NODE_EXTRA_CA_CERTS",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "APT_CONFIG",
];
const ENVIRONMENT_PREFIXES: [&str; 6] =
    ["PIP_", "UV_", "CARGO_", "npm_config_", "NPM_CONFIG_", "PYENV_"];

/// A client that can be started in `/`, where no project's configuration interferes.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .inherit_env(&ENVIRONMENT)
        .inherit_env(&crate::NETWORK_VARIABLES)
        .current_dir("/")
        .new_session()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in std::env::vars_os() {
        let prefixed = |prefix: &str| name.to_string_lossy().starts_with(prefix);
        // Variables that cargo sets for what it runs would point a client at another project.
        if ENVIRONMENT_PREFIXES.iter().any(|p| prefixed(p))
            && !prefixed("CARGO_PKG_")
            && !prefixed("CARGO_MANIFEST_")
        {
            command.env(&name, value);
        }
    }
    match std::env::var_os("HOME") {
        Some(home) => command.env("HOME", home),
        None => match slapos_sys::user::current() {
            Ok(user) => command.env("HOME", user.home),
            Err(_) => command.env("HOME", "/"),
        },
    };
    command
}

/// Runs the client to its end and returns its standard output.
///
/// `name` is what people call it; a missing one is an error that says so.
pub(super) fn output(
    name: &str,
    command: &mut Command,
    progress: &dyn Progress,
) -> Result<String, Failure> {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("{name} is not installed here; install it, or add an alternate");
            return Err(Failure::Registry(message));
        }
        Err(error) => {
            let message = format!("{name} cannot be started: {error}");
            return Err(Failure::Registry(message));
        }
    };
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let ended = wait(name, &mut child, progress);
    let stdout = join(stdout);
    let stderr = join(stderr);
    if ended? {
        return Ok(stdout);
    }
    let message = format!("{} failed: {}", command.display(), last_words(&stderr));
    Err(Failure::Registry(message))
}

fn wait(name: &str, child: &mut Child, progress: &dyn Progress) -> Result<bool, Failure> {
    let mut left = TIME_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) => {}
            Err(error) => return Err(Failure::Registry(format!("{name}: {error}"))),
        }
        if progress.cancelled() || left.is_zero() {
            let _ = process::kill_group(child.id(), process::Signal::SIGKILL);
            let _ = child.wait();
            return Err(if left.is_zero() {
                Failure::Registry(format!("{name} did not end within {TIME_LIMIT:?}"))
            } else {
                Failure::Cancelled
            });
        }
        std::thread::sleep(STEP);
        left = left.saturating_sub(STEP);
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut kept);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        kept
    })
}

fn join(thread: JoinHandle<Vec<u8>>) -> String {
    let bytes = thread.join().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The lines of an error output that matter most: those that say error, else the last.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_error = |line: &&&str| {
        let start = line.to_ascii_lowercase();
        ["error", "e:", "npm error", "npm err!"].iter().any(|word| start.starts_with(word))
    };
    let errors: Vec<&str> = lines.iter().filter(is_error).copied().collect();
    match (errors.as_slice(), lines.last()) {
        ([], None) => "it said nothing".into(),
        ([], Some(last)) => (*last).into(),
        (errors, _) => errors[..errors.len().min(3)].join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    fn shell(script: &str) -> Result<String, Failure> {
        output("sh", command("sh").args(["-c", script]), &Silent)
    }

    #[test]
    fn returns_output_or_the_telling_lines() {
        assert_eq!(shell("echo a; pwd").unwrap(), "a\n/\n");
        let error = shell("echo 'E: no such thing' >&2; echo bye >&2; exit 3").unwrap_err();
        assert!(error.to_string().ends_with("failed: E: no such thing"), "{error}");
    }

    #[test]
    fn a_missing_client_is_named() {
        let error = output("frob", &mut command("no-such-client-x"), &Silent).unwrap_err();
        assert_eq!(
            error.to_string(),
            "frob is not installed here; install it, or add an alternate"
        );
    }

    #[test]
    fn a_cancelled_client_is_killed_with_its_children() {
        struct Stop;
        impl Progress for Stop {
            fn cancelled(&self) -> bool {
                true
            }
        }
        let mut client = command("sh");
        client.args(["-c", "sleep 600 & sleep 600"]);
        let result = output("sh", &mut client, &Stop);
        assert!(matches!(result, Err(Failure::Cancelled)));
    }
}
