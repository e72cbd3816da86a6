//! Event listeners: programs that are told what happens.

use slapos_supervisor::state::State;
use slapos_supervisor::{AutoRestart, Listener, ProgramSpec, write_listener};

use crate::support::{Node, PATIENCE, alive, eventually, service, sh};

/// A listener in shell: appends the header and payload of each event to a file, a line each, and
/// answers with `answer`.
fn listener(node: &Node, events: &str, answer: &str) -> ProgramSpec {
    let heard = node.file("heard");
    let script = format!(
        "while echo READY && read header; do \
         length=${{header##*len:}}; payload=$(dd bs=1 count=$length 2>/dev/null); \
         echo \"$header|$payload\" >> {}; {answer}; done",
        heard.display()
    );
    let mut spec = ProgramSpec::new("ear", sh(&script));
    spec.environment.insert("PATH".into(), "/usr/bin:/bin".into());
    spec.stdout_logfile = Some(node.log_of("ear"));
    spec.priority = -1;
    spec.listener = Some(Listener { buffer_size: 100, ..Listener::new(events).unwrap() });
    spec
}

const OK: &str = r"printf 'RESULT 2\nOK'";

fn heard(node: &Node) -> Vec<String> {
    let text = std::fs::read_to_string(node.file("heard")).unwrap_or_default();
    let payload = |line: &str| {
        let (header, payload) = line.split_once('|')?;
        let name = header.split_once("eventname:")?.1.split(' ').next()?;
        let payload = payload.split(" pid:").next()?;
        Some(format!("{name} {payload}"))
    };
    text.lines().filter_map(payload).collect()
}

fn await_heard(node: &Node, wanted: &str) {
    eventually(wanted, || heard(node).iter().any(|line| line == wanted).then_some(()));
}

#[test]
fn ends_are_told_with_supervisors_words_and_once_each() {
    let node = Node::new();
    write_listener(&node.paths.conf_dir(), &listener(&node, "PROCESS_STATE,PROCESS_GROUP", OK))
        .unwrap();
    let mut web = service("web-on-watch", "exec sleep 1000");
    web.autorestart = AutoRestart::Always;
    node.define("p", &[web, service("once", "exit 7")]);
    let client = node.client();
    client.start("p:once", None).unwrap();
    await_heard(
        &node,
        "PROCESS_STATE_EXITED processname:once groupname:p from_state:STOPPING expected:0",
    );
    client.start("p:web-on-watch", Some(PATIENCE)).unwrap();
    let pid = client.process_info("p:web-on-watch").unwrap().pid.unwrap();
    node.kill(pid);
    await_heard(
        &node,
        "PROCESS_STATE_EXITED processname:web-on-watch groupname:p from_state:RUNNING expected:0",
    );
    await_heard(
        &node,
        "PROCESS_STATE_BACKOFF processname:web-on-watch groupname:p from_state:EXITED tries:1",
    );
    client.stop("p:*", Some(PATIENCE)).unwrap_or_default();
    slapos_supervisor::remove_group(&node.paths.conf_dir(), "p").unwrap();
    client.update(Some("p"), PATIENCE).unwrap();
    await_heard(&node, "PROCESS_GROUP_REMOVED groupname:p");
    let exits = heard(&node).iter().filter(|line| line.contains("EXITED processname:web")).count();
    assert_eq!(exits, 1, "{:?}", heard(&node));
    let serials = std::fs::read_to_string(node.file("heard")).unwrap();
    let serial = |line: &str| line.split_once("serial:")?.1.split(' ').next()?.parse::<u64>().ok();
    let serials: Vec<u64> = serials.lines().filter_map(serial).collect();
    assert!(serials.is_sorted(), "{serials:?}");
}

#[test]
fn a_listener_that_dies_with_an_event_in_hand_gets_it_again() {
    let node = Node::new();
    let second = node.file("second");
    // The first time it dies of the event, with which it was busy.
    let answer = format!("if [ -e {0} ]; then {OK}; else touch {0}; exit 1; fi", second.display());
    let mut ear = listener(&node, "REMOTE_COMMUNICATION", &answer);
    ear.startsecs = 0;
    write_listener(&node.paths.conf_dir(), &ear).unwrap();
    let client = node.client();
    node.await_state("ear", State::Running);
    client.send_event("test", "hello").unwrap();
    eventually("the second time", || (heard(&node).len() == 2).then_some(()));
    assert_eq!(heard(&node), ["REMOTE_COMMUNICATION type:test"; 2]);
}

#[test]
fn an_end_that_no_daemon_saw_is_told_by_the_next() {
    let node = Node::new();
    write_listener(&node.paths.conf_dir(), &listener(&node, "PROCESS_STATE_EXITED", OK)).unwrap();
    let mut web = service("web-on-watch", "exec sleep 1000");
    web.autostart = true;
    node.define("p", &[web]);
    let client = node.client();
    node.await_state("p:web-on-watch", State::Running);
    node.await_state("ear", State::Running);
    let web = client.process_info("p:web-on-watch").unwrap().pid.unwrap();
    eventually("a ledger that knows it", || {
        let text = std::fs::read_to_string(node.paths.state()).ok()?;
        text.contains(&format!("\"pid\":{web},")).then_some(())
    });
    let daemon = client.pid().unwrap();
    node.kill(daemon);
    eventually("the daemon's end", || (!alive(daemon)).then_some(()));
    node.kill(web);
    node.client();
    eventually("the end of the service, told", || {
        heard(&node).iter().any(|line| line.contains("processname:web-on-watch")).then_some(())
    });
}

#[test]
fn a_listener_that_ends_with_its_daemon_has_not_failed() {
    let node = Node::new();
    write_listener(&node.paths.conf_dir(), &listener(&node, "REMOTE_COMMUNICATION", OK)).unwrap();
    for number in 0..3 {
        let client = node.client();
        node.await_state("ear", State::Running);
        client.send_event("test", &format!("hello {number}")).unwrap();
        eventually("it hears", || (heard(&node).len() == number + 1).then_some(()));
        let (ear, daemon) =
            (client.process_info("ear").unwrap().pid.unwrap(), client.pid().unwrap());
        eventually("a ledger that knows it", || {
            let text = std::fs::read_to_string(node.paths.state()).ok()?;
            text.contains(&format!("\"pid\":{ear},")).then_some(())
        });
        node.kill(daemon);
        eventually("the ends of both", || (!alive(daemon) && !alive(ear)).then_some(()));
    }
    node.client();
    node.await_state("ear", State::Running);
    let log = std::fs::read_to_string(node.paths.log()).unwrap();
    assert!(!log.contains("BACKOFF"), "{log}");
}

#[test]
fn one_that_talks_nonsense_is_told_nothing_and_the_others_go_on() {
    let node = Node::new();
    let mut mad = ProgramSpec::new("mad", sh("while :; do echo nonsense; done"));
    mad.listener = Some(Listener::new("EVENT").unwrap());
    write_listener(&node.paths.conf_dir(), &mad).unwrap();
    write_listener(&node.paths.conf_dir(), &listener(&node, "REMOTE_COMMUNICATION", OK)).unwrap();
    let client = node.client();
    node.await_state("ear", State::Running);
    client.send_event("test", "hello").unwrap();
    await_heard(&node, "REMOTE_COMMUNICATION type:test");
    let log = || std::fs::read_to_string(node.paths.log()).unwrap();
    eventually("the complaint", || log().contains("mad:mad: \"nonsense").then_some(()));
}
