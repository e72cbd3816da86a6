//! The original node's own watchdog (`slapos-watchdog` of slapos.core) as a listener of our daemon.
//!
//! The package is installed once below the target directory; where PyPI or Python cannot be
//! reached, the test says that it is skipped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use slapos_supervisor::AutoRestart;
use slapos_supervisor::state::State;

use crate::support::{Node, PATIENCE, eventually, installed, service};

const PACKAGES: [&str; 4] = [
    "setuptools==67.8.0",
    "slapos.core==1.26.1",
    "slapos.libnetworkcache==0.30",
    "zope.interface==7.2",
];

/// Python 3.12, which the original needs: in `PATH`, or among the versions of pyenv.
fn python() -> String {
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten();
    let programs = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin/python3.12")));
    let found = programs.filter(|program| program.exists()).last();
    found.map_or("python3.12".to_owned(), |program| program.display().to_string())
}

/// A Master that says yes to everything; what it was asked comes out of the receiver as
/// `PATH BODY`.
fn master() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if let Some(request) = answer(stream)
                && sender.send(request).is_err()
            {
                return;
            }
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let lower = line.to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).ok()?;
    let path = first.split(' ').nth(1)?;
    Some(format!("{path} {}", String::from_utf8_lossy(&body)))
}

#[test]
fn the_originals_watchdog_bangs() {
    let Some(bin) = installed("slapos-core", &python(), &PACKAGES) else {
        let why = "Python 3.12 or slapos.core cannot be had";
        return slapos_testkit::skipped("the_originals_watchdog_bangs", why);
    };
    let (url, asked) = master();
    let node = Node::new();
    std::fs::create_dir(node.root().join("slappart0")).unwrap();
    // As the original writes it, but for the path.
    let section = format!(
        "[eventlistener:watchdog]\ncommand={}/slapos-watchdog --master-url '{url}'  --computer-id \
         'local' --instance-root '{}'\nevents=PROCESS_STATE_EXITED, PROCESS_STATE_FATAL\n\
         stderr_logfile={}\n",
        bin.display(),
        node.root().display(),
        node.log_of("watchdog").display()
    );
    std::fs::write(node.paths.conf_dir().join("watchdog.conf"), section).unwrap();
    let mut web = service("web-on-watch", "exec sleep 1000");
    web.autorestart = AutoRestart::Always;
    node.define("slappart0", &[web]);
    let client = node.client();
    client.start("slappart0:web-on-watch", Some(PATIENCE)).unwrap();
    node.await_state("watchdog", State::Running);
    let kill = || {
        let info = client.process_info("slappart0:web-on-watch").unwrap();
        node.kill(info.pid.unwrap());
    };
    kill();
    let banged = loop {
        let request = asked.recv_timeout(PATIENCE).unwrap();
        if request.starts_with("/softwareInstanceBang ") {
            break request;
        }
    };
    let words = ["computer_partition_id=slappart0", "computer_id=local", "web-on-watch+process"];
    assert!(words.iter().all(|word| banged.contains(word)), "{banged}");
    let mark = node.root().join("slappart0/.slapos_latest_bang_timestamp");
    eventually("its mark", || (std::fs::read_to_string(&mark).ok()? == "0").then_some(()));
    assert_eq!(client.process_info("watchdog").unwrap().state, State::Running);
}
