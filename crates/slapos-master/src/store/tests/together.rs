//! Callers that write at the same time, whatever becomes of some of them.

use std::collections::BTreeSet;
use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sqlx::Row as _;

use super::*;
use crate::store::Tx;
use crate::store::offers::recount;
use crate::store::turns::MOST;

/// Ends the session that says it, at a server.
const END: &str = "SELECT CAST(pg_terminate_backend(pg_backend_pid()) AS TEXT)";

async fn titles(store: &Store) -> Vec<String> {
    let instances = store.overview().await.unwrap().instances;
    let mut titles: Vec<_> = instances.into_iter().map(|row| row.title).collect();
    titles.sort();
    titles
}

/// Requires that nothing is half there: each instance has a partition of its own, the note of it, and is
/// counted in what its computer offers.
async fn is_whole(store: &Store) {
    let titles = titles(store).await;
    let computer = store.computer(&"home".into()).await.unwrap();
    let busy = computer.partitions.iter().filter(|partition| !partition.is_free()).count();
    assert_eq!(busy, titles.len());
    let mut tx = store.write().await.unwrap();
    let sql = "SELECT count(*) AS n, max(number) AS last FROM change WHERE kind = 'request'";
    let row = sqlx::query(sql).fetch_one(&mut *tx).await.unwrap();
    assert_eq!(row.get::<i64, _>("n"), i64::try_from(titles.len()).unwrap());
    let offered = offers(&mut tx).await;
    recount(&mut tx, &"home".into()).await.unwrap();
    assert_eq!(offered, offers(&mut tx).await);
}

async fn offers(tx: &mut Tx) -> Vec<(String, i64)> {
    let sql = "SELECT software, free FROM offer ORDER BY computer, software";
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await.unwrap();
    rows.iter().map(|row| (row.get("software"), row.get("free"))).collect()
}

pub(super) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_at_once_at_two_masters_gets_what_there_is_and_nobody_the_same() {
    const ROOM: usize = 30;
    let fixture = Arc::new(store(ROOM).await);
    fixture
        .store
        .supply(&SOFTWARE.into(), &"home".into(), "available".parse().unwrap())
        .await
        .unwrap();
    let other = Arc::new(opened(&fixture.database).await.unwrap());
    let ask = |number: usize| {
        let (fixture, other) = (Arc::clone(&fixture), Arc::clone(&other));
        tokio::spawn(async move {
            let store = if number.is_multiple_of(2) { &fixture.store } else { &*other };
            let answer = store.request(&wish(&format!("{number:02}"))).await?;
            let (computer, partition) = (&answer.computer, &answer.partition);
            store.report_instance(computer, partition, "error", &number.to_string()).await?;
            Ok::<_, StoreError>(answer)
        })
    };
    let asked: Vec<_> = (0..ROOM + 10).map(ask).collect();
    let (mut granted, mut places) = (Vec::new(), BTreeSet::new());
    for (number, task) in asked.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(answer) => {
                granted.push(format!("{number:02}"));
                assert!(places.insert(answer.partition), "a partition was given twice");
            }
            Err(error) => assert!(matches!(error, StoreError::NotFound(_)), "{error}"),
        }
    }
    assert_eq!((granted.len(), titles(&other).await), (ROOM, granted));
    for instance in other.overview().await.unwrap().instances {
        let number: usize = instance.title.parse().unwrap();
        assert_eq!(instance.reported.unwrap().message, number.to_string());
    }
    is_whole(&fixture.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_at_any_moment_takes_along_nobody() {
    const ROUNDS: u64 = 40;
    let fixture = Arc::new(store(200).await);
    for round in 0..ROUNDS {
        let (one, two) = (Arc::clone(&fixture), Arc::clone(&fixture));
        let gone = tokio::spawn(async move {
            let request = wish(&format!("gone {round}"));
            let request = one.store.request(&request);
            tokio::time::timeout(Duration::from_micros(round * 100), request).await.ok();
        });
        let kept = tokio::spawn(async move { two.place(&format!("kept {round}"), None).await });
        fixture.place(&format!("own {round}"), None).await;
        gone.await.unwrap();
        kept.await.unwrap();
    }
    let titles = titles(&fixture.store).await;
    for round in 0..ROUNDS {
        for whose in ["kept", "own"] {
            assert!(titles.contains(&format!("{whose} {round}")), "{titles:?}");
        }
    }
    is_whole(&fixture.store).await;
}

/// Two who write in the same transaction: the first has finished, and waits for the second, whose turn
/// it is.
pub(super) async fn two_at_once(
    fixture: &Fixture,
) -> (tokio::task::JoinHandle<Result<(), StoreError>>, Tx) {
    let mut first = fixture.store.write().await.unwrap();
    let mut second = Box::pin(fixture.store.write());
    assert!(poll_once(&mut second).is_pending(), "it queues");
    sqlx::query("UPDATE computer SET address = 'first'").execute(&mut *first).await.unwrap();
    let first = tokio::spawn(first.commit());
    let mut second = second.await.unwrap();
    sqlx::query("UPDATE computer SET netmask = 'second'").execute(&mut *second).await.unwrap();
    (first, second)
}

/// What those two have written.
pub(super) async fn written(fixture: &Fixture) -> [bool; 2] {
    let mut tx = fixture.store.read().await.unwrap();
    let row = sqlx::query("SELECT address, netmask FROM computer").fetch_one(&mut *tx);
    let row = row.await.unwrap();
    [row.get::<String, _>("address") == "first", row.get::<String, _>("netmask") == "second"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gives_up_touches_no_other() {
    let fixture = store(1).await;
    let (first, second) = two_at_once(&fixture).await;
    drop(second);
    first.await.unwrap().unwrap();
    assert_eq!(written(&fixture).await, [true, false]);
    let (first, mut second) = two_at_once(&fixture).await;
    sqlx::query("UPDATE nothing SET a = 1").execute(&mut *second).await.unwrap_err();
    if let Database::Server(_) = fixture.database {
        // A server takes nothing more, and would call the end of it a commit.
        second.commit().await.unwrap_err();
    } else {
        drop(second);
    }
    first.await.unwrap().unwrap();
    assert_eq!(written(&fixture).await, [true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_before_all_of_it_is_there() {
    let fixture = store(1).await;
    let (first, second) = two_at_once(&fixture).await;
    assert_eq!(written(&fixture).await, [false, false]);
    assert!(!first.is_finished());
    second.commit().await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(written(&fixture).await, [true, true]);
}

/// Who is refused because nothing is there, while others write what it could see, and then that it is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_waits_until_what_it_rests_on_is_on_disk() {
    let fixture = store(1).await;
    let mut gone = wish("a");
    gone.state = Some(InstanceState::Destroyed);
    for is_lost in [false, true] {
        let mut first = fixture.store.write().await.unwrap();
        let mut refused = Box::pin(fixture.store.request(&gone));
        assert!(poll_once(&mut refused).is_pending(), "it queues");
        let mut third = Box::pin(fixture.store.write());
        assert!(poll_once(&mut third).is_pending(), "it queues");
        sqlx::query("UPDATE computer SET address = 'first'").execute(&mut *first).await.unwrap();
        let first = tokio::spawn(first.commit());
        let mut third = tokio::select! {
            biased;
            answer = &mut refused => panic!("answered before it is on disk: {answer:?}"),
            third = third => third.unwrap(),
        };
        if is_lost {
            sqlx::query(END).execute(&mut *third).await.unwrap_err();
        }
        drop(third);
        let refusal = refused.await.unwrap_err();
        let first = first.await.unwrap();
        if is_lost {
            assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal}");
            assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
            return;
        }
        assert!(matches!(refusal, StoreError::NotFound(_)), "{refusal}");
        first.unwrap();
        assert_eq!(written(&fixture).await, [true, false]);
        let Database::Server(_) = fixture.database else { return };
    }
}

/// Who has said that it is done, and goes away before it hears of it, has done it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_is_heard_though_who_changed_it_is_gone() {
    let fixture = store(1).await;
    let (_, mut second) = two_at_once(&fixture).await;
    second.ring(&"away".into());
    let mut bell = fixture.store.bell(&"away".into());
    let mut commit = Box::pin(second.commit());
    assert!(poll_once(&mut commit).is_pending());
    drop(commit);
    bell.rung().await;
    assert_eq!(written(&fixture).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_session_is_lost_all_are_told_who_lost_something() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    let (first, mut second) = two_at_once(&fixture).await;
    sqlx::query(END).execute(&mut *second).await.unwrap_err();
    let second = second.commit().await.unwrap_err();
    let first = first.await.unwrap().unwrap_err();
    assert!(matches!(first, StoreError::Unavailable(_)), "{first}, {second}");
    assert_eq!(written(&fixture).await, [false, false]);
    fixture.place("a", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_those_who_write_together_have_places_of_their_own() {
    let fixture = store(1).await;
    let (first, mut second) = two_at_once(&fixture).await;
    drop(first);
    crate::store::feed::tell(&mut second, &crate::store::feed::Entry::default(), 1).await.unwrap();
    let home = "home".into();
    let mut third = Box::pin(fixture.store.bang_computer(&home));
    assert!(poll_once(&mut third).is_pending(), "it queues");
    let (second, third) = tokio::join!(second.commit(), third);
    second.unwrap();
    third.unwrap();
    // Listeners are told of it only once all older transactions of the server have ended, whosever they
    // are, for which no bell rings.
    let mut tx = fixture.store.read().await.unwrap();
    let sql = "SELECT kind FROM feed ORDER BY transaction_number DESC, number DESC LIMIT 2";
    let rows = sqlx::query(sql).fetch_all(&mut *tx).await.unwrap();
    let kinds: Vec<String> = rows.iter().map(|row| row.get("kind")).collect();
    assert_eq!(kinds, ["bang", ""]);
}

/// Those of other Masters wait while a group is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_closed_when_it_is_full() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    let first = fixture.store.write().await.unwrap();
    let mut queue: Vec<_> = (0..MOST).map(|_| Box::pin(fixture.store.write())).collect();
    for caller in &mut queue {
        assert!(poll_once(caller).is_pending(), "it queues");
    }
    let outside = queue.pop().unwrap();
    let first = tokio::spawn(first.commit());
    let mut inside = Vec::new();
    for caller in queue {
        let turn = caller.await.unwrap();
        assert!(!first.is_finished());
        inside.push(tokio::spawn(turn.commit()));
    }
    let outside = outside.await.unwrap();
    // They are told although it says nothing.
    first.await.unwrap().unwrap();
    for inside in inside {
        inside.await.unwrap().unwrap();
    }
    outside.commit().await.unwrap();
}
