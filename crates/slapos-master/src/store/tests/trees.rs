//! Roots and children: whose title it is, states, bang, new titles, and the end.

use slapos_slap::{InstanceState, PartitionId};

use super::*;
use crate::store::Freed;

#[tokio::test]
async fn titles_belong_to_trees_and_trees_are_flat() {
    let fixture = store(6).await;
    fixture.place("one", None).await; // slappart0
    fixture.place("two", None).await; // slappart1
    let first = fixture.place("db", Some("slappart0")).await; // slappart2
    let second = fixture.place("db", Some("slappart1")).await; // slappart3
    assert_ne!(first.partition, second.partition);
    // A grandchild is a child of the root.
    fixture.place("deep", Some("slappart2")).await; // slappart4
    assert_eq!(fixture.partition("slappart4").await.root_instance_title, "one");
    assert_eq!(fixture.place("db", Some("slappart4")).await, first);
    // Who asks from a free or unknown partition asks as a user.
    fixture.place("three", Some("slappart5")).await;
    assert_eq!(fixture.partition("slappart5").await.root_instance_title, "three");
    assert_eq!(fixture.place("one", Some("nowhere")).await.partition.as_str(), "slappart0");
    let trees = fixture.store.instance_trees(None).await.unwrap();
    let titles: Vec<&str> = trees.iter().map(|tree| tree.title.as_str()).collect();
    assert_eq!(titles, ["one", "three", "two"]);
}

#[tokio::test]
async fn a_child_is_never_more_alive_than_its_root() {
    let fixture = store(3).await;
    fixture.place("root", None).await;
    let mut child = wish("child");
    child.requester = Some(("home".into(), "slappart0".into()));
    assert_eq!(fixture.request(&child).await.state, InstanceState::Started);
    fixture.want("root", InstanceState::Stopped).await;
    assert_eq!(fixture.request(&child).await.state, InstanceState::Stopped);
    child.state = Some(InstanceState::Started);
    assert_eq!(fixture.request(&child).await.state, InstanceState::Stopped);
    child.state = Some(InstanceState::Destroyed);
    assert_eq!(fixture.request(&child).await.state, InstanceState::Destroyed);
    let mut late = wish("late");
    late.requester.clone_from(&child.requester);
    assert_eq!(fixture.request(&late).await.state, InstanceState::Stopped);
    fixture.want("root", InstanceState::Started).await;
    child.state = Some(InstanceState::Stopped);
    assert_eq!(fixture.request(&child).await.state, InstanceState::Stopped);
}

#[tokio::test]
async fn children_go_before_their_root() {
    let fixture = store(4).await;
    fixture.place("root", None).await;
    fixture.place("b", Some("slappart0")).await;
    fixture.place("a", Some("slappart0")).await;
    fixture.place("other", None).await;
    fixture.want("root", InstanceState::Destroyed).await;
    let before = fixture.timestamp("slappart1").await;
    let home = "home".into();
    let destroyed =
        async |partition: &str| fixture.store.destroyed(&home, &partition.into()).await.unwrap();
    let children = vec!["slappart1".into(), "slappart2".into()];
    assert_eq!(destroyed("slappart0").await, Freed::ChildrenFirst(children));
    let child = fixture.partition("slappart1").await;
    assert_eq!(child.requested_state, InstanceState::Destroyed);
    assert!(child.timestamp.unwrap() > before, "its node must look at it again");
    assert_eq!(destroyed("slappart1").await, Freed::Yes);
    assert_eq!(destroyed("slappart0").await, Freed::ChildrenFirst(vec!["slappart2".into()]));
    assert_eq!(destroyed("slappart2").await, Freed::Yes);
    assert_eq!(destroyed("slappart0").await, Freed::Yes);
    assert_eq!(destroyed("slappart0").await, Freed::Yes, "an answer may be lost");
    assert_eq!(destroyed("nowhere").await, Freed::Unknown);
    for reference in ["slappart0", "slappart1", "slappart2"] {
        assert!(fixture.partition(reference).await.is_free());
    }
    assert_eq!(fixture.partition("slappart3").await.requested_state, InstanceState::Started);
}

#[tokio::test]
async fn a_root_hears_of_the_end_of_its_last_child_elsewhere() {
    let fixture = store(2).await;
    fixture.store.format(&description("zoo", 2)).await.unwrap();
    fixture.place("root", None).await;
    for title in ["far", "farther"] {
        let mut child = wish(title);
        child.requester = Some(("home".into(), "slappart0".into()));
        child.sla.insert("computer_guid".to_owned(), "zoo".to_owned());
        fixture.request(&child).await;
    }
    fixture.place("near", Some("slappart0")).await;
    fixture.want("root", InstanceState::Destroyed).await;
    let destroyed = async |computer: &str, partition: &str| {
        fixture.store.destroyed(&computer.into(), &partition.into()).await.unwrap()
    };
    let children = ["slappart1", "slappart0", "slappart1"].map(PartitionId::from);
    assert_eq!(destroyed("home", "slappart0").await, Freed::ChildrenFirst(children.into()));
    let before = fixture.timestamp("slappart0").await;
    for (computer, partition) in [("zoo", "slappart0"), ("home", "slappart1")] {
        assert_eq!(destroyed(computer, partition).await, Freed::Yes);
        assert_eq!(fixture.timestamp("slappart0").await, before, "it still waits for another");
    }
    assert_eq!(destroyed("zoo", "slappart1").await, Freed::Yes);
    assert!(fixture.timestamp("slappart0").await > before, "nothing is in its way any more");
    assert_eq!(destroyed("home", "slappart0").await, Freed::Yes);
}

#[tokio::test]
async fn an_instance_that_is_wanted_again_keeps_its_partition() {
    let fixture = store(2).await;
    fixture.place("a", None).await;
    fixture.place("child", Some("slappart0")).await;
    fixture.want("a", InstanceState::Destroyed).await;
    fixture.want("a", InstanceState::Started).await;
    let before = fixture.store.overview().await.unwrap();
    let error = fixture.store.destroyed(&"home".into(), &"slappart0".into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)));
    insta::assert_snapshot!(error, @"Not destroying because the instance a in partition slappart0 of home is wanted started: request it as destroyed first");
    assert_eq!(fixture.store.overview().await.unwrap(), before, "the child is left alone too");
}

#[tokio::test]
async fn destruction_only_marks_until_the_node_has_done_it() {
    let fixture = store(1).await;
    fixture.place("a", None).await;
    fixture.want("a", InstanceState::Destroyed).await;
    let partition = fixture.partition("slappart0").await;
    assert_eq!(partition.requested_state, InstanceState::Destroyed);
    assert!(!partition.is_free());
    assert!(fixture.store.request(&wish("b")).await.is_err(), "it is not free yet");
}

#[tokio::test]
async fn bang_reaches_the_whole_tree_and_nothing_else() {
    let fixture = store(3).await;
    fixture.place("root", None).await;
    fixture.place("child", Some("slappart0")).await;
    fixture.place("other", None).await;
    let mut before = Vec::new();
    for reference in ["slappart0", "slappart1", "slappart2"] {
        before.push(fixture.timestamp(reference).await);
    }
    fixture.store.bang(&"home".into(), &"slappart1".into()).await.unwrap();
    assert!(fixture.timestamp("slappart0").await > before[0]);
    assert!(fixture.timestamp("slappart1").await > before[1]);
    assert_eq!(fixture.timestamp("slappart2").await, before[2]);
}

#[tokio::test]
async fn a_renamed_root_keeps_its_children() {
    let fixture = store(3).await;
    fixture.place("root", None).await;
    let child = fixture.place("child", Some("slappart0")).await;
    fixture.place("other", None).await;
    let home = "home".into();
    let rename = async |partition: &str, title: &str| {
        fixture.store.rename(&home, &partition.into(), title).await
    };
    assert!(rename("slappart0", "new").await.unwrap());
    assert_eq!(fixture.partition("slappart1").await.root_instance_title, "new");
    assert_eq!(fixture.place("child", Some("slappart0")).await.partition, child.partition);
    let error = rename("slappart2", "new").await.unwrap_err();
    insta::assert_snapshot!(error, @"other cannot be renamed: there is another instance new");
    assert!(!rename("nowhere", "x").await.unwrap());
}

#[tokio::test]
async fn what_a_child_publishes_has_its_root_looked_at() {
    let fixture = store(3).await;
    fixture.place("root", None).await;
    let child = fixture.place("child", Some("slappart0")).await;
    fixture.place("other", None).await;
    let mut last = fixture.timestamp("slappart0").await;
    let other = fixture.timestamp("slappart2").await;
    let (home, partition) = ("home".into(), "slappart1".into());
    for (url, changes) in [("http://a/", true), ("http://a/", false), ("http://b/", true)] {
        let connection = texts(&[("url", url)]);
        fixture.store.set_connection(&home, &partition, &connection).await.unwrap();
        let now = fixture.timestamp("slappart0").await;
        assert_eq!(now > last, changes, "{url}");
        last = now;
    }
    let again = fixture.place("child", Some("slappart0")).await;
    assert_eq!(again.timestamp, child.timestamp, "the child itself did not change");
    assert_eq!(again.connection, texts(&[("url", "http://b/")]));
    assert_eq!(fixture.timestamp("slappart2").await, other);
}

#[tokio::test]
async fn whoever_asks_is_told_how_the_instance_fares() {
    let fixture = store(2).await;
    fixture.place("root", None).await;
    assert_eq!(fixture.place("child", Some("slappart0")).await.access_status, None);
    let (home, partition) = ("home".into(), "slappart1".into());
    fixture.store.report_instance(&home, &partition, "error", "no").await.unwrap();
    let answer = fixture.place("child", Some("slappart0")).await;
    assert_eq!(answer.access_status.as_deref(), Some("#error no"));
}

#[tokio::test]
async fn connection_parameters_are_replaced_and_are_no_change() {
    let fixture = store(2).await;
    let first = fixture.place("a", None).await;
    let (home, partition) = ("home".into(), "slappart0".into());
    let set = async |items| fixture.store.set_connection(&home, &partition, &texts(items)).await;
    set(&[("url", "http://x/"), ("old", "1")]).await.unwrap();
    set(&[("url", "http://y/")]).await.unwrap();
    let answer = fixture.place("a", None).await;
    assert_eq!(answer.connection, texts(&[("url", "http://y/")]));
    assert_eq!(answer.timestamp, first.timestamp);
    let free = fixture.store.set_connection(&home, &"slappart1".into(), &texts(&[])).await;
    insta::assert_snapshot!(free.unwrap_err(), @"partition slappart1 of home has no instance");
}

#[tokio::test]
async fn the_addresses_of_a_tree_are_those_of_all_its_members() {
    let fixture = store(4).await;
    fixture.place("root", None).await;
    fixture.place("other", None).await;
    fixture.place("child", Some("slappart0")).await;
    let home = "home".into();
    for member in ["slappart0", "slappart2"] {
        let found = fixture.store.tree_addresses(&home, &member.into()).await.unwrap();
        let found: Vec<_> = found.iter().map(|(_, address)| address.to_string()).collect();
        assert_eq!(found, ["10.0.0.0", "10.0.0.2"]);
    }
    for (partition, words) in [("slappart3", "has no instance"), ("nowhere", "has no partition")] {
        let error = fixture.store.tree_addresses(&home, &partition.into()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn trees_are_told_by_project() {
    let fixture = store(2).await;
    fixture.place("common", None).await;
    fixture.store.request_in("own", &wish("one")).await.unwrap();
    let titles = async |projects: &[&str], title| {
        let projects: Vec<String> = projects.iter().map(|name| (*name).to_owned()).collect();
        let trees = fixture.store.trees_in(Some(&projects), title).await.unwrap();
        trees.into_iter().map(|tree| tree.title).collect::<Vec<_>>()
    };
    assert_eq!(titles(&["own"], None).await, ["one"]);
    assert_eq!(titles(&["own", ""], None).await, ["common", "one"]);
    assert_eq!(titles(&["own"], Some("common")).await, [""; 0]);
    assert_eq!(titles(&[], None).await, [""; 0]);
}
