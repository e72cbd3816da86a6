//! Starting, stopping, crashing, and the end of all.

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, Client, fault};

use crate::support::{Node, PATIENCE, alive, eventually, number_in, service};

#[test]
fn starts_stops_and_restarts() {
    let node = Node::new();
    let mut spec = service("web", "exec sleep 1000");
    spec.startsecs = 1;
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:web", Some(PATIENCE)).unwrap();
    let first = client.process_info("p:web").unwrap();
    assert_eq!(first.state, State::Running);
    let first = first.pid.unwrap();
    assert!(alive(first));
    let again = client.start("p:web", None).unwrap_err();
    assert_eq!(again.fault_code(), Some(fault::ALREADY_STARTED));
    client.stop("p:web", Some(PATIENCE)).unwrap();
    assert!(!alive(first));
    let stopped = client.process_info("p:web").unwrap();
    assert_eq!((stopped.state, stopped.pid), (State::Stopped, None));
    let again = client.stop("p:web", None).unwrap_err();
    assert_eq!(again.fault_code(), Some(fault::NOT_RUNNING));
    client.start("p:*", Some(PATIENCE)).unwrap();
    assert_ne!(client.process_info("p:web").unwrap().pid, Some(first));
    let wrong = client.start("p:nobody", None).unwrap_err();
    assert_eq!(wrong.fault_code(), Some(fault::BAD_NAME));
}

#[test]
fn one_section_may_be_several_processes() {
    let node = Node::new();
    let conf = node.root().join("etc/supervisord.conf.d");
    std::fs::create_dir_all(&conf).unwrap();
    let text = "[program:pool]\ncommand=/bin/sleep 100%(process_num)d\nnumprocs=2\n\
                process_name=%(program_name)s_%(process_num)02d\nstdout_logfile=NONE\n\
                redirect_stderr=true\nautostart=false\n";
    std::fs::write(conf.join("pool.conf"), text).unwrap();
    let client = node.client();
    client.start("pool:*", Some(PATIENCE)).unwrap();
    let pid = |name: &str| client.process_info(name).unwrap().pid.unwrap();
    let (first, second) = (pid("pool:pool_00"), pid("pool:pool_01"));
    assert!(first != second && alive(first) && alive(second));
    client.stop("pool:pool_00", Some(PATIENCE)).unwrap();
    assert!(!alive(first) && alive(second));
}

#[test]
fn a_crash_loop_ends_in_fatal_and_a_missing_program_says_so() {
    let node = Node::new();
    let mut crashing = service("crash", "echo attempt; exit 3");
    crashing.startsecs = 5;
    crashing.startretries = 1;
    let mut missing = service("missing", "");
    missing.command = vec!["/nonexistent/program".into()];
    missing.startretries = 0;
    let crash_log = node.log_of("crash");
    node.define("p", &[crashing, missing]);
    let client = node.client();
    let failed = client.start("p:crash", Some(PATIENCE)).unwrap_err();
    assert_eq!(failed.fault_code(), Some(fault::SPAWN_ERROR));
    node.await_state("p:crash", State::Fatal);
    let attempts = std::fs::read_to_string(crash_log).unwrap();
    assert_eq!(attempts, "attempt\nattempt\n");
    let info = client.process_info("p:crash").unwrap();
    assert_eq!(info.exit_status, 3);
    assert_eq!(info.spawn_error, "exited too quickly (exit status 3)");
    let failed = client.start("p:missing", Some(PATIENCE)).unwrap_err();
    assert!(failed.to_string().contains("/nonexistent/program"), "{failed}");
    node.await_state("p:missing", State::Fatal);
}

#[test]
fn an_unexpected_end_is_restarted_and_an_expected_one_is_not() {
    let node = Node::new();
    let script = format!("echo $$ >> {}; exec sleep 1000", node.file("pids").display());
    let mut keep = service("keep", &script);
    keep.autorestart = AutoRestart::Unexpected;
    let mut once = service("once", "exit 0");
    once.autorestart = AutoRestart::Unexpected;
    node.define("p", &[keep, once]);
    let client = node.client();
    let statuses = client.start_group("p", Some(PATIENCE)).unwrap();
    assert!(statuses.iter().all(|status| status.code == fault::SUCCESS), "{statuses:?}");
    node.await_state("p:once", State::Exited);
    let pid = client.process_info("p:keep").unwrap().pid.unwrap();
    node.kill(pid);
    eventually("a new process", || {
        let info = client.process_info("p:keep").ok()?;
        info.pid.filter(|new| *new != pid)
    });
    assert_eq!(client.process_info("p:once").unwrap().state, State::Exited);
}

#[test]
fn a_stop_reaches_grandchildren_even_those_that_ran_away_or_do_not_listen() {
    let node = Node::new();
    let file = |name: &str| node.file(name);
    let script = format!(
        "sleep 1001 & echo $! > {}\n\
         setsid sleep 1002 & echo $! > {}\n\
         (trap '' TERM; echo ready > {}; while :; do sleep 1; done) & echo $! > {}\n\
         wait",
        file("child").display(),
        file("runaway").display(),
        file("ready").display(),
        file("deaf").display()
    );
    let mut spec = service("family", &script);
    spec.stopwaitsecs = 1;
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:family", Some(PATIENCE)).unwrap();
    eventually("the trap", || file("ready").exists().then_some(()));
    let pids = ["child", "runaway", "deaf"].map(|name| number_in(&file(name)));
    assert!(pids.iter().all(|pid| alive(*pid)));
    client.stop("p:family", Some(PATIENCE)).unwrap();
    for pid in pids {
        assert!(!alive(pid), "process {pid} survived");
    }
}

#[test]
fn what_a_crash_leaves_is_gone_when_the_successor_is_there() {
    let node = Node::new();
    let (child, runaway) = (node.file("child"), node.file("runaway"));
    let script = format!(
        "sleep 1001 & echo $! > {}\nsetsid sleep 1002 & echo $! > {}\nexec sleep 1003",
        child.display(),
        runaway.display()
    );
    let mut spec = service("crash", &script);
    spec.autorestart = AutoRestart::Always;
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:crash", Some(PATIENCE)).unwrap();
    let left = [number_in(&child), number_in(&runaway)];
    let pid = client.process_info("p:crash").unwrap().pid.unwrap();
    node.kill(pid);
    eventually("a new process", || {
        let info = client.process_info("p:crash").ok()?;
        info.pid.filter(|new| *new != pid)
    });
    assert!(left.iter().all(|pid| !alive(*pid)), "{left:?}");
}

#[test]
fn sigterm_stops_everything_in_order_and_leaves_nothing() {
    let node = Node::new();
    let order = node.file("order");
    let say = |name: &str| {
        let order = order.display();
        service(
            name,
            &format!(
                "trap 'echo {name} >> {order}; exit' TERM; echo > {order}.{name}; while :; do sleep 0.05; done"
            ),
        )
    };
    let (mut first, mut last) = (say("first"), say("last"));
    (first.priority, last.priority) = (1, 2);
    node.define("p", &[last, first]);
    let client = node.client();
    client.start_all(Some(PATIENCE)).unwrap();
    for name in ["first", "last"] {
        let ready = node.file(&format!("order.{name}"));
        eventually("the trap", || ready.exists().then_some(()));
    }
    let daemon = client.pid().unwrap();
    node.signal(daemon, slapos_sys::process::Signal::SIGTERM);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    assert_eq!(std::fs::read_to_string(&order).unwrap(), "last\nfirst\n");
    assert!(!node.paths.state().exists() && !node.paths.pid().exists());
    let log = std::fs::read_to_string(node.paths.log()).unwrap();
    assert!(log.contains("p:last: RUNNING -> STOPPING: stop requested"), "{log}");
}

#[test]
fn starts_are_made_in_the_order_of_priorities() {
    let node = Node::new();
    let priorities = [30, 10, 50, 20, 40, 10];
    let specs: Vec<_> = priorities
        .iter()
        .enumerate()
        .map(|(number, priority)| {
            let mut spec = service(&format!("s{number}"), "exec sleep 1000");
            spec.priority = *priority;
            spec
        })
        .collect();
    node.define("p", &specs);
    let client = node.client();
    client.start_all(Some(PATIENCE)).unwrap();
    let infos = client.all_process_info().unwrap();
    let started = infos.iter().map(|info| {
        let pid = info.pid.unwrap();
        let number: usize = info.name.trim_start_matches('s').parse().unwrap();
        (slapos_sys::process::start_time(pid).unwrap(), pid, priorities[number])
    });
    let mut started: Vec<_> = started.collect();
    started.sort_unstable();
    let order: Vec<i32> = started.iter().map(|(.., priority)| *priority).collect();
    assert_eq!(order, [10, 10, 20, 30, 40, 50]);
    // What is stopped before its turn is not started.
    client.stop_group("p", Some(PATIENCE)).unwrap();
    client.start_group("p", None).unwrap();
    client.stop_group("p", Some(PATIENCE)).unwrap();
    assert!(client.all_process_info().unwrap().iter().all(|info| info.pid.is_none()));
}

#[test]
fn a_client_that_talks_nonsense_harms_nobody() {
    use std::io::{Read, Write};
    let node = Node::new();
    let client = node.client();
    for request in [
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "POST /RPC2 HTTP/1.0\r\nContent-Length: 3\r\n\r\n<a>".to_owned(),
        "\0\0\0".to_owned(),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(node.paths.socket()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        if !request.contains("HTTP/") {
            // Whoever has begun no request is waited for; whoever has may lose the answer by this.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.") && !answer.contains(" 200 "), "{answer}");
    }
    let unknown = client.call("supervisor.fly", Vec::new()).unwrap_err();
    assert_eq!(unknown.fault_code(), Some(fault::UNKNOWN_METHOD));
    let wrong = client.call("supervisor.startProcess", vec![true.into()]).unwrap_err();
    assert_eq!(wrong.fault_code(), Some(fault::INCORRECT_PARAMETERS));
    assert!(Client::connect(&node.paths).is_ok());
}
