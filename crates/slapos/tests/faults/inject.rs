//! Faults, by `strace`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::{Command, Stdio};

use slapos_testkit::{TestNode, skipped};

/// Of so many points one is tried, unless all are asked for.
const STEP: usize = 6;

/// System calls at which the same faults happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calls {
    /// What changes files and makes them last.
    Files,
    /// What makes a file that was not there. Those that only read go by the same name.
    Opens,
    /// What starts processes, threads and programs.
    Starts,
    /// What tells others, over sockets: the Master, the supervisor.
    Tells,
}

impl Calls {
    const ALL: [Self; 4] = [Self::Files, Self::Opens, Self::Starts, Self::Tells];

    fn words(self) -> &'static str {
        match self {
            Self::Files => {
                "write,pwrite64,writev,pwritev,pwritev2,copy_file_range,fallocate,ftruncate,fsync,\
                 fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,symlink,\
                 symlinkat,link,linkat,fchmod,fchmodat,chmod,fchown,utimensat"
            }
            Self::Opens => "openat",
            Self::Starts => "execve,fork,vfork,clone,clone3",
            Self::Tells => "sendto,sendmsg,sendmmsg",
        }
    }

    fn faults(self) -> &'static [Fault] {
        match self {
            Self::Files => &[Fault::Kill, Fault::NoSpace, Fault::Io],
            Self::Opens => &[Fault::NoSpace],
            Self::Starts => &[Fault::Kill, Fault::NoMore],
            Self::Tells => &[Fault::Kill, Fault::Gone],
        }
    }

    /// Whether a line of a trace is of such a call.
    fn has(self, call: &str) -> bool {
        let name = call.split('(').next().unwrap_or_default();
        self.words().split(',').any(|known| known == name)
    }

    /// Whether it is one at which something is to happen.
    fn counts(self, call: &str) -> bool {
        self != Self::Opens || call.contains("O_CREAT")
    }
}

/// What happens at a point.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The process is killed instead.
    Kill,
    /// The disk is full.
    NoSpace,
    /// The disk is broken.
    Io,
    /// There may be no more processes.
    NoMore,
    /// Whoever listened is gone.
    Gone,
}

impl Fault {
    fn words(self) -> &'static str {
        match self {
            Self::Kill => "signal=KILL",
            Self::NoSpace => "error=ENOSPC",
            Self::Io => "error=EIO",
            Self::NoMore => "error=EAGAIN",
            Self::Gone => "error=ECONNRESET",
        }
    }
}

/// A fault at the so-manieth of some calls, in each process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    calls: Calls,
    fault: Fault,
    point: usize,
}

impl fmt::Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?} {}", self.fault, self.calls, self.point)
    }
}

/// Which points are tried.
pub(crate) struct Points {
    step: usize,
}

impl Points {
    /// None, with a visible line, where nothing can be traced.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let mut tried = Command::new("strace");
        tried.args(["-f", "--seccomp-bpf", "-o", "/dev/null", "true"]).stderr(Stdio::null());
        let works = tried.status().is_ok_and(|status| status.success());
        if !works {
            skipped(test, "strace is not installed or may not trace");
            return None;
        }
        let all = std::env::var_os("SLAPOS_FAULTS").is_some_and(|value| value == "all");
        Some(Self { step: if all { 1 } else { STEP } })
    }

    /// What is tried, by an undisturbed run of `command`, which must succeed.
    pub(crate) fn of(&self, node: &TestNode, command: &[&str]) -> Vec<Shot> {
        let trace = node.path("trace");
        let all = Calls::ALL.map(Calls::words).join(",");
        let file = trace.display().to_string();
        let words = ["-e".to_owned(), format!("trace={all}"), "-o".to_owned(), file];
        assert!(strace(node, command, &words), "an undisturbed run succeeds");
        let text = std::fs::read_to_string(&trace).unwrap();
        Calls::ALL.into_iter().flat_map(|calls| self.chosen(calls, &points(calls, &text))).collect()
    }

    fn chosen(&self, calls: Calls, points: &[usize]) -> Vec<Shot> {
        let faults = calls.faults().iter().enumerate();
        // Each fault begins elsewhere, so that together they try more.
        let shots = faults.flat_map(|(offset, fault)| {
            let those = points.iter().skip(offset % self.step).step_by(self.step);
            those.map(|point| Shot { calls, fault: *fault, point: *point })
        });
        shots.collect()
    }

    /// Says what was tried. On standard error itself: the test runner swallows the rest.
    pub(crate) fn report(&self, what: &str, shots: &[Shot], survived: usize) {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "FAULTS {what}: one of {} points each, {} faults tried, {survived} survived",
            self.step,
            shots.len()
        );
    }
}

/// The numbers of such calls that any process made, each process counting its own.
fn points(calls: Calls, trace: &str) -> Vec<usize> {
    let mut made = BTreeMap::<&str, usize>::new();
    let mut found = BTreeSet::new();
    for line in trace.lines() {
        // PID CALL(ARGUMENTS...; what goes on after another process's turn was counted before.
        let Some((process, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if !calls.has(call) {
            continue;
        }
        let number = made.entry(process).or_default();
        *number += 1;
        if calls.counts(call) {
            found.insert(*number);
        }
    }
    found.into_iter().collect()
}

/// Runs `command` with a fault. However it ends is fine.
pub(crate) fn injected(node: &TestNode, command: &[&str], shot: Shot) {
    let Shot { calls, fault, point } = shot;
    let inject = format!("inject={}:{}:when={point}", calls.words(), fault.words());
    let words = ["-e".to_owned(), inject, "-o".to_owned(), "/dev/null".to_owned()];
    strace(node, command, &words);
}

fn strace(node: &TestNode, command: &[&str], words: &[String]) -> bool {
    let traced = node.command(command);
    // Whatever happens, nothing may wait for ever.
    let mut strace = Command::new("timeout");
    strace.args(["--kill-after=5", "90", "strace", "-f", "--seccomp-bpf"]).args(words);
    strace.arg(traced.get_program()).args(traced.get_args());
    strace.env_remove("SLAPOS_CONFIGURATION").env("NO_COLOR", "1");
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = strace.status().unwrap();
    assert!(!matches!(status.code(), Some(124 | 137)), "`{}` hangs: {words:?}", command.join(" "));
    status.success()
}
