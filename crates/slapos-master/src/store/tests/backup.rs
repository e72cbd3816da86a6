//! Backups: whole or refused, the same whatever the kind of database.

use std::io::Cursor;

use slapos_sys::clock::SystemClock;

use super::*;
use crate::store::changes::News;
use crate::store::{backup, rehearse_restore, restore};

async fn saved(database: &Database) -> String {
    let mut text = Vec::new();
    backup(database, &mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn restored(database: &Database, text: &str, force: bool) -> Result<u64, StoreError> {
    restore(database, &mut Cursor::new(text), force, &SystemClock).await
}

/// A store with something of everything.
async fn full() -> Fixture {
    let fixture = store(4).await;
    fixture
        .store
        .supply(&SOFTWARE.into(), &"home".into(), "available".parse().unwrap())
        .await
        .unwrap();
    let mut request = wish("ünïcode \"quoted\"\n");
    request.parameters = texts(&[("a", "\u{0}zero"), ("_", "{\"b\": [1, null]}")]);
    fixture.request(&request).await;
    let connection = texts(&[("url", "https://[fd00::1]:443/")]);
    fixture.store.set_connection(&"home".into(), &"slappart0".into(), &connection).await.unwrap();
    fixture.place("child", Some("slappart0")).await;
    let mut slave = wish("slave");
    slave.shared = true;
    fixture.request(&slave).await;
    fixture
}

fn other() -> (Database, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (crate::testing::database(&directory.path().join("other/proxy.db")), directory)
}

#[tokio::test]
async fn a_backup_of_a_running_master_is_restored_in_an_empty_database() {
    let fixture = full().await;
    let text = saved(&fixture.database).await;
    let (database, _directory) = other();
    let rows = restored(&database, &text, false).await.unwrap();
    assert!(text.trim_end().ends_with('}') && text.contains(&format!("{{\"rows\":{rows},")));
    // Numbers of transactions of one database mean nothing in another.
    assert!(!text.contains("{\"table\":\"feed\""));
    let again = opened(&database).await.unwrap();
    let entries = sqlx::query("SELECT kind FROM feed").fetch_all(&again.pools.readers).await;
    assert_eq!(entries.unwrap().len(), 0);
    assert_eq!(again.overview().await.unwrap(), fixture.store.overview().await.unwrap());
    let (home, part) = ("home".into(), "slappart0".into());
    let told = again.partition(&home, &part).await.unwrap();
    assert_eq!(told, fixture.store.partition(&home, &part).await.unwrap());
    let log = again.audit("", 10).await.unwrap();
    assert_eq!((log.len(), log[0].route.as_str()), (1, "slapos proxy restore"));
    assert_eq!((log[0].caller.as_str(), &log[0].about), ("operator", &format!("{rows} rows")));
    again.request(&wish("more")).await.unwrap();
}

/// The way to a server and back: a file is always one side.
#[tokio::test]
async fn a_backup_goes_from_one_kind_of_database_to_another_and_back() {
    let fixture = full().await;
    // The order of rows may differ, and what belongs to one database does not go along.
    let lines = |text: &str| {
        let (mut lines, mut goes) = (Vec::new(), true);
        for line in text.lines().filter(|line| !line.starts_with("{\"rows\"")) {
            if line.starts_with('{') {
                goes = !["\"era\"", "\"audit\""].iter().any(|own| line.contains(own));
            }
            if goes || line.starts_with('{') {
                lines.push(line.to_owned());
            }
        }
        lines.sort();
        lines
    };
    let text = saved(&fixture.database).await;
    let directory = tempfile::tempdir().unwrap();
    let file = Database::File(directory.path().join("proxy.db"));
    restored(&file, &text, false).await.unwrap();
    let from_file = saved(&file).await;
    assert_eq!(lines(&from_file), lines(&text));
    let (back, _directory) = other();
    restored(&back, &from_file, false).await.unwrap();
    let again = opened(&back).await.unwrap();
    assert_eq!(again.overview().await.unwrap(), fixture.store.overview().await.unwrap());
}

#[tokio::test]
async fn what_is_there_is_replaced_only_by_force_and_listeners_look_at_everything() {
    let fixture = full().await;
    let text = saved(&fixture.database).await;
    let home: slapos_slap::ComputerId = "home".into();
    let News::Resync(position) = fixture.store.news(&home, None).await.unwrap() else { panic!() };
    let before = fixture.store.overview().await.unwrap();
    fixture.place("later", None).await;
    fixture.store.close().await;
    let error = restored(&fixture.database, &text, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert!(error.to_string().contains("say --force to replace it"), "{error}");
    let store = opened(&fixture.database).await.unwrap();
    assert_eq!(store.overview().await.unwrap().instances.len(), before.instances.len() + 1);
    store.close().await;
    restored(&fixture.database, &text, true).await.unwrap();
    let store = opened(&fixture.database).await.unwrap();
    assert_eq!(store.overview().await.unwrap(), before);
    let news = store.news(&home, Some(&position)).await.unwrap();
    assert!(matches!(news, News::Resync(_)), "{news:?}");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_changes_nothing() {
    let fixture = full().await;
    let text = saved(&fixture.database).await;
    fixture.store.close().await;
    let mut wrong: Vec<String> =
        vec![String::new(), "{}\n".to_owned(), "SQLite format 3\0".to_owned()];
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    wrong.extend(ends[..ends.len() - 1].iter().map(|end| text[..*end].to_owned()));
    wrong.push(text[..text.len() / 2].to_owned());
    wrong.push(text.replacen("slappart1", "slappart9", 1));
    wrong.push(text.replacen("started", "stopped", 1));
    wrong.push(format!("{text}[]\n"));
    wrong.push(text.replacen("\"position\"", "\"nothing\"", 1));
    wrong.push(text.replacen("backup-1", "backup-2", 1));
    wrong.push(text.replacen("\"schema\":[1,", "\"schema\":[1,99,", 1));
    for wrong in wrong {
        let error = restored(&fixture.database, &wrong, true).await.unwrap_err();
        assert!(matches!(error, StoreError::Backup(_)), "{error}");
        assert_eq!(saved(&fixture.database).await, text, "{error}");
        let mut from = Cursor::new(&wrong);
        let rehearsed = rehearse_restore(&fixture.database, &mut from, true).await.unwrap_err();
        assert!(matches!(rehearsed, StoreError::Backup(_)), "{rehearsed}");
    }
}

#[tokio::test]
async fn a_backup_of_an_older_schema_comes_to_the_present_one() {
    let fixture = full().await;
    let before = fixture.store.overview().await.unwrap();
    fixture.store.close().await;
    for schema in crate::store::migrations::up_to(i64::MAX) {
        crate::store::migrate(&fixture.database, Some(schema), &SystemClock).await.unwrap();
        let text = saved(&fixture.database).await;
        let (database, _directory) = other();
        restored(&database, &text, false).await.unwrap();
        let again = opened(&database).await.unwrap();
        assert_eq!(again.overview().await.unwrap().instances, before.instances);
        crate::store::migrate(&fixture.database, None, &SystemClock).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_else_comes_in_its_place_while_a_master_is_there() {
    let fixture = full().await;
    let text = saved(&fixture.database).await;
    let (second, database) = (opened(&fixture.database).await.unwrap(), &fixture.database);
    fixture.store.close().await;
    for force in [false, true] {
        let error = restored(database, &text, force).await.unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    }
    let error = crate::store::migrate(database, Some(10), &SystemClock).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(crate::store::migrate(database, None, &SystemClock).await.unwrap().is_empty());
    let told = error.to_string();
    assert!(told.starts_with(&format!("{database} is used by a Master")), "{told}");
    second.close().await;
    let alone = crate::store::presence::alone(database).await.unwrap();
    let error = opened(database).await.err().unwrap();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    drop(alone);
    opened(database).await.unwrap().close().await;
    restored(database, &text, true).await.unwrap();
}

/// A server that has counted further, whose database was moved here by its own tools.
#[tokio::test]
async fn a_feed_that_is_ahead_of_its_server_is_forgotten_and_listeners_look_at_everything() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    let all = crate::store::Scope::All;
    let place = fixture.store.feed(&all, None).await.unwrap().place;
    let sql = "UPDATE feed SET transaction_number = 1000000000000000";
    sqlx::query(sql).execute(&fixture.store.pools.writers).await.unwrap();
    assert!(fixture.store.feed(&all, Some(&place)).await.unwrap().pending);
    let again = opened(&fixture.database).await.unwrap();
    let told = again.feed(&all, Some(&place)).await.unwrap();
    assert!(told.resync);
    again.bang_computer(&"home".into()).await.unwrap();
    // Once those who write elsewhere on the server have finished.
    let told = loop {
        let next = again.feed(&all, Some(&told.place)).await.unwrap();
        assert!(!next.resync);
        if !next.entries.is_empty() {
            break next;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(told.entries.len(), 1);
    // Once more, nothing is different.
    let again = opened(&fixture.database).await.unwrap();
    assert!(!again.feed(&all, Some(&told.place)).await.unwrap().resync);
}

#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
fn write(path: &std::path::Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_replaced_and_kept() {
    let fixture = full().await;
    let text = saved(&fixture.database).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.db");
    let database = Database::File(path.clone());
    restored(&database, &text, false).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut scratched = whole.clone();
    scratched[8192..20480].fill(0xff);
    let half = &whole[..whole.len() / 2];
    for (name, bytes) in [("proxy.db.damaged-1", half), ("proxy.db.damaged-2", &scratched)] {
        write(&path, bytes);
        write(&directory.path().join("proxy.db-wal"), b"of the damaged one");
        assert!(matches!(restored(&database, &text, false).await, Err(StoreError::Damaged(_))));
        // What is not whole replaces nothing.
        assert!(restored(&database, &text[..text.len() / 2], true).await.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        restored(&database, &text, true).await.unwrap();
        let again = opened(&database).await.unwrap();
        assert_eq!(again.overview().await.unwrap(), fixture.store.overview().await.unwrap());
        again.close().await;
        assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), bytes);
    }
    let left = std::fs::read_dir(directory.path()).unwrap();
    let mut left: Vec<_> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.retain(|name| !name.contains("damaged"));
    left.sort();
    assert_eq!(left, ["proxy.db", "proxy.db.lock"]);
}
