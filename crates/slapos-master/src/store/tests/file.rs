//! The database file: whose it is, and what survives.
#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod group;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::{Connection as _, Executor as _};

use super::*;
use crate::store::connection::Connection;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

async fn foreign_database(path: &Path, sql: &'static str) {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn only_the_owner_may_read_what_is_made() {
    let fixture = store(0).await;
    assert_eq!(mode(&fixture.path), 0o600);
    assert_eq!(mode(fixture.path.parent().unwrap()), 0o700);
    for suffix in ["-wal", "-shm"] {
        assert_eq!(mode(Path::new(&format!("{}{suffix}", fixture.path.display()))), 0o600);
    }
}

#[tokio::test]
async fn strange_names_are_no_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b%20c?d#é.db");
    let store = reopen(&path).await.unwrap();
    store.close().await;
    let beside = directory.path().join("a b%20c?d#é.db.lock");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    assert!(path.exists() && beside.exists());
}

#[tokio::test]
async fn an_empty_file_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.db");
    std::fs::write(&path, "").unwrap();
    reopen(&path).await.unwrap().close().await;
    reopen(&path).await.unwrap().close().await;
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let refused = async |path: &Path| {
        let before = std::fs::read(path).unwrap();
        let error = reopen(path).await.err().unwrap();
        assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
        assert_eq!(std::fs::read(path).unwrap(), before);
        error.to_string().replace(&directory.path().display().to_string(), "DIR")
    };
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database, but longer than the header of one. ".repeat(9)).unwrap();
    insta::assert_snapshot!(refused(&text).await, @"DIR/notes.txt is not a slapos Master database (it is not an SQLite file); it was left as it is: set another `database_uri` in [slapproxy]");
    let short = directory.path().join("short");
    std::fs::write(&short, "x").unwrap();
    refused(&short).await;
    let python = directory.path().join("proxy.db");
    foreign_database(&python, "CREATE TABLE partition17 (reference VARCHAR(255))").await;
    insta::assert_snapshot!(refused(&python).await, @"DIR/proxy.db is not a slapos Master database (it is another SQLite database, with application id 0x0); it was left as it is: set another `database_uri` in [slapproxy]");
    let wal = directory.path().join("wal.db");
    foreign_database(
        &wal,
        "PRAGMA application_id = 7; PRAGMA journal_mode = WAL; CREATE TABLE t (c TEXT)",
    )
    .await;
    refused(&wal).await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 4, "no journal was made");
    let error = reopen(directory.path()).await.err().unwrap();
    assert!(error.to_string().contains("it is not a regular file"), "{error}");
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let fixture = store(0).await;
    fixture.store.close().await;
    foreign_database(&fixture.path, "INSERT INTO schema_migration VALUES (99, 'later', 0)").await;
    let before = std::fs::read(&fixture.path).unwrap();
    let error = reopen(&fixture.path).await.err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert_eq!(std::fs::read(&fixture.path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_the_first_schema_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.db");
    let first = concat!(
        include_str!("../../../migrations/0001_first.up.sql"),
        "INSERT INTO schema_migration VALUES (1, 'first', 0);
         INSERT INTO computer (reference, address, netmask) VALUES ('home', '', '');
         PRAGMA application_id = 1399611725;"
    );
    foreign_database(&path, first).await;
    let store = reopen(&path).await.unwrap();
    assert_eq!(store.computers().await.unwrap(), ["home".into()]);
    store.bang_computer(&"home".into()).await.unwrap();
}

/// What a process leaves that is killed: the files as they are at that moment, without any
/// closing. A copy has exactly that.
#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let fixture = store(2).await;
    fixture.place("a", None).await;
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("proxy.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", fixture.path.display());
        std::fs::copy(from, format!("{}{suffix}", copy.display())).unwrap();
    }
    let survivor = reopen(&copy).await.unwrap();
    assert_eq!(survivor.overview().await.unwrap(), fixture.store.overview().await.unwrap());
    assert_eq!(survivor.overview().await.unwrap().instances[0].title, "a");
}

/// Killed in the very first steps: the mark is made but the schema is not.
#[tokio::test]
async fn a_half_made_file_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("half.db");
    foreign_database(&path, "PRAGMA application_id = 1399611725").await;
    let store = reopen(&path).await.unwrap();
    assert!(store.overview().await.unwrap().computers.len() == 1);
}

#[tokio::test]
async fn an_unusable_place_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = reopen(&file.join("proxy.db")).await.err().unwrap();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
}

/// Tells the connection that writes how large the file may become.
async fn set_room(store: &Store, pragma: &'static str) {
    let inline = store.pools.inline.as_ref().unwrap();
    let mut writer = Connection::Inline(inline.writer.lend().await.unwrap());
    writer.execute(pragma).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_no_trouble_once_there_is_room() {
    let fixture = store(1).await;
    fixture.place("a", None).await;
    // SQLite takes the present size for a limit below it.
    set_room(&fixture.store, "PRAGMA max_page_count = 1").await;
    let large = "x".repeat(1 << 20);
    let error = fixture
        .store
        .report_instance(&"home".into(), &"slappart0".into(), "error", &large)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("database or disk is full"), "{error}");
    set_room(&fixture.store, "PRAGMA max_page_count = 1000000").await;
    for state in ["error", "started"] {
        fixture
            .store
            .report_instance(&"home".into(), &"slappart0".into(), state, &large)
            .await
            .unwrap();
    }
}
