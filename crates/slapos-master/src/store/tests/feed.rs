//! Who listens at one Master to what others write, and how far he may have been away.

use std::task::{Context, Waker};

use super::*;
use crate::store::feed::{Entry, tell};
use crate::store::{Bell, Place, Scope};

fn was_rung(bell: &mut Bell) -> bool {
    std::pin::pin!(bell.rung()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A change of that computer.
async fn change(store: &Store, computer: &str) {
    let mut tx = store.write().await.unwrap();
    tx.ring(&computer.into());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_change_at_another_master_wakes_those_whom_it_concerns() {
    let fixture = store(1).await;
    let Database::Server(_) = fixture.database else { return };
    let other = opened(&fixture.database).await.unwrap();
    let bell = |computer: &str| fixture.store.bell(&computer.into());
    // Whoever begins to hear rings all. What is told comes later, and in its order.
    for earlier in ["first", "second"] {
        let mut bell = bell(earlier);
        change(&other, earlier).await;
        bell.rung().await;
    }
    let (mut home, mut unchanged) = (bell("home"), bell("unchanged"));
    let mut feed = fixture.store.feed_bell();
    other.bang_computer(&"home".into()).await.unwrap();
    home.rung().await;
    feed.rung().await;
    // What only the feed has.
    let mut tx = other.write().await.unwrap();
    tell(&mut tx, &Entry::default(), 1).await.unwrap();
    tx.commit().await.unwrap();
    feed.rung().await;
    let mut last = bell("last");
    change(&other, "last").await;
    last.rung().await;
    assert!(!was_rung(&mut unchanged) && !was_rung(&mut home), "woken for nothing");
}

/// A writer takes one number in a file, and up to two at a server.
#[tokio::test]
async fn whoever_was_away_for_as_many_changes_may_go_on_at_either_kind_of_database() {
    let fixture = store(1).await;
    let place = fixture.store.feed(&Scope::All, None).await.unwrap().place.to_string();
    let (era, rest) = place.split_once('-').unwrap();
    let (number, _) = rest.split_once('.').unwrap();
    let number: i64 = number.parse().unwrap();
    for (back, in_a_file, at_a_server) in
        [(40_000, true, true), (80_000, false, true), (101_000, false, false)]
    {
        let back: Place = format!("{era}-{}.1", number - back).parse().unwrap();
        let told = fixture.store.feed(&Scope::All, Some(&back)).await.unwrap();
        let is_file = matches!(fixture.database, Database::File(_));
        assert_eq!(!told.resync, if is_file { in_a_file } else { at_a_server }, "{back}");
    }
}
