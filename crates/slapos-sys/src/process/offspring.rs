//! Starting a child without copying this process.
//!
//! `fork` copies the tables of all memory, and what is touched meanwhile is copied page by page; of
//! a thousand services that a daemon starts, that is half the cost. So the child borrows this
//! process's memory until it executes its program (as `posix_spawn` has it), and the thread that
//! starts it waits for that. What the child does in between is [`ChildSetup`], which only makes
//! system calls and touches memory that was made before.
//!
//! Where the child becomes another user, the kernel first marks the borrowed memory as one that
//! nobody may look into, so that no process of that user can attach to it there.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::Pid;

use super::check;
use super::child::ChildSetup;
use super::running::{ended_within, pidfd_open};

/// Enough for [`ChildSetup::apply`] and `execve`, bytes.
const STACK: usize = 128 << 10;
/// What nobody may touch below it, bytes: a child that needs more dies, and touches nothing of ours.
const GUARD: usize = 64 << 10;
/// Where programs are looked for if the child's environment does not say, as in `execvp`.
const USUAL_PATH: &str = "/bin:/usr/bin";
/// Runs scripts that do not say what runs them, as in `execvp`.
const SHELL: &CStr = c"/bin/sh";

/// Which standard streams of a child are pipes to this process; the others are `/dev/null`, unless
/// its output is appended to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piped {
    /// Its standard input.
    pub input: bool,
    /// Its standard output.
    pub output: bool,
    /// Its standard error.
    pub errors: bool,
}

/// A child of this process.
#[derive(Debug)]
pub struct Offspring {
    pid: u32,
    /// What it reads, if that is a pipe.
    pub input: Option<OwnedFd>,
    /// What it writes, if that is a pipe.
    pub output: Option<OwnedFd>,
    /// What it complains of, if that is a pipe.
    pub errors: Option<OwnedFd>,
    ended: Option<ExitStatus>,
}

impl Offspring {
    /// One that somebody else made for this process, with this process's ends of its pipes.
    pub(super) fn adopted(pid: u32, input: OwnedFd, output: OwnedFd, errors: OwnedFd) -> Self {
        let [input, output, errors] = [input, output, errors].map(Some);
        Self { pid, input, output, errors, ended: None }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When somebody else has waited for it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.ended {
            Some(status) => Ok(status),
            None => self.reap(0).and_then(|status| {
                status.ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD))
            }),
        }
    }

    /// Waits until it ends, at most for `limit`; `None` if it still runs then.
    ///
    /// # Errors
    /// Those of `pidfd_open`, `poll` and `wait`.
    pub fn wait_within(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        if let Some(status) = self.reap(libc::WNOHANG)? {
            return Ok(Some(status));
        }
        let ended = pidfd_open(self.pid)?;
        if ended_within(&ended, limit)? { self.wait().map(Some) } else { Ok(None) }
    }

    fn reap(&mut self, flags: libc::c_int) -> io::Result<Option<ExitStatus>> {
        let pid = libc::pid_t::try_from(self.pid).map_err(io::Error::other)?;
        let mut status = 0;
        loop {
            // SAFETY: `status` lives through the call, which fills it.
            match check(unsafe { libc::waitpid(pid, &raw mut status, flags) }) {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    self.ended = Some(ExitStatus::from_raw(status));
                    return Ok(self.ended);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// All that the child needs, made before it is.
struct Plan<'a> {
    setup: &'a ChildSetup,
    /// The program, wherever it may be.
    places: Vec<CString>,
    /// Ends with a null, like the other two.
    arguments: Vec<*const libc::c_char>,
    /// Those of the shell that runs a script that does not say what runs it; the script's own place
    /// is the second.
    shell_arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    directory: Option<CString>,
    /// What becomes 0, 1 and 2.
    streams: [RawFd; 3],
    /// Why the program does not run; written by the child.
    error: libc::c_int,
}

/// Starts the child that `command` describes, which sees `own_name` as its name if there is one.
///
/// # Errors
/// When it cannot be executed, or cannot become its user.
pub(super) fn spawn(
    command: &std::process::Command,
    own_name: Option<&OsStr>,
    setup: &ChildSetup,
    piped: Piped,
) -> io::Result<Offspring> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let null = above_streams(OwnedFd::from(null))?;
    let (child_input, input) = ends(piped.input, true)?;
    let (child_output, output) = ends(piped.output, false)?;
    let (child_errors, errors) = ends(piped.errors, false)?;
    let streams = [&child_input, &child_output, &child_errors]
        .map(|end| end.as_ref().unwrap_or(&null).as_raw_fd());
    let words = words(command, own_name)?;
    let variables = variables(command)?;
    let pointers = |list: &[CString]| {
        let ends = std::iter::once(std::ptr::null());
        list.iter().map(|word| word.as_ptr()).chain(ends).collect::<Vec<_>>()
    };
    let arguments = pointers(&words);
    let shell = [SHELL.as_ptr(), std::ptr::null()].into_iter();
    let plan = Plan {
        setup,
        places: places(command)?,
        shell_arguments: shell.chain(arguments.iter().skip(1).copied()).collect(),
        arguments,
        environment: pointers(&variables),
        directory: command.get_current_dir().map(|dir| c_string(dir.as_os_str())).transpose()?,
        streams,
        error: 0,
    };
    let pid = begin(plan)?;
    Ok(Offspring { pid, input, output, errors, ended: None })
}

/// The child's end of a pipe and ours; nothing if there is to be none.
fn ends(wanted: bool, child_reads: bool) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    if !wanted {
        return Ok((None, None));
    }
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (reading, writing) = (above_streams(reading)?, above_streams(writing)?);
    Ok(match child_reads {
        true => (Some(reading), Some(writing)),
        false => (Some(writing), Some(reading)),
    })
}

/// A number below 3 would be overwritten while the streams are put in place, or stay closed on
/// execution where it is in its place already.
fn above_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: F_DUPFD_CLOEXEC takes integers only.
    let copy = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: it was just made, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn words(command: &std::process::Command, name: Option<&OsStr>) -> io::Result<Vec<CString>> {
    let name = name.unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(c_string).collect()
}

fn variables(command: &std::process::Command) -> io::Result<Vec<CString>> {
    let set = command.get_envs().filter_map(|(key, value)| Some((key, value?)));
    set.map(|(key, value)| c_string(&[key, value].join(OsStr::new("=")))).collect()
}

/// Where the program may be: at its path, or in the directories of the child's own `PATH`.
fn places(command: &std::process::Command) -> io::Result<Vec<CString>> {
    let program = command.get_program();
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    let path = command.get_envs().find(|(key, _)| *key == "PATH").and_then(|(_, value)| value);
    let path = path.unwrap_or(OsStr::new(USUAL_PATH));
    let within = |directory: &[u8]| {
        let place = [directory, b"/", program.as_bytes()].concat();
        let here = directory.is_empty();
        c_string(if here { program } else { OsStr::from_bytes(&place) })
    };
    path.as_bytes().split(|byte| *byte == b':').map(within).collect()
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(OsString::from(text).into_vec())?)
}

/// Starts the child and waits until it executes its program, or cannot.
fn begin(mut plan: Plan<'_>) -> io::Result<u32> {
    let mut stack = Stack::new()?;
    // A handler of ours that ran in the child would do so in our memory.
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: `stack` is memory of its own that outlives the child's use of it, because CLONE_VFORK
    // has this thread wait until the child executes or ends, and so does `plan`; `run` never
    // returns to a frame that is not its own, allocates nothing and takes no lock.
    let pid = check(unsafe {
        libc::clone(run, stack.top(), flags, (&raw mut plan).cast::<libc::c_void>())
    });
    let unblocked = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    let pid = pid?;
    unblocked?;
    // SAFETY: it is ours again; the child, which shared it, wrote it before it ended.
    let error = unsafe { std::ptr::read_volatile(&raw const plan.error) };
    if error != 0 {
        let _ = nix::sys::wait::waitpid(Pid::from_raw(pid), None);
        return Err(io::Error::from_raw_os_error(error));
    }
    u32::try_from(pid).map_err(io::Error::other)
}

/// What the child does. It never returns with success.
extern "C" fn run(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: it is the plan of the thread that waits for us.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    let failed = match prepare(plan) {
        Ok(()) => execute(plan),
        Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
    };
    plan.error = failed;
    // SAFETY: _exit takes an integer and runs nothing of ours.
    unsafe { libc::_exit(127) }
}

/// Streams and directory, as `std` has it, then all the rest.
fn prepare(plan: &Plan<'_>) -> io::Result<()> {
    forget_handlers();
    for (number, fd) in (0..).zip(plan.streams) {
        // SAFETY: dup2 takes integers only.
        check(unsafe { libc::dup2(fd, number) })?;
    }
    if let Some(directory) = &plan.directory {
        // SAFETY: the path is NUL-terminated and lives through the call.
        check(unsafe { libc::chdir(directory.as_ptr()) })?;
    }
    plan.setup.apply()
}

/// No signal finds a handler of the process whose memory this is. Those that are ignored stay so.
fn forget_handlers() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: `sigaction` is plain data that the first call fills and the second reads; the
        // table of handlers is the child's own.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
            let handled = ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
            if known && handled {
                action.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// Tries all places; returns why the program runs from none of them.
fn execute(plan: &mut Plan<'_>) -> libc::c_int {
    let mut error = libc::ENOENT;
    for place in &plan.places {
        let environment = plan.environment.as_ptr();
        // SAFETY: all three are NUL-terminated, the lists null-terminated; they live through the call.
        unsafe { libc::execve(place.as_ptr(), plan.arguments.as_ptr(), environment) };
        match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL) {
            libc::ENOEXEC => {
                if let Some(script) = plan.shell_arguments.get_mut(1) {
                    *script = place.as_ptr();
                }
                // SAFETY: as above.
                unsafe {
                    libc::execve(SHELL.as_ptr(), plan.shell_arguments.as_ptr(), environment);
                }
                return libc::ENOEXEC;
            }
            // As `execvp`: what may not be executed counts only if there is nothing else.
            libc::EACCES => error = libc::EACCES,
            libc::ENOENT | libc::ENOTDIR => {}
            other => return other,
        }
    }
    error
}

/// The memory in which a child runs until it executes, and below it what is guarded.
struct Stack(*mut libc::c_void);

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let (nowhere, none) = (std::ptr::null_mut(), libc::PROT_NONE);
        // SAFETY: new memory, which nobody else knows.
        let start = unsafe { libc::mmap(nowhere, GUARD + STACK, none, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(start);
        // SAFETY: all but the beginning of what was just mapped.
        check(unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mprotect(start.byte_add(GUARD), STACK, protection)
        })?;
        Ok(stack)
    }

    /// It grows downwards from here.
    fn top(&mut self) -> *mut libc::c_void {
        // SAFETY: one past the end of the memory, which is aligned to a page.
        unsafe { self.0.byte_add(GUARD + STACK) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole of what was mapped; the child is gone from it.
        unsafe { libc::munmap(self.0, GUARD + STACK) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::process::Command;

    const BOTH: Piped = Piped { input: true, output: true, errors: false };

    fn said(mut child: Offspring) -> (String, ExitStatus) {
        let mut text = String::new();
        std::fs::File::from(child.output.take().unwrap()).read_to_string(&mut text).unwrap();
        (text, child.wait().unwrap())
    }

    #[test]
    fn it_has_its_words_its_environment_its_directory_and_its_pipes() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; echo $0 $line $A $PWD; exit 3", "me"]);
        command.env("PATH", "/nowhere:/bin").env("A", "1").current_dir("/usr");
        let mut child = command.spawn_apart(BOTH).unwrap();
        std::fs::File::from(child.input.take().unwrap()).write_all(b"hello\n").unwrap();
        let (text, status) = said(child);
        assert_eq!((text.as_str(), status.code()), ("me hello 1 /usr\n", Some(3)));
    }

    #[test]
    fn it_is_not_there_before_it_has_its_program_and_says_why_it_has_none() {
        let missing = Command::new("/nowhere/x").spawn_apart(Piped::default()).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let mut elsewhere = Command::new("/bin/true");
        elsewhere.current_dir("/nowhere");
        let error = elsewhere.spawn_apart(Piped::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let denied = Command::new("/etc/passwd").spawn_apart(Piped::default()).unwrap_err();
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_script_that_does_not_say_what_runs_it_is_run_by_the_shell() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "echo $0 $1\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(&script);
        let child = command.arg("one").spawn_apart(BOTH).unwrap();
        assert_eq!(said(child).0, format!("{} one\n", script.display()));
    }

    #[test]
    fn what_is_below_the_stack_cannot_be_touched() {
        let mut stack = Stack::new().unwrap();
        let (top, start) = (stack.top() as usize, stack.0 as usize);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let guarded = maps.lines().any(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|at| usize::from_str_radix(at, 16).unwrap());
            from <= start && to == top - STACK && rest.starts_with("---p")
        });
        assert!(guarded, "{maps}");
    }

    #[test]
    fn handlers_of_this_process_are_not_the_childs_and_its_mask_is_empty() {
        crate::process::on_signals(&[crate::process::Signal::SIGUSR2], |_| {}).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec cat /proc/self/status"]);
        let (text, _) = said(command.env("PATH", "/usr/bin:/bin").spawn_apart(BOTH).unwrap());
        for field in ["SigBlk", "SigCgt"] {
            assert!(text.contains(&format!("{field}:\t0000000000000000\n")), "{text}");
        }
    }

    #[test]
    fn the_end_is_waited_for_only_so_long() {
        let mut child =
            Command::new("/bin/sleep").arg("600").spawn_apart(Piped::default()).unwrap();
        assert_eq!(child.wait_within(Duration::from_millis(1)).unwrap(), None);
        crate::process::kill(child.id(), crate::process::Signal::SIGKILL).unwrap();
        let ended = child.wait_within(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(ended.signal(), Some(libc::SIGKILL));
        assert_eq!(child.wait().unwrap(), ended);
    }

    #[test]
    fn many_threads_start_children_at_once() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut child = Command::new("/bin/true");
                        let mut child = child.spawn_apart(Piped::default()).unwrap();
                        assert!(child.wait().unwrap().success());
                    }
                });
            }
        });
    }
}
