//! The daemon: one task owns all state, everything else sends it messages.
//!
//! What starts, stops and watches processes is decided by [`crate::state`]; this room carries it
//! out. Programs write their logs themselves and live in sessions of their own, so that the death
//! of the daemon costs them nothing; the next one takes over (see `recover`).

mod background;
mod control;
mod core;
mod follow;
mod groups;
mod info;
mod journal;
mod launch;
mod ledger;
mod likeness;
mod listener;
mod logs;
mod methods;
mod pool;
mod process;
mod recover;
mod remember;
mod replace;
mod requests;
mod server;
mod starts;
mod table;
mod waiters;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slapos_sys::lock::FileLock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use self::core::{Message, Mood, Supervisor};
use self::journal::Journal;
use self::replace::{Handover, Replacement};
use crate::{Client, Paths};

/// How long a thread that has nothing to do is kept.
const IDLE_THREAD: Duration = Duration::from_secs(1);
/// How long a new daemon waits for the lock of a dying one: it is kept by processes that are
/// about to be executed.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How long answers under way may take when the daemon ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Starts that may hang (in a directory that its user made hang) before others have to wait.
const MAX_THREADS: usize = 64;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one runs for this instance root.
    #[error("a supervisor already runs for {} (pid {pid})", root.display())]
    AlreadyRunning {
        /// The instance root.
        root: PathBuf,
        /// Its process id; 0 if unknown.
        pid: u32,
    },
    /// Something that it needs cannot be had.
    #[error("the supervisor cannot {doing}: {source}")]
    Setup {
        /// What it tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Runs the supervisor of an instance root in the foreground, until it is told to end (by
/// `SIGTERM`, `SIGINT` or the `shutdown` method) and has stopped everything it supervises. Told to
/// (by `SIGUSR1` or the `slapos.replace` method), it executes its program anew, as it is on disk
/// by then, in the same process.
///
/// It changes this process: its umask, its limit of open files, and it becomes the parent of its
/// descendants' orphans.
///
/// # Errors
/// When another one runs already, or when a file of its own cannot be made.
pub fn run_daemon(paths: &Paths) -> Result<(), DaemonError> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let root = paths.root().display().to_string();
    paths.prepare().map_err(setup(format!("prepare {root}")))?;
    let handover = match Handover::receive(paths) {
        Some(handover) => handover,
        None => begin(paths)?,
    };
    let journal = Journal::open(&paths.log()).map_err(setup("open its log"))?;
    slapos_sys::process::set_child_subreaper().map_err(setup("become a subreaper"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_THREADS)
        .thread_keep_alive(IDLE_THREAD)
        .build()
        .map_err(setup("start"))?;
    let (outbox, inbox) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor::new(paths.clone(), journal, outbox, handover.open_files);
    supervisor.replacement = Replacement::after(handover.generation);
    let listener = handover.listener.try_clone().map_err(setup("listen"))?;
    let result = runtime.block_on(supervise(supervisor, inbox, listener));
    // A thread that hangs in somebody's directory must not keep the daemon.
    runtime.shutdown_background();
    match result? {
        Mood::Replaced => Err(setup("execute its program anew")(handover.execute())),
        _ => Ok(()),
    }
}

/// What a daemon needs that nobody handed over.
fn begin(paths: &Paths) -> Result<Handover, DaemonError> {
    let lock = take_lock(paths)?;
    let pid = format!("{}\n", std::process::id());
    slapos_sys::fs::write_replace(&paths.pid(), pid.as_bytes(), 0o644)
        .map_err(setup("write its pid file"))?;
    let open_files = raise_open_files();
    let socket = paths.socket();
    // From now on callers wait instead of being refused; they are answered after the recovery.
    let listener = server::bind(&socket);
    let listener = listener.map_err(setup(format!("listen on {}", socket.display())))?;
    Ok(Handover { lock, listener, open_files, generation: 0 })
}

fn setup(doing: impl Into<String>) -> impl FnOnce(io::Error) -> DaemonError {
    let doing = doing.into();
    |source| DaemonError::Setup { doing, source }
}

fn take_lock(paths: &Paths) -> Result<FileLock, DaemonError> {
    let begun = Instant::now();
    loop {
        let lock = FileLock::try_acquire(&paths.lock()).map_err(setup("open its lock"))?;
        if let Some(lock) = lock {
            return Ok(lock);
        }
        let answers = Client::connect(paths).and_then(|client| client.pid());
        if answers.is_ok() || begun.elapsed() > LOCK_PATIENCE {
            let pid = answers.ok().or_else(|| FileLock::holder(&paths.lock()));
            return Err(DaemonError::AlreadyRunning {
                root: paths.root().to_owned(),
                pid: pid.unwrap_or(0),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Each process costs a descriptor, so take as many as the hard limit allows. Returns the limits
/// as they were, which is what children get.
fn raise_open_files() -> (u64, u64) {
    let old = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: old.maximum, maximum: old.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    let unlimited = u64::MAX;
    (old.current.unwrap_or(unlimited), old.maximum.unwrap_or(unlimited))
}

struct Signals {
    end: Signal,
    interrupt: Signal,
    restart: Signal,
    replace: Signal,
    child: Signal,
    /// Would end the daemon otherwise; supervisor reopens its logs at it, which we never need.
    _reopen: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            end: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::hangup())?,
            replace: signal(SignalKind::user_defined1())?,
            child: signal(SignalKind::child())?,
            _reopen: signal(SignalKind::user_defined2())?,
        })
    }
}

/// Returns how it ended: `Ended` or `Replaced`.
async fn supervise(
    mut supervisor: Supervisor,
    mut inbox: mpsc::UnboundedReceiver<Message>,
    listener: std::os::unix::net::UnixListener,
) -> Result<Mood, DaemonError> {
    let mut signals = Signals::new().map_err(setup("handle signals"))?;
    let pid = std::process::id();
    let listener = tokio::net::UnixListener::from_std(listener).map_err(setup("listen"))?;
    supervisor.journal.info(&match supervisor.replacement.generation {
        0 => format!("supervisor started with pid {pid}"),
        generation => {
            format!("supervisor goes on with pid {pid}, its program replaced {generation} times")
        }
    });
    supervisor.recover();
    supervisor.emit("SUPERVISOR_STATE_CHANGE_RUNNING", "");
    supervisor.advance();
    supervisor.write_ledger();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(server::serve(listener, supervisor.outbox.clone(), async move {
        drop(ended.await);
    }));
    while !matches!(supervisor.mood, Mood::Ended | Mood::Replaced) {
        step(&mut supervisor, &mut inbox, &mut signals).await;
        supervisor.advance();
    }
    if supervisor.mood == Mood::Ended {
        // Whoever sees the daemon gone does not find its things.
        let paths = &supervisor.paths;
        for path in [paths.state(), paths.old_state(), paths.socket(), paths.pid()] {
            let _ = std::fs::remove_file(path);
        }
        supervisor.forget_all_control();
    }
    drop(end);
    // Who asked too late, or waits for what is not to come, is told so.
    supervisor.waiters.clear();
    drop(inbox);
    let _ = tokio::time::timeout(LAST_ANSWERS, server).await;
    supervisor.journal.info(match supervisor.mood {
        Mood::Replaced => "handing over to the program on disk",
        _ => "everything is stopped: supervisor ends",
    });
    Ok(supervisor.mood)
}

/// Waits for something to happen and takes note of it, and of what happened meanwhile.
async fn step(
    supervisor: &mut Supervisor,
    inbox: &mut mpsc::UnboundedReceiver<Message>,
    signals: &mut Signals,
) {
    let deadline = supervisor.deadline();
    let sleep = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        Some(message) = inbox.recv() => {
            supervisor.take(message);
            while let Ok(message) = inbox.try_recv() {
                supervisor.take(message);
            }
        }
        () = sleep => {}
        _ = signals.child.recv() => {}
        _ = signals.replace.recv() => drop(supervisor.replace("SIGUSR1")),
        _ = signals.end.recv() => supervisor.stop_everything(Mood::Ending, "SIGTERM"),
        _ = signals.interrupt.recv() => supervisor.stop_everything(Mood::Ending, "SIGINT"),
        _ = signals.restart.recv() => supervisor.stop_everything(Mood::Restarting, "SIGHUP"),
    }
}
