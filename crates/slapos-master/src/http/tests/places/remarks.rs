//! What people are told beside the answer: wishes that are not kept are refused or named, and so is
//! what ends with an instance.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::world::{OWN, Proof, World};
use super::super::*;
use crate::store::Holder;

#[test]
fn a_shared_instance_is_there_or_not_and_nothing_between() {
    let (running, client) = Running::formatted(1);
    client.request(&InstanceRequest::new("host", "s")).unwrap();
    let mut wish = json!({"title": "guest", "software_release": "s", "shared": true});
    wish["state"] = json!("stopped");
    let (status, refused) = running.api("POST", "/api/v1/instances", Some(&wish));
    assert_eq!(status, 409, "{refused}");
    insta::assert_snapshot!(refused["title"].as_str().unwrap(), @"a shared instance cannot be stopped: it is there, or destroyed; what serves it can be");
    let (_, said) = running.api("POST", "/api/v1/requests/check", Some(&wish));
    assert_eq!((&said["would"], &said["why"]), (&json!("nothing"), &refused["title"]));
    wish["state"] = json!("started");
    let (status, made) = running.api("POST", "/api/v1/instances", Some(&wish));
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v1/instances/{}", made["guid"].as_str().unwrap());
    let stop = json!({"state": "stopped"});
    assert_eq!(running.api("PATCH", &path, Some(&stop)).0, 409);
    let started = json!({"state": "started"});
    assert_eq!(running.api("PATCH", &path, Some(&started)).0, 200);
    // SLAP takes it, as the original does.
    let mut request = InstanceRequest::new("guest", "s");
    request.shared = true;
    request.state = Some(InstanceState::Stopped);
    assert_eq!(client.request(&request).unwrap().unwrap().state, InstanceState::Started);
}

#[test]
fn what_is_not_followed_and_what_ends_with_an_instance_is_said() {
    let (running, client) = Running::formatted(2);
    let mut other = description(1);
    other.reference = "other".into();
    client.load_computer_configuration(&other).unwrap();
    client.supply(&"s".into(), &home(), SoftwareState::Available).unwrap();
    let mut wish = json!({"title": "web", "software_release": "s"});
    let (_, made) = running.api("POST", "/api/v1/instances", Some(&wish));
    assert_eq!(made["remarks"], Value::Null);
    wish["sla"] = json!({"computer_guid": "other"});
    let words = "It stays on computer, which is not one with computer_guid=other: an instance is \
                 not moved";
    let (_, said) = running.api("POST", "/api/v1/requests/check", Some(&wish));
    assert_eq!((&said["would"], &said["remarks"]), (&json!("change"), &json!([words])));
    let path = "/api/v1/instances/computer-slappart0";
    let (status, changed) = running.api("PATCH", path, Some(&json!({"sla": wish["sla"]})));
    assert_eq!((status, &changed["remarks"]), (200, &json!([words])));
    wish["sla"] = json!({"computer_guid": "computer"});
    let (_, again) = running.api("POST", "/api/v1/instances", Some(&wish));
    assert_eq!(again["remarks"], Value::Null);

    let guest = |title: &str, by: Option<usize>| {
        let mut request = InstanceRequest::new(title, "s");
        request.shared = true;
        request.requester = by.map(|number| (home(), part(number)));
        request.sla = [("instance_guid".to_owned(), "computer-slappart0".to_owned())].into();
        client.request(&request).unwrap();
    };
    guest("own", Some(0));
    wish["state"] = json!("destroyed");
    let check = || running.api("POST", "/api/v1/requests/check", Some(&wish)).1;
    assert_eq!(check()["remarks"], Value::Null, "its own end with it in any case");
    guest("alien", None);
    let words = "Shared instances that others asked for and it serves end with it: _alien";
    assert_eq!(check()["remarks"], json!([words]));
    for number in 0..10 {
        guest(&format!("b{number}"), None);
    }
    let said = check()["remarks"][0].as_str().unwrap().to_owned();
    assert!(said.ends_with("_b8, and more"), "{said}");
    let (_, gone) = running.api("PATCH", path, Some(&json!({"state": "destroyed"})));
    assert_eq!(gone["remarks"], json!([said]));
}

#[test]
fn that_nobody_supplies_its_release_is_said_as_long_as_it_is_so() {
    let (running, client) = Running::formatted(1);
    let supply = |url: &str, state| client.supply(&url.into(), &home(), state).unwrap();
    let words = |url: &str| {
        json!([format!(
            "Nobody supplies {url} to computer: unless it is there already, the instance waits until \
             somebody does"
        )])
    };
    // The Master's own computer gets instances of what it does not have, and does not build it, either.
    let wish = json!({"title": "web", "software_release": "s"});
    let check = |wish: &Value| running.api("POST", "/api/v1/requests/check", Some(wish)).1;
    let said = check(&wish);
    assert_eq!((&said["would"], &said["remarks"]), (&json!("create"), &words("s")));
    let (status, made) = running.api("POST", "/api/v1/instances", Some(&wish));
    assert_eq!((status, &made["remarks"]), (201, &words("s")));
    supply("s", SoftwareState::Available);
    let (status, again) = running.api("POST", "/api/v1/instances", Some(&wish));
    assert_eq!((status, &again["remarks"]), (200, &Value::Null));

    let path = "/api/v1/instances/computer-slappart0";
    let other = json!({"software_release": "t"});
    let mut wish = json!({"title": "web", "software_release": "t"});
    assert_eq!(check(&wish)["remarks"], words("t"));
    let (status, changed) = running.api("PATCH", path, Some(&other));
    assert_eq!((status, &changed["remarks"]), (200, &words("t")));
    supply("t", SoftwareState::Available);
    assert_eq!(running.api("PATCH", path, Some(&other)).1["remarks"], Value::Null);
    supply("t", SoftwareState::Destroyed);
    assert_eq!(running.api("PATCH", path, Some(&other)).1["remarks"], words("t"));
    wish["state"] = json!("destroyed");
    assert_eq!(check(&wish)["remarks"], Value::Null, "it does not wait for anything");
}

#[test]
fn a_person_in_several_projects_names_one_as_slap_does() {
    let world = World::new();
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    world.runtime.block_on(world.app.store.add_member("beta", "ann")).unwrap();
    let tell = |proof: &Proof, project: &str, path: &str| {
        let sla = json!({"project_guid": project, "computer_guid": OWN});
        let wish = json!({"title": "web", "software_release": "s", "sla": sla});
        let answer = world.ask(proof, &Method::POST, path, &wish.to_string()).unwrap().rest();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
    };
    let (status, body) = tell(&ann, "", "/api/v1/requests/check");
    assert!(status == "400" && body.contains("--node project_guid=NAME"), "{body}");
    let (status, body) = tell(&ann, "alpha", "/api/v1/requests/check");
    assert!(status == "200" && body.contains("\"create\""), "{body}");
    let (status, body) = tell(&ann, "alpha", "/api/v1/instances");
    assert!(status == "201" && body.contains("\"project\":\"alpha\""), "{body}");
    let operator = Proof::Token("the token".to_owned());
    assert_eq!(tell(&ann, "nowhere", "/api/v1/instances").0, "404");
    assert_eq!(tell(&operator, "nowhere", "/api/v1/instances").0, "404");
}
