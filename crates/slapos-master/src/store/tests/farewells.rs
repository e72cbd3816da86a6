//! What trees that have ended asked other Masters for.

use slapos_sys::clock::SignedDuration;

use super::*;
use crate::store::Standing;

const ELSEWHERE: &str = "http://other";

/// A tree that asked another Master for something, and has ended.
async fn ended(store: &Store) -> InstanceRequest {
    store.format(&description("home", 1)).await.unwrap();
    ends(store, &wish("far"), ELSEWHERE).await
}

async fn ends(store: &Store, child: &InstanceRequest, master_url: &str) -> InstanceRequest {
    let before = store.due_farewells().await.unwrap();
    store.request(&wish("root")).await.unwrap();
    let mut asked = child.clone();
    asked.requester = Some(("home".into(), "slappart0".into()));
    let title = format!("slappart0_{}", child.title);
    store.note_forwarded("", &asked, master_url, &title).await.unwrap();
    let mut gone = wish("root");
    gone.state = Some(InstanceState::Destroyed);
    store.request(&gone).await.unwrap();
    assert_eq!(store.due_farewells().await.unwrap(), before);
    store.destroyed(&"home".into(), &"slappart0".into()).await.unwrap();
    asked
}

async fn due(store: &Store) -> Vec<(String, i64)> {
    let due = store.due_farewells().await.unwrap();
    due.into_iter().map(|farewell| (farewell.title, farewell.tries)).collect()
}

#[tokio::test]
async fn what_a_tree_asked_other_masters_for_is_due_when_it_ends_and_again_until_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::testing::database(&directory.path().join("proxy.db"));
    let clock = clock();
    let open = || Store::open(&database, "home".into(), Arc::clone(&clock) as _);
    let (store, other) = (open().await.unwrap(), open().await.unwrap());
    ended(&store).await;
    let mut farewell = store.due_farewells().await.unwrap().remove(0);
    let mut same = farewell.clone();
    assert_eq!(due(&store).await, [("slappart0_far".to_owned(), 0)]);
    assert_eq!(store.farewell_masters().await.unwrap(), [ELSEWHERE]);
    assert!(store.take_farewell(&mut farewell).await.unwrap());
    assert!(!other.take_farewell(&mut same).await.unwrap(), "two would ask");
    // The first pause is a minute, late ones an hour.
    for tries in 1..12 {
        assert_eq!(due(&other).await, []);
        clock.advance(SignedDuration::from_secs(if tries == 1 { 60 } else { 3600 }));
        assert_eq!(due(&other).await, [("slappart0_far".to_owned(), tries)]);
        farewell = other.due_farewells().await.unwrap().remove(0);
        assert!(other.take_farewell(&mut farewell).await.unwrap());
    }
    other.end_farewell(&farewell).await.unwrap();
    clock.advance(SignedDuration::from_secs(3600));
    assert_eq!(due(&store).await, []);
}

#[tokio::test]
async fn what_is_asked_for_again_is_not_destroyed() {
    let fixture = store(1).await;
    let asked = ended(&fixture.store).await;
    assert_eq!(due(&fixture.store).await.len(), 1);
    fixture.place("root", None).await;
    // The same Master, as the configuration has it by now.
    let elsewhere = format!("{ELSEWHERE}/");
    fixture.store.note_forwarded("", &asked, &elsewhere, "slappart0_far").await.unwrap();
    assert_eq!(due(&fixture.store).await, []);
}

/// As versions wrote them that knew nothing of tokens in addresses.
#[tokio::test]
async fn tokens_in_addresses_are_taken_out_and_what_is_wanted_is_not_to_be_destroyed() {
    const TOLD: &str = "http://me:***@other/";
    let (one, two) = ("http://me:one@other", "http://me:two@other");
    let fixture = store(1).await;
    let far = ends(&fixture.store, &wish("far"), one).await;
    ends(&fixture.store, &wish("far"), two).await;
    let near = ends(&fixture.store, &wish("near"), one).await;
    assert_eq!(due(&fixture.store).await.len(), 3);
    fixture.place("root", None).await;
    fixture.store.note_forwarded("", &near, two, "slappart0_near").await.unwrap();
    let store = opened(&fixture.database).await.unwrap();
    let due_now = store.due_farewells().await.unwrap();
    let due_now: Vec<_> = due_now.iter().map(|one| (&*one.master_url, &*one.title)).collect();
    assert_eq!(due_now, [(TOLD, "slappart0_far")]);
    let (standing, _) = store.standing("", &near).await.unwrap();
    let title = "slappart0_near".to_owned();
    assert_eq!(standing, Standing::Forwarded { master_url: TOLD.to_owned(), title });
    store.note_forwarded("", &far, TOLD, "slappart0_far").await.unwrap();
    assert_eq!(due(&store).await, []);
}

#[tokio::test]
async fn what_ends_again_while_the_other_master_is_asked_is_due_again_as_it_was_last() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::testing::database(&directory.path().join("proxy.db"));
    let clock = clock();
    let store = Store::open(&database, "home".into(), Arc::clone(&clock) as _).await.unwrap();
    ended(&store).await;
    let mut farewell = store.due_farewells().await.unwrap().remove(0);
    assert!(store.take_farewell(&mut farewell).await.unwrap());
    clock.advance(SignedDuration::from_secs(1));
    // Another tree of that name, which asked for something else by the same one.
    let mut other = InstanceRequest::new("far", "http://example.org/other.cfg");
    other.software_type = "other".to_owned();
    ends(&store, &other, ELSEWHERE).await;
    store.end_farewell(&farewell).await.unwrap();
    assert_eq!(due(&store).await, [("slappart0_far".to_owned(), 0)]);
    let last = store.due_farewells().await.unwrap().remove(0);
    assert_ne!(last.software, farewell.software);
    assert_eq!(last.software_type, "other");
}
