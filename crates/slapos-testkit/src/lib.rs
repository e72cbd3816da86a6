//! What tests of several crates need: a node in a directory of its own, run by the real binary;
//! source archives made on the spot; profiles that build in a moment.
//!
//! Invariant: nothing outlives a test. A [`TestNode`] stops its services when dropped.

#![allow(clippy::disallowed_methods, reason = "tests arrange files and run programs directly")]

mod archive;
mod asking;
mod disk;
mod node;
mod original;
mod person;
mod ports;
mod postgres;
mod profile;
mod python;
mod schema;
mod texts;
mod tls;
mod twice;

pub use archive::{Entry, tar_gz};
pub use disk::SmallDisk;
pub use node::{Run, TestNode, pids_in};
pub use original::Original;
pub use person::Person;
pub use ports::{free_port, free_ports};
pub use postgres::{Postgres, sql_at};
pub use profile::{SERVICE_PROFILE, SOFTWARE_FOR_BOTH, Tree, instance_for_both};
pub use python::{python_between, python_with};
pub use schema::endless_schema;
pub use texts::serve_texts;
pub use tls::Certificates;
pub use twice::{again_on_postgresql, database, given_server, own_name};

/// The root of this repository, where `component`, `stack` and `software` are.
pub fn repository() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A temporary directory that users of the machine's other than this one can pass.
///
/// # Panics
/// When it cannot be made.
pub fn open_directory(prefix: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::Builder::new().prefix(prefix).tempdir();
    let directory = directory.expect("a temporary directory can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).expect("it is ours");
    directory
}

/// Calls `ready` until it gives something, for at most `seconds`.
///
/// # Panics
/// When it gave nothing in that time; `what` says what was waited for.
pub fn wait_for<T>(what: &str, seconds: u64, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(std::time::Instant::now() < end, "waited {seconds} s in vain for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Says that the test `name` is skipped, and why. The test runner swallows what `println!` prints
/// in a test that passes, so this goes to standard error itself.
pub fn skipped(name: &str, why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

/// Kills a process with SIGKILL.
///
/// # Panics
/// When it may not be killed, or `pid` is no process id.
pub fn kill(pid: i64) {
    let pid = u32::try_from(pid).expect("a process id");
    let killed = slapos_sys::process::kill(pid, slapos_sys::process::Signal::SIGKILL);
    killed.expect("it may be killed");
}

/// Whether a process runs; a zombie does not.
pub fn runs(pid: i64) -> bool {
    let entry = u32::try_from(pid).ok().and_then(slapos_sys::process::entry);
    entry.is_some_and(|entry| entry.is_alive())
}

/// True when this process is root; tests that need it say so when they skip.
pub fn is_root() -> bool {
    slapos_sys::user::is_root()
}
