//! Where the workers of partitions come from in a command that may need many of them: starting this program
//! for each would cost more than what most of them do.
//!
//! The nursery is started by the first worker that is wanted while a [`Nursery`] is open, and ends with it.
//! What cannot be had from it is started as usual.

use std::ffi::OsStr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use slapos_sys::process::nursery::{self, Wish};
use slapos_sys::process::{Command, Offspring};
use slapos_sys::user::Identity;

use super::parent::{USUAL_PATH, most_processes};

/// The hidden command that is the nursery; the number of its descriptor follows.
pub const WORD: &str = "nursery";

/// Whether there is a nursery; one for the whole process, as workers are started from everywhere.
static STATE: Mutex<State> = Mutex::new(State::Closed);

enum State {
    /// None is wanted, or it did not work.
    Closed,
    /// One may be started.
    Open,
    /// It works. Its children end with the thread that started it, which lasts as long as the sender.
    Running(nursery::Nursery, Sender<()>),
}

/// While there is one, workers of partitions come from a nursery.
#[derive(Debug)]
pub(crate) struct Nursery(());

impl Nursery {
    /// Opens it. To be dropped when all workers have ended.
    pub(crate) fn open() -> Self {
        *lock() = State::Open;
        Self(())
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *lock(), State::Closed);
        if let State::Running(nursery, _thread) = state {
            nursery.end();
        }
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker for the partition of `user`; none if there is no nursery.
pub(super) fn bear(user: &Identity) -> Option<Offspring> {
    let mut state = lock();
    if matches!(*state, State::Open) {
        *state = start().map_or(State::Closed, |(nursery, last)| State::Running(nursery, last));
    }
    let State::Running(nursery, _) = &*state else { return None };
    let environment = [
        ("HOME", user.home.as_os_str()),
        ("USER", OsStr::new(&user.name)),
        ("LOGNAME", OsStr::new(&user.name)),
    ];
    let processes = most_processes(user);
    let born = nursery.bear(&Wish { user, processes, environment: &environment });
    if born.is_err() {
        *state = State::Closed;
    }
    born.ok()
}

/// Starts it in a thread that goes on until the sender is dropped.
fn start() -> Option<(nursery::Nursery, Sender<()>)> {
    let (started, news) = channel();
    let (last, end) = channel::<()>();
    let keep = move || {
        let mut command = Command::current_exe();
        command.arg0("slapos").arg(WORD).env("PATH", USUAL_PATH).env("LANG", "C.UTF-8");
        command.current_dir("/").umask(0o022).new_session();
        let _ = started.send(nursery::Nursery::start(&mut command));
        // Nothing is ever sent.
        let _ = end.recv();
    };
    thread::Builder::new().name(WORD.to_owned()).spawn(keep).ok()?;
    Some((news.recv().ok()?.ok()?, last))
}
