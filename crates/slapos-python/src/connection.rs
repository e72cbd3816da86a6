//! The host process and the socket to it: starting, talking a line at a time, noticing its end.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use slapos_engine::Cancellation;
use slapos_sys::process::{self, Command, Signal};

use crate::message::{Received, Sent, Version};
use crate::modules;

/// How often a wait is interrupted to see whether the run was stopped.
const POLL: Duration = Duration::from_millis(100);
/// How long the host may leave a message unread.
const DEAFNESS: Duration = Duration::from_secs(60);
/// How long the process may take to say its first word.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait for the exit status of a host whose socket is closed.
const END_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for what a host printed that has ended; its children may hold the other end.
const LAST_LIMIT: Duration = Duration::from_millis(500);
/// Longest line taken from the host, bytes.
const LONGEST_LINE: usize = 64 << 20;
/// How many lines of what the host printed are kept.
const LAST_LINES: usize = 20;
/// How many lines are kept to be told.
const MOST_LINES: usize = 1000;
/// Begins a line that says that a call begins, with the name of its part, or ends.
const MARK: &str = "\u{1}slapos ";
/// Longest of them, bytes.
const LONGEST_WORDS: u64 = 4096;

/// Why there is no message.
#[derive(Debug)]
pub(crate) enum NoMessage {
    /// The process is gone: how.
    Ended(String),
    /// What came is no message: what is wrong with it.
    Nonsense(String),
    /// Nothing came for this long.
    Silent(Duration),
    /// The run was asked to stop.
    Cancelled,
}

/// How long to wait for a message.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'p> {
    /// `None`: as long as it takes.
    pub(crate) limit: Option<Duration>,
    /// The run, if it can be stopped.
    pub(crate) cancellation: Option<&'p Cancellation>,
}

/// A running host.
pub(crate) struct Connection {
    writer: Mutex<UnixStream>,
    reader: Mutex<Reader>,
    pid: u32,
    /// The process was waited for: its number may be somebody else's by now.
    reaped: Arc<AtomicBool>,
    ended: Mutex<mpsc::Receiver<ExitStatus>>,
    words: Arc<(Mutex<Words>, Condvar)>,
}

/// What the host printed outside of any part's log.
#[derive(Default)]
struct Words {
    /// The last lines.
    last: VecDeque<String>,
    /// Parts that are being initialised, the innermost last.
    parts: Vec<String>,
    /// Parts, and lines that nobody was told of yet.
    said: Vec<(String, String)>,
    /// How many calls without a log have ended.
    ended: u64,
    /// How many ends were waited for.
    awaited: u64,
    /// Nothing will come any more.
    closed: bool,
}

struct Reader {
    stream: BufReader<UnixStream>,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
}

impl Connection {
    /// Starts `python` in `directory` and waits until it has said that it is ready; returns its
    /// version as well.
    pub(crate) fn start(
        python: &Path,
        directory: &Path,
        environment: &BTreeMap<String, String>,
    ) -> io::Result<(Self, Version)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(POLL))?;
        ours.set_write_timeout(Some(DEAFNESS))?;
        let mut command = Command::new(python);
        let fd = theirs.as_raw_fd();
        // Isolated, and without what the machine has installed for itself.
        command.args(["-I", "-S", "-B", "-c", modules::BOOT]).arg(fd.to_string());
        command.envs(environment).current_dir(directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.pass_fds(&[fd]).process_group().die_with_parent();
        let Kept { pid, stderr, ended, reaped } = keep(command)?;
        drop(theirs);
        let words = Arc::new((Mutex::new(Words::default()), Condvar::new()));
        if let Some(stderr) = stderr {
            let words = Arc::clone(&words);
            std::thread::spawn(move || listen(stderr, &words));
        }
        let connection = Self {
            writer: Mutex::new(ours.try_clone()?),
            reader: Mutex::new(Reader { stream: BufReader::new(ours), partial: Vec::new() }),
            pid,
            reaped,
            ended: Mutex::new(ended),
            words,
        };
        let version = connection.greet().map_err(io::Error::other)?;
        Ok((connection, version))
    }

    fn greet(&self) -> Result<Version, String> {
        let modules = modules::all();
        self.send(&Sent::Modules(&modules)).map_err(|error| error.to_string())?;
        let patience = Patience { limit: Some(START_LIMIT), cancellation: None };
        match self.receive(patience) {
            Ok(Received::Ready { version }) => Ok(version),
            Ok(_) => Err("it did not say that it is ready".to_owned()),
            Err(NoMessage::Ended(how)) => {
                let words = self.last_words();
                let words: String = words.iter().map(|line| format!("\n{line}")).collect();
                Err(format!("it {how}{words}"))
            }
            Err(NoMessage::Nonsense(what)) => Err(what),
            Err(NoMessage::Silent(_) | NoMessage::Cancelled) => Err("it says nothing".to_owned()),
        }
    }

    pub(crate) fn send(&self, message: &Sent<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        lock(&self.writer).write_all(&line)
    }

    /// The next message.
    pub(crate) fn receive(&self, patience: Patience<'_>) -> Result<Received, NoMessage> {
        let started = Instant::now();
        let mut reader = lock(&self.reader);
        loop {
            let Reader { stream, partial } = &mut *reader;
            let room = (LONGEST_LINE + 1 - partial.len()) as u64;
            match stream.by_ref().take(room).read_until(b'\n', partial) {
                Ok(0) => return Err(NoMessage::Ended(self.how_it_ended())),
                Ok(_) if partial.ends_with(b"\n") => {
                    let line = std::mem::take(partial);
                    let parsed = serde_json::from_slice(&line);
                    return parsed.map_err(|error| NoMessage::Nonsense(nonsense(&line, &error)));
                }
                Ok(_) => {}
                Err(error) if is_only_late(&error) => {}
                Err(error) => return Err(NoMessage::Ended(format!("cannot be heard: {error}"))),
            }
            if partial.len() > LONGEST_LINE {
                return Err(NoMessage::Nonsense("says too much at once".to_owned()));
            }
            if patience.cancellation.is_some_and(Cancellation::is_cancelled) {
                return Err(NoMessage::Cancelled);
            }
            if let Some(limit) = patience.limit.filter(|limit| started.elapsed() > *limit) {
                return Err(NoMessage::Silent(limit));
            }
        }
    }

    fn how_it_ended(&self) -> String {
        match lock(&self.ended).recv_timeout(END_LIMIT) {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with status {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
            Err(_) => "closed its connection".to_owned(),
        }
    }

    /// What the host printed last outside of any part's log. It has ended, and what it printed may
    /// still be on its way.
    pub(crate) fn last_words(&self) -> Vec<String> {
        let (words, changed) = &*self.words;
        let come = changed.wait_timeout_while(lock(words), LAST_LIMIT, |words| !words.closed);
        come.unwrap_or_else(PoisonError::into_inner).0.last.iter().cloned().collect()
    }

    /// What was printed for parts until the call ended that had no log: parts and lines, each told
    /// once. Waits until all of it has come, but not for ever.
    pub(crate) fn said(&self) -> Vec<(String, String)> {
        let (words, changed) = &*self.words;
        let mut words = lock(words);
        words.awaited += 1;
        let deadline = Instant::now() + END_LIMIT;
        while words.ended < words.awaited && !words.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            words = changed.wait_timeout(words, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut words.said)
    }

    /// Ends the process and all it has started in its group.
    pub(crate) fn kill(&self) {
        if !self.reaped.load(Ordering::SeqCst) {
            // It may have ended by itself.
            let _ = process::kill_group(self.pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_only_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

fn nonsense(line: &[u8], error: &serde_json::Error) -> String {
    let start = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
    format!("says `{}`, which is no message ({error})", start.trim_end())
}

/// A process that a thread waits for.
struct Kept {
    pid: u32,
    stderr: Option<ChildStderr>,
    ended: mpsc::Receiver<ExitStatus>,
    reaped: Arc<AtomicBool>,
}

/// Starts `command` in a thread that lives as long as the process: the kernel ends a child with
/// the thread that started it, and the threads that run parts come and go.
fn keep(mut command: Command) -> io::Result<Kept> {
    let (started, starting) = mpsc::channel();
    let (tell_end, ended) = mpsc::channel();
    let reaped = Arc::new(AtomicBool::new(false));
    let is_reaped = Arc::clone(&reaped);
    std::thread::Builder::new().name("python-host".to_owned()).spawn(move || {
        let spawned = command.spawn();
        drop(command);
        let told = |child: &mut Child| (child.id(), child.stderr.take());
        match spawned {
            Ok(mut child) => {
                let _ = started.send(Ok(told(&mut child)));
                if let Ok(status) = child.wait() {
                    is_reaped.store(true, Ordering::SeqCst);
                    let _ = tell_end.send(status);
                }
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    let (pid, stderr) = starting.recv().map_err(io::Error::other)??;
    Ok(Kept { pid, stderr, ended, reaped })
}

/// Keeps what the host prints.
fn listen(stderr: ChildStderr, words: &(Mutex<Words>, Condvar)) {
    let (words, changed) = words;
    let mut lines = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LONGEST_WORDS).read_until(b'\n', &mut line);
        let mut words = lock(words);
        match read {
            Ok(0) | Err(_) => words.closed = true,
            Ok(_) => words.hear(String::from_utf8_lossy(&line).trim_end()),
        }
        changed.notify_all();
        if words.closed {
            return;
        }
    }
}

impl Words {
    fn hear(&mut self, line: &str) {
        // What was printed last may not have ended its line.
        if let Some((before, mark)) = line.split_once(MARK) {
            if !before.is_empty() {
                self.hear(before);
            }
            match mark.strip_prefix("begins ") {
                Some(part) => self.parts.push(part.to_owned()),
                None => {
                    self.parts.pop();
                    self.ended += 1;
                }
            }
            return;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        let part = self.parts.last().filter(|_| self.said.len() < MOST_LINES);
        self.said.extend(part.map(|part| (part.clone(), line.to_owned())));
    }
}
