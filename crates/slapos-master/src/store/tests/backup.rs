//! Backups: whole or refused, the same whatever the kind of database.

use std::io::Cursor;

use slapos_sys::clock::SystemClock;

use super::*;
use crate::store::changes::News;
use crate::store::{backup, restore};

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
    let fed = async |database: &Database| {
        let text = saved(database).await;
        let (_, after) = text.split_once("{\"table\":\"feed\"").unwrap();
        after.lines().nth(1).unwrap().starts_with('[')
    };
    assert!(fed(&fixture.database).await && !fed(&database).await);
    let again = opened(&database).await.unwrap();
    assert_eq!(again.overview().await.unwrap(), fixture.store.overview().await.unwrap());
    let (home, part) = ("home".into(), "slappart0".into());
    let told = again.partition(&home, &part).await.unwrap();
    assert_eq!(told, fixture.store.partition(&home, &part).await.unwrap());
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
                goes = !["\"era\"", "\"feed\""].iter().any(|table| line.contains(table));
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
    let error = restored(&fixture.database, &text, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert!(error.to_string().contains("say --force to replace it"), "{error}");
    assert_eq!(fixture.store.overview().await.unwrap().instances.len(), before.instances.len() + 1);
    restored(&fixture.database, &text, true).await.unwrap();
    assert_eq!(fixture.store.overview().await.unwrap(), before);
    let news = fixture.store.news(&home, Some(&position)).await.unwrap();
    assert!(matches!(news, News::Resync(_)), "{news:?}");
}

#[tokio::test]
async fn a_backup_that_is_not_whole_changes_nothing() {
    let fixture = full().await;
    let text = saved(&fixture.database).await;
    let before = fixture.store.overview().await.unwrap();
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
    for text in wrong {
        let error = restored(&fixture.database, &text, true).await.unwrap_err();
        assert!(matches!(error, StoreError::Backup(_)), "{error}");
        assert_eq!(fixture.store.overview().await.unwrap(), before, "{error}");
    }
}

#[tokio::test]
async fn a_backup_of_an_older_schema_comes_to_the_present_one() {
    let fixture = full().await;
    let before = fixture.store.overview().await.unwrap();
    for schema in [1, 2, 3] {
        crate::store::migrate(&fixture.database, Some(schema), &SystemClock).await.unwrap();
        let text = saved(&fixture.database).await;
        let (database, _directory) = other();
        restored(&database, &text, false).await.unwrap();
        let again = opened(&database).await.unwrap();
        assert_eq!(again.overview().await.unwrap().instances, before.instances);
        crate::store::migrate(&fixture.database, None, &SystemClock).await.unwrap();
    }
}
