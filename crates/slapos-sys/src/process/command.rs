//! Starting programs.
//!
//! A child gets an empty environment, no descriptor that was not asked for, its own session if
//! wanted, and the user it is given.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Output, Stdio};

use super::child::ChildSetup;
use super::offspring::{self, Offspring, Piped};
use super::{Resource, Signal};
use crate::user::Identity;

/// A program to start. The environment is empty until filled.
#[derive(Debug)]
pub struct Command {
    inner: std::process::Command,
    /// What the program sees as its own name, where that is not the program's.
    own_name: Option<OsString>,
    setup: ChildSetup,
}

impl Command {
    /// A command that will execute `program` (looked up in the child's own `PATH` if it has no `/`).
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = std::process::Command::new(program);
        inner.env_clear();
        Self { inner, own_name: None, setup: ChildSetup::default() }
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
        self.own_name = Some(name.as_ref().to_owned());
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

    /// As [`append_output_to`](Self::append_output_to), but standard error alone.
    ///
    /// # Errors
    /// `InvalidInput` when the path holds a NUL.
    pub fn append_errors_to(&mut self, path: &Path) -> io::Result<&mut Self> {
        self.setup.errors_only = true;
        self.append_output_to(path)
    }

    /// Has standard output and errors go to an open file. It must stay open until the command is started.
    pub fn print_to(&mut self, file: &impl AsRawFd) -> &mut Self {
        self.setup.print_to = Some(file.as_raw_fd());
        self
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

    /// Limits the descriptors that the child may have open (it may raise `soft` up to `hard`).
    pub fn open_files(&mut self, soft: u64, hard: u64) -> &mut Self {
        self.limit(Resource::RLIMIT_NOFILE, soft, hard)
    }

    /// Limits what the child and each of its descendants may take of `resource`; `u64::MAX` is no
    /// limit. Of two calls for one resource the last counts.
    pub fn limit(&mut self, resource: Resource, soft: u64, hard: u64) -> &mut Self {
        self.setup.limits.push((resource, libc::rlimit { rlim_cur: soft, rlim_max: hard }));
        self
    }

    /// Lets the child start no process while its user has as many as `most`, threads included.
    pub fn processes(&mut self, most: u64) -> &mut Self {
        self.limit(Resource::RLIMIT_NPROC, most, most)
    }

    /// Starts the child in the control group whose directory is `group`.
    ///
    /// # Errors
    /// `InvalidInput` when the path holds a NUL.
    pub fn control_group(&mut self, group: &Path) -> io::Result<&mut Self> {
        let list = group.join("cgroup.procs");
        self.setup.control_group = Some(CString::new(list.as_os_str().as_bytes())?);
        Ok(self)
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

    /// Starts the program without copying this process's memory; standard streams are as `piped`
    /// says, whatever was set before.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub fn spawn_apart(&mut self, piped: Piped) -> io::Result<Offspring> {
        self.setup.parent = own_pid();
        offspring::spawn(&self.inner, self.own_name.as_deref(), &self.setup, piped)
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
        setup.parent = own_pid();
        // SAFETY: `ChildSetup::apply` only makes system calls and touches memory that was
        // allocated before the fork, which is what a closure run after `fork` may do.
        unsafe { self.inner.pre_exec(move || setup.apply()) };
    }
}

fn own_pid() -> libc::pid_t {
    libc::pid_t::try_from(std::process::id()).unwrap_or(0)
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
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
            let mut command = sh("echo out; echo err >&2; cut -d' ' -f6 /proc/$$/stat; echo $$");
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
    fn errors_alone_are_appended_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = sh("echo out; echo err >&2");
        let output = command.append_errors_to(&log).unwrap().output().unwrap();
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "err\n");
    }

    #[test]
    fn output_goes_to_an_open_file_however_the_child_is_started() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(sh("echo out; echo err >&2").print_to(&file).status().unwrap().success());
        let mut child = sh("echo apart; echo err >&2; read x || echo no input");
        let mut child = child.print_to(&file).spawn_apart(Piped::default()).unwrap();
        assert!(child.wait().unwrap().success());
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, "out\nerr\napart\nerr\nno input\n");
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
    fn the_number_of_processes_is_limited_on_request() {
        let mut command = sh("exec grep '^Max processes' /proc/self/limits");
        let output = command.env("PATH", "/usr/bin:/bin").processes(321).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words[2..4], ["321", "321"], "{text}");
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
