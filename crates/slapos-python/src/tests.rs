//! The host with real Python, and with programs that only pretend to be one.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use slapos_engine::Cancellation;
use slapos_profile::ProfileError;

use crate::at::At;
use crate::error::HostError;
use crate::message::{Ask, Call, Refusal, Sent, Traces, Variables};
use crate::{Host, HostConfig};

/// An engine with one section; to be asked for `nested` makes it have the host do something.
struct Engine<'h> {
    host: &'h Host,
    directory: PathBuf,
    cancellation: Cancellation,
    section: BTreeMap<String, String>,
    changes: BTreeMap<String, Option<String>>,
    said: Vec<String>,
}

impl<'h> Engine<'h> {
    fn new(host: &'h Host, directory: &Path) -> Self {
        Self {
            host,
            directory: directory.to_owned(),
            cancellation: Cancellation::new(),
            section: BTreeMap::new(),
            changes: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    /// Runs `init` of a script.
    fn script(&mut self, init: &str) -> Result<Value, HostError> {
        self.section.insert("init".to_owned(), init.to_owned());
        self.host.call(&script("part"), self)
    }
}

fn script(part: &str) -> Call {
    Call::Script {
        run: 1,
        part: part.to_owned(),
        location: "/nowhere".to_owned(),
        environment: Variables::Given(BTreeMap::new()),
        shared: false,
        places: BTreeMap::new(),
        path: Vec::new(),
    }
}

fn refused(kind: &'static str, text: String) -> Sent<'static> {
    Sent::Refused(Refusal { kind, text, token: None })
}

impl At for Engine<'_> {
    fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    fn doing(&self) -> String {
        "tested".to_owned()
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    fn traces(&self) -> Result<Traces, HostError> {
        let tag = ("TAG", "1".to_owned());
        Ok(Traces { log: None, tag, directory: self.directory.clone() })
    }

    fn answer(&mut self, ask: Ask) -> Sent<'static> {
        match ask {
            Ask::Section { section } if section == "nested" => {
                let mut inner = Engine::new(self.host, &self.directory);
                let init = "options['x'] = str(6 * 7)";
                inner.section.insert("init".to_owned(), init.to_owned());
                let done = self.host.call(&script("nested-part"), &mut inner);
                self.said.append(&mut inner.said);
                match done {
                    Ok(_) => Sent::Reply(json!(inner.section)),
                    Err(error) => refused("other", error.to_string()),
                }
            }
            Ask::Section { section } if section == "missing" => {
                refused("section", "there is no section [missing]".to_owned())
            }
            Ask::Section { .. } => Sent::Reply(json!(self.section)),
            Ask::Set { option, value, .. } => {
                match value {
                    Some(value) => drop(self.section.insert(option, value)),
                    None => drop(self.section.remove(&option)),
                }
                Sent::Reply(Value::Null)
            }
            other => panic!("nobody asks {other:?} here"),
        }
    }

    fn changed_variables(&mut self, changes: &BTreeMap<String, Option<String>>) {
        self.changes.extend(changes.clone());
    }

    fn take_error(&mut self, _: usize) -> Option<ProfileError> {
        None
    }

    fn said(&mut self, part: &str, line: &str) {
        self.said.push(format!("{part}: {line}"));
    }
}

fn environment(_: &Path) -> BTreeMap<String, String> {
    BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())])
}

fn real() -> Host {
    Host::new(HostConfig { python: None, environment })
}

/// A host whose interpreter is a script: the beginning of it takes the modules from the socket.
fn fake(directory: &Path, body: &str) -> Host {
    let path = directory.join("fake");
    let text = format!(
        "#!/usr/bin/env python3\nimport os, socket, sys, time\n\
         connection = socket.socket(fileno=int(sys.argv[-1]))\nlines = connection.makefile('rb')\n\
         lines.readline()\n{body}\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Host::new(HostConfig { python: Some(path), environment })
}

/// Says that it is ready, and takes the first call.
const READY: &str =
    "connection.sendall(b'{\"ready\": {\"version\": [3, 11, 0]}}\\n')\nlines.readline()\n";

fn error_of(body: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let host = fake(directory.path(), body);
    Engine::new(&host, directory.path()).script("").unwrap_err().to_string()
}

#[test]
fn questions_come_within_answers() {
    let directory = tempfile::tempdir().unwrap();
    let host = real();
    let mut engine = Engine::new(&host, directory.path());
    engine.script("options['seen'] = self.buildout['nested']['x'] + '!'").unwrap();
    assert_eq!(engine.section["seen"], "42!");
    let catch = "try:\n  self.buildout['missing']\nexcept KeyError as e:\n  options['y'] = str(e)";
    engine.script(catch).unwrap();
    assert_eq!(engine.section["y"], "there is no section [missing]");
}

#[test]
fn the_environment_is_told_and_what_marks_processes_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let host = real();
    let mut engine = Engine::new(&host, directory.path());
    let init = "import os\nassert os.environ['TAG'] == '1'\nos.environ['A'] = os.getcwd()";
    engine.script(init).unwrap();
    let here = directory.path().canonicalize().unwrap().display().to_string();
    assert_eq!(engine.changes, BTreeMap::from([("A".to_owned(), Some(here))]));
}

#[test]
fn what_is_no_text_and_what_is_printed_harm_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let host = real();
    let mut engine = Engine::new(&host, directory.path());
    let init = "import os\nprint('x' * 1000000)\nos.write(1, b'\\xff\\n')\n\
                raise ValueError(os.fsdecode(b'\\xff'))";
    assert_eq!(engine.script(init).unwrap_err().to_string(), "ValueError: ?");
    // The host is still there, and threads may ask it.
    let init = "import threading\nseen = []\n\
                threads = [threading.Thread(target=lambda: seen.append(options['init'])) \
                for _ in range(9)]\n[t.start() for t in threads]\n[t.join() for t in threads]\n\
                options['n'] = str(len(seen))";
    engine.script(init).unwrap();
    assert_eq!(engine.section["n"], "9");
}

#[test]
fn an_end_is_told_from_nonsense_and_remembered() {
    insta::assert_snapshot!(error_of("sys.exit('no way')"), @r"
    cannot start the Python host: it ended with status 1
    no way
    ");
    insta::assert_snapshot!(error_of(&format!("{READY}sys.exit(3)")), @"the Python host ended with status 3 while it was tested");
    insta::assert_snapshot!(error_of(&format!("{READY}os.kill(os.getpid(), 15)")), @"the Python host was killed by signal 15 while it was tested");
    let nonsense = format!("{READY}connection.sendall(b'what?\\n')\ntime.sleep(99)");
    insta::assert_snapshot!(error_of(&nonsense), @"the Python host says `what?`, which is no message (expected value at line 1 column 1) while it was tested");
    let endless = format!("{READY}\nwhile True: connection.sendall(b'x' * 100000)");
    insta::assert_snapshot!(error_of(&endless), @"the Python host says too much at once while it was tested");
    let directory = tempfile::tempdir().unwrap();
    let host = fake(directory.path(), &format!("{READY}sys.exit(3)"));
    let mut engine = Engine::new(&host, directory.path());
    drop(engine.script("").unwrap_err());
    insta::assert_snapshot!(engine.script("").unwrap_err(), @"the Python host is not there any more (it ended with status 3) while it was wanted again");
}

#[test]
fn a_stop_reaches_a_host_that_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let host = real();
    let mut engine = Engine::new(&host, directory.path());
    let cancellation = engine.cancellation.clone();
    let started = directory.path().join("started");
    let stopper = std::thread::spawn({
        let started = started.clone();
        move || {
            while !started.exists() {
                std::thread::yield_now();
            }
            cancellation.cancel();
        }
    });
    let init = format!("import time\nopen({started:?}, 'w').close()\ntime.sleep(3600)");
    assert!(matches!(engine.script(&init), Err(HostError::Cancelled)));
    stopper.join().unwrap();
}
