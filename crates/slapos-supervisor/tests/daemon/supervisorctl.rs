//! The real `supervisorctl` of the Python package `supervisor` against our daemon.
//!
//! The package is installed once below the target directory; where PyPI or Python cannot be
//! reached, the test says that it is skipped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use slapos_supervisor::state::State;
use slapos_sys::process::Command;

use crate::support::{Node, eventually, installed, service};

struct Ctl {
    program: PathBuf,
    conf: PathBuf,
}

impl Ctl {
    fn new(node: &Node) -> Option<Self> {
        let program = installed("supervisorctl", "python3", &["supervisor==4.3.0"])?;
        let program = program.join("supervisorctl");
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

#[test]
fn adds_removes_reloads_and_clears() {
    let node = Node::new();
    let Some(ctl) = ctl(&node) else { return };
    node.define("p", &[service("web", "echo hello; exec sleep 1000")]);
    let client = node.client();
    assert!(ctl.says(&["version"]).contains("(slapos)"));
    node.define("q", &[service("new", "exec sleep 1000")]);
    assert_eq!(ctl.says(&["reread"]).trim(), "q: available");
    insta::assert_snapshot!(ctl.says(&["add", "q"]), @"q: added process group");
    insta::assert_snapshot!(ctl.says(&["start", "q:new"]), @"q:new: started");
    insta::assert_snapshot!(ctl.run(&["remove", "q"]).0, @"ERROR: process/group still running: q");
    insta::assert_snapshot!(ctl.says(&["stop", "q:new"]), @"q:new: stopped");
    insta::assert_snapshot!(ctl.says(&["remove", "q"]), @"q: removed process group");
    insta::assert_snapshot!(ctl.says(&["start", "p:web"]), @"p:web: started");
    insta::assert_snapshot!(ctl.says(&["signal", "HUP", "all"]), @"p:web: signalled");
    node.await_state("p:web", State::Exited);
    insta::assert_snapshot!(ctl.says(&["clear", "all"]), @"p:web: cleared");
    insta::assert_snapshot!(ctl.says(&["tail", "p:web"]), @"");
    let (text, _) = ctl.run(&["tail", "p:web", "stderr"]);
    insta::assert_snapshot!(text, @"p:web: ERROR (no log file)");
    let pid = client.pid().unwrap();
    insta::assert_snapshot!(ctl.says(&["reload"]), @"Restarted supervisord");
    // The removed group is defined, and so comes with the others.
    eventually("the definitions, read anew", || client.process_info("q:new").ok());
    assert_eq!(client.pid().unwrap(), pid);
    let methods = client.call("system.listMethods", Vec::new()).unwrap();
    for method in methods.as_array().unwrap() {
        let help = client.call("system.methodHelp", vec![method.clone()]).unwrap();
        assert!(help.as_str().unwrap().starts_with(method.as_str().unwrap()));
    }
}
