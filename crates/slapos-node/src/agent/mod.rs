//! `node agent`: one process that has the commands of cron run when they are to.
//!
//! It listens to the Master where that tells of changes (ours does) and otherwise has the commands
//! ask at an interval; `schedule` decides, purely. The commands are children: the same program, as
//! cron would start it, with the same locks, so that both may be at work; what they take in memory
//! goes with them, and one that is killed takes nobody along. The agent itself holds one connection
//! and sleeps. A run of `instance` that is under way, and may only be asking promises, hears from it that
//! the Master wants something; whatever becomes of that, another run follows.
//!
//! When the agent ends, what it started goes on to its end, and so do services: a build of an hour is
//! not lost because the agent is replaced. The next one meets the locks, and waits.
//!
//! Absent on purpose: what is wanted, what is due in a partition, and any record. The commands know.

mod jitter;
mod listen;
mod schedule;

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use slapos_sources::NETWORK_VARIABLES;
use slapos_sys::process::{Command, Signal, on_signals};

use crate::config::NodeConfig;
use crate::error::{NodeError, exit};
use crate::node::Node;
use crate::reporter::Reporter;
use crate::routine::Job;
use jitter::Jitter;
use listen::Ear;
use schedule::{Act, Ending, Input, Schedule, Source, Why};

/// Threads of the agent only wait.
const SMALL_STACK: usize = 256 << 10;

/// Nothing is waited for longer, to be sure.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// What the agent needs to know of the program that it is part of.
pub struct Setup<'a> {
    /// Reads the configuration, at the start and when told to (`SIGHUP`).
    pub read: &'a dyn Fn() -> Result<NodeConfig, NodeError>,
    /// Who watches.
    pub reporter: &'a dyn Reporter,
    /// Words for all commands that it starts, such as `--verbose`.
    pub words: Vec<String>,
}

/// What the loop waits for.
enum Message {
    Heard(Input, Option<String>),
    Ended(Job, Ending),
    Signal(Signal),
}

/// Runs the agent until it is told to end (`SIGTERM`, `SIGINT`).
///
/// # Errors
/// When another agent runs for this node ([`exit::BUSY`]), or the machine refuses what it needs.
pub fn run(setup: &Setup<'_>) -> Result<(), NodeError> {
    let (out, inbox) = channel();
    let signals = out.clone();
    let wanted = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    on_signals(&wanted, move |signal| drop(signals.send(Message::Signal(signal))))
        .map_err(|error| NodeError::user(format!("cannot wait for signals: {error}")))?;
    let config = (setup.read)()?;
    let node = node_of(&config, setup);
    let lock = config.instance_root.join("var/run/slapos-agent.pid");
    let _lock = node.lock("slapos node agent", &lock)?;
    Agent::new(setup, config.clone(), out)?.serve(&inbox)
}

fn node_of<'a>(config: &'a NodeConfig, setup: &Setup<'a>) -> Node<'a> {
    Node { config, reporter: setup.reporter, clock: &slapos_sys::clock::SystemClock }
}

fn collects(config: &NodeConfig, setup: &Setup<'_>) -> bool {
    Job::of(&node_of(config, setup)).contains(&Job::Collect)
}

struct Agent<'a> {
    setup: &'a Setup<'a>,
    config: NodeConfig,
    schedule: Schedule,
    out: Sender<Message>,
    ear: Ear,
    /// `None` until the Master was heard of.
    source: Option<Source>,
    started: Instant,
    /// By which the last run of `instance` is told that the Master wants something.
    hints: Option<UnixStream>,
    /// Whether it was said that the node is down.
    said_down: bool,
}

impl<'a> Agent<'a> {
    fn new(
        setup: &'a Setup<'a>,
        config: NodeConfig,
        out: Sender<Message>,
    ) -> Result<Self, NodeError> {
        Ok(Self {
            ear: Ear::start(&config, out.clone())?,
            schedule: Schedule::new(
                config.agent_poll_interval,
                collects(&config, setup),
                Jitter::seed(),
            ),
            setup,
            config,
            out,
            source: None,
            started: Instant::now(),
            hints: None,
            said_down: false,
        })
    }

    fn serve(mut self, inbox: &Receiver<Message>) -> Result<(), NodeError> {
        self.setup.reporter.note("agent", &format!("serves {}", self.config.computer_id));
        loop {
            let input = match self.wait(inbox) {
                None => Input::Time,
                Some(Message::Ended(job, ending)) => Input::Ended(job, ending),
                Some(Message::Heard(input, reason)) => {
                    self.note_source(&input, reason.as_deref());
                    input
                }
                Some(Message::Signal(Signal::SIGHUP)) => self.reread(),
                Some(Message::Signal(_)) => {
                    self.setup.reporter.note("agent", "ends; what it started goes on");
                    return Ok(());
                }
            };
            for act in self.schedule.step(self.started.elapsed(), input) {
                match act {
                    Act::Start(job, why) => self.start(job, why),
                    Act::Hint => self.hint(),
                }
            }
        }
    }

    fn wait(&self, inbox: &Receiver<Message>) -> Option<Message> {
        let wake = self.schedule.wake().unwrap_or(Duration::MAX);
        let sleep = wake.saturating_sub(self.started.elapsed()).min(LONGEST_SLEEP);
        // It holds a sender itself, so that no error but the timeout happens.
        inbox.recv_timeout(sleep).ok()
    }

    /// Says once how changes are heard of.
    fn note_source(&mut self, input: &Input, reason: Option<&str>) {
        let Input::Source(source) = input else { return };
        let reporter = self.setup.reporter;
        let (url, poll) = (&self.config.master_url, self.config.agent_poll_interval.as_secs());
        match (source, reason) {
            _ if Some(*source) == self.source => {}
            (Source::Told, _) => reporter.note("agent", &format!("listens to the Master at {url}")),
            (Source::Asked, _) => {
                let text = format!("the Master at {url} tells of no changes: asked every {poll} s");
                reporter.note("agent", &text);
            }
            (Source::Away, reason) => {
                let reason = reason.unwrap_or("the Master does not answer");
                reporter.warn("agent", &format!("{reason}; services go on, it is tried again"));
            }
        }
        self.source = Some(*source);
    }

    /// Reads the configuration again; a wrong one changes nothing.
    fn reread(&mut self) -> Input {
        let reporter = self.setup.reporter;
        let config = match (self.setup.read)() {
            Ok(config) if config.instance_root == self.config.instance_root => config,
            Ok(_) => {
                reporter.warn("agent", "another `instance_root` needs another agent: restart it");
                return Input::Time;
            }
            Err(error) => {
                reporter.failed("agent", &error);
                return Input::Time;
            }
        };
        match Ear::start(&config, self.out.clone()) {
            Ok(ear) => self.ear = ear,
            Err(error) => {
                reporter.failed("agent", &error);
                return Input::Time;
            }
        }
        self.source = None;
        self.config = config;
        reporter.note("agent", "read its configuration again");
        let collects = collects(&self.config, self.setup);
        Input::Config { poll: self.config.agent_poll_interval, collects }
    }

    fn is_down(&self) -> bool {
        node_of(&self.config, self.setup).down_marker().exists()
    }

    /// Tells the run of `instance` that is under way to look again.
    fn hint(&mut self) {
        if self.is_down() {
            return;
        }
        // One that is about to end does not hear it, and one that was stopped has enough to read.
        let _ = self.hints.as_mut().map(|hints| hints.write(b"!"));
    }

    /// Starts a command; whatever becomes of it, its end is told.
    fn start(&mut self, job: Job, why: Why) {
        if self.is_down() {
            if !std::mem::replace(&mut self.said_down, true) {
                let text = "the node is down; `slapos up` brings it back";
                self.setup.reporter.note("agent", text);
            }
            return self.tell_end(job, Ending::Down);
        }
        self.said_down = false;
        if why != Why::Time {
            self.setup.reporter.note("agent", &format!("{}: {why}", job.word()));
        }
        if let Err(error) = self.spawn(job) {
            let text = format!("cannot start `slapos node {}`: {error}", job.word());
            self.setup.reporter.warn("agent", &text);
            self.tell_end(job, Ending::Failed);
        }
    }

    fn tell_end(&self, job: Job, ending: Ending) {
        // Only fails when the loop has ended.
        let _ = self.out.send(Message::Ended(job, ending));
    }

    fn spawn(&mut self, job: Job) -> std::io::Result<()> {
        let mut command = Command::current_exe();
        command.arg0("slapos").args(["node", job.word(), "--cfg"]).arg(&self.config.file);
        if job != Job::Collect {
            // The agent waits long enough itself, and that one does not wait.
            command.arg("--now");
        }
        // Open until the command has its own.
        let mut theirs = None;
        if job == Job::Instance {
            let (ours, end) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            self.hints = Some(ours);
            command.arg("--hints").arg(end.as_raw_fd().to_string()).pass_fds(&[end.as_raw_fd()]);
            theirs = Some(end);
        }
        command.args(&self.setup.words).inherit_env(&["PATH", "HOME", "LANG", "TERM"]);
        command.inherit_env(&["SLAPOS_LOG", "NO_COLOR"]).inherit_env(&NETWORK_VARIABLES);
        command.stdin(std::process::Stdio::null());
        let mut child = command.spawn()?;
        drop(theirs);
        let out = self.out.clone();
        let wait = move || {
            let ending = child.wait().map_or(Ending::Failed, ending);
            let _ = out.send(Message::Ended(job, ending));
        };
        // Without the thread the end would never be told.
        thread::Builder::new().name(job.word().to_owned()).stack_size(SMALL_STACK).spawn(wait)?;
        Ok(())
    }
}

/// What an exit code says.
fn ending(status: ExitStatus) -> Ending {
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0 | exit::PROMISE) => Ending::Done,
        Some(exit::BUSY) => Ending::Busy,
        Some(exit::OFFLINE) => Ending::Away,
        _ => Ending::Failed,
    }
}
