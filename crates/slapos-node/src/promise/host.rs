//! The Python of a partition: one warm process that makes a child of itself for each plugin.
//!
//! It speaks in packets whose fields have a zero byte between them (see `promise/host.py`). It is
//! told what to run and which process to take leave of; how long that may take is decided here. A
//! process that has ended keeps its number until we have said so, so that the number can be relied
//! on.
//!
//! Nothing of Python runs in this process; a host that dies, hangs or talks nonsense is a failure of
//! the promises that it was running.

mod message;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slapos_sys::packet::PacketSocket;
use slapos_sys::process::{
    Command, Offspring, Piped, Signal, ended_within, kill, kill_group, pidfd_open,
};

use super::Mode;
use super::discover::Promise;
use super::one::{Answer, Outcome};
use super::python::Interpreter;
use super::state::code_file;
use crate::program::{LAST_DEEDS, Patience, end_family};
use crate::text::LastWords;
use message::Said;

/// Longest packet taken, bytes.
const LONGEST: usize = 256 << 10;
/// How long the host may take to say that it is ready: it imports what a Software Release brings.
const START: Duration = Duration::from_secs(60);
/// How long it may take over what it does at once.
const AT_ONCE: Duration = Duration::from_secs(10);
/// How often a wait is interrupted to see whether the host still runs.
const POLL: Duration = Duration::from_millis(200);
/// What is kept of what it prints, bytes.
const LAST_WORDS: usize = 2048;
/// Answers that are not to a run.
const NOBODY: u64 = 0;

/// The code of the host, which travels inside this program: what starts it, itself, and what it knows
/// modules by.
const BOOT: &str = include_str!("../../promise/boot.py");
const CODE: [(&str, &str); 8] = [
    ("host", include_str!("../../promise/host.py")),
    ("slapos.__init__", ""),
    ("slapos.grid.__init__", ""),
    ("slapos.grid.promise.__init__", include_str!("../../promise/grid_promise.py")),
    ("slapos.grid.promise.generic", include_str!("../../promise/generic.py")),
    ("slapos.grid.promise.interface", include_str!("../../promise/interface.py")),
    ("zope.__init__", ""),
    ("zope.interface", include_str!("../../promise/zope_interface.py")),
];

type Waiting = Arc<Mutex<HashMap<u64, Sender<Said>>>>;

/// See the module. Ended when dropped.
pub(super) struct Host {
    socket: Arc<PacketSocket>,
    child: Mutex<Offspring>,
    /// Held from a question to its answer.
    turn: Mutex<()>,
    waiting: Waiting,
    next: AtomicU64,
    last_words: Option<LastWords>,
}

impl Host {
    /// Starts the host in the partition at `directory`, with `config` for all promises and what it
    /// imports for `plugins` already there.
    ///
    /// To be called by a thread that outlives the host.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn start(
        interpreter: &Interpreter,
        directory: &Path,
        config: &BTreeMap<String, String>,
        plugins: &[&Path],
        patience: Patience<'_>,
    ) -> Result<Self, String> {
        let python = interpreter.path.display();
        let started = Self::spawn(interpreter, directory);
        let host = started.map_err(|error| format!("cannot start {python}: {error}"))?;
        let deadline = Instant::now() + START;
        let patience = Patience { deadline, ..patience };
        let ready = host.prepare(config, plugins, patience);
        ready.map_err(|why| format!("{python} cannot run promises: {why}{}", host.last_words()))?;
        Ok(host)
    }

    fn spawn(interpreter: &Interpreter, directory: &Path) -> std::io::Result<Self> {
        let (ours, theirs) = PacketSocket::pair()?;
        let fd = theirs.as_fd().as_raw_fd();
        let mut command = Command::new(&interpreter.path);
        // Nothing of the environment or the user counts. A Software Release's own Python has its
        // packages; the machine's is without until they are missed.
        command.args(if interpreter.own { ["-s", "-E", "-B"] } else { ["-I", "-S", "-B"] });
        command.args(["-c", BOOT]).arg(fd.to_string()).arg(code_file(directory));
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("HOME", directory).env("PYTHONNOUSERSITE", "true");
        command.inherit_env(&["USER", "LOGNAME"]).current_dir(directory);
        // It ends with its socket, and ends what it started.
        command.pass_fds(&[fd]).process_group();
        let piped = Piped { output: true, errors: true, ..Piped::default() };
        let mut child = command.spawn_apart(piped)?;
        drop(theirs);
        let errors = child.errors.take().map(File::from);
        let last_words = errors.map(|errors| LastWords::listen(errors, LAST_WORDS));
        if let Some(output) = child.output.take().map(File::from) {
            // What promises print is nobody's business, but they must not wait for a reader.
            std::thread::spawn(move || drain(output));
        }
        let (socket, waiting) = (Arc::new(ours), Waiting::default());
        let (from, to) = (Arc::clone(&socket), Arc::clone(&waiting));
        std::thread::spawn(move || deliver(&from, &to));
        let (turn, next) = (Mutex::new(()), AtomicU64::new(NOBODY + 1));
        Ok(Self { socket, child: Mutex::new(child), turn, waiting, next, last_words })
    }

    fn prepare(
        &self,
        config: &BTreeMap<String, String>,
        plugins: &[&Path],
        patience: Patience<'_>,
    ) -> Result<(), String> {
        let answers = self.expect(NOBODY);
        let code: Vec<_> = CODE.iter().flat_map(|(name, text)| [*name, *text]).collect();
        let pairs = config.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let config: Vec<_> = std::iter::once("config").chain(pairs).collect();
        let plugins: Vec<_> = plugins.iter().map(|path| path.to_string_lossy()).collect();
        let warm: Vec<_> =
            std::iter::once("warm").chain(plugins.iter().map(AsRef::as_ref)).collect();
        for packet in [&code, &config, &warm] {
            self.send(packet)?;
        }
        match self.next(&answers, patience)? {
            Said::Ready => Ok(()),
            _ => Err("it did not say that it is ready".to_owned()),
        }
    }

    /// Runs the plugin `promise`.
    pub(super) fn run(&self, promise: &Promise, mode: Mode, patience: Patience<'_>) -> Answer {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let answers = self.expect(number);
        let mut answer = Answer { outcome: Outcome::silence(None), ..Answer::nothing("") };
        match self.begin(number, promise, mode, &answers, &mut answer) {
            Ok((pid, process)) => {
                self.follow(number, pid, &process, &answers, patience, &mut answer);
            }
            Err(why) => answer = Answer::nothing(&format!("Error: {why}")),
        }
        lock(&self.waiting).remove(&number);
        answer
    }

    fn begin(
        &self,
        number: u64,
        promise: &Promise,
        mode: Mode,
        answers: &Receiver<Said>,
        answer: &mut Answer,
    ) -> Result<(u32, OwnedFd), String> {
        let _turn = lock(&self.turn);
        let path = promise.path.to_string_lossy();
        let anomaly = if mode == Mode::Anomaly { "1" } else { "0" };
        self.send(&["run", &number.to_string(), &promise.name, &path, anomaly])?;
        loop {
            match self.at_once(answers)? {
                Said::Started(pid) => {
                    let watched = pidfd_open(pid).map(|process| (pid, process));
                    return watched.map_err(|error| {
                        format!("the promise's process cannot be watched: {error}")
                    });
                }
                Said::Unborn(why) => return Err(format!("there can be no process for it: {why}")),
                // The child may be faster than its parent.
                early => answer.take(early),
            }
        }
    }

    /// Waits for the end of the process, or brings it about.
    fn follow(
        &self,
        number: u64,
        pid: u32,
        process: &OwnedFd,
        answers: &Receiver<Said>,
        patience: Patience<'_>,
        answer: &mut Answer,
    ) {
        let in_time = patience.wait(|limit| ended_within(process, limit)).unwrap_or(false);
        if !in_time {
            end_family(pid, || ended_within(process, LAST_DEEDS).map(drop));
        }
        answer.late = !in_time;
        let _ = kill_group(pid, Signal::SIGKILL);
        let asked = {
            let _turn = lock(&self.turn);
            self.send(&["reap", &number.to_string(), &pid.to_string()])
        };
        while asked.is_ok() {
            match self.at_once(answers) {
                Ok(Said::Ended) | Err(_) => break,
                Ok(said) => answer.take(said),
            }
        }
    }

    fn expect(&self, number: u64) -> Receiver<Said> {
        let (sender, answers) = channel();
        lock(&self.waiting).insert(number, sender);
        answers
    }

    fn send(&self, fields: &[&str]) -> Result<(), String> {
        let packet = fields.join("\0");
        self.socket
            .send(packet.as_bytes())
            .map_err(|error| format!("it cannot be talked to: {error}"))
    }

    fn at_once(&self, answers: &Receiver<Said>) -> Result<Said, String> {
        let deadline = Instant::now() + AT_ONCE;
        let never = slapos_engine::Cancellation::new();
        self.next(answers, Patience { deadline, cancellation: &never })
    }

    fn next(&self, answers: &Receiver<Said>, patience: Patience<'_>) -> Result<Said, String> {
        let mut said = None;
        let waited = patience.wait(|limit| {
            match answers.recv_timeout(limit.min(POLL)) {
                Ok(answer) => said = Some(answer),
                Err(RecvTimeoutError::Disconnected) => return Ok(true),
                // A child that it started may hold the socket open.
                Err(RecvTimeoutError::Timeout) => {
                    return Ok(lock(&self.child).wait_within(Duration::ZERO)?.is_some());
                }
            }
            Ok(true)
        });
        match (said, waited) {
            (Some(said), _) => Ok(said),
            (None, Ok(false)) => Err("it does not answer".to_owned()),
            (None, _) => Err("it is gone".to_owned()),
        }
    }

    /// What it printed at last, as lines to be added to a message.
    fn last_words(&self) -> String {
        // It may be about to end, and what it says then is what we want to know.
        let _ = lock(&self.child).wait_within(POLL);
        let words = self.last_words.as_ref().map(|words| words.within(POLL)).unwrap_or_default();
        let words = words.trim();
        if words.is_empty() { String::new() } else { format!("\n{words}") }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        if matches!(child.wait_within(Duration::ZERO), Ok(None)) {
            let _ = kill(child.id(), Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

impl Answer {
    fn take(&mut self, said: Said) {
        match said {
            Said::Loaded(traits) => self.traits = Some(traits),
            Said::Result(outcome) => self.outcome = outcome,
            Said::Raised(text) => self.outcome = Outcome::silence(Some(&text)),
            Said::Ready | Said::Started(_) | Said::Unborn(_) | Said::Ended => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings each packet to who waits for it, until the host is gone.
fn deliver(socket: &PacketSocket, waiting: &Waiting) {
    while let Ok(Some(packet)) = socket.receive(LONGEST) {
        let text = String::from_utf8_lossy(&packet);
        let Some((number, said)) = message::read(&text) else { break };
        if let Some(sender) = lock(waiting).get(&number) {
            // Who does not wait any more does not want to know.
            let _ = sender.send(said);
        }
    }
    lock(waiting).clear();
}

fn drain(mut output: impl Read) {
    let mut piece = [0; 4096];
    while output.read(&mut piece).is_ok_and(|read| read > 0) {}
}
