//! Processes: starting them with nothing inherited, and naming them so that they cannot be
//! mistaken for another.
//!
//! A child gets an empty environment, no descriptor that was not asked for, its own session if
//! wanted, and the user it is given; what is done between `fork` and `exec` is all in [`Command`].

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

pub use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::user::Identity;

/// A program to start. The environment is empty until filled.
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
    setup: ChildSetup,
}

/// What the child does to itself between `fork` and `exec`; made of plain values only, because
/// memory must not be allocated there.
#[derive(Debug, Default)]
struct ChildSetup {
    new_session: bool,
    process_group: bool,
    parent_death: Option<libc::c_int>,
    umask: Option<u32>,
    core_limit_zero: bool,
    no_new_privileges: bool,
    parent: libc::pid_t,
    open_files: Option<libc::rlimit>,
    identity: Option<(u32, u32, Vec<libc::gid_t>)>,
    output: Option<CString>,
    pass: Vec<RawFd>,
}

impl Command {
    /// A command that will execute `program` (looked up in the child's own `PATH` if it has no `/`).
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = std::process::Command::new(program);
        inner.env_clear();
        Self { inner, setup: ChildSetup::default() }
    }

    /// A command that executes this very program again. It works even where the child's user
    /// cannot reach the file, and after the file was replaced.
    pub fn current_exe() -> Self {
        Self::new("/proc/self/exe")
    }

    /// Adds one argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, args: I) -> &mut Self {
        self.inner.args(args);
        self
    }

    /// Sets the name that the program sees as its own (`argv[0]`).
    pub fn arg0(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg0(name);
        self
    }

    /// Sets one variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.inner.envs(vars);
        self
    }

    /// Lets the child have these variables as this process has them, where it has them.
    pub fn inherit_env(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            if let Some(value) = std::env::var_os(name) {
                self.inner.env(name, value);
            }
        }
        self
    }

    /// Sets the working directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.inner.current_dir(dir);
        self
    }

    /// Sets the standard input.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.inner.stdin(stdio);
        self
    }

    /// Sets the standard output.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.inner.stdout(stdio);
        self
    }

    /// Sets the standard error.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.inner.stderr(stdio);
        self
    }

    /// Appends standard output and error to `path`, which the child itself opens (mode 0600, no
    /// link followed, nothing but a regular file) once it is the user it is to be: a directory that the user controls cannot
    /// lead a privileged parent astray.
    ///
    /// # Errors
    /// `InvalidInput` when the path holds a NUL.
    pub fn append_output_to(&mut self, path: &Path) -> io::Result<&mut Self> {
        self.setup.output = Some(CString::new(path.as_os_str().as_bytes())?);
        Ok(self)
    }

    /// Makes the child become `user`, with all its groups and no way back. Only root can; asking
    /// for the user that this process already is does nothing.
    pub fn user(&mut self, user: &Identity) -> &mut Self {
        let already = !crate::user::is_root() && nix::unistd::geteuid().as_raw() == user.uid;
        self.setup.identity = (!already).then(|| (user.uid, user.gid, user.groups.clone()));
        self
    }

    /// Sets the mask of file modes.
    pub fn umask(&mut self, mask: u32) -> &mut Self {
        self.setup.umask = Some(mask);
        self
    }

    /// Starts the child in a session (and so a process group) of its own.
    pub fn new_session(&mut self) -> &mut Self {
        self.setup.new_session = true;
        self
    }

    /// Starts the child in a process group of its own, in this session.
    pub fn process_group(&mut self) -> &mut Self {
        self.setup.process_group = true;
        self
    }

    /// Has the kernel kill the child when the thread that started it ends.
    pub fn die_with_parent(&mut self) -> &mut Self {
        self.signal_with_parent(Signal::SIGKILL)
    }

    /// Has the kernel send `signal` to the child when the thread that started it ends.
    pub fn signal_with_parent(&mut self, signal: Signal) -> &mut Self {
        self.setup.parent_death = Some(signal as libc::c_int);
        self
    }

    /// Lets neither the child nor what it starts gain privileges by setuid programs.
    pub fn no_new_privileges(&mut self) -> &mut Self {
        self.setup.no_new_privileges = true;
        self
    }

    /// Lets the child write no core files.
    pub fn no_core(&mut self) -> &mut Self {
        self.setup.core_limit_zero = true;
        self
    }

    /// Limits the descriptors that the child may have open (it may raise `soft` up to `hard`).
    pub fn open_files(&mut self, soft: u64, hard: u64) -> &mut Self {
        self.setup.open_files = Some(libc::rlimit { rlim_cur: soft, rlim_max: hard });
        self
    }

    /// Lets the child keep these descriptors, under the same numbers. They must stay open until
    /// the command is started.
    pub fn pass_fds(&mut self, fds: &[RawFd]) -> &mut Self {
        self.setup.pass.extend_from_slice(fds);
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When it cannot be executed, or cannot become its user.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.prepare();
        self.inner.spawn()
    }

    /// Starts the program and waits for it.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.prepare();
        self.inner.status()
    }

    /// Runs the program to its end and collects its output.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn output(&mut self) -> io::Result<Output> {
        self.prepare();
        self.inner.output()
    }

    /// Replaces this process by the program; returns only when that failed.
    pub fn exec(&mut self) -> io::Error {
        self.prepare();
        self.inner.exec()
    }

    /// The program and its arguments, quoted for people.
    pub fn display(&self) -> String {
        let words = std::iter::once(self.inner.get_program()).chain(self.inner.get_args());
        words.map(quote).collect::<Vec<_>>().join(" ")
    }

    fn prepare(&mut self) {
        let mut setup = std::mem::take(&mut self.setup);
        setup.parent = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
        // SAFETY: `ChildSetup::apply` only makes system calls and touches memory that was
        // allocated before the fork, which is what a closure run after `fork` may do.
        unsafe { self.inner.pre_exec(move || setup.apply()) };
    }
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl ChildSetup {
    /// Order matters: limits and groups need root, so they come before the user; the death signal
    /// is cleared by a change of user, so it comes after; the log is opened as the user.
    fn apply(&self) -> io::Result<()> {
        self.leave_the_parents_group()?;
        if let Some(mask) = self.umask {
            // SAFETY: umask takes and returns integers and cannot fail.
            unsafe { libc::umask(mask) };
        }
        if self.core_limit_zero {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `none` lives through the call, which only reads it.
            check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) })?;
        }
        if let Some(limit) = &self.open_files {
            // SAFETY: `limit` lives through the call, which only reads it.
            check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const *limit) })?;
        }
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

    fn become_user(&self) -> io::Result<()> {
        let Some((uid, gid, groups)) = &self.identity else {
            return Ok(());
        };
        // SAFETY: the pointer and length are those of one living vector; the rest are integers.
        unsafe {
            check(libc::setgroups(groups.len(), groups.as_ptr()))?;
            check(libc::setresgid(*gid, *gid, *gid))?;
            check(libc::setresuid(*uid, *uid, *uid))?;
        }
        Ok(())
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
            check(libc::dup2(fd, 1))?;
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

/// Marks all descriptors from `first` on to be closed on exec: ours are anyway, but this process
/// may itself have been started with some that nobody marked. Kernels before 5.11 cannot do it.
fn close_on_exec_from(first: libc::c_uint) {
    // SAFETY: this system call takes integers only.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// When process `pid` started, in clock ticks since boot; `None` if there is no such process.
/// `(pid, start time)` names one process for as long as the machine runs.
pub fn start_time(pid: u32) -> Option<u64> {
    stat_fields(pid)?.nth(19)?.parse().ok()
}

/// True while the process `pid` that started at `start_time` runs (a zombie does not).
pub fn alive(pid: u32, start: u64) -> bool {
    let running = stat_fields(pid)
        .and_then(|mut fields| fields.next())
        .is_some_and(|state| !matches!(state.as_str(), "Z" | "X" | "x"));
    running && start_time(pid) == Some(start)
}

/// The fields of `/proc/PID/stat` from the third (state) on. The second, the command in
/// parentheses, can hold anything, so it is cut away from its last parenthesis.
fn stat_fields(pid: u32) -> Option<impl Iterator<Item = String>> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&stat[end + 1..]).into_owned();
    Some(rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter())
}

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

/// True while the process group `pgid` has a member.
pub fn group_alive(pgid: u32) -> bool {
    !matches!(nix::sys::signal::killpg(raw(pgid), None), Err(nix::errno::Errno::ESRCH))
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
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = rustix::event::Timespec::try_from(left).unwrap_or_default();
        let mut wait = [rustix::event::PollFd::new(&ended, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut wait, Some(&left)) {
            Ok(0) => return Ok(None),
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Calls `act` in a thread of its own when this process is asked to end (`SIGTERM`, `SIGINT`),
/// which does not end it any more. To be called before other threads are started: they inherit
/// that the signals wait. Children do not.
///
/// # Errors
/// When the signals cannot be held back or the thread cannot be started.
pub fn on_termination(act: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = nix::sys::signal::SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let wait = move || {
        if signals.wait().is_ok() {
            act();
        }
    };
    std::thread::Builder::new().name("termination".to_owned()).spawn(wait).map(drop)
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

/// A copy of descriptor `fd`, closed on exec.
///
/// # Errors
/// Those of `fcntl`.
pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes integers only.
    let copy = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: `copy` was just made by the kernel and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_environment_is_empty_unless_filled() {
        let output = Command::new("/usr/bin/env").env("A", "1").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "A=1\n");
    }

    #[test]
    fn a_session_of_its_own_and_output_appended() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        for _ in 0..2 {
            let mut command = sh("echo out; echo err >&2; ps -o sid= -p $$ | tr -d ' '; echo $$");
            command.env("PATH", "/usr/bin:/bin").new_session();
            command.append_output_to(&log).unwrap();
            assert!(command.status().unwrap().success());
        }
        let text = std::fs::read_to_string(&log).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 8, "{text}");
        assert_eq!(lines[2], lines[3]);
    }

    #[test]
    fn a_planted_link_is_not_followed_for_output() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "").unwrap();
        let log = dir.path().join("log");
        std::os::unix::fs::symlink(&victim, &log).unwrap();
        let mut command = sh("echo gotcha");
        command.append_output_to(&log).unwrap();
        assert!(command.spawn().is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "");
    }

    #[test]
    fn descriptors_pass_only_when_asked() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = file.as_raw_fd();
        let script = format!("test -e /proc/self/fd/{fd}");
        assert!(!sh(&script).status().unwrap().success());
        // Nor when whoever started this process left it open for all.
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
            .unwrap();
        assert!(!sh(&script).status().unwrap().success());
        assert!(sh(&script).pass_fds(&[fd]).status().unwrap().success());
    }

    #[test]
    fn the_number_of_open_files_is_limited_on_request() {
        let output = sh("ulimit -Sn; ulimit -Hn").open_files(64, 128).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "64\n128\n");
    }

    #[test]
    fn a_process_is_named_by_pid_and_start_time() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let start = start_time(child.id()).unwrap();
        assert!(alive(child.id(), start));
        assert!(!alive(child.id(), start + 1));
        kill(child.id(), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!alive(child.id(), start));
    }

    #[test]
    fn root_can_become_somebody_else_for_good() {
        if !crate::user::is_root() {
            crate::skipped("root_can_become_somebody_else_for_good", "needs root");
            return;
        }
        let nobody = crate::user::by_name("nobody").unwrap().unwrap();
        let mut command = sh("id -u; id -G; cat /etc/shadow 2>/dev/null && echo leak; exit 0");
        let output = command.env("PATH", "/usr/bin:/bin").user(&nobody).output().unwrap();
        let groups = nobody.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n{groups}\n", nobody.uid));
    }

    #[test]
    fn display_quotes_what_a_shell_would_split() {
        let mut command = Command::new("make");
        command.args(["a b", "it's", ""]);
        assert_eq!(command.display(), r"make 'a b' 'it'\''s' ''");
    }
}
