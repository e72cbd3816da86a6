//! The real `supervisorctl` of the Python package `supervisor` against our daemon.
//!
//! The package is installed once below the target directory; where PyPI or Python cannot be
//! reached, the test says that it is skipped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use slapos_supervisor::state::State;
use slapos_sys::lock::FileLock;
use slapos_sys::process::Command;

use crate::support::{Node, eventually, service};

/// `supervisorctl`, installed if it was not; `None` where it cannot be had.
fn installed() -> Option<PathBuf> {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let _turn = FileLock::acquire(&base.join("supervisorctl.lock")).unwrap();
    let venv = base.join("supervisorctl");
    let program = venv.join("bin/supervisorctl");
    // Written last, so that an interrupted installation is not taken for a whole one.
    let complete = venv.join("complete");
    if !complete.exists() {
        let run = |program: &Path, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).inherit_env(&[
                "PATH",
                "HOME",
                "PIP_INDEX_URL",
                "PIP_CONFIG_FILE",
                "PIP_CERT",
                "SSL_CERT_FILE",
                "HTTPS_PROXY",
                "https_proxy",
            ]);
            command.output().is_ok_and(|output| output.status.success())
        };
        let made = run(Path::new("python3"), &["-m", "venv", venv.to_str()?]);
        let pip = venv.join("bin/pip");
        let options = ["install", "--quiet", "--timeout", "5", "--retries", "1"];
        let got = made && run(&pip, &[&options[..], &["supervisor==4.3.0"]].concat());
        if !got {
            return None;
        }
        std::fs::write(complete, "").unwrap();
    }
    Some(program)
}

struct Ctl {
    program: PathBuf,
    conf: PathBuf,
}

impl Ctl {
    fn new(node: &Node) -> Option<Self> {
        let program = installed()?;
        let conf = node.file("supervisorctl.conf");
        let socket = node.paths.socket();
        let text = format!("[supervisorctl]\nserverurl=unix://{}\n", socket.display());
        std::fs::write(&conf, text).unwrap();
        Some(Self { program, conf })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.conf).args(args);
        command.env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
        command
    }

    /// What it prints, and its exit code.
    fn run(&self, args: &[&str]) -> (String, i32) {
        let output = self.command(args).output().unwrap();
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        (text, output.status.code().unwrap_or(-1))
    }

    fn says(&self, args: &[&str]) -> String {
        let (text, code) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {text}");
        text
    }
}

fn ctl(node: &Node) -> Option<Ctl> {
    let ctl = Ctl::new(node);
    if ctl.is_none() {
        slapos_testkit::skipped("ctl", "supervisorctl cannot be installed from PyPI");
    }
    ctl
}

#[test]
fn starts_stops_restarts_and_shows() {
    let node = Node::new();
    let Some(ctl) = ctl(&node) else { return };
    let mut web = service("web", "echo hello; exec sleep 1000");
    web.startsecs = 1;
    node.define("p", &[web, service("once", "exit 7")]);
    let client = node.client();
    let (text, code) = ctl.run(&["status"]);
    insta::assert_snapshot!(text, @r"
    p:web                            STOPPED   Not started
    p:once                           STOPPED   Not started
    ");
    assert_eq!(code, 3);
    insta::assert_snapshot!(ctl.says(&["start", "p:web"]), @"p:web: started");
    let (text, code) = ctl.run(&["start", "p:web"]);
    insta::assert_snapshot!(text, @"p:web: ERROR (already started)");
    assert_eq!(code, 0);
    let pid = client.process_info("p:web").unwrap().pid.unwrap();
    let status = ctl.says(&["status", "p:web"]);
    let expected = format!("p:web                            RUNNING   pid {pid}, uptime 0:00:0");
    assert!(status.starts_with(&expected), "{status}");
    insta::assert_snapshot!(ctl.says(&["tail", "p:web"]), @"hello");
    assert_eq!(ctl.says(&["pid", "p:web"]).trim(), pid.to_string());
    assert_eq!(ctl.says(&["pid"]).trim(), client.pid().unwrap().to_string());
    insta::assert_snapshot!(ctl.says(&["restart", "p:web"]), @r"
    p:web: stopped
    p:web: started
    ");
    insta::assert_snapshot!(ctl.says(&["clear", "p:web"]), @"p:web: cleared");
    insta::assert_snapshot!(ctl.says(&["signal", "CONT", "p:web"]), @"p:web: signalled");
    insta::assert_snapshot!(ctl.says(&["stop", "p:*"]), @"p:web: stopped");
    insta::assert_snapshot!(ctl.says(&["start", "all"]), @r"
    p:web: started
    p:once: started
    ");
    node.await_state("p:once", State::Exited);
    insta::assert_snapshot!(ctl.run(&["start", "p:nobody"]).0, @"p:nobody: ERROR (no such process)");
    insta::assert_snapshot!(ctl.says(&["avail"]), @r"
    p:web                            in use    manual    999:999
    p:once                           in use    manual    999:999
    ");
    assert!(ctl.says(&["maintail"]).contains("p:web: "));
    insta::assert_snapshot!(ctl.says(&["shutdown"]), @"Shut down");
    eventually("the end of the socket", || (!node.paths.socket().exists()).then_some(()));
}

#[test]
fn updates_and_follows_logs() {
    let node = Node::new();
    let Some(ctl) = ctl(&node) else { return };
    node.define("p", &[service("same", "exec sleep 1000")]);
    node.define("q", &[service("leaving", "exec sleep 1000")]);
    node.client().start_all(Some(crate::support::PATIENCE)).unwrap();
    let mut chat = service("chat", "while :; do echo chat; sleep 0.05; done");
    chat.autostart = true;
    node.define("r", &[chat]);
    slapos_supervisor::remove_group(&node.paths.conf_dir(), "q").unwrap();
    insta::assert_snapshot!(ctl.says(&["reread"]), @r"
    q: disappeared
    r: available
    ");
    insta::assert_snapshot!(ctl.says(&["update"]), @r"
    q: stopped
    q: removed process group
    r: added process group
    ");
    node.await_state("r:chat", State::Running);
    let mut tail = ctl.command(&["tail", "-f", "r:chat"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).skip(1).take(40).collect();
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(lines.len(), 40);
    assert!(lines.iter().all(|line| line == "chat"), "{lines:?}");
    let mut changed = service("same", "exec sleep 2000");
    changed.autostart = true;
    node.define("p", &[changed]);
    insta::assert_snapshot!(ctl.says(&["update", "p"]), @r"
    p: stopped
    p: updated process group
    ");
    node.await_state("p:same", State::Running);
    std::fs::write(node.paths.conf_dir().join("bad.conf"), "[program:x]\n").unwrap();
    let text = ctl.run(&["reread"]).0;
    assert!(text.contains("bad.conf:1: [program:x] needs a `command`"), "{text}");
}
