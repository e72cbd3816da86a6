//! Places of new instances on several computers, and what computers may be used for.

use slapos_slap::{AllocationScope, SetComputer, SoftwareState};

use super::*;

/// Computers besides `home`, each with that many partitions and the release in that state.
async fn fleet(fixture: &Fixture, computers: &[(&str, usize, &str)]) {
    for (name, partitions, reported) in computers {
        fixture.store.format(&description(name, *partitions)).await.unwrap();
        supply(fixture, name, reported).await;
    }
}

async fn supply(fixture: &Fixture, name: &str, reported: &str) {
    let (url, computer) = (SOFTWARE.into(), name.into());
    fixture.store.supply(&url, &computer, SoftwareState::Available).await.unwrap();
    if !reported.is_empty() {
        fixture.store.report_software(&url, &computer, reported, "").await.unwrap();
    }
}

async fn set(fixture: &Fixture, name: &str, change: SetComputer) {
    fixture.store.set_computer(&name.into(), &change).await.unwrap();
}

fn scope(scope: AllocationScope) -> SetComputer {
    SetComputer { allocation_scope: Some(scope), ..SetComputer::default() }
}

async fn placed(fixture: &Fixture, title: &str, sla: &[(&str, &str)]) -> Result<String, String> {
    let mut request = wish(title);
    request.sla = texts(sla);
    let answer = fixture.store.request(&request).await;
    answer.map(|answer| answer.guid.unwrap()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn instances_go_where_the_release_is_and_then_where_it_will_be() {
    let fixture = store(0).await;
    fleet(
        &fixture,
        &[("a", 1, ""), ("b", 2, "available"), ("c", 1, "error"), ("d", 1, "available")],
    )
    .await;
    let mut places = Vec::new();
    for title in ["1", "2", "3", "4", "5"] {
        places.push(placed(&fixture, title, &[]).await.unwrap());
    }
    let expected = ["b-slappart0", "b-slappart1", "d-slappart0", "a-slappart0", "c-slappart0"];
    assert_eq!(places, expected);
    insta::assert_snapshot!(placed(&fixture, "6", &[]).await.unwrap_err(), @"No free computer partition found for: 6. 4 computers have the release: 4 full. Computer home has no partition yet: run `slapos node format` there");
    // What becomes free is offered again.
    let mut gone = wish("3");
    gone.state = Some(InstanceState::Destroyed);
    fixture.request(&gone).await;
    fixture.store.destroyed(&"d".into(), &"slappart0".into()).await.unwrap();
    assert_eq!(placed(&fixture, "6", &[]).await.unwrap(), "d-slappart0");
}

#[tokio::test]
async fn the_masters_own_computer_needs_no_release_and_comes_last_without() {
    let fixture = store(1).await;
    fleet(&fixture, &[("a", 1, "available")]).await;
    assert_eq!(placed(&fixture, "1", &[]).await.unwrap(), "a-slappart0");
    assert_eq!(placed(&fixture, "2", &[]).await.unwrap(), "home-slappart0");
    let fixture = store(1).await;
    fleet(&fixture, &[("a", 5, "available")]).await;
    supply(&fixture, "home", "available").await;
    assert_eq!(placed(&fixture, "1", &[]).await.unwrap(), "home-slappart0");
}

#[tokio::test]
async fn a_child_goes_to_the_computer_of_who_asks_if_that_has_the_release() {
    let fixture = store(2).await;
    fleet(&fixture, &[("a", 3, "available"), ("z", 3, "available")]).await;
    supply(&fixture, "home", "available").await;
    placed(&fixture, "root", &[("computer_guid", "z")]).await.unwrap();
    let mut child = wish("child");
    child.requester = Some(("z".into(), "slappart0".into()));
    assert_eq!(fixture.request(&child).await.computer.as_str(), "z");
    child = InstanceRequest { software: "http://other/".into(), title: "two".into(), ..child };
    assert_eq!(fixture.request(&child).await.computer.as_str(), "home");
}

#[tokio::test]
async fn closed_and_draining_computers_take_nothing_and_keep_what_they_have() {
    let fixture = store(0).await;
    fleet(&fixture, &[("a", 3, "available"), ("b", 3, "available"), ("c", 1, "available")]).await;
    let kept = placed(&fixture, "kept", &[("computer_guid", "a")]).await.unwrap();
    set(&fixture, "a", scope(AllocationScope::Drain)).await;
    set(&fixture, "b", scope(AllocationScope::Closed)).await;
    assert_eq!(placed(&fixture, "1", &[]).await.unwrap(), "c-slappart0");
    insta::assert_snapshot!(placed(&fixture, "2", &[]).await.unwrap_err(), @"No free computer partition found for: 2. 3 computers have the release: 1 closed, 1 draining, 1 full. Computer home has no partition yet: run `slapos node format` there");
    insta::assert_snapshot!(placed(&fixture, "2", &[("computer_guid", "b")]).await.unwrap_err(), @"No free computer partition found for: 2. Computer b is closed for new instances: `slapos proxy computer set b --scope open` opens it");
    // Asking again for what is there is no new instance.
    assert_eq!(placed(&fixture, "kept", &[]).await.unwrap(), kept);
    let left = fixture.store.settings(&"a".into()).await.unwrap().remaining;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].title.as_str(), left[0].root_title.as_str()), ("kept", "kept"));
    set(&fixture, "b", scope(AllocationScope::Open)).await;
    assert_eq!(placed(&fixture, "2", &[]).await.unwrap(), "b-slappart0");
}

#[tokio::test]
async fn no_more_than_the_capacity() {
    let fixture = store(3).await;
    set(&fixture, "home", SetComputer { capacity: Some(Some(1)), ..SetComputer::default() }).await;
    placed(&fixture, "1", &[]).await.unwrap();
    insta::assert_snapshot!(placed(&fixture, "2", &[]).await.unwrap_err(), @"No free computer partition found for: 2. Computer home holds as many instances as its capacity, 1: destroy one or raise it");
    set(&fixture, "home", SetComputer { capacity: Some(None), ..SetComputer::default() }).await;
    placed(&fixture, "2", &[]).await.unwrap();
}

#[tokio::test]
async fn labels_and_networks_choose_computers() {
    let fixture = store(0).await;
    fleet(&fixture, &[("a", 9, "available"), ("b", 3, "available"), ("c", 3, "available")]).await;
    let labels = |items| SetComputer { labels: Some(texts(items)), ..SetComputer::default() };
    set(&fixture, "b", labels(&[("region", "eu"), ("disk", "ssd")])).await;
    for (name, network) in [("a", "lan"), ("b", "lan"), ("c", "wan")] {
        let change = SetComputer { network: Some(network.to_owned()), ..SetComputer::default() };
        set(&fixture, name, change).await;
    }
    assert_eq!(placed(&fixture, "1", &[("label_disk", "ssd")]).await.unwrap(), "b-slappart0");
    assert_eq!(placed(&fixture, "2", &[("network_guid", "wan")]).await.unwrap(), "c-slappart0");
    insta::assert_snapshot!(placed(&fixture, "3", &[("region", "us")]).await.unwrap_err(), @"No free computer partition found for: 3. 3 computers have the release: 3 not with region=us. Computer home is not one with region=us");
    // A tree whose root is in the one network gets its child in the other, and no third one.
    placed(&fixture, "root", &[("computer_guid", "a")]).await.unwrap();
    let mut child = wish("child");
    child.requester = Some(("a".into(), "slappart0".into()));
    child.sla = texts(&[("mode", "unique_by_network")]);
    assert_eq!(fixture.request(&child).await.computer.as_str(), "c");
    child.title = "more".into();
    let error = fixture.store.request(&child).await.unwrap_err();
    insta::assert_snapshot!(error, @"No free computer partition found for: more. 3 computers have the release: 3 in no network or in one that has an instance of the tree. Computer home is in no network, and one is asked for: say which with `slapos proxy computer set`");
}

#[tokio::test]
async fn filters_that_pass_over_many_find_what_fits() {
    let fixture = store(0).await;
    for number in 0..150 {
        fleet(&fixture, &[(&format!("c{number:03}"), 1, "available")]).await;
    }
    let labels = Some(texts(&[("disk", "ssd")]));
    set(&fixture, "c149", SetComputer { labels, ..SetComputer::default() }).await;
    assert_eq!(placed(&fixture, "1", &[("label_disk", "ssd")]).await.unwrap(), "c149-slappart0");
}

#[tokio::test]
async fn a_check_tells_what_would_be_done_and_does_nothing() {
    let fixture = store(1).await;
    let before = fixture.store.overview().await.unwrap();
    let (would, answer) = fixture.store.check("", &wish("a")).await.unwrap();
    assert_eq!((would, answer.guid.unwrap().as_str()), (crate::Would::Create, "home-slappart0"));
    assert_eq!(fixture.store.overview().await.unwrap(), before);
    fixture.request(&wish("a")).await;
    assert_eq!(fixture.store.check("", &wish("a")).await.unwrap().0, crate::Would::Nothing);
    let mut other = wish("a");
    other.parameters = texts(&[("x", "1")]);
    assert_eq!(fixture.store.check("", &other).await.unwrap().0, crate::Would::Change);
    assert!(fixture.store.check("", &wish("b")).await.is_err());
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let fixture = store(0).await;
    let home = "home".into();
    let refused = async |change: SetComputer| {
        fixture.store.set_computer(&home, &change).await.unwrap_err().to_string()
    };
    let network = Some("a\nb".to_owned());
    insta::assert_snapshot!(refused(SetComputer { network, ..SetComputer::default() }).await, @"title, network and labels are lines of at most 1000 bytes");
    let labels = Some(texts(&[("", "x")]));
    insta::assert_snapshot!(refused(SetComputer { labels, ..SetComputer::default() }).await, @"a label needs a name");
    let unknown = fixture.store.set_computer(&"x".into(), &SetComputer::default()).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn a_host_that_fits_is_found_behind_many_that_do_not() {
    let fixture = store(70).await;
    for number in 0..70 {
        fixture.place(&format!("host{number:02}"), None).await;
    }
    fixture.store.format(&description("zoo", 1)).await.unwrap();
    let labels = Some([("disk".to_owned(), "ssd".to_owned())].into());
    set(&fixture, "zoo", SetComputer { labels, ..SetComputer::default() }).await;
    placed(&fixture, "far", &[("computer_guid", "zoo")]).await.unwrap();
    let mut slave = wish("slave");
    slave.shared = true;
    slave.sla = texts(&[("label_disk", "ssd")]);
    assert_eq!(fixture.request(&slave).await.computer.as_str(), "zoo");
}

/// A request that asks for nothing about its place goes a shorter way at a server than a check.
#[tokio::test]
async fn what_a_check_foretells_is_what_a_request_gets() {
    let mut seed = 7_usize;
    let mut any = |choices: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % choices
    };
    for round in 0..12 {
        let fixture = store(any(3)).await;
        fixture.store.add_project("p").await.unwrap();
        if any(2) == 0 {
            supply(&fixture, "home", ["", "available", "error"][any(3)]).await;
        }
        for name in ["a", "b", "c", "d", "e", "z"] {
            fleet(&fixture, &[(name, any(4), ["", "available", "error"][any(3)])]).await;
            let capability = [("capability", "gpu"), ("region", "eu")];
            let change = SetComputer {
                project: Some(["", "p"][any(2)].to_owned()),
                allocation_scope: (any(5) == 0).then_some(AllocationScope::Closed),
                labels: (any(4) == 0).then(|| texts(&capability[any(2)..])),
                capacity: (any(3) == 0).then_some(Some(1)),
                ..SetComputer::default()
            };
            set(&fixture, name, change).await;
        }
        let mut granted = [0, 0];
        for number in 0..40 {
            let computer = ["home", "a", "c", "nowhere"][any(4)];
            let sla = [("computer_guid", computer), ("retention_delay", "3")];
            let which = any(2);
            let request =
                InstanceRequest { sla: texts(&sla[any(3)..]), ..wish(&format!("{number}")) };
            let project = ["", "p"][which];
            let foretold = fixture.store.check(project, &request).await;
            let answer = fixture.store.request_in(project, &request).await;
            let foretold = foretold.map(|(_, answer)| answer).map_err(|why| why.to_string());
            assert_eq!(answer.map_err(|why| why.to_string()), foretold, "{round}, {number}");
            granted[which] += usize::from(foretold.is_ok());
        }
        let foretold = fixture.store.overview().await.unwrap().instances.len();
        assert_eq!(granted.iter().sum::<usize>(), foretold);
    }
}
