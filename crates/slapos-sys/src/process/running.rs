//! Processes that run: naming, signalling and waiting for them; and this one.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::{Signal, check};

/// Sends `signal` to process `pid`. It is no error when the process is gone.
///
/// # Errors
/// When this user may not signal it.
pub fn kill(pid: u32, signal: Signal) -> io::Result<()> {
    gone_is_fine(nix::sys::signal::kill(raw(pid), signal))
}

/// Sends `signal` to every process of the group `pgid`. It is no error when the group is gone.
///
/// # Errors
/// When this user may not signal any of them.
pub fn kill_group(pgid: u32, signal: Signal) -> io::Result<()> {
    gone_is_fine(nix::sys::signal::killpg(raw(pgid), signal))
}

/// Kills every other process that this process may signal: for an ordinary user, all of his.
///
/// # Errors
/// When there are some and none may be killed.
pub fn kill_all_of_this_user() -> io::Result<()> {
    gone_is_fine(nix::sys::signal::kill(Pid::from_raw(-1), Signal::SIGKILL))
}

/// Does something before all others, as far as this process may: what there are thousands of would leave
/// it no time. A process that it starts is as urgent.
///
/// A nice value would not do: where each session counts for itself, it matters within one only.
pub fn urgently<T>(act: impl FnOnce() -> T) -> T {
    /// Sets how this thread is scheduled; whether it may be.
    fn schedule(policy: libc::c_int, priority: libc::c_int) -> bool {
        let mut parameters = libc::sched_param { sched_priority: priority };
        // SAFETY: `parameters` lives through the call, which only reads it.
        unsafe { libc::sched_setscheduler(0, policy, &raw mut parameters) == 0 }
    }
    // SAFETY: it takes an integer only.
    let is_usual = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
    let raised = is_usual && schedule(libc::SCHED_RR, 1);
    let done = act();
    if raised {
        schedule(libc::SCHED_OTHER, 0);
    }
    done
}

/// A descriptor that names process `pid` and becomes readable when it ends.
///
/// # Errors
/// Those of `pidfd_open`, `NotFound`-like ESRCH if there is no such process.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Waits until `child` ends, at most for `limit`; `None` if it still runs then.
///
/// # Errors
/// Those of `pidfd_open`, `poll` and `wait`.
pub fn wait_within(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let ended = pidfd_open(child.id())?;
    if ended_within(&ended, limit)? { child.wait().map(Some) } else { Ok(None) }
}

/// Waits until the process that `pidfd` names (see [`pidfd_open`]) ends, at most for `limit`;
/// whether it did. It need not be a child of this one.
///
/// # Errors
/// Those of `poll`.
pub fn ended_within(pidfd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = rustix::event::Timespec::try_from(left).unwrap_or_default();
        let mut wait = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut wait, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes this process adopt the orphans of its descendants.
///
/// # Errors
/// Those of `prctl`.
pub fn set_child_subreaper() -> io::Result<()> {
    // SAFETY: this operation of prctl takes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Keeps other processes of the same user from looking into this one or steering it.
///
/// # Errors
/// Those of `prctl`.
pub fn forbid_inspection() -> io::Result<()> {
    // SAFETY: this operation of prctl takes integers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) }).map(drop)
}

/// Lets this process have as many files open as it may give itself; returns how many.
///
/// # Errors
/// Those of `getrlimit` and `setrlimit`.
pub fn raise_open_files() -> io::Result<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Takes over the descriptor `fd` that the parent passed to this process.
///
/// # Errors
/// `InvalidInput` when nothing is open under that number. It is closed on exec from now on.
pub fn inherited_fd(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes integers only and fails for a number that is not open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 || fd < 3 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no descriptor {fd}")));
    }
    // SAFETY: it is open; the parent passed it to this process for this one taker.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The processor time that all waited-for children of this process used, in seconds.
pub fn children_cpu_seconds() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    usage.map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The most memory that any waited-for child of this process had at a time, in bytes.
pub fn children_peak_bytes() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    // The kernel counts in KiB.
    usage.map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) << 10)
}

fn seconds(time: nix::sys::time::TimeVal) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "2^53 seconds are enough")]
    let whole = time.tv_sec() as f64;
    #[allow(clippy::cast_precision_loss, reason = "below one million")]
    let parts = time.tv_usec() as f64;
    whole + parts / 1e6
}

/// The file of the running program, to name it in configuration. A suffix that the kernel adds
/// when the file was replaced is taken off.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn executable() -> io::Result<PathBuf> {
    let path: OsString = std::env::current_exe()?.into();
    let bytes = path.as_bytes();
    let kept = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Ok(PathBuf::from(OsStr::from_bytes(kept)))
}

fn raw(pid: u32) -> Pid {
    // A pid above i32::MAX does not exist; 0 and -1 would mean "everybody", so they map to a
    // number that no process has.
    Pid::from_raw(i32::try_from(pid).ok().filter(|&pid| pid > 1).unwrap_or(i32::MAX))
}

fn gone_is_fine(result: nix::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
