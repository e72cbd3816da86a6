//! What may wait, away from the owner of the state: threads and tasks that send a message when
//! they are done.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::wait::{Id as WaitId, WaitPidFlag, WaitStatus, waitid};
use slapos_sys::process::Signal;
use slapos_sys::user;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;

use super::core::{Id, Message, Supervisor};
use super::launch::{self, Job};
use super::logs::{self, Log};
use super::table::{self, Census, Origin};
use crate::state::{Exit, Moment};

/// How long a leader whose descriptor cannot be waited for is left before it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Starts a process and sends `Launched`.
pub(crate) fn launch(outbox: UnboundedSender<Message>, id: Id, job: Job) {
    tokio::task::spawn_blocking(move || {
        let result = launch::launch(&job);
        let _ = outbox.send(Message::Launched(id, job.spawn, result));
    });
}

/// Sends `Ended` when the process behind `pidfd` ended.
pub(crate) fn watch(outbox: UnboundedSender<Message>, id: Id, spawn: String, pidfd: Arc<OwnedFd>) {
    tokio::spawn(async move {
        #[allow(
            deprecated,
            reason = "its successor is the same but `unsafe` for types that may change or close \
                      their descriptor, which a shared OwnedFd does not"
        )]
        let registered = AsyncFd::with_interest(pidfd, Interest::READABLE);
        match registered {
            Ok(pidfd) => drop(pidfd.readable().await),
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
        let _ = outbox.send(Message::Ended(id, spawn));
    });
}

/// As [`watch`], after a while.
pub(crate) fn watch_later(
    outbox: UnboundedSender<Message>,
    id: Id,
    spawn: String,
    pidfd: Arc<OwnedFd>,
) {
    tokio::spawn(async move {
        tokio::time::sleep(LOOK_AGAIN).await;
        watch(outbox, id, spawn, pidfd);
    });
}

/// How the process ended, which reaps it if it is a child of ours; `None` while it lives.
pub(crate) fn exit_of(pidfd: &OwnedFd, origin: &Origin) -> Option<Exit> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    match waitid(WaitId::PIDFd(pidfd.as_fd()), flags) {
        Ok(WaitStatus::Exited(_, code)) => Some(Exit::Code(code)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::Signal(signal as i32)),
        Ok(_) => None,
        Err(_) => {
            let alive = slapos_sys::process::alive(origin.leader, origin.start);
            (!alive).then_some(Exit::Unknown)
        }
    }
}

/// Reaps the dead that are none of ours: orphans that the kernel gave us as their subreaper. A
/// child of a spawn under way is not to be touched, so that nothing is done while there is one.
pub(crate) fn reap_strangers(supervisor: &Supervisor) {
    if supervisor.launching > 0 {
        return;
    }
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) =
        waitid(WaitId::All, peek)
    {
        // A leader's own message is on the way; the rest of the dead are looked at after it.
        let number = u32::try_from(pid.as_raw()).unwrap_or(0);
        let mut processes = supervisor.processes.values();
        let is_leader = processes.any(|p| p.leader.is_some() && p.origin.leader == number);
        let reap = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        if is_leader || waitid(WaitId::Pid(pid), reap).is_err() {
            return;
        }
    }
}

/// Looks whether processes remain of these spawns and sends `Swept`.
pub(crate) fn sweep(outbox: UnboundedSender<Message>, origins: Vec<(Id, Origin)>) {
    tokio::task::spawn_blocking(move || {
        let census = Census::take();
        let found = origins.into_iter().map(|(id, origin)| {
            let remain = !census.survivors(&origin).is_empty();
            (id, origin.spawn, remain)
        });
        let _ = outbox.send(Message::Swept(found.collect()));
    });
}

/// Sends each signal to what remains of its spawn, or (`true`) only to what left its leader's
/// group.
pub(crate) fn signal_survivors(signals: Vec<(Origin, Signal, bool)>) {
    if signals.is_empty() {
        return;
    }
    tokio::task::spawn_blocking(move || {
        let census = Census::take();
        for (origin, signal, strays_only) in &signals {
            for entry in census.survivors(origin) {
                if !strays_only || entry.group != origin.leader {
                    table::signal(&entry, *signal);
                }
            }
        }
    });
}

/// Asks these processes to end, and after `patience` kills those that live.
pub(crate) fn end_strangers(entries: Vec<table::Entry>, patience: Duration) {
    for entry in &entries {
        table::signal(entry, Signal::SIGTERM);
    }
    tokio::spawn(async move {
        tokio::time::sleep(patience).await;
        for entry in &entries {
            table::signal(entry, Signal::SIGKILL);
        }
    });
}

impl Supervisor {
    /// When the next log is to be looked at.
    fn look_due(&self) -> Moment {
        let own = self.own_log();
        let programs = self.processes.values().filter_map(|process| {
            let path = process.spec.stdout_logfile.as_ref()?;
            Some((&process.spec.user, path, process.spec.stdout_logfile_maxbytes))
        });
        let all = programs.chain([(&own.user, &own.path, own.max_bytes)]);
        let waiting = all.filter(|(user, _, limit)| *limit > 0 && !self.rotating.contains(*user));
        let due = waiting.map(|(_, path, _)| self.looks.get(path).map_or(Moment::ZERO, |l| l.due));
        // Who comes or is looked at meanwhile says so himself.
        due.min().unwrap_or(self.now() + *logs::LOOK_AGAIN.end())
    }

    /// Has this log looked at soon: somebody new writes to it.
    pub(crate) fn look_soon(&mut self, log: Option<PathBuf>) {
        let (Some(path), at) = (log, self.now()) else {
            return;
        };
        let due = at + logs::FIRST_LOOK;
        let look = self.looks.entry(path).or_insert(Look { size: 0, rate: 0, at, due });
        look.due = look.due.min(due);
        self.look_at = self.look_at.min(look.due);
    }

    /// Looks at the sizes of the logs that are due, each user's on a thread of its own: whoever makes his
    /// directory hang only hangs his own.
    pub(crate) fn rotate_logs(&mut self, now: Moment) {
        if self.look_at > now {
            return;
        }
        if self.look_due() <= now {
            self.look_at_logs(now);
        }
        self.look_at = self.look_due();
    }

    fn look_at_logs(&mut self, now: Moment) {
        if self.looks.len() > 2 * self.processes.len() + 1 {
            self.looks.clear();
        }
        let mut by_user: HashMap<Option<String>, Vec<Log>> = HashMap::new();
        let logs = self.processes.values().filter_map(|process| process.log());
        for log in logs.chain([self.own_log()]) {
            if log.max_bytes == 0 || self.looks.get(&log.path).is_some_and(|l| l.due > now) {
                continue;
            }
            by_user.entry(log.user.clone()).or_default().push(log);
        }
        for (user, logs) in by_user {
            if self.rotating.insert(user.clone()) {
                let outbox = self.outbox.clone();
                tokio::task::spawn_blocking(move || {
                    let (sizes, failures) = rotate_all(user.as_deref(), &logs);
                    let _ = outbox.send(Message::Rotated(user, sizes, failures));
                });
            }
        }
    }

    pub(crate) fn on_rotated(
        &mut self,
        user: &Option<String>,
        sizes: Vec<Seen>,
        failures: Vec<String>,
    ) {
        self.rotating.remove(user);
        let now = self.now();
        for seen in sizes {
            let latest = *logs::LOOK_AGAIN.end();
            let (wait, rate) = match (self.looks.get(&seen.path), seen.failed) {
                (_, true) => (latest, 0),
                (None, _) => (logs::FIRST_LOOK, 0),
                (Some(last), _) => {
                    let grown = seen.size.saturating_sub(last.size);
                    let rate = logs::growth(grown, now.saturating_sub(last.at), last.rate);
                    let left = seen.limit.saturating_sub(seen.left_size());
                    (logs::next_look(rate, left), rate)
                }
            };
            // The calm ones are looked at together.
            let due = if wait == latest { next_multiple(now, latest) } else { now + wait };
            let look = Look { size: seen.left_size(), rate, at: now, due };
            self.looks.insert(seen.path, look);
        }
        self.look_at = self.look_due();
        for failure in failures {
            if self.log_failures.insert(failure.clone()) {
                self.journal.warn(&failure);
            }
        }
    }
}

/// When a log was looked at, its size and growth then, and when it is to be looked at again.
#[derive(Debug)]
pub(crate) struct Look {
    size: u64,
    /// Bytes a second.
    rate: u64,
    at: Moment,
    due: Moment,
}

/// What was seen of a log.
#[derive(Debug)]
pub(crate) struct Seen {
    path: PathBuf,
    limit: u64,
    size: u64,
    rotated: bool,
    failed: bool,
}

impl Seen {
    /// The size with which it goes on.
    fn left_size(&self) -> u64 {
        if self.rotated { 0 } else { self.size }
    }
}

fn next_multiple(now: Moment, unit: Duration) -> Moment {
    let count = now.as_millis() / unit.as_millis() + 1;
    unit.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

fn rotate_all(user: Option<&str>, logs: &[Log]) -> (Vec<Seen>, Vec<String>) {
    let rotated = with_rights_of(user, || logs.iter().map(logs::rotate).collect::<Vec<_>>());
    let (results, mut failures) = match rotated {
        Ok(results) => (results, Vec::new()),
        Err(error) => (Vec::new(), vec![error]),
    };
    let mut results = results.into_iter();
    let mut sizes = Vec::new();
    for log in logs {
        let result = results.next();
        let seen = result.as_ref().and_then(|result| result.as_ref().ok()).copied();
        if let Some(Err(error)) = result {
            failures.push(format!("cannot rotate {}: {error}", log.path.display()));
        }
        let (size, rotated) = seen.unwrap_or_default();
        let (path, limit) = (log.path.clone(), log.max_bytes);
        sizes.push(Seen { path, limit, size, rotated, failed: seen.is_none() });
    }
    (sizes, failures)
}

/// Runs `action` with the file rights of the user that a definition names.
pub(crate) fn with_rights_of<T>(
    user: Option<&str>,
    action: impl FnOnce() -> T,
) -> Result<T, String> {
    match user {
        None => Ok(action()),
        Some(name) => {
            let identity = launch::user_named(name)?;
            user::as_files_of(&identity, action).map_err(|error| error.to_string())
        }
    }
}
