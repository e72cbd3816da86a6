//! How all is, in numbers.

use serde_json::{Value, json};
use slapos_slap::{PartitionPromises, PromiseReport, PromiseResult};

use super::*;

impl Running {
    fn told(&self, place: &str) -> Value {
        let (status, text) = self.raw(&format!("GET {place} HTTP/1.1"), "");
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn all_is_counted_and_what_fails_is_named() {
    let (running, client) = Running::formatted(3);
    let nothing = running.told("/api/v1/summary");
    assert_eq!(nothing["instances"], json!({"total": 0, "started": 0, "failed": 0, "shared": 0}));
    assert_eq!(
        nothing["failing"],
        json!({"computers": [], "software": [], "instances": [], "promises": []})
    );
    client.request(&InstanceRequest::new("one", "s")).unwrap();
    let mut stopped = InstanceRequest::new("two", "s");
    stopped.state = Some(InstanceState::Stopped);
    client.request(&stopped).unwrap();
    let (computer, url) = (ComputerId::new("computer"), SoftwareUrl::new("s"));
    client.supply(&url, &computer, SoftwareState::Available).unwrap();
    client.software_error(&url, &computer, "no compiler").unwrap();
    client.instance_error(&computer, &"slappart0".into(), "no").unwrap();
    let found = running.told("/api/v1/summary");
    assert_eq!(found["partitions"], json!({"total": 3, "busy": 2}));
    assert_eq!(found["software"], json!({"total": 1, "available": 0, "building": 0, "error": 1}));
    assert_eq!(found["trees"], 2);
    assert_eq!(found["instances"], json!({"total": 2, "started": 1, "failed": 1, "shared": 0}));
    assert_eq!(found["failing"]["software"][0]["reported"]["message"], "no compiler");
    assert_eq!(found["failing"]["instances"].as_array().unwrap().len(), 1);
    assert_eq!(found["failing"]["instances"][0]["title"], "one");
    let total = |name: &str| found["computers"][name].as_i64().unwrap();
    assert_eq!((total("total"), total("ok") + total("never") + total("silent")), (1, 1));
}

#[test]
fn what_fails_twice_is_counted_once() {
    let (running, client) = Running::formatted(3);
    for title in ["one", "two", "three"] {
        client.request(&InstanceRequest::new(title, "s")).unwrap();
    }
    let computer = ComputerId::new("computer");
    client.instance_error(&computer, &"slappart0".into(), "no").unwrap();
    let result = |name: &str, failed| PromiseResult {
        name: name.to_owned(),
        failed,
        message: "word".to_owned(),
        seconds: 0.5,
        at: "2020-01-01T00:00:00Z".to_owned(),
    };
    let of = |partition: &str, results| PartitionPromises {
        partition: partition.to_owned(),
        results,
        names: Some(vec!["a".to_owned(), "b".to_owned()]),
    };
    let report = PromiseReport {
        partitions: vec![
            of("slappart0", vec![result("a", true), result("b", true)]),
            of("slappart1", vec![result("a", true), result("b", false)]),
            of("slappart2", vec![result("a", false), result("b", false)]),
        ],
    };
    client.tell_promises(&computer, &report).unwrap();
    let found = running.told("/api/v1/summary");
    assert_eq!(found["instances"], json!({"total": 3, "started": 3, "failed": 2, "shared": 0}));
    let broken = |guid: &str| json!({"guid": guid, "name": "a", "message": "word"});
    let both = json!([broken("computer-slappart0"), broken("computer-slappart1")]);
    assert_eq!(found["failing"]["promises"], both, "the first of each");
    let named = found["failing"]["instances"].as_array().unwrap();
    assert_eq!(named.iter().map(|one| &one["title"]).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn lists_are_as_long_as_the_numbers_say() {
    let (running, client) = Running::formatted(3);
    client.request(&InstanceRequest::new("one", "s")).unwrap();
    let asked_by = Some((home(), part(0)));
    let child = InstanceRequest { requester: asked_by.clone(), ..InstanceRequest::new("two", "t") };
    client.request(&child).unwrap();
    for (title, requester) in [("mine", None), ("its", asked_by)] {
        let guest = InstanceRequest::new(title, "s");
        client.request(&InstanceRequest { shared: true, requester, ..guest }).unwrap();
    }
    let found = running.told("/api/v1/summary");
    let number = |name: &str| found["instances"][name].as_u64().unwrap();
    assert_eq!((number("total"), number("shared"), number("started")), (2, 2, 2));
    assert_eq!((&found["trees"], &found["shared_trees"]), (&json!(1), &json!(1)));
    let length = |list: &str| running.told(list)["items"].as_array().unwrap().len();
    assert_eq!((length("/api/v1/instances"), length("/api/v1/trees")), (4, 2));
    client.instance_error(&home(), &part(0), "no").unwrap();
    assert_eq!(running.told("/api/v1/summary")["instances"]["failed"], 1);
    let failed = running.told("/api/v1/instances?state=error");
    let shared = failed["items"].as_array().unwrap().iter().map(|one| &one["shared"]);
    assert_eq!(shared.collect::<Vec<_>>(), [false, true, true], "with those that it serves");
}

#[test]
fn computers_are_listed_by_how_they_are() {
    let (running, _client) = Running::formatted(1);
    let counts = running.told("/api/v1/summary")["computers"].clone();
    for state in ["ok", "silent", "never"] {
        let listed = running.told(&format!("/api/v1/computers?state={state}"));
        let items = listed["items"].as_array().unwrap();
        assert_eq!(items.len() as u64, counts[state].as_u64().unwrap(), "{state}");
        assert!(items.iter().all(|item| item["state"] == state));
    }
    let (status, text) = running.raw("GET /api/v1/computers?state=odd HTTP/1.1", "");
    assert_eq!(status, 400);
    assert!(text.contains("ok, silent, or never"), "{text}");
    let (status, text) = running.raw("GET /api/v1/instances?state=odd HTTP/1.1", "");
    assert_eq!(status, 400);
    assert!(text.contains("started, stopped, destroyed, or error"), "{text}");
}
