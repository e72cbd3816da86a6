//! The only room that touches the machine's sharp edges: atomic files, locks, users, processes,
//! control groups, sockets to them, the clock and randomness; also patterns of the names of files.
//!
//! Everything else reaches them through here (clippy bans the direct way, see `clippy.toml`), so
//! that what is delicate is written once, and tests can put something else in its place.
//! All `unsafe` of the workspace is in this crate.

#![allow(clippy::disallowed_methods, reason = "this crate is what the ban points to")]

pub mod cgroup;
pub mod clock;
pub mod fs;
pub mod lock;
pub mod packet;
pub mod pattern;
pub mod process;
pub mod random;
mod secret;
pub mod terminal;
pub mod user;

pub use secret::Secret;

/// Says that a test is skipped, past the runner that swallows what `println!` prints.
#[cfg(test)]
fn skipped(name: &str, why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}
