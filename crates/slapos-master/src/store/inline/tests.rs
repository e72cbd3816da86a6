//! What the store relies on, asked of a real file.
#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sqlx::{Executor as _, Row as _};

use sqlx::SqlSafeStr as _;
use sqlx::any::AnyRow;

use super::*;
use crate::error::StoreError;
use crate::store::connection::{Connection, Transaction};

const SETUP: &str = "PRAGMA foreign_keys = ON";
const TABLE: &str = "CREATE TABLE thing (name TEXT PRIMARY KEY, number BIGINT, text TEXT); \
     CREATE TABLE part (of_thing TEXT REFERENCES thing)";

struct Room {
    files: Arc<Files>,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

/// A file in WAL mode, with so many connections at most.
async fn room(most: usize) -> Room {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.db");
    std::fs::write(&path, "").unwrap();
    let files = Files::new(path.clone(), most, SETUP);
    let room = Room { files, path, _directory: directory };
    let mut connection = room.connection().await;
    connection.execute("PRAGMA journal_mode = WAL").await.unwrap();
    connection.execute(TABLE).await.unwrap();
    room
}

impl Room {
    async fn connection(&self) -> Connection {
        Connection::Inline(self.files.lend().await.unwrap())
    }

    async fn begin(&self) -> Transaction {
        Transaction::begin(self.connection().await, "BEGIN IMMEDIATE").await.unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let rows = sqlx::query("SELECT name FROM thing ORDER BY name");
        let rows = rows.fetch_all(&mut self.connection().await).await.unwrap();
        rows.iter().map(|row| row.get("name")).collect()
    }
}

async fn add(connection: &mut Connection, name: &str) -> Result<u64, Error> {
    let sql = "INSERT INTO thing (name, number, text) VALUES ($1, $2, $1)";
    let added = sqlx::query(sql).bind(name).bind(1_i64).execute(connection).await?;
    Ok(added.rows_affected())
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let room = room(1).await;
    let mut connection = room.connection().await;
    // The places are not in the order of the values, and one is used twice.
    let sql = "INSERT INTO thing (text, name, number) VALUES ($3, $1, $2), ($1, 'b', $4)";
    sqlx::query(sql)
        .bind("a")
        .bind(i64::MIN)
        .bind("é\0x")
        .bind(None::<i64>)
        .execute(&mut connection)
        .await
        .unwrap();
    let rows = sqlx::query("SELECT name, number, text, NULL AS gone FROM thing ORDER BY name")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let read = |row: &AnyRow| {
        (
            row.get::<String, _>("name"),
            row.get::<Option<i64>, _>(1),
            row.get::<Option<String>, _>("text"),
            row.get::<Option<String>, _>("gone"),
        )
    };
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let first = (a.clone(), Some(i64::MIN), Some("é\0x".to_owned()), None);
    assert_eq!(rows.iter().map(read).collect::<Vec<_>>(), [first, (b, None, Some(a), None)]);
    let wrong = rows[0].try_get::<i64, _>("text").unwrap_err();
    assert!(matches!(wrong, Error::ColumnDecode { .. }), "{wrong}");
    for other in ["SELECT 1.5", "SELECT x'00'", "SELECT CAST(x'ff' AS TEXT)"] {
        let refused = sqlx::query(other).fetch_one(&mut connection).await.err().unwrap();
        assert!(matches!(refused, Error::ColumnDecode { .. }), "{other}: {refused}");
    }
    let missing = sqlx::query("SELECT $2").bind("one").fetch_one(&mut connection).await;
    assert!(missing.err().unwrap().to_string().contains("value $2"));
}

#[tokio::test]
async fn what_was_changed_is_counted_and_rows_come_one_by_one() {
    let room = room(1).await;
    let mut connection = room.connection().await;
    for name in ["a", "b", "c"] {
        assert_eq!(add(&mut connection, name).await.unwrap(), 1);
    }
    let changed = connection.execute("UPDATE thing SET number = 2").await.unwrap();
    assert_eq!(changed.rows_affected(), 3);
    let none = connection.execute("SELECT name FROM thing").await.unwrap();
    assert_eq!(none.rows_affected(), 0, "a question changes nothing");
    let query = sqlx::query("SELECT name FROM thing ORDER BY name");
    let mut stream = query.fetch(&mut connection);
    let mut names = Vec::new();
    while let Some(row) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        names.push(row.unwrap().get::<String, _>(0));
    }
    drop(stream);
    assert_eq!(names, ["a", "b", "c"]);
    let query = sqlx::query("SELECT name FROM thing WHERE number = $1 ORDER BY name DESC");
    let first = query.bind(2_i64).fetch_optional(&mut connection).await.unwrap().unwrap();
    assert_eq!(first.get::<String, _>("name"), "c");
    // Stopped after the first row, it holds nothing.
    connection.execute("DROP TABLE part").await.unwrap();
}

#[tokio::test]
async fn failures_say_what_they_are() {
    let room = room(1).await;
    let mut connection = room.connection().await;
    add(&mut connection, "a").await.unwrap();
    let twice = add(&mut connection, "a").await.unwrap_err();
    assert!(twice.as_database_error().is_some_and(|error| error.is_unique_violation()), "{twice}");
    let lost = connection.execute("INSERT INTO part VALUES ('b')").await.unwrap_err();
    assert!(lost.as_database_error().is_some_and(|error| error.is_foreign_key_violation()));
    insta::assert_snapshot!(connection.execute("SELECT x FROM thing").await.unwrap_err(), @"error returned from database: (code: 1) no such column: x");
    let other = room.path.with_file_name("other.db");
    std::fs::write(&other, "no database, and longer than a header has to be. ".repeat(99)).unwrap();
    let damaged = Inline::open(&other, "SELECT count(*) FROM sqlite_master").await.unwrap_err();
    assert!(matches!(StoreError::from(damaged), StoreError::Damaged(_)));
    let absent = Inline::open(&room.path.join("absent"), SETUP).await.unwrap_err();
    assert!(matches!(StoreError::from(absent), StoreError::Unavailable(_)));
}

#[tokio::test]
async fn statements_are_prepared_once_and_follow_the_schema() {
    let room = room(1).await;
    let mut lent = room.files.lend().await.unwrap();
    let before = lent.shapes.len();
    for _ in 0..3 {
        let asked = Asked::plain("SELECT name FROM thing");
        lent.ask(asked, Keep::All).await.unwrap();
    }
    assert_eq!(lent.shapes.len(), before + 1);
    // By another connection, as another process does it.
    let other = Inline::open(&room.path, SETUP).await.unwrap();
    other.file.execute_batch("ALTER TABLE thing RENAME TO former").unwrap();
    other.file.execute_batch("CREATE TABLE thing (more TEXT, name TEXT)").unwrap();
    other.file.execute_batch("INSERT INTO thing VALUES ('m', 'a')").unwrap();
    let done = lent.ask(Asked::plain("SELECT name FROM thing"), Keep::All).await.unwrap();
    assert_eq!(done.rows[0].get::<String, _>("name"), "a");
    for number in 0..=KEPT {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {number}")).into_sql_str();
        lent.ask(Asked { sql, arguments: None, is_kept: true }, Keep::All).await.unwrap();
    }
    assert!(lent.shapes.len() <= KEPT, "not without end");
    let before = lent.shapes.len();
    let once = Asked { is_kept: false, ..Asked::plain("SELECT 'once'") };
    assert_eq!(lent.ask(once, Keep::First).await.unwrap().rows[0].get::<String, _>(0), "once");
    assert_eq!(lent.shapes.len(), before);
}

#[tokio::test]
async fn what_is_not_committed_did_not_happen() {
    let room = room(1).await;
    let mut tx = room.begin().await;
    add(&mut tx, "dropped").await.unwrap();
    drop(tx);
    let mut tx = room.begin().await;
    add(&mut tx, "kept").await.unwrap();
    tx.execute("SAVEPOINT member").await.unwrap();
    add(&mut tx, "taken back").await.unwrap();
    tx.execute("ROLLBACK TO member").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(room.names().await, ["kept"]);
    // One that begins wrongly leaves nothing either.
    let begun = Transaction::begin(room.connection().await, "BEGIN; BEGIN").await;
    begun.unwrap_err();
    assert!(!room.files.lend().await.unwrap().is_in_transaction());
    // One that could not be ended is closed before the next has it.
    room.files.lend().await.unwrap().file.execute_batch("BEGIN IMMEDIATE").unwrap();
    drop(room.begin().await);
}

/// As while a process closes the file that was the last at it.
#[tokio::test]
async fn a_file_that_somebody_has_alone_is_waited_for_from_the_first_word() {
    let room = room(1).await;
    room.files.close().await;
    let alone = rusqlite::Connection::open(&room.path).unwrap();
    alone.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();
    let setup = "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL";
    let files = Files::new(room.path.clone(), 1, setup);
    let mut lending = pin!(files.lend());
    let poll = lending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending(), "{poll:?}");
    drop(alone);
    lending.await.unwrap();
}

#[tokio::test]
async fn a_busy_file_is_waited_for_and_holds_no_thread() {
    let room = room(2).await;
    let mut first = room.begin().await;
    add(&mut first, "first").await.unwrap();
    // On the only thread: the second waits, and the first goes on.
    let second = async {
        let mut tx = room.begin().await;
        add(&mut tx, "second").await.unwrap();
        tx.commit().await.unwrap();
    };
    let mut second = pin!(second);
    let poll = second.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(poll, Poll::Pending);
    first.commit().await.unwrap();
    second.await;
    assert_eq!(room.names().await, ["first", "second"]);
}

#[tokio::test]
async fn connections_are_lent_one_by_one_and_closed_at_the_end() {
    let room = room(1).await;
    let lent = room.files.lend().await.unwrap();
    let mut next = pin!(room.files.lend());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    drop(lent);
    drop(next.await.unwrap());
    room.files.close().await;
    assert!(matches!(room.files.lend().await, Err(Error::PoolClosed)));
    assert!(!room.path.with_extension("db-wal").exists(), "the last to go tidies up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn others_go_on_while_a_commit_waits_for_the_disk() {
    let (tell, told) = std::sync::mpsc::channel();
    let other = tokio::spawn(async move { tell.send(()).unwrap() });
    // Would never return if it held the only thread.
    let waits = tokio::spawn(async move { waiting(|| told.recv()) });
    waits.await.unwrap().unwrap();
    other.await.unwrap();
}
