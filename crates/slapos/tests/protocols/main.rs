//! What programs that know the original's embedded Master find at ours: the same calls are made to
//! both, and the answers compared. The original comes from PyPI; skipped with a visible line where
//! that cannot be reached. What ours keeps in a database is asked of both kinds.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod clients;
mod commands;
mod json_rpc;
mod master;
mod registration;
mod shacache;
mod slapgrid;
mod uploads;

#[test]
fn the_same_on_postgresql() {
    // The rest keeps nothing there, or files in directories of one machine, or what these keep as well.
    let words = ["json_rpc::", "clients::", "commands::", "registration::", "by_token"];
    let words = [&words[..], &["--skip", "a_network_cache"]].concat();
    slapos_testkit::again_on_postgresql("the_same_on_postgresql", &words, 15);
}
