//! Projects: titles, and what belongs to whom.

use slapos_slap::SetComputer;

use super::*;
use crate::store::{Place, Scope};

async fn request(fixture: &Fixture, project: &str, title: &str) -> InstanceAnswer {
    fixture.store.request_in(project, &wish(title)).await.unwrap()
}

#[tokio::test]
async fn titles_of_roots_are_unique_in_their_project() {
    let fixture = store(6).await;
    let one = request(&fixture, "", "a").await;
    let two = request(&fixture, "p", "a").await;
    assert_ne!(one.partition, two.partition);
    assert_eq!(request(&fixture, "p", "a").await, two);
    // A child belongs to the project of its tree, whatever project is said.
    let mut child = wish("db");
    child.requester = Some(("home".into(), two.partition.clone()));
    let of_two = fixture.store.request_in("", &child).await.unwrap();
    child.requester = Some(("home".into(), one.partition.clone()));
    let of_one = fixture.store.request_in("p", &child).await.unwrap();
    assert_ne!(of_one.partition, of_two.partition);
    let overview = fixture.store.overview().await.unwrap();
    let projects: Vec<&str> = overview.instances.iter().map(|one| one.project.as_str()).collect();
    assert_eq!(projects, ["", "p", "p", ""]);
}

#[tokio::test]
async fn a_tree_ends_with_its_root_and_its_namesake_elsewhere_lives() {
    let fixture = store(6).await;
    for project in ["", "p"] {
        let root = request(&fixture, project, "root").await;
        let mut child = wish("child");
        child.requester = Some(("home".into(), root.partition));
        fixture.request(&child).await;
        child.title = "s".into();
        child.shared = true;
        fixture.request(&child).await;
    }
    let mut gone = wish("root");
    gone.state = Some(InstanceState::Destroyed);
    fixture.store.request_in("p", &gone).await.unwrap();
    let home = "home".into();
    for partition in ["slappart2", "slappart3", "slappart2"] {
        fixture.store.destroyed(&home, &partition.into()).await.unwrap();
    }
    let overview = fixture.store.overview().await.unwrap();
    let left: Vec<_> = overview.instances.iter().map(|one| one.project.as_str()).collect();
    assert_eq!(left, ["", ""]);
    let left: Vec<_> = overview.shared.iter().map(|one| one.reference.as_str()).collect();
    assert_eq!(left, ["root_s"]);
}

#[tokio::test]
async fn a_renamed_root_keeps_what_it_shares_and_only_its_own() {
    let fixture = store(3).await;
    request(&fixture, "", "root").await;
    request(&fixture, "p", "root").await;
    let mut shared = wish("s");
    shared.shared = true;
    shared.requester = Some(("home".into(), "slappart1".into()));
    fixture.request(&shared).await;
    fixture.store.rename(&"home".into(), &"slappart1".into(), "new").await.unwrap();
    fixture.request(&shared).await;
    let overview = fixture.store.overview().await.unwrap();
    assert_eq!(overview.shared.len(), 1);
    assert_eq!(overview.shared[0].reference, "p_root_s", "its host knows it by that");
    assert_eq!(fixture.place("root", None).await.partition.as_str(), "slappart0");
}

#[tokio::test]
async fn references_of_shared_instances_never_collide() {
    let fixture = store(4).await;
    fixture.place("host", None).await;
    for (root, title) in [("a", "b_c"), ("a_b", "c")] {
        let answer = fixture.place(root, None).await;
        let mut shared = wish(title);
        shared.shared = true;
        shared.requester = Some(("home".into(), answer.partition));
        fixture.request(&shared).await;
        fixture.request(&shared).await;
    }
    let overview = fixture.store.overview().await.unwrap();
    let names: Vec<_> = overview.shared.iter().map(|one| one.reference.as_str()).collect();
    assert_eq!(names, ["a_b_c", "a_b_c-2"]);
}

async fn give(fixture: &Fixture, project: &str) -> Result<(), StoreError> {
    let change = SetComputer { project: Some(project.to_owned()), ..SetComputer::default() };
    fixture.store.set_computer(&"home".into(), &change).await.map(drop)
}

#[tokio::test]
async fn a_computer_changes_hands_but_not_with_the_instances_of_others() {
    let fixture = store(3).await;
    for project in ["p", "q"] {
        fixture.store.add_project(project).await.unwrap();
    }
    let supplied = "available".parse().unwrap();
    fixture.store.supply(&SOFTWARE.into(), &"home".into(), supplied).await.unwrap();
    request(&fixture, "", "of the operator").await;
    give(&fixture, "p").await.unwrap();
    assert_eq!(fixture.store.settings(&"home".into()).await.unwrap().project, "p");
    request(&fixture, "p", "a").await;
    // The offers have the new project, too.
    let refused = fixture.store.request_in("q", &wish("b")).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound(_)), "{refused}");
    let refused = give(&fixture, "q").await.unwrap_err();
    insta::assert_snapshot!(refused, @"home has instances of other projects, such as a: destroy them first, or give it to theirs");
    let unknown = give(&fixture, "r").await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound(_)), "{unknown}");
    assert_eq!(fixture.store.settings(&"home".into()).await.unwrap().project, "p");
    give(&fixture, "").await.unwrap();
    request(&fixture, "q", "b").await;
}

#[tokio::test]
async fn who_loses_a_computer_and_who_gets_it_are_told() {
    let fixture = store(1).await;
    for project in ["p", "q"] {
        fixture.store.add_project(project).await.unwrap();
    }
    give(&fixture, "p").await.unwrap();
    let begin = fixture.store.feed(&Scope::All, None).await.unwrap().place;
    give(&fixture, "q").await.unwrap();
    // A server tells nothing that a transaction elsewhere could still come before.
    let told = async |project: &str, from: &Place| loop {
        let scope = Scope::Projects(vec![project.to_owned()]);
        let told = fixture.store.feed(&scope, Some(from)).await.unwrap();
        if !told.pending {
            let (_, entry) = told.entries.last().unwrap();
            break (entry.kind.clone(), entry.state.clone().unwrap());
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let words = |kind: &str, state: &str| (kind.to_owned(), state.to_owned());
    assert_eq!(told("p", &begin).await, words("computer", "moved"));
    assert_eq!(told("q", &begin).await, words("settings", "open"));
}
