//! Faults, by `strace`.

use std::process::{Command, Stdio};

use slapos_testkit::{TestNode, skipped};

/// What changes files, makes them last, or starts programs.
const CALLS: &str = "write,pwrite64,fsync,fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat,\
mkdir,mkdirat,symlink,symlinkat,link,linkat,fchmod,fchmodat,chmod,fchown,ftruncate,execve";

/// Of so many points one is tried, unless all are asked for.
const STEP: usize = 3;

/// What happens at a point.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The process is killed instead.
    Kill,
    /// The disk is full.
    NoSpace,
    /// The disk is broken.
    Io,
}

impl Fault {
    const ALL: [Self; 3] = [Self::Kill, Self::NoSpace, Self::Io];

    fn words(self) -> &'static str {
        match self {
            Self::Kill => "signal=KILL",
            Self::NoSpace => "error=ENOSPC",
            Self::Io => "error=EIO",
        }
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

    /// How many points the process with the most has in an undisturbed run of `command`, which must
    /// succeed.
    pub(crate) fn count(&self, node: &TestNode, command: &[&str]) -> usize {
        let trace = node.path("trace");
        let words = [
            "-e".to_owned(),
            format!("trace={CALLS}"),
            "-o".to_owned(),
            trace.display().to_string(),
        ];
        let status = strace(node, command, &words);
        assert!(status, "an undisturbed run succeeds");
        let text = std::fs::read_to_string(&trace).unwrap();
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        for line in text.lines().filter(|line| line.contains('(')) {
            *counts.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// All faults at the chosen ones of `count` points.
    pub(crate) fn chosen(&self, count: usize) -> impl Iterator<Item = (Fault, usize)> {
        let step = self.step;
        let faults = Fault::ALL.into_iter().enumerate();
        // Each fault begins elsewhere, so that together they try all.
        faults.flat_map(move |(offset, fault)| {
            (1 + offset % step..=count).step_by(step).map(move |point| (fault, point))
        })
    }

    /// Says what was tried. On standard error itself: the test runner swallows the rest.
    pub(crate) fn report(&self, what: &str, count: usize, survived: usize) {
        use std::io::Write;
        let faults = self.chosen(count).count();
        let _ = writeln!(
            std::io::stderr(),
            "FAULTS {what}: {count} points, {faults} faults tried, {survived} survived"
        );
    }
}

/// Runs `command` with `fault` at the `point`-th call of each process. However it ends is fine.
pub(crate) fn injected(node: &TestNode, command: &[&str], fault: Fault, point: usize) {
    let inject = format!("inject={CALLS}:{}:when={point}", fault.words());
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
