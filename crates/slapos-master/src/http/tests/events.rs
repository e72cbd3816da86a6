//! Listening to what changes: nothing is missed, nobody is kept, and others are answered.

use std::time::{Duration, Instant};

use slapos_slap::{Change, ChangeKind, EventStream, Heard, InstanceState};

use super::world::{OWN, Proof, World};
use super::*;
use crate::store::Holder;

/// The next message that is more than a sign of life.
fn next(stream: &mut EventStream) -> Heard {
    loop {
        match stream.hear().unwrap() {
            Heard::Alive => {}
            heard => return heard,
        }
    }
}

fn change(stream: &mut EventStream) -> Change {
    match next(stream) {
        Heard::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

fn of(kind: ChangeKind, partition: usize, state: &str) -> Change {
    Change::of_partition(kind, &part(partition)).state(state)
}

#[test]
fn every_change_is_told_in_order() {
    let (_running, client) = Running::formatted(3);
    let mut stream = client.events(&home(), None).unwrap();
    assert_eq!(next(&mut stream), Heard::Resync, "whoever knows nothing looks at everything");
    let software = SoftwareUrl::new("s");
    client.supply(&software, &home(), SoftwareState::Available).unwrap();
    let supplied = change(&mut stream);
    assert_eq!(supplied, Change::of_software(ChangeKind::Supply, &software).state("available"));
    client.request(&InstanceRequest::new("root", "s")).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Request, 0, "started"));
    let mut child = InstanceRequest::new("child", "s");
    child.requester = Some((home(), part(0)));
    client.request(&child).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Request, 1, "started"));
    // Asked for as it is: nothing changed. What it publishes concerns who asked for it.
    client.request(&child).unwrap();
    let url: indexmap::IndexMap<_, _> = [("url".to_owned(), "u".to_owned())].into();
    client.set_connection(&home(), &part(1), &url).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Connection, 0, "started"));
    client.set_connection(&home(), &part(1), &url).unwrap();
    client.instance_started(&home(), &part(1)).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Report, 1, "started"));
    // Of a free partition nothing is kept, so nothing is told.
    client.instance_started(&home(), &part(2)).unwrap();
    client.bang(&home(), &part(1), "again").unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Bang, 0, "started"));
    assert_eq!(change(&mut stream), of(ChangeKind::Bang, 1, "started"));
    client.rename(&home(), &part(1), "other").unwrap();
    assert_eq!(change(&mut stream), Change::of_partition(ChangeKind::Rename, &part(1)));
    child.title = "other".into();
    child.state = Some(InstanceState::Destroyed);
    client.request(&child).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Request, 1, "destroyed"));
    client.instance_destroyed(&home(), &part(1)).unwrap();
    assert_eq!(change(&mut stream), Change::of_partition(ChangeKind::Free, &part(1)));
}

#[test]
fn a_bang_of_the_computer_is_one_for_all_its_instances() {
    let (_running, client) = Running::formatted(3);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    client.request(&InstanceRequest::new("b", "s")).unwrap();
    let timestamps = || {
        let computer = client.full_computer_information(&home()).unwrap();
        computer.partitions.into_iter().map(|partition| partition.timestamp).collect::<Vec<_>>()
    };
    let before = timestamps();
    let mut stream = client.events(&home(), None).unwrap();
    assert_eq!(next(&mut stream), Heard::Resync);
    client.computer_bang(&home(), "Reboot").unwrap();
    assert_eq!(change(&mut stream), Change::new(ChangeKind::Bang));
    let after = timestamps();
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
    assert_eq!((&before[2], &after[2]), (&None, &None));
    let unknown = client.computer_bang(&"other".into(), "Reboot").unwrap_err();
    assert!(matches!(unknown, SlapError::NotFound { .. }), "{unknown}");
}

#[test]
fn who_comes_back_hears_what_was_missed_and_nothing_twice() {
    let (running, client) = Running::formatted(3);
    let mut stream = client.events(&home(), None).unwrap();
    next(&mut stream);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Request, 0, "started"));
    let position = stream.position().unwrap().to_owned();
    drop(stream);
    client.request(&InstanceRequest::new("b", "s")).unwrap();
    client.request(&InstanceRequest::new("c", "s")).unwrap();
    let mut stream = running.client().events(&home(), Some(&position)).unwrap();
    assert_eq!(change(&mut stream), of(ChangeKind::Request, 1, "started"));
    assert_eq!(change(&mut stream), of(ChangeKind::Request, 2, "started"));
    // Another database, and one that is older than what was heard: everything may be different.
    for strange in ["0123-1", "nonsense", &position.replace('-', "-9")] {
        let mut stream = client.events(&home(), Some(strange)).unwrap();
        assert_eq!(next(&mut stream), Heard::Resync, "{strange}");
    }
}

#[test]
fn a_browser_comes_back_with_its_header() {
    let (running, client) = Running::formatted(2);
    let mut stream = client.events(&home(), None).unwrap();
    next(&mut stream);
    let position = stream.position().unwrap().to_owned();
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    let mut raw = TcpStream::connect(running.address).unwrap();
    let head = "GET /api/v1/events?computer=computer HTTP/1.1\r\nHost: m\r\n\
                Authorization: Bearer the token\r\n";
    write!(raw, "{head}Last-Event-ID: {position}\r\n\r\n").unwrap();
    let mut answer = String::new();
    while !answer.contains("data:") || !answer.ends_with("\n\n\r\n") {
        let mut byte = [0];
        assert_eq!(raw.read(&mut byte).unwrap(), 1, "{answer}");
        answer.push(char::from(byte[0]));
    }
    assert!(answer.contains("content-type: text/event-stream"), "{answer}");
    assert!(answer.contains("event: change\n") && !answer.contains("resync"), "{answer}");
}

#[test]
fn a_quiet_connection_has_a_heartbeat() {
    let running = Running::arranged(|master| {
        let app = std::sync::Arc::get_mut(&mut master.app).unwrap();
        app.listeners.heartbeat = Duration::from_millis(10);
    });
    let client = running.client();
    client.load_computer_configuration(&description(1)).unwrap();
    let mut stream = client.events(&home(), None).unwrap();
    next(&mut stream);
    for _ in 0..5 {
        assert_eq!(stream.hear().unwrap(), Heard::Alive);
    }
}

#[test]
fn who_missed_more_than_is_kept_looks_at_everything() {
    let (_running, client) = Running::formatted(1);
    let mut stream = client.events(&home(), None).unwrap();
    next(&mut stream);
    let position = stream.position().unwrap().to_owned();
    drop(stream);
    for _ in 0..=crate::store::KEPT {
        client.computer_bang(&home(), "").unwrap();
    }
    let mut stream = client.events(&home(), Some(&position)).unwrap();
    assert_eq!(next(&mut stream), Heard::Resync);
}

#[test]
fn a_listener_does_not_keep_the_master_from_ending() {
    let (running, client) = Running::formatted(1);
    let mut stream = client.events(&home(), None).unwrap();
    next(&mut stream);
    let started = Instant::now();
    drop(running);
    // Ten seconds are what it waits for others.
    assert!(started.elapsed() < Duration::from_secs(9), "it waited for the listener");
    let error = stream.hear().unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

#[test]
fn listeners_need_the_token_and_a_known_computer() {
    let (running, client) = Running::formatted(1);
    let refused = running.client_with(None).events(&home(), None).err().unwrap();
    assert!(matches!(refused, SlapError::Unauthorised { .. }), "{refused}");
    let unknown = client.events(&"other".into(), None).err().unwrap();
    assert!(matches!(unknown, SlapError::NotFound { .. }), "{unknown}");
}

#[test]
fn there_is_room_for_others_beside_any_number_of_listeners() {
    let running = Running::configured(|config| config.access.listeners = Some(192), |_| {});
    let client = running.client();
    client.load_computer_configuration(&super::description(1)).unwrap();
    let mut streams = Vec::new();
    let full = loop {
        match client.events(&home(), None) {
            Ok(stream) => streams.push(stream),
            Err(error) => break error,
        }
    };
    assert!(full.is_temporary(), "{full}");
    assert_eq!(streams.len(), 192);
    client.request(&InstanceRequest::new("a", "s")).unwrap();
    for stream in &mut streams {
        assert_eq!(next(stream), Heard::Resync);
        assert_eq!(change(stream), of(ChangeKind::Request, 0, "started"));
    }
}

#[test]
fn one_person_does_not_take_the_places_of_all_listeners() {
    let world = World::arranged(|config| config.access.listeners = Some(8), |_| {});
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    let node = world.token(&Holder::Computer(OWN.into()), None);
    let listen = |who: &Proof, path: &str| {
        let mut heard = world.ask(who, &axum::http::Method::GET, path, "").unwrap();
        let status = heard.line().unwrap().split(' ').nth(1).unwrap().to_owned();
        (status == "200").then_some(heard)
    };
    let held: Vec<_> = std::iter::from_fn(|| listen(&ann, "/api/v1/events")).collect();
    assert_eq!(held.len(), 4);
    let own = format!("/api/v1/events?computer={OWN}");
    assert!(listen(&node, &own).is_some() && listen(&node, &own).is_some());
}
