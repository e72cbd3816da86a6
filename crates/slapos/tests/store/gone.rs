//! A PostgreSQL server that is away for a while.

use serde_json::Value;
use slapos_testkit::wait_for;

use super::masters::{Configured, Place, computer, server, wish};

/// Routes that need the database.
const ROUTES: [&str; 4] = [
    "/getFullComputerInformation?computer_id=home",
    "/registerComputerPartition?computer_reference=home&computer_partition_reference=slappart0",
    "/api/v1/overview",
    "/api/v1/events?computer=home",
];

/// Each route of the list that is not for everybody: to know who asks, the database is needed.
fn every_route() -> Vec<(String, String)> {
    let file = slapos_testkit::repository().join("docs/openapi.json");
    let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["x-callers"]["anybody"] == false {
                routes.push((method.to_uppercase(), path.replace(['{', '}', '*'], "")));
            }
        }
    }
    assert!(routes.len() > 100, "{routes:?}");
    routes
}

/// Says at every route, whatever its protocol, when to come again.
fn tells_whoever_asks(master: &Configured, token: &str) {
    std::thread::scope(|scope| {
        for (method, path) in every_route() {
            scope.spawn(move || {
                let (status, head, body) = master.ask(&method, &path, token).unwrap();
                assert_eq!(status, 503, "{method} {path}: {body}");
                assert!(head.contains("\r\nretry-after: "), "{method} {path}: {head}");
            });
        }
    });
}

fn tells_to_come_again(master: &Configured) {
    for route in ROUTES {
        let (status, head, body) = master.get(route).unwrap();
        assert_eq!(status, 503, "{route}: {body}");
        assert!(head.contains("\r\nretry-after: "), "{route}: {head}");
        assert!(body.contains("the Master's database"), "{route}: {body}");
    }
    let (status, head, body) = master.get("/readyz").unwrap();
    assert_eq!((status, body.as_str()), (503, "not ready: the database cannot be used at present"));
    assert!(head.contains("\r\nretry-after: "), "{head}");
    assert_eq!(master.get("/healthz").unwrap().0, 200);
    let error = master.client().request(&wish("late")).unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

#[test]
fn all_is_well_again_when_the_server_is_back() {
    let Some(mut server) = server("all_is_well_again_when_the_server_is_back") else { return };
    let place = Place::new();
    let master = place.configure("a.cfg", &server.database("master"));
    let _running = master.start();
    let client = master.client();
    client.load_computer_configuration(&computer(2)).unwrap();
    let before = client.request(&wish("a")).unwrap();
    master.ok(&["user", "add", "ann"]);
    let token = master.ok(&["token", "create", "--user", "ann"]).out;
    for crash in [false, true] {
        let last = format!("/{crash}.cfg");
        let url = last.as_str().into();
        client.supply(&url, &"home".into(), "available".parse().unwrap()).unwrap();
        if crash {
            server.crash();
        } else {
            server.stop();
        }
        tells_to_come_again(&master);
        tells_whoever_asks(&master, token.trim());
        // A Master that starts now says why it cannot.
        let other = place.configure("b.cfg", &server.uri("master"));
        let run = other.run(&["start"]);
        assert_eq!(run.code, 1, "{}", run.err);
        assert!(
            run.err.contains("cannot be used at present: postgresql:///master?"),
            "{}",
            run.err
        );
        server.run();
        let after = wait_for("an answer", 60, || client.request(&wish("a")).ok());
        assert_eq!(after, before);
        for route in &ROUTES[..3] {
            // Those that write have connections of their own, which are made again by themselves.
            wait_for(route, 60, || (master.get(route)?.0 == 200).then_some(()));
        }
        assert_eq!(master.get("/readyz").unwrap().0, 200);
        // What was done just before is in the audit log, though it could not be written then.
        wait_for("the audit log", 60, || {
            master.get("/api/v1/audit").unwrap().2.contains(&last).then_some(())
        });
    }
}

#[test]
fn a_lock_that_is_held_by_somebody_else_is_waited_for_and_readers_go_on() {
    let test = "a_lock_that_is_held_by_somebody_else_is_waited_for_and_readers_go_on";
    let Some(server) = server(test) else { return };
    let place = Place::new();
    let master = place.configure("a.cfg", &server.database("master"));
    let _running = master.start();
    let client = master.client();
    client.load_computer_configuration(&computer(2)).unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            let lock = "BEGIN; SELECT pg_advisory_xact_lock(1399611725, hashtext('public'));";
            server.sql("master", &format!("{lock} SELECT pg_sleep(3); COMMIT;"));
        });
        wait_for("the lock", 60, || (server.sql("master", held) != "0").then_some(()));
        let asking = scope.spawn(|| client.request(&wish("a")).unwrap());
        wait_for("who waits", 60, || {
            let over = holding.is_finished() || server.sql("master", waiting) != "0";
            over.then_some(())
        });
        assert_eq!(master.get(ROUTES[0]).unwrap().0, 200);
        asking.join().unwrap();
    });
}
