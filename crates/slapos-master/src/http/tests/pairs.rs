//! Two Masters over one database: what one does the other tells, at once, and nobody who listens to
//! either misses anything. A file has one Master; so these tests do their work when they are run again
//! with a server (`the_same_on_postgresql`).

use std::collections::BTreeSet;

use super::feed::Ear;
use super::*;

/// Another Master over the database of this one; none over a file.
fn beside(running: &Running) -> Option<Running> {
    let database = running.database.clone();
    match database {
        Database::File(_) => None,
        Database::Server(_) => {
            Some(Running::configured(move |config| config.database = database, |_| {}))
        }
    }
}

/// What a Master tells about the computer and its first partition.
fn told(running: &Running) -> [(u16, String); 2] {
    let routes = [
        "/getFullComputerInformation?computer_id=computer",
        "/registerComputerPartition?computer_reference=computer\
         &computer_partition_reference=slappart0",
    ];
    routes.map(|route| running.raw(&format!("GET {route} HTTP/1.1"), ""))
}

#[test]
fn what_one_master_changes_the_other_tells_at_once() {
    let (one, client) = Running::formatted(3);
    let Some(two) = beside(&one) else { return };
    let mut wish = InstanceRequest::new("a", "s");
    client.request(&wish).unwrap();
    wish.parameters.insert("n".to_owned(), "2".to_owned());
    let connection = [("url".to_owned(), "u".to_owned())].into();
    let settings = slapos_slap::SetComputer { title: Some("t".into()), ..Default::default() };
    let mut shared = InstanceRequest::new("s", "s");
    shared.shared = true;
    let changes: [(&str, &dyn Fn()); 9] = [
        ("parameters", &|| drop(client.request(&wish).unwrap())),
        ("supply", &|| client.supply(&"s".into(), &home(), SoftwareState::Available).unwrap()),
        ("connection", &|| client.set_connection(&home(), &part(0), &connection).unwrap()),
        ("settings", &|| drop(client.set_computer(&home(), &settings).unwrap())),
        ("shared", &|| drop(client.request(&shared).unwrap())),
        ("rename", &|| client.rename(&home(), &part(0), "b").unwrap()),
        ("bang", &|| client.bang(&home(), &part(0), "").unwrap()),
        ("report", &|| client.instance_started(&home(), &part(0)).unwrap()),
        ("format", &|| client.load_computer_configuration(&description(4)).unwrap()),
    ];
    let mut former = told(&two);
    // Kept by both before each change: an answer that was kept too long would show.
    assert_eq!(told(&one), former);
    let mut differ = BTreeSet::new();
    for (what, change) in changes {
        change();
        let (there, here) = (told(&two), told(&one));
        assert_eq!(there, here, "{what}");
        // As one who has kept nothing tells it.
        let fresh = told(&beside(&one).unwrap());
        assert_eq!(fresh, there, "{what}");
        if there != former {
            differ.insert(what);
        }
        former = there;
    }
    // What nodes are told of is told; the rest need not be.
    for what in ["parameters", "supply", "connection", "shared", "rename", "bang", "format"] {
        assert!(differ.contains(what), "{what} is in no answer: {differ:?}");
    }
}

#[test]
fn who_listens_to_one_of_two_masters_misses_nothing_when_they_write_and_start_anew() {
    const EACH: usize = 60;
    let (one, client) = Running::formatted(1);
    let Some(two) = beside(&one) else { return };
    let mut ear = Ear::new(&two, "");
    assert_eq!(ear.hear().0, "resync");
    let heard = std::thread::scope(|scope| {
        for (number, running) in [&one, &one, &two].into_iter().enumerate() {
            let client = running.client();
            scope.spawn(move || {
                for step in 0..EACH {
                    let url = format!("s{number}-{step}");
                    client.supply(&url.as_str().into(), &home(), SoftwareState::Available).unwrap();
                }
            });
        }
        let mut heard = Vec::new();
        while heard.len() < 3 * EACH {
            // Now and then connected anew, to another Master, with what was heard last.
            if heard.len() % 25 == 24 {
                let position = ear.position.clone();
                let next = if heard.len() % 2 == 0 { &one } else { &two };
                ear = Ear::new(next, &position);
            }
            heard.push(ear.change());
        }
        heard
    });
    let different: BTreeSet<_> = heard.iter().collect();
    assert_eq!(different.len(), 3 * EACH, "each once");
    // A Master that was not there yet goes on from the same place.
    let position = ear.position.clone();
    drop((ear, two));
    client.computer_bang(&home(), "").unwrap();
    let again = beside(&one).unwrap();
    let mut ear = Ear::new(&again, &position);
    assert_eq!(ear.change(), r#"{"kind":"bang","computer":"computer"}"#);
    client.supply(&"later".into(), &home(), SoftwareState::Available).unwrap();
    assert!(ear.change().contains("later"));
}

#[test]
fn who_listens_to_a_computer_at_one_master_hears_what_the_other_does() {
    let (one, client) = Running::formatted(1);
    let Some(two) = beside(&one) else { return };
    let mut stream = two.client().events(&home(), None).unwrap();
    assert_eq!(stream.hear().unwrap(), slapos_slap::Heard::Resync);
    for number in 0..20 {
        let url = format!("s{number}");
        client.supply(&url.as_str().into(), &home(), SoftwareState::Available).unwrap();
        // Each by itself, without a sign of life before it, also from one Master to the other.
        let slapos_slap::Heard::Change(change) = stream.hear().unwrap() else { panic!("{url}") };
        assert_eq!(change.software, Some(url.as_str().into()));
        if number % 5 == 4 {
            let (position, next) = (stream.position().map(str::to_owned), number % 2 == 0);
            let next = if next { one.client() } else { two.client() };
            stream = next.events(&home(), position.as_deref()).unwrap();
        }
    }
}
