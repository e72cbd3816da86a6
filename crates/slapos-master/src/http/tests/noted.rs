//! What nodes and instances do, in the audit log: all that has to do with credentials, what changes
//! something, and nothing of what they ask and report at each run.

use std::net::TcpListener;

use axum::http::Method;
use slapos_slap::{ComputerId, PartitionId};
use slapos_testkit::wait_for;

use super::world::{OWN, Proof, World};
use crate::OtherMaster;
use crate::store::Holder;

/// What is noted of one request.
fn noted(world: &World, proof: &Proof, method: &Method, path: &str, body: &str) -> Vec<String> {
    world.noted();
    let status = world.status(proof, method, path, body).unwrap();
    assert!((200..300).contains(&status), "{path}: {status}");
    let told = |entry: crate::store::AuditTold| {
        format!("{}: {} {} {}", entry.caller, entry.method, entry.route, entry.about)
    };
    world.noted().into_iter().map(told).collect()
}

#[test]
fn what_people_do_is_noted_with_what_it_is_about() {
    let world = World::new();
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    let post = Method::POST;
    let supply = format!(r#"{{"computer": "{OWN}", "url": "s", "state": "available"}}"#);
    let entry = |what: &str| [format!("user ann: {what}")];
    assert_eq!(
        noted(&world, &ann, &Method::PUT, "/api/v1/software", &supply),
        entry(&format!("PUT /api/v1/software {OWN}: available s"))
    );
    let wish = r#"{"title": "web", "software_release": "s", "state": "stopped"}"#;
    assert_eq!(noted(&world, &ann, &post, "/api/v1/requests/check", wish), [""; 0]);
    assert_eq!(
        noted(&world, &ann, &post, "/api/v1/instances", wish),
        entry("POST /api/v1/instances alpha/web stopped")
    );
    let form = "partition_reference=web&software_release=other";
    assert_eq!(
        noted(&world, &ann, &post, "/requestComputerPartition", form),
        entry("POST /requestComputerPartition alpha/web")
    );
    let path = format!("/api/v1/instances/{OWN}-slappart0");
    let change = r#"{"state": "stopped", "parameters": {"password": "secret"}}"#;
    assert_eq!(
        noted(&world, &ann, &Method::PATCH, &path, change),
        entry(&format!(
            "PATCH /api/v1/instances/{{guid}} {OWN}-slappart0: state=stopped, parameters"
        ))
    );
}

#[test]
fn what_is_asked_at_each_run_is_noted_when_it_changes_something() {
    let world = World::new();
    let instance =
        world.token(&Holder::Partition(ComputerId::new(OWN), PartitionId::new("slappart0")), None);
    let node = world.token(&Holder::Computer(ComputerId::new(OWN)), None);
    let own = format!("computer_id={OWN}&computer_partition_id=slappart0");
    let child = format!("{own}&partition_reference=child&software_release=s");
    let ask = || noted(&world, &instance, &Method::POST, "/requestComputerPartition", &child);
    let entry =
        format!("partition {OWN}/slappart0: POST /requestComputerPartition {OWN}/slappart0: child");
    assert_eq!(ask(), [entry]);
    assert_eq!(ask(), [""; 0], "nothing is different");
    let certificate = format!("/getComputerPartitionCertificate?{own}");
    let ask = || noted(&world, &node, &Method::GET, &certificate, "");
    let route = "GET /getComputerPartitionCertificate";
    assert_eq!(ask(), [format!("computer {OWN}: {route} {OWN}/slappart0")]);
    assert_eq!(ask(), [""; 0], "it is the same");
    let report = || noted(&world, &node, &Method::POST, "/startedComputerPartition", &own);
    assert_eq!(report(), [""; 0]);
    let again = format!("/getFullComputerInformation?computer_id={OWN}");
    assert_eq!(noted(&world, &node, &Method::GET, &again, ""), [""; 0]);
}

#[test]
fn what_is_asked_by_who_does_not_wait_for_the_answer_is_noted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = OtherMaster {
        url: format!("http://{}", silent.local_addr().unwrap()),
        software: vec!["http://far/software.cfg".into()],
        requester: None,
        identity: None,
        token: None,
    };
    let world = World::arranged(|config| config.requests.other_masters = vec![other], |_| {});
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    let wish = r#"{"title": "web", "software_release": "http://far/software.cfg"}"#;
    let asking = world.ask(&ann, &Method::POST, "/api/v1/instances", wish).unwrap();
    let (asked, _) = silent.accept().unwrap();
    drop(silent);
    assert_eq!(world.noted(), []);
    drop(asking);
    let entry = wait_for("the entry", 60, || world.noted().pop());
    let told = (entry.caller.as_str(), entry.about.as_str(), entry.outcome);
    assert_eq!(told, ("user ann", "alpha/web", 499));
    drop(asked);
}
