//! For tests: a database of its own for each, an SQLite file, or a schema of a PostgreSQL server, which
//! is as good as a database and made in a moment.
//!
//! Every test that takes its database from here is run twice: as it stands with a file, and once more
//! by [`the_same_on_postgresql`], which starts a server and this very program again with it.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use slapos_testkit::{Postgres, skipped, sql_at};

use crate::Database;

/// With which words this program of tests is a judge of schemas.
pub(crate) const JUDGE: &[&str] =
    &["requests::bench::tests::serves_the_tests", "--exact", "--ignored", "--nocapture"];

/// Names the directory of the socket of a server, in place of files.
const SERVER: &str = "SLAPOS_TEST_POSTGRESQL";

/// An empty database: the file, or one of the server.
pub(crate) fn database(file: &Path) -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Some(socket) = std::env::var_os(SERVER) else { return file.into() };
    let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
    sql_at(Path::new(&socket), "postgres", &format!("CREATE SCHEMA {name}"));
    let socket = Path::new(&socket).display();
    let uri =
        format!("postgresql:///postgres?host={socket}&user=slapos&options=-csearch_path%3D{name}");
    Database::parse(&uri, None).unwrap()
}

/// A server, unless none can be had here.
pub(crate) fn server(test: &str) -> Option<Postgres> {
    Postgres::start(false).map_err(|why| skipped(test, &why)).ok()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "runs this very program")]
fn the_same_on_postgresql() {
    let Some(server) = server("the_same_on_postgresql") else { return };
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["store::tests", "http::tests", "--skip", "store::tests::file"]);
    again.env(SERVER, server.socket());
    let output = again.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let run = told.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(run > 40, "few tests ran:\n{told}");
}
