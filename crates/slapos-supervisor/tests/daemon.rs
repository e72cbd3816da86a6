//! The daemon with real processes. The test binary runs itself again as the daemon: the ignored
//! test `daemon_process` is what the re-executed binary is told to run.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, Client, Paths, fault};
use support::{Node, PATIENCE, alive, eventually, number_in, service, sh};

/// Not a test: the daemon of the other tests. It does nothing when nobody says for which root.
#[test]
#[ignore = "is run by the other tests as their daemon"]
fn daemon_process() {
    let root = std::env::args().next_back();
    let Some(root) = root.filter(|root| root.starts_with('/')) else {
        return;
    };
    if let Err(error) = slapos_supervisor::run_daemon(&Paths::new(root)) {
        println!("{error}");
        std::process::exit(3);
    }
}

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
    assert!(
        failed.to_string().contains("/nonexistent/program"),
        "{failed}"
    );
    node.await_state("p:missing", State::Fatal);
}

#[test]
fn an_unexpected_end_is_restarted_and_an_expected_one_is_not() {
    let node = Node::new();
    let script = format!(
        "echo $$ >> {}; exec sleep 1000",
        node.file("pids").display()
    );
    let mut keep = service("keep", &script);
    keep.autorestart = AutoRestart::Unexpected;
    let mut once = service("once", "exit 0");
    once.autorestart = AutoRestart::Unexpected;
    node.define("p", &[keep, once]);
    let client = node.client();
    let statuses = client.start_group("p", Some(PATIENCE)).unwrap();
    assert!(
        statuses.iter().all(|status| status.code == fault::SUCCESS),
        "{statuses:?}"
    );
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
    std::thread::sleep(Duration::from_millis(100));
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    node.kill(gone);
    assert!(alive(keep));
    node.client();
    assert_eq!(pid_of("p:keep"), Some(keep));
    assert_eq!(client.process_info("p:gone").unwrap().state, State::Exited);
    assert_eq!(client.process_info("p:idle").unwrap().state, State::Stopped);
    // An adopted process is watched and stopped like any other.
    node.kill(keep);
    let new = eventually("a new process", || {
        pid_of("p:keep").filter(|pid| *pid != keep)
    });
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
        let callers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| node.client().pid().unwrap()))
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    let output = node.command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains(&format!("already runs for {}", node.root().display())),
        "{text}"
    );
    assert!(text.contains(&format!("(pid {})", pids[0])), "{text}");
    let mode = std::fs::metadata(node.paths.socket())
        .unwrap()
        .permissions();
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
fn logs_rotate_and_lose_nothing_to_the_daemons_death() {
    let node = Node::new();
    let mut spec = service(
        "chat",
        "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done",
    );
    spec.stdout_logfile_maxbytes = 200;
    spec.stdout_logfile_backups = 2;
    let log = node.log_of("chat");
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:chat", Some(PATIENCE)).unwrap();
    let backup = |number: u32| log.with_file_name(format!(".chat.log.{number}"));
    eventually("two backups", || backup(2).exists().then_some(()));
    assert!(!backup(3).exists());
    let daemon = client.pid().unwrap();
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    let size = || std::fs::metadata(&log).map_or(0, |meta| meta.len());
    let before = size();
    eventually("more lines without a daemon", || {
        (size() > before).then_some(())
    });
    let client = node.client();
    let tail = client.tail("p:chat", 0, 40).unwrap();
    assert!(
        tail.text.len() <= 40 && tail.text.ends_with('\n'),
        "{tail:?}"
    );
}

#[test]
fn an_update_restarts_only_what_changed() {
    let node = Node::new();
    let same = service("same", "exec sleep 1000");
    let mut changing = service("changing", "exec sleep 1000");
    node.define(
        "p",
        &[
            same.clone(),
            changing.clone(),
            service("leaving", "exec sleep 1000"),
        ],
    );
    node.define("q", &[service("other", "exec sleep 1000")]);
    let client = node.client();
    client.start_all(Some(PATIENCE)).unwrap();
    let pid_of = |name: &str| client.process_info(name).unwrap().pid;
    let old = ["p:same", "p:changing", "p:leaving", "q:other"].map(|name| pid_of(name).unwrap());
    assert!(client.update(None, PATIENCE).unwrap().is_empty());
    changing.environment.insert("NEW".into(), "1".into());
    let mut coming = service("coming", "exec sleep 1000");
    coming.autostart = true;
    node.define("p", &[same, changing, coming]);
    slapos_supervisor::remove_group(&node.paths.conf_dir(), "q").unwrap();
    let update = client.update(Some("p"), PATIENCE).unwrap();
    assert_eq!(update.changed, ["p"]);
    assert_eq!((update.added.len(), update.removed.len()), (0, 0));
    node.await_state("p:changing", State::Running);
    node.await_state("p:coming", State::Running);
    assert_eq!(pid_of("p:same"), Some(old[0]));
    assert_ne!(pid_of("p:changing"), Some(old[1]));
    assert!(!alive(old[1]) && !alive(old[2]));
    assert!(client.process_info("p:leaving").is_err());
    assert_eq!(pid_of("q:other"), Some(old[3]));
    assert_eq!(client.update(None, PATIENCE).unwrap().removed, ["q"]);
    assert!(client.process_info("q:other").is_err());
    assert!(!alive(old[3]));
}

#[test]
fn a_wrong_definition_is_refused_and_hides_no_other() {
    let node = Node::new();
    node.define("p", &[service("web", "exec sleep 1000")]);
    let client = node.client();
    client.start("p:web", Some(PATIENCE)).unwrap();
    std::fs::write(
        node.paths.conf_dir().join("bad.conf"),
        "[program:x]\ncolour=red\n",
    )
    .unwrap();
    let refused = client.update(None, PATIENCE).unwrap_err();
    assert_eq!(refused.fault_code(), Some(fault::CANT_REREAD));
    assert!(
        refused
            .to_string()
            .contains("bad.conf:2: unknown option `colour`"),
        "{refused}"
    );
    assert!(client.update(Some("p"), PATIENCE).unwrap().is_empty());
    node.await_state("p:web", State::Running);
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
    assert!(
        log.contains("p:last: RUNNING -> STOPPING: stop requested"),
        "{log}"
    );
}

#[test]
fn a_program_gets_its_user_and_environment_and_nothing_else() {
    let node = Node::new();
    let nobody = slapos_sys::user::by_name("nobody").unwrap();
    let Some(nobody) = nobody.filter(|_| slapos_sys::user::is_root()) else {
        eprintln!("SKIPPED: needs root and a user `nobody`");
        return;
    };
    let home = node.directory_of(&nobody);
    let mut spec = service("who", "");
    spec.command = sh("id -u; id -G; umask; pwd; ls /proc/self/fd | wc -l; env; sleep 1000");
    spec.user = Some("nobody".into());
    spec.umask = 0o027;
    spec.directory = Some(home.clone());
    spec.stdout_logfile = Some(home.join("who.log"));
    spec.environment
        .insert("PATH".into(), "/usr/bin:/bin".into());
    node.define("p", &[spec]);
    let client = node.client();
    client.start("p:who", Some(PATIENCE)).unwrap();
    let text = eventually("its output", || {
        let tail = client.tail("p:who", 0, 10_000).ok()?;
        tail.text
            .contains("SLAPOS_SUPERVISOR_SPAWN")
            .then_some(tail.text)
    });
    let groups: Vec<_> = nobody.groups.iter().map(u32::to_string).collect();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], nobody.uid.to_string());
    assert_eq!(lines[1], groups.join(" "));
    assert_eq!(lines[2], "0027");
    assert_eq!(lines[3], home.display().to_string());
    // Standard input, output, error, and the directory that `ls` reads.
    assert_eq!(lines[4], "4");
    let mut names: Vec<_> = lines[5..]
        .iter()
        .filter_map(|l| Some(l.split_once('=')?.0))
        .collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        ["PATH", "SLAPOS_SUPERVISOR_ID", "SLAPOS_SUPERVISOR_SPAWN"]
    );
    let log = std::fs::metadata(home.join("who.log")).unwrap();
    assert_eq!(log.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_link_planted_where_root_logs_leads_nowhere() {
    let node = Node::new();
    let nobody = slapos_sys::user::by_name("nobody").unwrap();
    let Some(nobody) = nobody.filter(|_| slapos_sys::user::is_root()) else {
        eprintln!("SKIPPED: needs root and a user `nobody`");
        return;
    };
    let home = node.directory_of(&nobody);
    let victim = node.file("victim");
    std::fs::write(&victim, "precious".repeat(100)).unwrap();
    std::os::unix::fs::symlink(&victim, home.join("log")).unwrap();
    // A link to a directory on the way, which only the user's rights stop.
    let guarded = node.file("guarded");
    std::fs::create_dir(&guarded).unwrap();
    std::fs::set_permissions(&guarded, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&guarded, home.join("dir")).unwrap();
    let program = |name: &str, log: &str| {
        let mut spec = service(name, "echo gotcha; exec sleep 1000");
        spec.user = Some("nobody".into());
        spec.startretries = 0;
        spec.stdout_logfile = Some(home.join(log));
        spec.stdout_logfile_maxbytes = 1;
        spec
    };
    node.define("p", &[program("link", "log"), program("dir", "dir/log")]);
    let client = node.client();
    for name in ["p:link", "p:dir"] {
        let refused = client.start(name, Some(PATIENCE)).unwrap_err();
        assert!(refused.to_string().contains("log file"), "{refused}");
        assert!(client.tail(name, 0, 100).is_err() || name == "p:dir");
        assert!(client.clear_logs(name).is_err());
    }
    // The rotation looks at these logs too; its complaint says that it has.
    eventually("the rotation's complaint", || {
        let log = std::fs::read_to_string(node.paths.log()).ok()?;
        log.contains("cannot rotate").then_some(())
    });
    assert_eq!(
        std::fs::read_to_string(&victim).unwrap(),
        "precious".repeat(100)
    );
    assert_eq!(std::fs::read_dir(&guarded).unwrap().count(), 0);
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
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.") && !answer.contains(" 200 "),
            "{answer}"
        );
    }
    let unknown = client.call("supervisor.fly", Vec::new()).unwrap_err();
    assert_eq!(unknown.fault_code(), Some(fault::UNKNOWN_METHOD));
    let wrong = client
        .call("supervisor.startProcess", vec![true.into()])
        .unwrap_err();
    assert_eq!(wrong.fault_code(), Some(fault::INCORRECT_PARAMETERS));
    assert!(Client::connect(&node.paths).is_ok());
}
