//! The same tests on both kinds of databases: a test that takes its database from here is run as it
//! stands with an SQLite file, and once more with a PostgreSQL server, by this very program of tests
//! started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::postgres::{Postgres, sql_at, uri_at};

/// Names the directory of the socket of a server, in place of files.
const SERVER: &str = "SLAPOS_TEST_POSTGRESQL";

/// The server that this program was started again with: the directory of its socket.
pub fn given_server() -> Option<PathBuf> {
    std::env::var_os(SERVER).map(PathBuf::from)
}

/// A name for what a test makes on the server, which no other test of this program gets.
pub fn own_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What a Master's `database_uri` says of an empty database: the file, or one of the server.
///
/// # Panics
/// When the server refuses.
pub fn database(file: &Path) -> String {
    let Some(socket) = given_server() else { return file.display().to_string() };
    let name = own_name();
    sql_at(&socket, "postgres", &format!("CREATE DATABASE \"{name}\""));
    uri_at(&socket, &name)
}

/// Runs this program's tests whose names hold one of `words` with a server; `words` may be followed by
/// further options of the test runner. `test` is the one that does it, skipped where there is no server.
///
/// # Panics
/// When one of them fails, or fewer than `fewest` are run.
pub fn again_on_postgresql(test: &str, words: &[&str], fewest: usize) {
    let server = match Postgres::start(false) {
        Ok(server) => server,
        Err(why) => return crate::skipped(test, &why),
    };
    let program = std::env::current_exe().expect("this program has a file");
    let mut again = Command::new(program);
    again.args(words).args(["--skip", test]).env(SERVER, server.socket());
    let output = again.output().expect("this program can be run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let run = told.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(run >= fewest, "{run} tests ran:\n{told}");
}
