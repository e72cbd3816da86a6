//! Allocation, changes, and what counts as a change.

use slapos_slap::{InstanceState, SoftwareState};

use super::*;
use crate::store::Would;

#[tokio::test]
async fn a_new_instance_gets_the_first_free_partition_in_the_order_of_formatting() {
    let fixture = store(11).await;
    for number in 0..11 {
        let answer = fixture.place(&format!("i{number}"), None).await;
        // Not the order of names, where slappart10 comes before slappart2.
        assert_eq!(answer.partition.as_str(), format!("slappart{number}"));
        assert_eq!(answer.guid.unwrap(), format!("home-slappart{number}"));
        assert_eq!(answer.state, InstanceState::Started);
        assert_eq!(answer.ip_list[0].0, format!("slappart{number}"));
    }
    let error = fixture.store.request(&wish("one too many")).await.unwrap_err();
    insta::assert_snapshot!(error, @"No free computer partition found for: one too many. Computer home has 11 partitions, all in use: destroy an instance or format more");
}

#[tokio::test]
async fn a_request_that_changes_nothing_changes_nothing() {
    let fixture = store(2).await;
    let mut request = wish("a");
    request.parameters = texts(&[("x", "1"), ("y", "2")]);
    let first = fixture.request(&request).await;
    request.parameters = texts(&[("y", "2"), ("x", "1")]);
    assert_eq!(fixture.request(&request).await, first);
    request.state = Some(InstanceState::Started);
    assert_eq!(fixture.request(&request).await, first);
}

#[tokio::test]
async fn the_node_is_told_for_how_long_to_keep_an_instance() {
    let fixture = store(1).await;
    let mut request = wish("a");
    request.sla = texts(&[("retention_delay", "7")]);
    let first = fixture.request(&request).await;
    assert_eq!(fixture.partition("slappart0").await.filter, request.sla);
    request.sla = texts(&[("retention_delay", "8"), ("computer_guid", "home")]);
    // It changes nothing of the instance, so nobody has to look at that again.
    assert_eq!(fixture.request(&request).await, first);
    assert_eq!(fixture.partition("slappart0").await.filter, request.sla);
}

#[tokio::test]
async fn each_change_is_a_later_timestamp_even_when_the_clock_stands_still() {
    let fixture = store(1).await;
    let mut request = wish("a");
    let mut last = fixture.request(&request).await.timestamp.unwrap();
    let mut changed = async |request: &InstanceRequest| {
        let answer = fixture.request(request).await;
        let timestamp = answer.timestamp.clone().unwrap();
        assert!(timestamp > last, "{timestamp} after {last}");
        last = timestamp;
        answer
    };
    request.parameters = texts(&[("x", "1")]);
    assert_eq!(changed(&request).await.parameters, request.parameters);
    request.software = "http://example.org/other.cfg".into();
    assert_eq!(changed(&request).await.software_url, request.software);
    request.software_type = "small".to_owned();
    assert_eq!(changed(&request).await.software_type, "small");
    request.state = Some(InstanceState::Stopped);
    assert_eq!(changed(&request).await.state, InstanceState::Stopped);
    request.state = None;
    let kept = fixture.request(&request).await;
    assert_eq!(kept.state, InstanceState::Stopped, "no state keeps the state");
    assert_eq!(kept.timestamp, Some(last));
}

#[tokio::test]
async fn an_empty_type_is_the_default_one() {
    let fixture = store(1).await;
    let mut request = wish("a");
    request.software_type = String::new();
    assert_eq!(fixture.request(&request).await.software_type, "default");
}

#[tokio::test]
async fn computer_guid_chooses_the_computer_of_a_new_instance_and_never_moves_one() {
    let fixture = store(1).await;
    fixture.store.format(&description("other", 1)).await.unwrap();
    let mut request = wish("a");
    request.sla = texts(&[("computer_guid", "other")]);
    assert_eq!(fixture.request(&request).await.computer.as_str(), "other");
    request.sla = texts(&[("computer_guid", "home")]);
    assert_eq!(fixture.request(&request).await.computer.as_str(), "other");
    let mut request = wish("b");
    request.sla = texts(&[("computer_guid", "nowhere")]);
    let error = fixture.store.request(&request).await.unwrap_err();
    insta::assert_snapshot!(error, @"computer nowhere is not known: run `slapos node format` there first");
}

#[tokio::test]
async fn nothing_is_allocated_only_to_be_destroyed() {
    let fixture = store(1).await;
    let mut request = wish("a");
    request.state = Some(InstanceState::Destroyed);
    let error = fixture.store.request(&request).await.unwrap_err();
    insta::assert_snapshot!(error, @"there is no instance a, so nothing is to be destroyed");
    assert!(fixture.partition("slappart0").await.is_free());
}

#[tokio::test]
async fn a_computer_without_partitions_says_so() {
    let fixture = store(0).await;
    let error = fixture.store.request(&wish("a")).await.unwrap_err();
    insta::assert_snapshot!(error, @"No free computer partition found for: a. Computer home has no partition yet: run `slapos node format` there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_free_partition_goes_to_exactly_one_of_many() {
    let fixture = store(1).await;
    let store = Arc::new(fixture.store);
    let asking: Vec<_> = (0..24)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.request(&wish(&format!("i{number}"))).await })
        })
        .collect();
    let mut granted = 0;
    for task in asking {
        match task.await.unwrap() {
            Ok(_) => granted += 1,
            Err(StoreError::NotFound(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(granted, 1);
    assert_eq!(store.overview().await.unwrap().instances.len(), 1);
}

#[tokio::test]
async fn formatting_keeps_instances_and_forgets_partitions_that_are_gone() {
    let fixture = store(3).await;
    fixture.place("a", None).await;
    let mut new = description("home", 2);
    new.partitions.remove(1);
    new.partitions[0].addresses[0].addr = "::7".parse().unwrap();
    new.partitions[0].tap.name = "tap7".to_owned();
    fixture.store.format(&new).await.unwrap();
    let computer = fixture.store.computer(&"home".into()).await.unwrap();
    assert_eq!(computer.partitions.len(), 1);
    assert_eq!(computer.partitions[0].instance_title, "a");
    let expected = ("tap7".to_owned(), "::7".parse().unwrap());
    assert_eq!(computer.partitions[0].ip_list, [expected]);
}

#[tokio::test]
async fn a_tap_interface_with_a_gateway_is_told_as_a_route_until_it_has_none() {
    let fixture = store(1).await;
    let mut new = description("home", 1);
    let tap = &mut new.partitions[0].tap;
    tap.name = "tap0".to_owned();
    tap.ipv4_addr = "10.1.0.2".to_owned();
    tap.ipv4_netmask = "255.255.0.0".to_owned();
    tap.ipv4_gateway = "10.1.0.1".to_owned();
    tap.ipv4_network = "10.1.0.0".to_owned();
    fixture.store.format(&new).await.unwrap();
    let routes = fixture.partition("slappart0").await.full_ip_list;
    assert_eq!(routes, [new.partitions[0].route().unwrap()]);
    assert_eq!(routes[0].interface, "route_tap0");
    fixture.store.format(&description("home", 1)).await.unwrap();
    assert_eq!(fixture.partition("slappart0").await.full_ip_list, []);
}

#[tokio::test]
async fn formatting_never_forgets_an_instance() {
    let fixture = store(3).await;
    fixture.place("a", None).await;
    fixture.place("b", None).await;
    let before = fixture.store.overview().await.unwrap();
    let mut new = description("home", 1);
    new.address = "10.9.9.9".to_owned();
    new.partitions[0].reference = "slappart1".into();
    let error = fixture.store.format(&new).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)));
    insta::assert_snapshot!(error, @"home was not formatted anew: partitions that are in use are missing from its new list: slappart0 (instance a); destroy their instances first, or format with these partitions; nothing was changed");
    assert_eq!(fixture.store.overview().await.unwrap(), before);
    fixture.want("a", InstanceState::Destroyed).await;
    assert!(fixture.store.format(&new).await.is_err(), "its node has not removed it yet");
    fixture.store.destroyed(&"home".into(), &"slappart0".into()).await.unwrap();
    fixture.store.format(&new).await.unwrap();
    let computer = fixture.store.computer(&"home".into()).await.unwrap();
    assert_eq!(computer.partitions.len(), 1);
    assert_eq!(computer.partitions[0].instance_title, "b");
}

#[tokio::test]
async fn software_is_supplied_reported_and_forgotten() {
    let fixture = store(0).await;
    let (url, home) = (SOFTWARE.into(), "home".into());
    fixture.store.supply(&url, &home, SoftwareState::Available).await.unwrap();
    fixture.store.supply(&url, &home, SoftwareState::Destroyed).await.unwrap();
    let computer = fixture.store.computer(&home).await.unwrap();
    assert_eq!(computer.software.len(), 1);
    assert_eq!(computer.software[0].state, SoftwareState::Destroyed);
    fixture.store.report_software(&url, &home, "error", "no compiler").await.unwrap();
    let overview = fixture.store.overview().await.unwrap();
    let report = overview.software[0].reported.as_ref().unwrap();
    assert_eq!((report.state.as_str(), report.message.as_str()), ("error", "no compiler"));
    assert_eq!(report.at, "1970-01-12T13:46:40Z");
    fixture.store.supply(&url, &home, SoftwareState::Available).await.unwrap();
    let error = fixture.store.software_destroyed(&url, &home).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)));
    insta::assert_snapshot!(error, @"the Software Release http://example.org/software.cfg is wanted available on home, so it is not forgotten: supply it as destroyed first");
    fixture.store.supply(&url, &home, SoftwareState::Destroyed).await.unwrap();
    fixture.store.software_destroyed(&url, &home).await.unwrap();
    fixture.store.software_destroyed(&url, &home).await.unwrap();
    assert!(fixture.store.computer(&home).await.unwrap().software.is_empty());
    let nowhere = "nowhere".into();
    let error = fixture.store.supply(&url, &nowhere, SoftwareState::Available).await;
    assert!(matches!(error, Err(StoreError::NotFound(_))));
}

#[tokio::test]
async fn reports_show_in_the_access_status_and_change_nothing_else() {
    let fixture = store(1).await;
    fixture.place("a", None).await;
    let (home, partition) = ("home".into(), "slappart0".into());
    let before = fixture.partition("slappart0").await;
    assert_eq!(before.access_status, None);
    fixture.store.report_instance(&home, &partition, "error", "it broke").await.unwrap();
    let broken = fixture.partition("slappart0").await;
    assert_eq!(broken.access_status.as_deref(), Some("#error it broke"));
    assert!(broken.is_in_error());
    fixture.store.report_instance(&home, &partition, "started", "").await.unwrap();
    let well = fixture.partition("slappart0").await;
    assert_eq!(well.access_status.as_deref(), Some("#access Instance correctly started"));
    assert_eq!(well.timestamp, before.timestamp);
    let unknown = fixture.store.report_instance(&home, &"x".into(), "started", "").await;
    assert_eq!(unknown.unwrap_err().to_string(), "computer home has no partition x");
}

/// Who does not wait for the end may have it done all the same, and does not know more.
#[tokio::test]
async fn what_is_done_is_told_before_it_is_made_sure_and_a_refusal_is_not() {
    let fixture = Arc::new(store(1).await);
    let cut_off = Arc::clone(&fixture);
    let asked = tokio::spawn(async move {
        let told = |would: Would| -> () { panic!("cut off when it is to {would:?}") };
        cut_off.store.granted("", &wish("a"), true, told).await.map(drop)
    });
    assert!(asked.await.unwrap_err().is_panic());
    assert_eq!(fixture.store.check("", &wish("a")).await.unwrap().0, Would::Create);
    let granted = async |title: &str| {
        let told = std::cell::Cell::new(None);
        let telling = |would| told.set(Some(would));
        let done = fixture.store.granted("", &wish(title), false, telling).await;
        assert_eq!(done.ok().map(|(_, would)| would), told.get());
        told.get()
    };
    assert_eq!(granted("a").await, Some(Would::Create));
    assert_eq!(granted("a").await, Some(Would::Nothing));
    assert_eq!(granted("no room").await, None);
}
