//! What a process has started, and what that has started in turn.

use std::io;

use super::{Signal, alive, kill, start_time};

/// Rounds of looking for what was started while we looked; more is a race that is being lost.
const ROUNDS: usize = 100;

/// The processes that descend from `pid`, without itself, each with its start time (see
/// [`start_time`]). Those whose parent has ended are not among them.
pub fn descendants(pid: u32) -> Vec<(u32, u64)> {
    let mut found: Vec<(u32, u64)> = Vec::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        for child in children(pid) {
            if found.iter().any(|(known, _)| *known == child) {
                continue;
            }
            if let Some(start) = start_time(child) {
                found.push((child, start));
                open.push(child);
            }
        }
    }
    found
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

/// Kills everything that this process has started and that still runs. With
/// [`set_child_subreaper`](super::set_child_subreaper), that is also what orphans have started.
///
/// # Errors
/// When one may not be signalled, or new ones keep appearing.
pub fn kill_own_descendants() -> io::Result<()> {
    for _ in 0..ROUNDS {
        let mut running = descendants(std::process::id());
        running.retain(|&(pid, start)| alive(pid, start));
        if running.is_empty() {
            return Ok(());
        }
        kill_each(&running)?;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(io::Error::other("processes appear faster than they can be ended"))
}

/// The children of all threads of `pid`.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let files = threads.flatten().map(|thread| thread.path().join("children"));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.flat_map(|text| numbers(&text)).collect()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Command;

    #[test]
    fn children_in_other_sessions_are_found_too() {
        let script = "setsid sleep 600 & sleep 600 & wait";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin").new_session();
        let mut shell = command.spawn().unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let found = loop {
            let found = descendants(shell.id());
            if found.len() >= 2 || std::time::Instant::now() > end {
                break found;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!(found.len(), 2, "{found:?}");
        kill_each(&found).unwrap();
        shell.wait().unwrap();
        assert!(!found.iter().any(|&(pid, start)| alive(pid, start)));
    }
}
