//! Of whom it is noted that he is there: nodes, whatever they ask for; and nobody who looks at them.

use axum::http::Method;
use serde_json::json;
use slapos_slap::{ComputerId, PartitionId};
use slapos_testkit::wait_for;

use super::feed::Ear;
use super::world::{OWN, Proof, World};
use crate::store::Holder;

fn last_contact(world: &World) -> Option<i64> {
    let own = ComputerId::new(OWN);
    world.runtime.block_on(world.app.store.last_contact(&own)).unwrap()
}

#[test]
fn whatever_a_node_asks_for_says_that_it_is_there() {
    let node = Holder::Computer(ComputerId::new(OWN));
    let place = format!("computer_id={OWN}&computer_partition_id=slappart0");
    let guid = json!({"instance_guid": "tree-ann______0"}).to_string();
    let calls = [
        (Method::POST, "/startedComputerPartition".to_owned(), place),
        (Method::POST, "/slapos.get.v0.software_instance".to_owned(), guid),
        (Method::GET, "/api/v1/me".to_owned(), String::new()),
        (Method::GET, "/healthz".to_owned(), String::new()),
        (Method::GET, format!("/api/v1/events?computer={OWN}"), String::new()),
    ];
    for (method, path, body) in calls {
        for by_certificate in [false, true] {
            let world = World::new();
            let proof = match by_certificate {
                true => world.certificate(&node, world.app.store.time()),
                false => world.token(&node, None),
            };
            assert_eq!(last_contact(&world), None);
            let mut heard = world.ask(&proof, &method, &path, &body).unwrap();
            assert!(heard.line().unwrap().contains(" 200 "), "{path}");
            wait_for("a contact", 60, || last_contact(&world));
        }
    }
}

#[test]
fn who_looks_at_a_computer_does_not_keep_it_alive() {
    let world = World::new();
    let part = Holder::Partition(ComputerId::new(OWN), PartitionId::new("slappart0"));
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    let paths = [
        format!("/getComputerStatus?computer_id={OWN}"),
        format!("/api/v1/computers/{OWN}"),
        format!("/api/v1/events?computer={OWN}"),
    ];
    for path in &paths {
        assert_eq!(world.status(&ann, &Method::GET, path, ""), Some(200), "{path}");
    }
    let instance = world.token(&part, None);
    let own = format!(
        "/registerComputerPartition?computer_reference={OWN}&computer_partition_reference=slappart0"
    );
    assert_eq!(world.status(&instance, &Method::GET, &own, ""), Some(200));
    let operator = Proof::Token("the token".to_owned());
    assert_eq!(world.status(&operator, &Method::GET, &paths[1], ""), Some(200));
    // That of another node is noted, and after it nothing that could still be on its way.
    let other = Holder::Computer(ComputerId::new("c-bob"));
    let bob = world.token(&other, None);
    assert_eq!(world.status(&bob, &Method::GET, "/api/v1/me", ""), Some(200));
    let store = &world.app.store;
    wait_for("a contact", 60, || {
        world.runtime.block_on(store.last_contact(&"c-bob".into())).unwrap()
    });
    assert_eq!(last_contact(&world), None);
}

#[test]
fn a_node_that_asks_often_is_noted_once() {
    let world = World::new();
    let proof = world.token(&Holder::Computer(ComputerId::new(OWN)), None);
    let mut ear = Ear::new(&world.running, "");
    assert_eq!(ear.hear().0, "resync");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(world.status(&proof, &Method::GET, "/api/v1/me", ""), Some(200));
                }
            });
        }
    });
    let first = wait_for("a contact", 60, || last_contact(&world));
    // One that waits for it writes no second time, as it would of another Master.
    world.runtime.block_on(world.app.store.contact(&OWN.into())).unwrap();
    assert_eq!(last_contact(&world), Some(first));
    world.running.client().computer_bang(&OWN.into(), "").unwrap();
    let heard: Vec<String> = std::iter::repeat_with(|| ear.change())
        .take_while(|change| !change.contains("\"bang\""))
        .collect();
    assert_eq!(heard, [r#"{"kind":"contact","computer":"c-ann"}"#]);
}
