//! Clocks that are wrong by a year or so, as after a battery died: nothing that runs is disturbed, and
//! with the clock put right all goes on. The clocks are those of processes, by `libfaketime`; what
//! they measure of time passing stays right, as the kernel's does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use slapos_testkit::{Tree, skipped, wait_for};

use crate::master::Master;
use crate::node::{Node, by};

/// Where Debian has it, below the machine's own directory of libraries.
fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut libraries = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists())
}

/// The command with a clock that is by so much ahead, of the program alone: whoever makes it another
/// user's process could not share with it what the library has.
fn ahead(command: &Command, library: &Path, offset: &str) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut words: Vec<OsString> = words.map(OsString::from).collect();
    let program = words.iter().position(|word| word == env!("CARGO_BIN_EXE_slapos")).unwrap();
    let clock = [
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME={offset}"),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
        "NO_FAKE_STAT=1".to_owned(),
    ];
    words.splice(program..program, clock.map(OsString::from));
    let mut changed = Command::new(&words[0]);
    changed.args(&words[1..]).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => changed.env(name, value),
            None => changed.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        changed.current_dir(directory);
    }
    changed
}

#[test]
fn clocks_that_jump_disturb_nothing_that_runs() {
    let Some(library) = library() else {
        return skipped("clocks_that_jump_disturb_nothing_that_runs", "there is no libfaketime");
    };
    let master = Master::start("");
    let ann = master.person("ann", "alpha");
    let token = master.ok(&["proxy", "computer", "add", "COMP-1", "--project", "alpha"]);
    let node = Node::register(&master, "COMP-1", &token);
    node.ok(&["node", "format"]);
    let profile = Tree::new(master.path("tree")).add_service().display().to_string();
    master.ok(&by(&ann, &["supply", &profile, "COMP-1"]));
    node.ok(&["node", "software"]);
    let wants = |word: &str| {
        let word = format!("word={word}");
        master.ok(&by(&ann, &["request", "one", &profile, "--parameters", &word]));
    };
    let instance = |offset: &str| {
        let command = master.command(&by(&node.config, &["node", "instance"]));
        slapos_testkit::Run::of(&ahead(&command, &library, offset).output().unwrap())
    };
    wants("first");
    node.ok(&["node", "instance"]);
    let service = node.service("sleeper-on-watch");
    let certificate = std::fs::read_to_string(node.path("etc/ssl/node.pem")).unwrap();

    // The node's clock alone: certificates are not valid then, the Master's and its own, which is as
    // if the Master were away.
    for offset in ["+4000d", "-4000d"] {
        wants(&format!("while{offset}"));
        let run = instance(offset);
        assert_eq!(run.code, 3, "{offset}: {}{}", run.out, run.err);
        assert!(run.err.contains("services run as last known"), "{offset}: {}", run.err);
        assert_eq!(node.service("sleeper-on-watch"), service, "{offset}");
        node.ok(&["node", "instance"]);
        node.waits_for("etc/word.txt", &format!("while{offset}"));
    }
    let now = std::fs::read_to_string(node.path("etc/ssl/node.pem")).unwrap();
    assert_eq!(
        now, certificate,
        "what is to be renewed is not judged by a clock that nobody shares"
    );

    // Everybody's clock, forth and back again: what is wanted is deployed each time, and once.
    for (offset, word) in [("+20d", "forth"), ("+0", "back")] {
        master.stop();
        master.run_with(|command| ahead(&command, &library, offset));
        let mut ask = master.command(&by(&ann, &["request", "one", &profile]));
        ask.args(["--parameters", &format!("word={word}")]);
        let mut ask = ahead(&ask, &library, offset);
        wait_for("the Master", 60, || ask.status().unwrap().success().then_some(()));
        let run = instance(offset);
        assert_eq!(run.code, 0, "{offset}: {}{}", run.out, run.err);
        node.waits_for("etc/word.txt", word);
        let again = instance(offset);
        assert!(!again.told().contains("process:"), "{offset}: {}", again.err);
        assert_eq!(node.service("sleeper-on-watch"), service, "{offset}");
    }
}
