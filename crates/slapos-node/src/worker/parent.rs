//! The node's end: starts a worker as the right user and runs jobs in it.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use slapos_sys::process::{Command, Signal, kill_group};
use slapos_sys::user::Identity;

use super::protocol::{Done, Job, Message, Reply};
use super::tree::Tree;
use crate::error::NodeError;

/// What the worker may have of this process's environment: how to reach the network, and how the
/// registries' own clients are configured. Recipes give commands an environment of their own, so
/// nothing here steers a build.
const PASSED_ON: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CONFIG_FILE",
    "PIP_INDEX_URL",
    "PIP_CERT",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "npm_config_registry",
    "npm_config_userconfig",
];

/// A child of this program that runs as another user. Killed, with all it started, when dropped.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    messages: Receiver<std::io::Result<Message>>,
    name: String,
}

/// Takes what a worker says while it works on a job.
pub trait Listener {
    /// Something happened.
    fn event(&mut self, event: slapos_engine::Event);
    /// The instance wants its connection parameters published; `Err` says why they were not.
    fn publish(&mut self, connection: indexmap::IndexMap<String, String>) -> Result<(), String>;
}

impl Worker {
    /// Starts a worker as `user`; `name` is for messages. `tree` is what it may read of an
    /// operator's profile tree.
    ///
    /// # Errors
    /// When `user` is root (nothing compiles or runs as root), or the child cannot be started.
    pub fn start(user: &Identity, name: &str, tree: Option<&Tree>) -> Result<Self, NodeError> {
        if user.uid == 0 {
            return Err(NodeError::user(format!("{name} would run as root"))
                .hint("run `slapos node format` with `alter_user = true`, or give the directory to an ordinary user"));
        }
        let mut command = Command::current_exe();
        command.arg0("slapos").arg("worker").user(user).umask(0o022);
        command.env("PATH", search_path()).env("LANG", "C.UTF-8");
        command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
        command.inherit_env(PASSED_ON).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).new_session().die_with_parent();
        if let Some(tree) = tree {
            command.pass_fds(&[tree.fd().as_raw_fd()]);
        }
        let mut child = command.spawn().map_err(|error| {
            NodeError::user(format!("cannot start the worker of {name} as {}: {error}", user.name))
        })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(NodeError::user(format!("the worker of {name} has no pipes")));
        };
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let message = line.and_then(|line| Ok(serde_json::from_str(&line)?));
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, messages, name: name.to_owned() })
    }

    /// Has the worker do `job`; no time limit unless `limit` is given.
    ///
    /// # Errors
    /// What the job failed with; also when the worker dies, or exceeds `limit`.
    pub fn run(
        &mut self,
        job: &Job,
        limit: Option<Duration>,
        listener: &mut dyn Listener,
    ) -> Result<Done, NodeError> {
        self.send(job)?;
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            match self.receive(deadline)? {
                Message::Event { what } => listener.event(what),
                Message::Publish { connection } => {
                    let refused = listener.publish(connection).err();
                    self.send(&Reply { refused })?;
                }
                Message::Done { done } => return Ok(done),
                Message::Failed { failure } => {
                    let mut error = NodeError::user(failure.message);
                    if let Some(detail) = failure.detail {
                        error = error.detail(detail);
                    }
                    return Err(match failure.hint {
                        Some(hint) => error.hint(hint),
                        None => error,
                    });
                }
            }
        }
    }

    fn send<T: serde::Serialize>(&mut self, line: &T) -> Result<(), NodeError> {
        let mut text = serde_json::to_string(line)
            .map_err(|error| NodeError::user(format!("cannot word a job: {error}")))?;
        text.push('\n');
        match self.input.write_all(text.as_bytes()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.death()),
        }
    }

    fn receive(&mut self, deadline: Option<Instant>) -> Result<Message, NodeError> {
        let received = match deadline {
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => self.messages.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(NodeError::user(format!(
                "the worker of {} is not understood: {error}",
                self.name
            ))),
            Err(RecvTimeoutError::Disconnected) => Err(self.death()),
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(NodeError::user(format!("{} took too long and was stopped", self.name)))
            }
        }
    }

    /// The worker is gone before its job was done: how did it end?
    fn death(&mut self) -> NodeError {
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        NodeError::user(format!("the worker of {} died: {how}", self.name))
            .hint("run the command again: what was finished is recorded, the rest starts over")
    }

    fn kill(&mut self) {
        let _ = kill_group(self.child.id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// This process's own, so that registry clients are found, after the usual places.
fn search_path() -> std::ffi::OsString {
    let mut path = std::ffi::OsString::from("/usr/local/bin:/usr/bin:/bin");
    if let Some(own) = std::env::var_os("PATH") {
        path.push(":");
        path.push(own);
    }
    path
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
