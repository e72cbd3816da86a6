//! Another program takes the daemon's place in its process.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, fault};
use slapos_sys::process::Signal;

use crate::support::{Node, PATIENCE, alive, eventually, service};

/// Puts our own program at `path`, replacing what is there.
fn install(path: &Path) {
    let exe = std::env::current_exe().unwrap();
    let new = path.with_extension("new");
    if std::fs::hard_link(&exe, &new).is_err() {
        std::fs::copy(&exe, &new).unwrap();
    }
    std::fs::rename(&new, path).unwrap();
    // Of two names of one file the old one stays.
    let _ = std::fs::remove_file(&new);
}

#[test]
fn services_calls_and_logs_survive_a_new_program() {
    let node = Node::new();
    let program = node.file("daemon");
    install(&program);
    let count = node.file("count");
    let script = format!(
        "i=0; while :; do i=$((i+1)); echo line $i; echo $i > {}; sleep 0.002; done",
        count.display()
    );
    let chat = service("chat", &script);
    let mut idle = service("idle", "exec sleep 1000");
    idle.startsecs = 1;
    node.define("p", &[chat, idle, service("off", "exec sleep 1000")]);
    let client = node.client_of(&program);
    client.start("p:chat", Some(PATIENCE)).unwrap();
    client.start("p:idle", Some(PATIENCE)).unwrap();
    let pid_of = |name: &str| client.process_info(name).unwrap().pid;
    let before = (client.pid().unwrap(), pid_of("p:chat"), pid_of("p:idle"));
    for _ in 0..3 {
        install(&program);
        client.replace(PATIENCE).unwrap();
        assert_eq!((client.pid().unwrap(), pid_of("p:chat"), pid_of("p:idle")), before);
    }
    assert_eq!(client.process_info("p:off").unwrap().state, State::Stopped);
    client.stop("p:*", Some(PATIENCE)).unwrap();
    let log = std::fs::read_to_string(node.log_of("chat")).unwrap();
    let numbers: Vec<u32> =
        log.lines().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
    assert_eq!(numbers, (1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let own = std::fs::read_to_string(node.paths.log()).unwrap();
    assert!(own.contains("its program replaced 3 times") && !own.contains("killed"), "{own}");
}

#[test]
fn how_a_service_ended_is_still_known() {
    let node = Node::new();
    let gate = node.file("gate");
    // It ends whenever the daemon may be in the middle of its change.
    let script = format!("while [ ! -e {} ]; do sleep 0.01; done; exit 7", gate.display());
    node.define("p", &[service("brief", &script)]);
    let client = node.client();
    for round in 0..4 {
        let _ = std::fs::remove_file(&gate);
        client.start("p:brief", Some(PATIENCE)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| client.replace(PATIENCE).unwrap());
            std::fs::write(&gate, "").unwrap();
        });
        node.await_state("p:brief", State::Exited);
        assert_eq!(client.process_info("p:brief").unwrap().exit_status, 7, "round {round}");
    }
}

#[test]
fn clients_are_not_turned_away() {
    let node = Node::new();
    node.define("p", &[service("web", "exec sleep 1000")]);
    let client = node.client();
    let daemon = client.pid().unwrap();
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            let own = || std::fs::read_to_string(node.paths.log()).unwrap();
            while !own().contains("its program replaced 1 times") {
                // A connection that is open in the very moment may be cut; nothing is refused.
                if let Err(error) = client.pid() {
                    let text = error.to_string();
                    assert!(!text.contains("refused") && !text.contains("No such"), "{text}");
                }
                asked += 1;
            }
            asked
        });
        node.signal(daemon, Signal::SIGUSR1);
        asking.join().unwrap()
    });
    assert!(asked > 0);
    assert_eq!(client.pid().unwrap(), daemon);
}

#[test]
fn a_broken_program_is_refused_and_the_old_one_goes_on() {
    let node = Node::new();
    let program = node.file("daemon");
    install(&program);
    let client = node.client_of(&program);
    std::fs::remove_file(&program).unwrap();
    let refused = client.replace(PATIENCE).unwrap_err();
    assert_eq!(refused.fault_code(), Some(fault::FAILED));
    std::fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = client.replace(PATIENCE).unwrap_err().to_string();
    assert!(refused.contains("--help: exit status: 3"), "{refused}");
    node.define("p", &[service("web", "exec sleep 1000")]);
    client.update(Some("p"), PATIENCE).unwrap();
    client.start("p:web", Some(PATIENCE)).unwrap();
    install(&program);
    client.replace(PATIENCE).unwrap();
    node.await_state("p:web", State::Running);
}

#[test]
fn what_was_put_off_is_done_by_the_successor() {
    let node = Node::new();
    let ready = node.file("ready");
    let stubborn = |mark: &str| {
        let script = format!(
            "trap '' TERM; echo > {}; while :; do sleep 0.02; done # {mark}",
            ready.display()
        );
        let mut spec = service("slow", &script);
        spec.autorestart = AutoRestart::Never;
        spec.stopwaitsecs = 3;
        spec
    };
    node.define("p", &[stubborn("old")]);
    let client = node.client();
    client.start("p:slow", Some(PATIENCE)).unwrap();
    eventually("the trap", || ready.exists().then_some(()));
    let old = client.process_info("p:slow").unwrap().pid.unwrap();
    node.define("p", &[stubborn("new")]);
    // It is asked to end, and is to be started with its new definition.
    client.call("slapos.update", vec![vec!["p"].into()]).map(drop).unwrap_or_else(|error| {
        assert!(error.to_string().contains("closed"), "{error}");
    });
    let daemon = client.pid().unwrap();
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    let client = node.client();
    node.await_state("p:slow", State::Running);
    let new = client.process_info("p:slow").unwrap().pid.unwrap();
    assert!(new != old && !alive(old));
}
