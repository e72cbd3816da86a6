//! A process and all that it started: found by descent, which no process can deny, and ended.
//!
//! A process whose parent ends goes to the nearest ancestor that adopts orphans
//! ([`set_child_subreaper`](super::set_child_subreaper)), so that below such an ancestor nothing is
//! lost by a change of session or by a daemon's double fork.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use super::Signal;
use super::running::kill;
use super::table::{self, alive, start_time};

/// Between two looks at processes that were killed.
const POLL: Duration = Duration::from_millis(2);

/// The living processes that `ancestor` started, directly or not, each with its start time.
pub fn descendants(ancestor: u32) -> Vec<(u32, u64)> {
    if ancestor == std::process::id() && is_childless() {
        return Vec::new();
    }
    let children_of = children_of();
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([ancestor]);
    let mut next = vec![ancestor];
    while let Some(parent) = next.pop() {
        for pid in children_of(parent) {
            if seen.insert(pid) {
                next.push(pid);
                found.extend(start_time(pid).filter(|start| alive(pid, *start)).map(|s| (pid, s)));
            }
        }
    }
    found
}

/// Whether this process has no children, not even dead ones: the kernel says so in one call.
fn is_childless() -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, peek) == Err(nix::errno::Errno::ECHILD)
}

/// Tells the children of a process: as the kernel lists them, or, where it has no such list, as all
/// processes name their parents.
fn children_of() -> Box<dyn Fn(u32) -> Vec<u32>> {
    if std::path::Path::new("/proc/thread-self/children").exists() {
        return Box::new(listed_children);
    }
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in table::list() {
        children.entry(entry.parent).or_default().push(entry.pid);
    }
    Box::new(move |pid| children.get(&pid).cloned().unwrap_or_default())
}

/// The children of all threads of `pid`.
fn listed_children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let files = threads.flatten().map(|thread| thread.path().join("children"));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.flat_map(|text| numbers(&text)).collect()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Kills those of `processes` that still are who they were.
///
/// # Errors
/// When one may not be signalled.
pub fn kill_each(processes: &[(u32, u64)]) -> io::Result<()> {
    for &(pid, start) in processes {
        if alive(pid, start) {
            kill(pid, Signal::SIGKILL)?;
        }
    }
    Ok(())
}

/// Kills everything that `ancestor` started, and waits for at most `limit` until it is gone.
/// Returns how many processes there were. All are stopped before the first is killed, so that what
/// goes on forking does not escape between two looks.
///
/// # Errors
/// `TimedOut` when some are still there in the end.
pub fn kill_descendants(ancestor: u32, limit: Duration) -> io::Result<usize> {
    kill_descendants_since(ancestor, &[], limit)
}

/// The same, but those that were there `before` stay.
///
/// # Errors
/// As [`kill_descendants`].
pub fn kill_descendants_since(
    ancestor: u32,
    before: &[(u32, u64)],
    limit: Duration,
) -> io::Result<usize> {
    let deadline = Instant::now() + limit;
    let mut known = BTreeSet::new();
    loop {
        let mut found = BTreeSet::from_iter(descendants(ancestor));
        found.retain(|process| !before.contains(process));
        // What was killed may be another's child by now, and not quite gone.
        found.extend(known.iter().filter(|(pid, start)| alive(*pid, *start)));
        if found.is_empty() {
            return Ok(known.len());
        }
        if Instant::now() > deadline {
            let message = format!("{} processes were killed and are still there", found.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        let new: Vec<_> = found.iter().filter(|process| !known.contains(*process)).collect();
        let (signal, targets) = match new.is_empty() {
            true => (Signal::SIGKILL, found.iter().collect()),
            false => (Signal::SIGSTOP, new),
        };
        for (pid, start) in targets {
            if alive(*pid, *start) {
                // One that may not be signalled is still there in the end, and told then.
                let _ = kill(*pid, signal);
            }
        }
        if signal == Signal::SIGKILL {
            std::thread::sleep(POLL);
        }
        known.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Command;

    #[test]
    fn a_tree_is_ended_whatever_sessions_it_has() {
        let script = "setsid sleep 600 & setsid sh -c 'sleep 600 & sleep 600' & sleep 600";
        let mut command = Command::new("/bin/sh");
        let mut child = command.args(["-c", script]).env("PATH", "/usr/bin:/bin").spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while descendants(child.id()).len() < 5 {
            assert!(Instant::now() < end, "{:?}", descendants(child.id()));
            std::thread::sleep(POLL);
        }
        let found = descendants(child.id());
        assert_eq!(kill_descendants(child.id(), Duration::from_secs(20)).unwrap(), found.len());
        assert!(found.iter().all(|(pid, start)| !alive(*pid, *start)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
