//! What is done in a child between `fork` and `exec`, and nowhere else. The child may borrow the
//! memory of the process that starts it (see `offspring`): system calls only.

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;

use super::{Resource, check};

/// What the child does to itself between `fork` and `exec`; made of plain values only, because
/// memory must not be allocated there.
#[derive(Debug, Default)]
pub(super) struct ChildSetup {
    pub(super) new_session: bool,
    pub(super) process_group: bool,
    pub(super) parent_death: Option<libc::c_int>,
    pub(super) umask: Option<u32>,
    pub(super) no_new_privileges: bool,
    pub(super) parent: libc::pid_t,
    pub(super) limits: Vec<(Resource, libc::rlimit)>,
    /// Opened for writing: the list of processes of the control group to join.
    pub(super) control_group: Option<CString>,
    pub(super) identity: Option<(u32, u32, Vec<libc::gid_t>)>,
    pub(super) output: Option<CString>,
    /// Only standard error goes to `output`.
    pub(super) errors_only: bool,
    /// Open: becomes standard output and error.
    pub(super) print_to: Option<RawFd>,
    pub(super) pass: Vec<RawFd>,
}

impl ChildSetup {
    /// Order matters: limits and groups need root, so they come before the user; the death signal
    /// is cleared by a change of user, so it comes after; the log is opened as the user.
    pub(super) fn apply(&self) -> io::Result<()> {
        self.leave_the_parents_group()?;
        if let Some(mask) = self.umask {
            // SAFETY: umask takes and returns integers and cannot fail.
            unsafe { libc::umask(mask) };
        }
        for (resource, limit) in &self.limits {
            // SAFETY: `limit` lives through the call, which only reads it.
            check(unsafe { libc::setrlimit(*resource as _, &raw const *limit) })?;
        }
        self.join_control_group()?;
        self.become_user()?;
        if self.no_new_privileges {
            // SAFETY: this operation of prctl takes integers only.
            check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        }
        if let Some(signal) = self.parent_death {
            // SAFETY: this operation of prctl takes integers only.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
            // A parent that died before that call sends no signal any more.
            // SAFETY: getppid takes nothing.
            if unsafe { libc::getppid() } != self.parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        self.open_output()?;
        if let Some(fd) = self.print_to {
            for stream in [1, 2] {
                // SAFETY: dup2 takes integers only; a closed fd is an error, not UB.
                check(unsafe { libc::dup2(fd, stream) })?;
            }
        }
        close_on_exec_from(3);
        for &fd in &self.pass {
            // SAFETY: fcntl with F_SETFD takes integers only; a closed fd is an error, not UB.
            check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
        }
        self.reset_signals();
        Ok(())
    }

    fn leave_the_parents_group(&self) -> io::Result<()> {
        if self.new_session {
            // SAFETY: setsid takes nothing.
            check(unsafe { libc::setsid() })?;
        } else if self.process_group {
            // SAFETY: setpgid takes integers only.
            check(unsafe { libc::setpgid(0, 0) })?;
        }
        Ok(())
    }

    /// Before the user is changed, who may not. What it starts is in the group from the beginning.
    fn join_control_group(&self) -> io::Result<()> {
        let Some(path) = &self.control_group else {
            return Ok(());
        };
        // SAFETY: `path` is NUL-terminated and lives through the call; the descriptor was just
        // opened, and the one byte ("this process") is a constant.
        unsafe {
            let fd = check(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
            let written = libc::write(fd, c"0".as_ptr().cast(), 1);
            let error = io::Error::last_os_error();
            libc::close(fd);
            if written == 1 { Ok(()) } else { Err(error) }
        }
    }

    fn become_user(&self) -> io::Result<()> {
        let Some((uid, gid, groups)) = &self.identity else {
            return Ok(());
        };
        // The C library would have all threads of the process change, which are not the child's where
        // it borrows their memory: the kernel is asked itself. (Its calls of these names have wide
        // numbers on all machines with 64 bits.)
        const { assert!(size_of::<usize>() == 8, "only machines with 64 bits") };
        // SAFETY: the pointer and length are those of one living vector; the rest are integers.
        unsafe {
            called(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
            called(libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid))?;
            called(libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid))
        }
    }

    fn open_output(&self) -> io::Result<()> {
        let Some(path) = &self.output else {
            return Ok(());
        };
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOFOLLOW;
        let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: `path` is NUL-terminated and lives through the call.
        let fd = check(unsafe { libc::open(path.as_ptr(), flags, 0o600) })?;
        // SAFETY: `fd` was just opened; `stat` is plain data that fstat fills; F_SETFL takes
        // integers; dup2 copies onto 1 and 2.
        unsafe {
            let mut stat = std::mem::zeroed::<libc::stat>();
            check(libc::fstat(fd, &raw mut stat))?;
            if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            check(libc::fcntl(fd, libc::F_SETFL, libc::O_APPEND))?;
            if !self.errors_only {
                check(libc::dup2(fd, 1))?;
            }
            check(libc::dup2(fd, 2))?;
        }
        Ok(())
    }

    /// A child starts with default dispositions and nothing blocked, whatever we have set.
    fn reset_signals(&self) {
        // SAFETY: sigset_t is plain data that sigemptyset initialises; the calls take it by
        // pointer for their duration only.
        unsafe {
            let mut none = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD]
            {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// The result of a raw system call.
fn called(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Marks all descriptors from `first` on to be closed on exec: ours are anyway, but this process
/// may itself have been started with some that nobody marked. Kernels before 5.11 cannot do it.
fn close_on_exec_from(first: libc::c_uint) {
    // SAFETY: this system call takes integers only.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
}
