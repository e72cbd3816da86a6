//! One daemon at a time, and what the next one finds.

use std::os::unix::fs::PermissionsExt;

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, ProcessInfo};

use crate::support::{Node, PATIENCE, alive, eventually, leaders_with, service};

#[test]
fn a_killed_daemon_is_succeeded_by_one_that_adopts() {
    let node = Node::new();
    let mut keep = service("keep", "exec sleep 1000");
    keep.autostart = true;
    keep.autorestart = AutoRestart::Always;
    let mut gone = service("gone", "exec sleep 1000");
    gone.autorestart = AutoRestart::Never;
    let idle = service("idle", "exec sleep 1000");
    node.define("p", &[keep, gone, idle]);
    let client = node.client();
    client.start("p:gone", Some(PATIENCE)).unwrap();
    node.await_state("p:keep", State::Running);
    let daemon = client.pid().unwrap();
    let pid_of = |name: &str| client.process_info(name).unwrap().pid;
    let (keep, gone) = (pid_of("p:keep").unwrap(), pid_of("p:gone").unwrap());
    // The ledger is written a moment after a change.
    eventually("a ledger that knows both", || {
        let text = std::fs::read_to_string(node.paths.state()).ok()?;
        let running = |pid: u32| text.contains(&format!("\"pid\":{pid},"));
        let up = text.matches("\"state\":\"RUNNING\"").count() == 2;
        (up && running(keep) && running(gone)).then_some(())
    });
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    node.kill(gone);
    assert!(alive(keep));
    node.client();
    assert_eq!(pid_of("p:keep"), Some(keep));
    node.await_state("p:gone", State::Exited);
    assert_eq!(client.process_info("p:idle").unwrap().state, State::Stopped);
    // An adopted process is watched and stopped like any other.
    node.kill(keep);
    let new = eventually("a new process", || pid_of("p:keep").filter(|pid| *pid != keep));
    client.stop("p:keep", Some(PATIENCE)).unwrap();
    assert!(!alive(new));
}

#[test]
fn without_a_ledger_processes_are_found_by_their_tag() {
    let node = Node::new();
    let mut keep = service("keep", "exec sleep 1000");
    keep.autostart = true;
    node.define("p", &[keep]);
    node.define("q", &[service("orphan", "exec sleep 1000")]);
    let client = node.client();
    client.start("q:orphan", Some(PATIENCE)).unwrap();
    node.await_state("p:keep", State::Running);
    let pid_of = |name: &str| client.process_info(name).unwrap().pid.unwrap();
    let (keep, orphan) = (pid_of("p:keep"), pid_of("q:orphan"));
    let daemon = client.pid().unwrap();
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    std::fs::remove_file(node.paths.state()).unwrap();
    slapos_supervisor::remove_group(&node.paths.conf_dir(), "q").unwrap();
    node.client();
    assert_eq!(pid_of("p:keep"), keep);
    // Nothing defines it any more, and nobody would watch it.
    eventually("the orphan's end", || (!alive(orphan)).then_some(()));
}

#[test]
fn a_second_daemon_is_refused_and_racing_callers_get_one() {
    let node = Node::new();
    let pids: Vec<u32> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| node.client().pid().unwrap())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    let output = node.command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("already runs for {}", node.root().display())), "{text}");
    assert!(text.contains(&format!("(pid {})", pids[0])), "{text}");
    let mode = std::fs::metadata(node.paths.socket()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
}

#[test]
fn a_socket_path_longer_than_the_kernel_takes() {
    let node = Node::below(&format!("{}/{}", "a".repeat(80), "b".repeat(80)));
    node.define("p", &[service("web", "exec sleep 1000")]);
    let client = node.client();
    client.start("p:web", Some(PATIENCE)).unwrap();
    client.shutdown(Some(PATIENCE)).unwrap();
    assert!(!node.paths.socket().exists());
}

#[test]
fn a_daemon_killed_in_the_middle_of_starts_leaves_one_of_each() {
    const SERVICES: usize = 20;
    let node = Node::new();
    let mark = node.file("").display().to_string();
    let specs: Vec<_> = (0..SERVICES)
        .map(|number| {
            let mut spec = service(&format!("s{number}"), "");
            let file = node.file(&format!("{number}"));
            std::fs::write(&file, "").unwrap();
            spec.command = ["/usr/bin/tail", "-f", file.to_str().unwrap()].map(String::from).into();
            spec.startsecs = 1;
            spec.autostart = true;
            spec
        })
        .collect();
    node.define("p", &specs);
    for round in 0..6 {
        let client = node.client();
        let daemon = client.pid().unwrap();
        client.start_group("p", None).unwrap();
        // Killed at another point each time: before the first start, ..., when most are done.
        eventually("some starts", || (leaders_with(&mark).len() >= 3 * round).then_some(()));
        node.kill(daemon);
        eventually("the daemon's end", || (!alive(daemon)).then_some(()));
        let client = node.client();
        let all_run = |infos: &[ProcessInfo]| infos.iter().all(|i| i.state == State::Running);
        client.start_group("p", None).unwrap();
        client.wait(PATIENCE, all_run).unwrap();
        let infos = client.all_process_info().unwrap();
        let mut told: Vec<u32> = infos.iter().filter_map(|info| info.pid).collect();
        told.sort_unstable();
        let mut running = leaders_with(&mark);
        running.sort_unstable();
        assert_eq!(told, running, "round {round}");
        assert_eq!(running.len(), SERVICES);
        if round % 2 == 0 {
            client.stop_group("p", Some(PATIENCE)).unwrap();
            assert!(leaders_with(&mark).is_empty());
        }
    }
}

/// A service that runs `/bin/sleep <seconds>` without any environment, so without a tag.
fn untagged(seconds: &str) -> slapos_supervisor::ProgramSpec {
    let mut spec = service("bare", &format!("exec /usr/bin/env -i /bin/sleep {seconds}"));
    spec.autostart = true;
    spec
}

/// The living `/bin/sleep <seconds>`.
fn sleepers(seconds: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let wanted = format!("/bin/sleep\0{seconds}\0");
    let named = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes())
    };
    pids.filter(|pid| named(pid) && alive(*pid)).collect()
}

/// The one sleeper there is, which the daemon knows.
fn the_adopted(node: &Node, seconds: &str) -> u32 {
    node.await_state("p:bare", State::Running);
    let pid = node.client().process_info("p:bare").unwrap().pid.unwrap();
    // It may still be about to become what it is.
    eventually("the sleeper", || (!sleepers(seconds).is_empty()).then_some(()));
    assert_eq!(sleepers(seconds), [pid]);
    pid
}

#[test]
fn a_process_without_a_tag_is_recognised_when_the_ledger_is_damaged() {
    let seconds = format!("71{}", std::process::id());
    let node = Node::new();
    node.define("p", &[untagged(&seconds)]);
    let daemon = node.client().pid().unwrap();
    let pid = the_adopted(&node, &seconds);
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    std::fs::write(node.paths.state(), "{ damaged").unwrap();
    let daemon = node.client().pid().unwrap();
    assert_eq!(the_adopted(&node, &seconds), pid);
    // Nor is anything else left to know it by.
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    std::fs::write(node.paths.state(), "").unwrap();
    let _ = std::fs::remove_file(node.paths.old_state());
    let client = node.client();
    assert_eq!(the_adopted(&node, &seconds), pid);
    client.stop("p:bare", Some(PATIENCE)).unwrap();
    assert!(sleepers(&seconds).is_empty());
}

#[test]
fn a_process_without_a_tag_survives_a_daemon_killed_just_after_its_start() {
    let seconds = format!("72{}", std::process::id());
    let node = Node::new();
    node.define("p", &[untagged(&seconds)]);
    for _ in 0..8 {
        let client = node.client();
        let daemon = client.pid().unwrap();
        // The first is started with the daemon.
        let _ = client.start("p:bare", None);
        let pid = eventually("the sleeper", || sleepers(&seconds).first().copied());
        node.kill(daemon);
        eventually("the daemon's end", || (!alive(daemon)).then_some(()));
        let client = node.client();
        assert_eq!(the_adopted(&node, &seconds), pid);
        client.stop("p:bare", Some(PATIENCE)).unwrap();
        assert!(sleepers(&seconds).is_empty());
    }
}
