//! Instances that nobody asks for any more, restarts, and states that a person wants.

use super::*;

async fn tree(fixture: &Fixture) {
    fixture.place("root", None).await;
    fixture.place("a", Some("slappart0")).await;
    fixture.place("b", Some("slappart0")).await;
    // Another instance of the tree asks for this one.
    fixture.place("c", Some("slappart1")).await;
    let mut shared = wish("s");
    shared.shared = true;
    shared.requester = Some(("home".into(), "slappart0".into()));
    fixture.request(&shared).await;
}

async fn orphans(fixture: &Fixture) -> Vec<String> {
    let overview = fixture.store.overview().await.unwrap();
    let instances = overview.instances.into_iter().map(|one| (one.title, one.orphan_since));
    let shared = overview.shared.into_iter().map(|one| (one.reference, one.orphan_since));
    instances.chain(shared).filter(|(_, since)| since.is_some()).map(|(name, _)| name).collect()
}

#[tokio::test]
async fn what_is_no_longer_asked_for_is_marked_until_it_is() {
    let fixture = store(5).await;
    tree(&fixture).await;
    let (home, root) = ("home".into(), "slappart0".into());
    let before = fixture.timestamp("slappart2").await;
    fixture.store.still_asked_for(&home, &root, &["a".to_owned()]).await.unwrap();
    assert_eq!(orphans(&fixture).await, ["b", "root_s"]);
    assert_eq!(fixture.timestamp("slappart2").await, before, "it is left alone");
    assert_eq!(fixture.partition("slappart2").await.requested_state, InstanceState::Started);
    fixture.place("b", Some("slappart0")).await;
    assert_eq!(orphans(&fixture).await, ["root_s"]);
    fixture.store.still_asked_for(&home, &root, &["b".to_owned(), "s".to_owned()]).await.unwrap();
    assert_eq!(orphans(&fixture).await, ["a"]);
    // An instance that somebody else asked for since is his.
    fixture.place("a", Some("slappart3")).await;
    fixture.store.still_asked_for(&home, &root, &[]).await.unwrap();
    assert_eq!(orphans(&fixture).await, ["b", "root_s"]);
    fixture.store.still_asked_for(&home, &"slappart4".into(), &[]).await.unwrap();
    assert!(fixture.store.still_asked_for(&home, &"x".into(), &[]).await.is_err());
}

#[tokio::test]
async fn orphans_are_destroyed_when_a_person_says_so() {
    let fixture = store(4).await;
    tree(&fixture).await;
    let (home, root) = ("home".into(), "slappart0".into());
    fixture.store.still_asked_for(&home, &root, &["a".to_owned()]).await.unwrap();
    let gone = fixture.store.destroy_orphans(&home, &root).await.unwrap();
    assert_eq!(gone, ["b", "s"]);
    assert_eq!(fixture.partition("slappart2").await.requested_state, InstanceState::Destroyed);
    assert_eq!(fixture.partition("slappart1").await.requested_state, InstanceState::Started);
    assert!(fixture.store.overview().await.unwrap().shared.is_empty());
}

#[tokio::test]
async fn a_restart_is_told_to_the_node_and_again_when_it_is_wanted_again() {
    let fixture = store(1).await;
    fixture.place("a", None).await;
    let (home, partition) = ("home".into(), "slappart0".into());
    let before = fixture.partition("slappart0").await;
    assert_eq!(before.restart, None);
    fixture.store.restart(&home, &partition).await.unwrap();
    let first = fixture.partition("slappart0").await;
    assert!(first.restart.is_some() && first.timestamp > before.timestamp);
    fixture.place("a", None).await;
    assert_eq!(fixture.partition("slappart0").await.restart, first.restart);
    fixture.store.restart(&home, &partition).await.unwrap();
    assert!(fixture.partition("slappart0").await.restart > first.restart);
    fixture.want("a", InstanceState::Stopped).await;
    let error = fixture.store.restart(&home, &partition).await.unwrap_err();
    insta::assert_snapshot!(error, @"the instance a is wanted stopped, so that there is nothing to restart: request it as started");
}
