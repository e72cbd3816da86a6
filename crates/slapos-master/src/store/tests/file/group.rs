//! Changes that reach the disk together.

use std::future::Future;
use std::task::{Context, Waker};

use super::*;

async fn titles(store: &Store) -> Vec<String> {
    let overview = store.overview().await.unwrap();
    let mut titles: Vec<_> = overview.instances.into_iter().map(|row| row.title).collect();
    titles.sort();
    titles
}

/// What a process leaves that is killed at this moment.
async fn killed(fixture: &Fixture) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("proxy.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", fixture.path.display());
        std::fs::copy(from, format!("{}{suffix}", copy.display())).unwrap();
    }
    let store = reopen(&copy).await.unwrap();
    (directory, store)
}

/// Polls a future so many times, as a server does for a caller that then goes away.
async fn begin(future: impl Future, polls: usize) {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        let waker = Waker::noop();
        if future.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            return;
        }
        // What it waits for goes on meanwhile.
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_were_answered_are_on_disk_and_only_they() {
    const ROOM: usize = 30;
    let fixture = Arc::new(store(ROOM).await);
    let ask = |number: usize| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.store.request(&wish(&format!("{number:02}"))).await })
    };
    let asked: Vec<_> = (0..ROOM + 10).map(ask).collect();
    let mut granted = Vec::new();
    for (number, task) in asked.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(answer) => granted.push((format!("{number:02}"), answer.partition)),
            Err(error) => assert!(matches!(error, StoreError::NotFound(_)), "{error}"),
        }
    }
    let (_directory, survivor) = killed(&fixture).await;
    let expected: Vec<_> = granted.iter().map(|(title, _)| title.clone()).collect();
    assert_eq!((expected.len(), titles(&survivor).await), (ROOM, expected));
    let places: std::collections::HashSet<_> = granted.iter().map(|(_, place)| place).collect();
    assert_eq!(places.len(), ROOM, "no partition was given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_leave_nothing_half_done() {
    let fixture = store(60).await;
    for polls in 0..25 {
        let (gone, kept) = (format!("gone {polls}"), format!("kept {polls}"));
        begin(fixture.store.request(&wish(&gone)), polls).await;
        fixture.place(&kept, None).await;
    }
    let (_directory, survivor) = killed(&fixture).await;
    assert_eq!(survivor.overview().await.unwrap(), fixture.store.overview().await.unwrap());
    let titles = titles(&survivor).await;
    for polls in 0..25 {
        assert!(titles.contains(&format!("kept {polls}")), "{titles:?}");
    }
    // Each instance came with the note of it: nobody is in between.
    let computer = survivor.computer(&"home".into()).await.unwrap();
    let busy = computer.partitions.iter().filter(|partition| !partition.is_free()).count();
    assert_eq!(busy, titles.len());
}

#[tokio::test]
async fn a_member_that_gives_up_takes_along_nobody_and_holds_nothing() {
    let fixture = store(1).await;
    let other = reopen(&fixture.path).await.unwrap();
    for _ in 0..3 {
        fixture.place("a", None).await;
        fixture.store.request(&wish("b")).await.unwrap_err();
        // Another process can write.
        other.bang_computer(&"home".into()).await.unwrap();
    }
    let given_up = fixture.store.write().await.unwrap();
    drop(given_up);
    fixture.store.close().await;
    assert_eq!(titles(&other).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_disk_is_full_all_are_told_who_lost_something() {
    let fixture = Arc::new(store(40).await);
    set_room(&fixture.store, "PRAGMA max_page_count = 1").await;
    let ask = |number: usize| {
        let fixture = Arc::clone(&fixture);
        let mut wish = wish(&format!("{number:02}"));
        let length = if number % 5 == 4 { 1 << 18 } else { 1 };
        wish.parameters.insert("large".to_owned(), "x".repeat(length));
        tokio::spawn(async move { fixture.store.request(&wish).await })
    };
    let asked: Vec<_> = (0..40).map(ask).collect();
    let mut granted = Vec::new();
    for (number, task) in asked.into_iter().enumerate() {
        if task.await.unwrap().is_ok() {
            granted.push(format!("{number:02}"));
        }
    }
    assert!(granted.len() < 40, "the disk was full");
    assert_eq!(titles(&fixture.store).await, granted);
    let (_directory, survivor) = killed(&fixture).await;
    assert_eq!(titles(&survivor).await, granted);
}

/// Who finds that it is done already relies on who did it, and has to wait for the disk as he does.
#[tokio::test]
async fn who_has_nothing_to_do_waits_for_those_who_did_it() {
    let fixture = Arc::new(store(1).await);
    fixture.place("a", None).await;
    let (home, part) = ("home".into(), "slappart0".into());
    let connection = texts(&[("u", "v")]);
    let mut first = fixture.store.write().await.unwrap();
    sqlx::query("UPDATE instance SET connection = '{\"u\":\"v\"}'")
        .execute(&mut *first)
        .await
        .unwrap();
    // What makes the commit fail, and only that.
    sqlx::query("PRAGMA defer_foreign_keys = ON").execute(&mut *first).await.unwrap();
    sqlx::query("INSERT INTO software VALUES ('nobody', 'u', 'available', 1, NULL, NULL, NULL)")
        .execute(&mut *first)
        .await
        .unwrap();
    let mut second = Box::pin(fixture.store.set_connection(&home, &part, &connection));
    assert!(poll_once(&mut second).is_pending(), "it queues");
    let (first, second) = tokio::join!(first.commit(), second);
    assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
    fixture.store.set_connection(&home, &part, &connection).await.unwrap();
    assert_eq!(fixture.partition("slappart0").await.connection, connection);
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
