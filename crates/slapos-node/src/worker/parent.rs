//! The node's end: starts a worker as the right user and runs jobs in it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use slapos_slap::{InstanceAnswer, InstanceRequest, RequestError};
use slapos_sources::NETWORK_VARIABLES;
use slapos_sys::process::{
    Command, Offspring, Piped, Signal, kill, kill_descendants, kill_group, threads_of, urgently,
};
use slapos_sys::user::{self, Identity};

use super::SURVIVED;
use super::nursery;
use super::protocol::{Done, Job, Message, Reply};
use super::tree::Tree;
use crate::error::NodeError;
use crate::text::LastWords;

/// Longer messages are not a worker's, bytes.
const LONGEST_MESSAGE: u64 = 16 << 20;
/// Messages that wait to be read; then the worker waits.
const WAITING_MESSAGES: usize = 64;
/// What a worker may ask for in one job: a frontend publishes for thousands of shared instances.
const MOST_QUESTIONS: u32 = 1 << 16;
/// What a worker may tell of in one job.
const MOST_EVENTS: u32 = 1 << 20;
/// What is kept of a worker's standard error, bytes.
const LAST_WORDS: usize = 4096;

/// How long the end of a worker that is gone, or cannot be spoken to, is waited for.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);
/// A partition that goes on forking stops at so many processes, threads included, beside those that it has
/// already, and the machine does not.
const MORE_PROCESSES: u64 = 1024;

/// How long a worker may take to end what it started when it is asked to end itself.
const LAST_DEEDS: Duration = Duration::from_secs(10);
/// How long what one that does not end has started may take to be gone.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// What a worker is for.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// To build: it may reach the network, and read the profile tree.
    Build(Option<&'a Tree>),
    /// To pack what it built into this file.
    Pack(&'a File),
    /// To serve one partition.
    Partition,
}

/// What a worker that builds may have of this process's environment: beside the
/// [`NETWORK_VARIABLES`], how the registries' own clients are configured. Recipes give commands an
/// environment of their own, so nothing here steers a build.
const PASSED_ON: &[&str] = &[
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

/// A child of this program that runs as another user. Ended when dropped.
pub struct Worker {
    child: Offspring,
    input: File,
    messages: Receiver<std::io::Result<Message>>,
    last_words: Option<LastWords>,
    name: String,
    /// The user, if all his processes are the partition's.
    own_user: Option<Identity>,
}

/// Takes what a worker says while it works on a job.
pub trait Listener {
    /// Something happened.
    fn event(&mut self, event: slapos_engine::Event);
    /// The instance wants its connection parameters published, or those of a shared instance that it
    /// hosts; `Err` says why they were not.
    fn publish(
        &mut self,
        shared: Option<&str>,
        connection: indexmap::IndexMap<String, String>,
    ) -> Result<(), String>;
    /// The instance wants another one; to be asked for in its name, whoever the request names.
    fn request(&mut self, request: InstanceRequest)
    -> Result<Option<InstanceAnswer>, RequestError>;
}

/// How many messages a worker may still send for a job.
struct Left {
    questions: u32,
    events: u32,
}

impl Default for Left {
    fn default() -> Self {
        Self { questions: MOST_QUESTIONS, events: MOST_EVENTS }
    }
}

impl Left {
    /// Counts `message`; whether there was one left.
    fn take(&mut self, message: &Message) -> bool {
        let left = match message {
            Message::Event { .. } => &mut self.events,
            Message::Publish { .. } | Message::Request { .. } => &mut self.questions,
            Message::Done { .. } | Message::Failed { .. } => return true,
        };
        let next = left.checked_sub(1);
        *left = next.unwrap_or(0);
        next.is_some()
    }
}

impl Worker {
    /// Starts a worker as `user`; `name` is for messages.
    ///
    /// # Errors
    /// When `user` is root (nothing compiles or runs as root), or the child cannot be started.
    pub fn start(user: &Identity, name: &str, purpose: Purpose<'_>) -> Result<Self, NodeError> {
        if user.uid == 0 {
            return Err(NodeError::user(format!("{name} would run as root"))
                .hint("run `slapos node format` with `alter_user = true`, or give the directory to an ordinary user"));
        }
        let born = if let Purpose::Partition = purpose { nursery::bear(user) } else { None };
        let all = Piped { input: true, output: true, errors: true };
        let started = born.map_or_else(|| command(user, purpose).spawn_apart(all), Ok);
        let mut child = started.map_err(|error| {
            NodeError::user(format!("cannot start the worker of {name} as {}: {error}", user.name))
        })?;
        let pipes = (child.input.take(), child.output.take(), child.errors.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(NodeError::user(format!("the worker of {name} has no pipes")));
        };
        let (sender, messages) = sync_channel(WAITING_MESSAGES);
        std::thread::spawn(move || listen(output.into(), &sender));
        let last_words = Some(LastWords::listen(File::from(errors), LAST_WORDS));
        let has_own_user = matches!(purpose, Purpose::Partition) && user::is_root();
        let own_user = has_own_user.then(|| user.clone());
        let (input, name) = (input.into(), name.to_owned());
        Ok(Self { child, input, messages, last_words, name, own_user })
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
        let mut left = Left::default();
        loop {
            let message = self.receive(deadline)?;
            if !left.take(&message) {
                self.end();
                return Err(NodeError::user(format!(
                    "{} said too much and was stopped",
                    self.name
                )));
            }
            match message {
                Message::Event { what } => listener.event(what),
                Message::Publish { connection, shared } => {
                    let refused = listener.publish(shared.as_deref(), connection).err();
                    self.send(&Reply::Publish { refused })?;
                }
                Message::Request { request } => {
                    let outcome = listener.request(*request).map(|answer| answer.map(Box::new));
                    self.send(&Reply::Request { outcome })?;
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
                self.end();
                Err(NodeError::user(format!("{} took too long and was stopped", self.name)))
            }
        }
    }

    /// The worker is gone before its job was done: how did it end, and what did it say?
    fn death(&mut self) -> NodeError {
        // One that cannot be spoken to any more would wait for ever to be told something.
        if !matches!(self.child.wait_within(LAST_WORDS_WAIT), Ok(Some(_))) {
            self.end();
        }
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let words = self.last_words.take().map(LastWords::all);
        let error = NodeError::user(format!("the worker of {} died: {how}", self.name))
            .hint("run the command again: what was finished is recorded, the rest starts over");
        match words.filter(|words| !words.trim().is_empty()) {
            Some(words) => error.detail(words),
            None => error,
        }
    }

    /// Asked to end, a worker ends what it started, and then itself. Where that does not do, because
    /// something goes on forking, or has stopped it, all processes of the partition's user end; the
    /// supervisor starts its services again.
    fn end(&mut self) {
        if !matches!(self.child.wait_within(Duration::ZERO), Ok(Some(_))) {
            let _ = kill(self.child.id(), Signal::SIGTERM);
        }
        urgently(|| {
            let ended = self.child.wait_within(LAST_DEEDS);
            if ended.is_ok_and(|s| s.is_some_and(|status| status.code() != Some(SURVIVED))) {
                return;
            }
            match self.own_user.take() {
                Some(user) => end_all_of(&user),
                // What it started goes while it is the ancestor.
                None => drop(kill_descendants(self.child.id(), LAST_LOOK)),
            }
            let _ = kill_group(self.child.id(), Signal::SIGKILL);
            let _ = self.child.wait();
        });
    }
}

/// Kills all processes of `user`, at one moment. Who cannot start another one for it has none.
fn end_all_of(user: &Identity) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "kill -s KILL -- -1"]).user(user).new_session();
    // What it says of there being none, or how it ends, is of no interest.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.status();
}

/// How many processes the user of a partition may have while a worker serves it: its own, so that all of
/// his are the partition's. `None` where partitions share a user with the node.
pub(super) fn most_processes(user: &Identity) -> Option<u64> {
    user::is_root().then(|| threads_of(user.uid) + MORE_PROCESSES)
}

fn command(user: &Identity, purpose: Purpose<'_>) -> Command {
    let mut command = Command::current_exe();
    command.arg0("slapos").arg("worker").user(user).umask(0o022).no_new_privileges();
    command.env("LANG", "C.UTF-8").env("HOME", &user.home);
    command.env("USER", &user.name).env("LOGNAME", &user.name);
    command.current_dir("/").new_session().signal_with_parent(Signal::SIGTERM);
    match purpose {
        Purpose::Partition => {
            command.env("PATH", USUAL_PATH);
            if let Some(most) = most_processes(user) {
                command.processes(most);
            }
        }
        Purpose::Pack(archive) => {
            command.env("PATH", USUAL_PATH).pass_fds(&[archive.as_raw_fd()]);
        }
        Purpose::Build(tree) => {
            command
                .env("PATH", search_path())
                .inherit_env(&NETWORK_VARIABLES)
                .inherit_env(PASSED_ON);
            if let Some(tree) = tree {
                command.pass_fds(&[tree.fd().as_raw_fd()]);
            }
        }
    }
    command
}

pub(super) const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// This process's own, so that registry clients are found, after the usual places.
fn search_path() -> std::ffi::OsString {
    let mut path = std::ffi::OsString::from(USUAL_PATH);
    if let Some(own) = std::env::var_os("PATH") {
        path.push(":");
        path.push(own);
    }
    path
}

/// Reads messages until the worker is gone, or nobody listens any more. What the worker writes is
/// not trusted: a line without end ends the conversation.
fn listen(output: File, sender: &SyncSender<std::io::Result<Message>>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = String::new();
        let message = match (&mut output).take(LONGEST_MESSAGE).read_line(&mut line) {
            Ok(0) => return,
            Ok(_) if !line.ends_with('\n') => Err(std::io::ErrorKind::InvalidData.into()),
            Ok(_) => serde_json::from_str(&line).map_err(std::io::Error::from),
            Err(error) => Err(error),
        };
        let broken = message.is_err();
        if sender.send(message).is_err() || broken {
            return;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// For jobs that have nothing to say.
pub(crate) struct Quiet;

impl Listener for Quiet {
    fn event(&mut self, _: slapos_engine::Event) {}

    fn publish(&mut self, _: Option<&str>, _: IndexMap<String, String>) -> Result<(), String> {
        Err("only the processing of an instance publishes".to_owned())
    }

    fn request(&mut self, _: InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError> {
        Err(RequestError::Refused("only the processing of an instance asks for others".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_cannot_go_on_talking() {
        let publish = Message::Publish { connection: Default::default(), shared: None };
        let mut left = Left { questions: 2, events: 0 };
        assert!(left.take(&publish) && left.take(&publish));
        assert!(!left.take(&publish) && !left.take(&publish));
    }
}
