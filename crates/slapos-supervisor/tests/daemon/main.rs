//! The daemon with real processes. The test binary runs itself again as the daemon: the ignored
//! test `daemon_process` is what the re-executed binary is told to run.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod guarding;
mod lifecycle;
mod listening;
mod original;
mod replacing;
mod supervisorctl;
mod support;
mod surviving;
mod takeover;
mod update;

use slapos_supervisor::Paths;

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
