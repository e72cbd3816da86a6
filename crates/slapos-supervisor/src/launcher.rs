//! Having a daemon: using the one that runs, or starting one that outlives whoever asked for it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slapos_sys::lock::FileLock;
use slapos_sys::process::Command;

use crate::{Client, ClientError, Paths};

/// How long a new daemon may take until it answers; it adopts what it finds first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of its log is shown when it does not come up.
const SHOWN_LINES: usize = 10;

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file that it needs cannot be made.
    #[error("cannot prepare the supervisor of {}: {source}", root.display())]
    Prepare {
        /// The instance root.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its program cannot be executed.
    #[error("cannot execute the supervisor {}: {source}", exe.display())]
    Execute {
        /// The program.
        exe: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended at once.
    #[error("the supervisor ended at once ({status}); the end of {} says:\n{tail}", log.display())]
    Ended {
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// It runs but does not answer.
    #[error("the supervisor does not answer: {0}")]
    Silent(ClientError),
}

/// Gives a client of the supervisor of an instance root. If none answers, `exe args...` (which
/// must call [`crate::run_daemon`]) is started, apart from this process: in a session of its own,
/// with an environment of only `PATH`, its output in its log, in the directory `/`. Of several
/// callers at once, one starts it.
///
/// # Errors
/// When it cannot be started or does not answer within a minute.
pub fn ensure_running(paths: &Paths, exe: &Path, args: &[&str]) -> Result<Client, LaunchError> {
    if let Ok(client) = Client::connect(paths) {
        return Ok(client);
    }
    let prepare = |source| LaunchError::Prepare { root: paths.root().to_owned(), source };
    paths.prepare().map_err(prepare)?;
    // Held until it answers, so that the next caller finds it.
    let _turn = FileLock::acquire(&paths.launch_lock()).map_err(prepare)?;
    if let Ok(client) = Client::connect(paths) {
        return Ok(client);
    }
    let child = start(paths, exe, args)?;
    await_answer(paths, child)
}

fn start(paths: &Paths, exe: &Path, args: &[&str]) -> Result<std::process::Child, LaunchError> {
    let failed = |source| LaunchError::Execute { exe: exe.to_owned(), source };
    let mut command = Command::new(exe);
    command
        .args(args)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(std::process::Stdio::null())
        .new_session();
    let command = command.append_output_to(&paths.log()).map_err(failed)?;
    command.spawn().map_err(failed)
}

fn await_answer(paths: &Paths, mut child: std::process::Child) -> Result<Client, LaunchError> {
    let begun = Instant::now();
    loop {
        let error = match Client::connect(paths) {
            Ok(client) => {
                // Whoever lives long enough to see it end must not leave a zombie.
                std::thread::spawn(move || child.wait());
                return Ok(client);
            }
            Err(error) => error,
        };
        if let Ok(Some(status)) = child.try_wait() {
            // It may have lost a race against one started by other means, which is fine.
            return Client::connect(paths).map_err(|_| ended(paths, status));
        }
        if begun.elapsed() > PATIENCE {
            return Err(LaunchError::Silent(error));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ended(paths: &Paths, status: std::process::ExitStatus) -> LaunchError {
    let log = paths.log();
    let text = std::fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().rev().take(SHOWN_LINES).collect();
    let tail: Vec<_> = lines.into_iter().rev().collect();
    LaunchError::Ended { status, log, tail: tail.join("\n") }
}
