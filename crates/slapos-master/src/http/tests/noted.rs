//! What nodes and instances do, in the audit log: all that has to do with credentials, what changes
//! something, and nothing of what they ask and report at each run.

use std::net::TcpListener;

use axum::http::Method;
use serde_json::Value;
use slapos_slap::{ComputerId, PartitionId};
use slapos_testkit::wait_for;

use super::super::routes;
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

/// Otherwise who has something, or has lost it, may know it, and the log not, when a Master is killed.
#[test]
fn what_gives_or_takes_credentials_or_membership_waits_for_its_entry() {
    let (at_once, others): (Vec<_>, Vec<_>) =
        routes().into_iter().partition(|route| route.audited.is_at_once());
    let name = |route: &super::super::access::Route| format!("{} {}", route.method, route.path);
    let at_once: Vec<_> = at_once.iter().map(name).collect();
    insta::assert_snapshot!(at_once.join("\n"), @"
    POST /requestComputer
    POST /generateComputerCertificate
    POST /revokeComputerCertificate
    POST /softwareInstanceRename
    GET /getComputerPartitionCertificate
    GET /hateoas/computer_module/Base_getComputerToken
    POST /Person_requestComputer
    POST /slapos.post.v0.compute_node_certificate
    POST /slapos.remove.v0.compute_node_certificate
    POST /slapos.get.v0.software_instance_certificate
    POST /slapos.put.v0.software_instance_title
    DELETE /api/v1/computers/{id}
    PATCH /api/v1/computers/{id}
    POST /api/v1/users
    DELETE /api/v1/users/{name}
    POST /api/v1/users/{name}/tokens
    DELETE /api/v1/users/{name}/tokens
    DELETE /api/v1/users/{name}/tokens/{id}
    POST /api/v1/projects
    DELETE /api/v1/projects/{name}
    PUT /api/v1/projects/{name}/members/{user}
    DELETE /api/v1/projects/{name}/members/{user}
    POST /api/v1/computers
    POST /api/v1/computers/{id}/token
    DELETE /api/v1/computers/{id}/token
    POST /api/v1/computers/{id}/certificate
    DELETE /api/v1/computers/{id}/certificate
    POST /api/v1/computers/{id}/partitions/{partition}/token
    DELETE /api/v1/computers/{id}/partitions/{partition}/token
    ");
    const WORDS: [&str; 5] = ["token", "certificate", "users", "projects", "requestcomputer"];
    let is_about = |path: &str| {
        let path = path.to_lowercase();
        WORDS.iter().any(|word| path.contains(word)) && path != "/requestcomputerpartition"
    };
    let left = others.iter().filter(|route| route.method != Method::GET && is_about(route.path));
    assert_eq!(left.map(name).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn what_a_person_is_given_and_loses_is_in_the_log_before_it_is_answered() {
    let world = World::new();
    let operator = Proof::Token("the token".to_owned());
    let newest = || {
        let entries = world.runtime.block_on(world.app.store.audit("", 1)).unwrap();
        entries.into_iter().next().map(|entry| format!("{} {}", entry.method, entry.route))
    };
    let ask = |method: Method, path: &str, body: &str, route: &str| {
        let told = world.told(&operator, &method, path, body).unwrap();
        assert!((200..300).contains(&told.status), "{path}: {}", told.head);
        assert_eq!(newest().as_deref(), Some(format!("{method} {route}").as_str()));
        told.json.unwrap_or_default()
    };
    let (tokens, member) = ("/api/v1/users/bob/tokens", "/api/v1/projects/alpha/members/bob");
    let route = "/api/v1/users/{name}/tokens";
    let made = ask(Method::POST, tokens, "{}", route);
    let made: Value = serde_json::from_str(&made).unwrap();
    let token = format!("{tokens}/{}", made["id"].as_str().unwrap());
    ask(Method::DELETE, &token, "", "/api/v1/users/{name}/tokens/{id}");
    ask(Method::DELETE, tokens, "", route);
    ask(Method::PUT, member, "", "/api/v1/projects/{name}/members/{user}");
    ask(Method::DELETE, member, "", "/api/v1/projects/{name}/members/{user}");
    ask(Method::DELETE, "/api/v1/users/bob", "", "/api/v1/users/{name}");
    ask(Method::POST, "/api/v1/computers", r#"{"title": "new"}"#, "/api/v1/computers");
    ask(Method::DELETE, "/api/v1/computers/new", "", "/api/v1/computers/{id}");
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
