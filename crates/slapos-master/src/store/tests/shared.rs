//! Shared instances.

use slapos_slap::{InstanceState, Value};

use super::*;
use crate::store::{InstanceFilter, Scope, Window};

fn slave(title: &str, parameters: &[(&str, &str)]) -> InstanceRequest {
    let mut request = wish(title);
    request.shared = true;
    request.parameters = texts(parameters);
    request
}

#[tokio::test]
async fn a_host_is_told_of_each_change_of_its_slaves() {
    let fixture = store(2).await;
    let error = fixture.store.request(&slave("s", &[])).await.unwrap_err();
    insta::assert_snapshot!(error, @"No partition corresponding to slave request: s. There is no instance of http://example.org/software.cfg with type default");
    fixture.place("host", None).await;
    let mut last = fixture.timestamp("slappart0").await;
    let answer = fixture.request(&slave("s", &[("port", "80")])).await;
    assert_eq!((answer.guid, answer.partition.as_str()), (None, "slappart0"));
    assert_eq!(answer.ip_list.len(), 1);
    let host = fixture.partition("slappart0").await;
    let listed = &host.slave_instance_list[0];
    assert_eq!(listed["slave_reference"], Value::str("_s"));
    assert_eq!(listed["slave_title"], Value::str("_s"));
    assert_eq!(listed["port"], Value::str("80"));
    for (port, changes) in [("80", true), ("80", false), ("81", true)] {
        fixture.request(&slave("s", &[("port", port)])).await;
        let now = fixture.timestamp("slappart0").await;
        assert_eq!(now > last, changes, "port {port}");
        last = now;
    }
    let mut gone = slave("s", &[]);
    gone.state = Some(InstanceState::Destroyed);
    fixture.request(&gone).await;
    let host = fixture.partition("slappart0").await;
    assert!(host.slave_instance_list.is_empty());
    assert!(host.timestamp.unwrap() > last);
    assert!(fixture.store.request(&gone).await.is_err());
}

#[tokio::test]
async fn the_host_publishes_for_its_slaves() {
    let fixture = store(1).await;
    fixture.place("host", None).await;
    fixture.request(&slave("s", &[])).await;
    let url = texts(&[("url", "http://s/")]);
    let (home, host) = ("home".into(), "slappart0".into());
    fixture.store.set_shared_connection(&home, &host, "_s", &url).await.unwrap();
    assert_eq!(fixture.request(&slave("s", &[])).await.connection, url);
    assert_eq!(fixture.request(&slave("s", &[("a", "b")])).await.connection, url);
    let trees = fixture.store.instance_trees(None).await.unwrap();
    assert!(trees[1].shared && trees[1].connection == url);
    let unknown = fixture.store.set_shared_connection(&home, &host, "_t", &url).await;
    insta::assert_snapshot!(unknown.unwrap_err(), @"partition slappart0 of home hosts no shared instance _t");
}

#[tokio::test]
async fn a_shared_instance_is_as_its_host_once_it_is_served() {
    let fixture = store(1).await;
    let (home, host) = ("home".into(), "slappart0".into());
    fixture.place("host", None).await;
    fixture.request(&slave("s", &[])).await;
    let told = async || {
        let shown = fixture.store.show_instance(&Scope::All, "_s").await.unwrap().instance;
        shown.reported.map(|told| (told.state, told.message))
    };
    assert_eq!(told().await, None);
    fixture.store.report_instance(&home, &host, "started", "").await.unwrap();
    assert_eq!(told().await, None, "nothing is published for it");
    fixture.store.report_instance(&home, &host, "error", "of others").await.unwrap();
    assert_eq!(told().await, Some(("error".to_owned(), String::new())));
    fixture.store.report_instance(&home, &host, "started", "").await.unwrap();
    let url = texts(&[("url", "http://s/")]);
    fixture.store.set_shared_connection(&home, &host, "_s", &url).await.unwrap();
    assert_eq!(told().await, Some(("started".to_owned(), String::new())));
}

#[tokio::test]
async fn those_in_a_state_are_listed_as_they_are_shown() {
    let fixture = store(2).await;
    let (home, host) = ("home".into(), "slappart0".into());
    fixture.place("host", None).await;
    fixture.request(&slave("s", &[])).await;
    let listed = async |state: &str| {
        let filter = InstanceFilter { state: state.to_owned(), ..InstanceFilter::default() };
        let window = Window { limit: 10, ..Window::default() };
        let page = fixture.store.list_instances(&Scope::All, &window, &filter).await.unwrap();
        page.items.into_iter().map(|one| one.title).collect::<Vec<_>>()
    };
    assert!(listed("error").await.is_empty());
    fixture.store.report_instance(&home, &host, "error", "no").await.unwrap();
    fixture.place("other", None).await;
    assert_eq!(listed("error").await, ["host", "s"]);
    assert_eq!(listed("started").await, ["host", "other", "s"]);
    assert!(listed("stopped").await.is_empty());
}

#[tokio::test]
async fn instance_guid_chooses_the_host_and_a_freed_host_takes_its_slaves_along() {
    let fixture = store(2).await;
    fixture.place("one", None).await;
    fixture.place("two", None).await;
    let mut request = slave("s", &[]);
    request.sla = texts(&[("instance_guid", "home-slappart1")]);
    assert_eq!(fixture.request(&request).await.partition.as_str(), "slappart1");
    request.sla.clear();
    assert_eq!(fixture.request(&request).await.partition.as_str(), "slappart1", "it stays");
    fixture.want("two", InstanceState::Destroyed).await;
    fixture.store.destroyed(&"home".into(), &"slappart1".into()).await.unwrap();
    assert!(fixture.store.overview().await.unwrap().shared.is_empty());
    assert_eq!(fixture.request(&request).await.partition.as_str(), "slappart0");
}

#[tokio::test]
async fn a_tree_hears_of_its_shared_instances_and_takes_them_along() {
    let fixture = store(2).await;
    fixture.place("host", None).await;
    fixture.place("root", None).await;
    let mut request = slave("s", &[]);
    request.requester = Some(("home".into(), "slappart1".into()));
    fixture.request(&request).await;
    let before = fixture.timestamp("slappart1").await;
    let url = texts(&[("url", "http://s/")]);
    let (home, host) = ("home".into(), "slappart0".into());
    fixture.store.set_shared_connection(&home, &host, "root_s", &url).await.unwrap();
    let after = fixture.timestamp("slappart1").await;
    assert!(after > before);
    fixture.store.set_shared_connection(&home, &host, "root_s", &url).await.unwrap();
    assert_eq!(fixture.timestamp("slappart1").await, after, "nothing changed");

    fixture.request(&slave("kept", &[])).await;
    let before = fixture.timestamp("slappart0").await;
    fixture.want("root", InstanceState::Destroyed).await;
    fixture.store.destroyed(&home, &"slappart1".into()).await.unwrap();
    let shared = fixture.store.overview().await.unwrap().shared;
    assert_eq!(shared.len(), 1, "that of a user stays");
    assert!(fixture.timestamp("slappart0").await > before, "the host must serve it no more");
}
