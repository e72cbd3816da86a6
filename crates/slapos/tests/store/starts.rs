//! What a Master makes when it starts for the first time, and leaves when it cannot.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use slapos_testkit::free_port;

use super::masters::Place;

#[test]
fn a_master_that_cannot_start_leaves_no_token() {
    let place = Place::new();
    let master = place.configure("a.cfg", &place.file());
    // What is sealed with the token has to be opened by the one that is kept.
    let text = std::fs::read_to_string(&master.file).unwrap();
    std::fs::write(&master.file, format!("{text}tls_port = {}\n", free_port())).unwrap();
    let token = place.path("master/master.token");
    let taken = TcpListener::bind(("127.0.0.1", master.port)).unwrap();
    let run = master.run(&["start"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("another program has that port"), "{}", run.err);
    assert!(!token.exists());
    drop(taken);
    drop(master.start());
    let made = std::fs::read_to_string(&token).unwrap();
    assert_eq!((made.len(), token.metadata().unwrap().permissions().mode() & 0o777), (64, 0o600));
    drop(master.start());
    assert_eq!(std::fs::read_to_string(&token).unwrap(), made);
    // One that has lost it cannot open what it has sealed, and makes no other.
    std::fs::remove_file(&token).unwrap();
    let run = master.run(&["start"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(!token.exists(), "{}", run.err);
}
