//! For tests: a database of its own for each, an SQLite file, or a schema of a PostgreSQL server, which
//! is as good as a database and made in a moment.
//!
//! Every test that takes its database from here is run twice: as it stands with a file, and once more
//! by [`the_same_on_postgresql`].

use std::path::Path;

use slapos_testkit::{again_on_postgresql, given_server, own_name, sql_at};

use crate::Database;

/// With which words this program of tests is a judge of schemas.
pub(crate) const JUDGE: &[&str] =
    &["requests::bench::tests::serves_the_tests", "--exact", "--ignored", "--nocapture"];

/// An empty database: the file, or one of the server.
pub(crate) fn database(file: &Path) -> Database {
    let Some(socket) = given_server() else { return file.into() };
    let name = own_name();
    sql_at(&socket, "postgres", &format!("CREATE SCHEMA {name}"));
    let socket = socket.display();
    let uri =
        format!("postgresql:///postgres?host={socket}&user=slapos&options=-csearch_path%3D{name}");
    Database::parse(&uri, None).unwrap()
}

#[test]
fn the_same_on_postgresql() {
    let words = ["store::tests", "http::tests", "--skip", "store::tests::file"];
    again_on_postgresql("the_same_on_postgresql", &words, 40);
}
