//! A server that does not answer, callers that say nothing, and faults of the task that writes: who loses
//! something by it is told so, and nobody else loses anything. At a file there is none of it.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use sqlx::Executor as _;

use super::together::{poll_once, two_at_once, written};
use super::*;
use crate::store::Writers;
use crate::store::turns::{Limits, Turns};

/// A lock that nothing else uses; waited for until it is given up, where nothing else is said.
const LOCK: &str = "SELECT CAST(pg_advisory_lock(hashtext(current_schema())) AS TEXT)";
const UNLOCK: &str = "SELECT CAST(pg_advisory_unlock(hashtext(current_schema())) AS TEXT)";

/// A store at a server with other limits, if there is a server.
async fn limited(change: impl FnOnce(&mut Limits)) -> Option<Fixture> {
    let mut fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return None };
    let mut limits = Limits::default();
    change(&mut limits);
    let (pools, bells) = (fixture.store.pools.clone(), Arc::clone(&fixture.store.bells));
    fixture.store.writers = Writers::Turns(Turns::new(pools, bells, limits));
    Some(fixture)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_does_not_end_loses_what_was_written_together() {
    let answer = Duration::from_secs(2);
    let Some(fixture) = limited(|limits| limits.answer = answer).await else { return };
    let pools = &fixture.store.pools;
    let mut blocker = pools.readers.acquire().await.unwrap();
    blocker.execute(LOCK).await.unwrap();
    let (first, mut second) = two_at_once(&fixture).await;
    let error = sqlx::query(LOCK).execute(&mut *second).await.unwrap_err();
    assert!(error.to_string().contains("the server does not answer"), "{error}");
    // The connection is out of the way at once, although the server still works there.
    let places = tokio::join!(pools.writers.acquire(), pools.writers.acquire());
    assert!(places.0.is_ok() && places.1.is_ok(), "a lost connection has its place still");
    drop(places);
    blocker.execute(UNLOCK).await.unwrap();
    let first = first.await.unwrap().unwrap_err();
    assert!(matches!(first, StoreError::Unavailable(_)), "{first}");
    let error = second.commit().await.unwrap_err().to_string();
    assert!(error.contains("what was written together was lost together"), "{error}");
    let other = opened(&fixture.database).await.unwrap();
    other.request(&wish("a")).await.unwrap();
    assert_eq!(written(&fixture).await, [false, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_given_up_and_touches_no_other() {
    let silence = Duration::from_millis(200);
    let Some(fixture) = limited(|limits| limits.silence = silence).await else { return };
    let silent = loop {
        let mut first = fixture.store.write().await.unwrap();
        let mut second = Box::pin(fixture.store.write());
        assert!(poll_once(&mut second).is_pending(), "it queues");
        let update = sqlx::query("UPDATE computer SET address = 'first'");
        // A machine that does other things may have been silent in its place.
        if update.execute(&mut *first).await.is_err() {
            continue;
        }
        let first = tokio::spawn(first.commit());
        let mut second = second.await.unwrap();
        let update = sqlx::query("UPDATE computer SET netmask = 'second'");
        let _ = update.execute(&mut *second).await;
        if first.await.unwrap().is_ok() {
            break second;
        }
    };
    let error = silent.commit().await.unwrap_err();
    insta::assert_snapshot!(error, @"the Master's database cannot be used at present: the turn to write ended before all was said, or what was written together was lost together; try again later");
    assert_eq!(written(&fixture).await, [true, false]);
}

/// Those of other Masters have their turn between two groups.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_when_a_group_is_old_is_in_the_next_one() {
    let Some(fixture) = limited(|limits| limits.longest = Duration::ZERO).await else { return };
    let (first, second) = two_at_once(&fixture).await;
    assert_eq!(written(&fixture).await, [true, false]);
    second.commit().await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(written(&fixture).await, [true, true]);
}

struct Faulty;

impl Wake for Faulty {
    fn wake(self: Arc<Self>) {
        panic!("whoever answers is to meet a fault");
    }
}

/// On one thread, so that nobody answers before there is something to meet.
#[tokio::test]
async fn after_a_fault_in_the_task_that_writes_it_goes_on_with_the_next_group() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    let (first, mut second) = two_at_once(&fixture).await;
    let waker = Waker::from(Arc::new(Faulty));
    let mut asking = Box::pin(sqlx::query("SELECT 1 AS n").execute(&mut *second));
    assert!(asking.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let first = first.await.unwrap().unwrap_err();
    assert!(matches!(first, StoreError::Unavailable(_)), "{first}");
    assert_eq!(written(&fixture).await, [false, false]);
    fixture.place("a", None).await;
}

/// Those who ask go away in the middle, and the server does not answer.
#[tokio::test]
async fn a_read_that_was_cut_off_does_not_keep_its_place_for_ever() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    let (store, pools) = (&fixture.store, &fixture.store.pools);
    let mut blocker = pools.writers.acquire().await.unwrap();
    blocker.execute(LOCK).await.unwrap();
    for _ in 0..pools.readers.options().get_max_connections() {
        let mut tx = store.read().await.unwrap();
        tx.execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await.unwrap();
        assert!(poll_once(&mut tx.execute(LOCK)).is_pending());
    }
    let mut read = store.read().await;
    for _ in 0..10 {
        if read.is_ok() {
            break;
        }
        read = store.read().await;
    }
    drop(read.unwrap());
    blocker.execute(UNLOCK).await.unwrap();
}
