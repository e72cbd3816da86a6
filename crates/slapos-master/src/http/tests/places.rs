//! Requests as callers see them: judged, forwarded, checked, and the settings of computers.
#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

mod remarks;

use std::sync::Arc;

use slapos_slap::{AllocationScope, InstanceRequest, SetComputer, SlapError};

use super::*;
use crate::requests::Desk;
use crate::{OtherMaster, RequestsConfig};

fn formatted(running: &Running) -> SlapClient {
    let client = running.client();
    client.load_computer_configuration(&description(2)).unwrap();
    client
}

/// A Master with that configuration of requests.
fn configured(requests: RequestsConfig) -> Running {
    Running::arranged(move |master| {
        let app = Arc::get_mut(&mut master.app).unwrap();
        app.desk = Desk::new(requests, app.run_id.clone());
    })
}

/// The whole answer to a request with a body of that type.
fn whole(running: &Running, head: &str, kind: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(running.address).unwrap();
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer the token\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn json(running: &Running, head: &str, body: &str) -> serde_json::Value {
    let answer = whole(running, head, "application/json", body);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn strict_release(directory: &std::path::Path) -> String {
    let software = directory.join("software.cfg").display().to_string();
    std::fs::write(
        directory.join("software.cfg.json"),
        r#"{"serialisation": "xml", "software-type": {"default": {"request": "in.json"}}}"#,
    )
    .unwrap();
    let schema = r#"{"properties": {"port": {"type": "integer"}}, "additionalProperties": false}"#;
    std::fs::write(directory.join("in.json"), schema).unwrap();
    software
}

#[test]
fn parameters_that_do_not_fit_are_refused_with_reasons() {
    let running = Running::new();
    let client = formatted(&running);
    let directory = tempfile::tempdir().unwrap();
    let software = strict_release(directory.path());
    let mut request = InstanceRequest::new("a", software.as_str());
    request.parameters = [("port".to_owned(), "many".to_owned())].into();
    let Err(SlapError::Server { status, body, .. }) = client.request(&request) else { panic!() };
    assert_eq!(status, 422);
    assert!(body.contains(r#"$.port: "many" is not of type "integer""#), "{body}");
    assert!(client.overview().unwrap().instances.is_empty());
    request.parameters = [("port".to_owned(), "80".to_owned())].into();
    client.request(&request).unwrap();
    // A schema that changes later refuses nothing that is there.
    std::fs::write(directory.path().join("in.json"), r#"{"required": ["other"]}"#).unwrap();
    client.request(&request).unwrap();
    request.state = Some(slapos_slap::InstanceState::Destroyed);
    request.parameters.clear();
    client.request(&request).unwrap();
}

#[test]
fn the_api_says_which_parameters_do_not_fit() {
    let running = Running::new();
    formatted(&running);
    let directory = tempfile::tempdir().unwrap();
    let software = strict_release(directory.path());
    let ask = |parameters: serde_json::Value| {
        let wish = serde_json::json!({"title": "a", "software_release": software, "parameters": parameters});
        wish.to_string()
    };
    let expected =
        serde_json::json!({"path": "$.port", "message": "\"many\" is not of type \"integer\""});
    let wrong = serde_json::json!({"port": "many"});
    let refused = |head: &str, body: &str| {
        let answer = whole(&running, head, "application/json", body);
        assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        let (_, problem) = answer.split_once("\r\n\r\n").unwrap();
        let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
        assert_eq!(problem["errors"], serde_json::json!([expected]), "{problem}");
        assert_eq!(problem["status"], 422);
    };
    refused("POST /api/v1/instances", &ask(wrong.clone()));
    let made = json(&running, "POST /api/v1/instances", &ask(serde_json::json!({"port": "80"})));
    let change = format!("PATCH /api/v1/instances/{}", made["guid"].as_str().unwrap());
    refused(&change, &serde_json::json!({"parameters": wrong}).to_string());
    let said = json(&running, "POST /api/v1/requests/check", &ask(wrong.clone()));
    assert_eq!((&said["would"], &said["place"]), (&"nothing".into(), &serde_json::Value::Null));
    assert_eq!(said["schema"]["errors"], serde_json::json!([expected]));
    // What is wrong otherwise has no such list.
    let other = json(&running, "POST /api/v1/instances", "{}");
    assert_eq!(other["errors"], serde_json::Value::Null);
}

#[test]
fn refusals_are_in_the_status_line_for_those_who_read_no_more() {
    let running = Running::new();
    formatted(&running);
    let form = "partition_reference=a&software_release=b&filter_xml=%3Cint%3E1%3C%2Fint%3E";
    let kind = "application/x-www-form-urlencoded";
    let answer = whole(&running, "POST /requestComputerPartition", kind, form);
    let first = answer.lines().next().unwrap().to_owned();
    assert_eq!(first, "HTTP/1.1 400 filter_xml: a dictionary is expected");
}

#[test]
fn another_master_serves_what_the_configuration_says() {
    let there = Running::new();
    let far = formatted(&there);
    far.load_computer_configuration(&description(3)).unwrap();
    let url = format!("http://{}", there.address);
    let other = OtherMaster {
        url: url.clone(),
        software: vec!["http://remote/software.cfg".into()],
        requester: None,
        identity: None,
        token: Some(Secret::new("the token")),
    };
    let requests = RequestsConfig { other_masters: vec![other], ..RequestsConfig::default() };
    let here = configured(requests);
    let client = formatted(&here);
    let mut request = InstanceRequest::new("a", "http://remote/software.cfg");
    let answer = client.request(&request).unwrap().unwrap();
    assert_eq!(answer.master_url.as_deref(), Some(url.as_str()));
    let titles = |client: &SlapClient| {
        let all = client.overview().unwrap().instances;
        let mut titles: Vec<_> = all.into_iter().map(|one| one.title).collect();
        titles.sort_unstable();
        titles
    };
    assert_eq!((titles(&client), titles(&far)), (vec![], vec!["user_a".to_owned()]));
    // By the API it is granted too, says by whom, and is found.
    let wish = r#"{"title": "d", "software_release": "http://remote/software.cfg"}"#;
    let answer = whole(&here, "POST /api/v1/instances", "application/json", wish);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let (_, told) = answer.split_once("\r\n\r\n").unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    assert_eq!((&told["master_url"], &told["state"]), (&url.clone().into(), &"started".into()));
    let said = json(&here, "POST /api/v1/requests/check", wish);
    let why = format!("the Master {url} would be asked, which decides");
    assert_eq!((&said["would"], &said["why"]), (&"forward".into(), &why.into()));
    let listed: Vec<_> = client.list_forwarded().unwrap();
    let listed: Vec<_> = listed.iter().map(|one| (one.title.as_str(), &one.master_url)).collect();
    assert_eq!(listed, [("a", &url), ("d", &url)]);
    let page = json(&here, "GET /api/v1/forwarded?limit=1", "");
    let next = format!("GET /api/v1/forwarded?limit=1&after={}", page["next"].as_str().unwrap());
    assert_eq!(json(&here, &next, "")["items"][0]["title_there"], "user_d");
    let wish = wish.replace("}", r#", "state": "destroyed"}"#);
    let answer = whole(&here, "POST /api/v1/instances", "application/json", &wish);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(client.list_forwarded().unwrap().len(), 1);
    // What that Master refuses, and what nobody configured.
    request.sla = [("computer_guid".to_owned(), "nowhere".to_owned())].into();
    request.title = "b".into();
    let Err(SlapError::NotFound { message, .. }) = client.request(&request) else { panic!() };
    assert!(message.contains("computer nowhere is not known"), "{message}");
    request.sla = [("master_url".to_owned(), "http://foreign".to_owned())].into();
    let Err(SlapError::NotFound { message, .. }) = client.request(&request) else { panic!() };
    assert_eq!(
        message,
        "External SlapOS Master URL http://foreign is not listed in multimaster list."
    );
    // By name, for any release; and an end.
    request = InstanceRequest::new("c", "http://any");
    request.sla = [("master_url".to_owned(), url.clone())].into();
    client.request(&request).unwrap();
    assert_eq!(titles(&far), ["user_a", "user_c", "user_d"]);
    // It is remembered who serves it.
    request.sla.clear();
    request.state = Some(slapos_slap::InstanceState::Destroyed);
    assert_eq!(client.request(&request).unwrap().unwrap().master_url, Some(url));
    assert!(client.request(&request).is_err(), "nobody knows it any more");
    drop(there);
    let request = InstanceRequest::new("a", "http://remote/software.cfg");
    assert!(client.request(&request).unwrap_err().is_temporary());
}

#[test]
fn computers_are_closed_and_opened_and_checks_say_so() {
    let running = Running::new();
    let client = formatted(&running);
    let change = SetComputer {
        allocation_scope: Some(AllocationScope::Closed),
        title: Some("Old one".to_owned()),
        ..SetComputer::default()
    };
    let settings = client.set_computer(&"computer".into(), &change).unwrap();
    assert_eq!(settings.title, "Old one");
    let wish = r#"{"title": "a", "software_release": "http://s"}"#;
    let said = json(&running, "POST /api/v1/requests/check", wish);
    assert_eq!(said["would"], "nothing");
    assert!(said["why"].as_str().unwrap().contains("is closed for new instances"), "{said}");
    let open =
        SetComputer { allocation_scope: Some(AllocationScope::Open), ..SetComputer::default() };
    client.set_computer(&"computer".into(), &open).unwrap();
    let said = json(&running, "POST /api/v1/requests/check", wish);
    assert_eq!(
        (&said["would"], &said["place"]["partition"]),
        (&"create".into(), &"slappart0".into())
    );
    assert!(client.overview().unwrap().instances.is_empty());
    assert!(client.set_computer(&"nobody".into(), &open).is_err());
}

#[test]
fn a_restart_is_heard_by_the_node() {
    let running = Running::new();
    let client = formatted(&running);
    client.request(&InstanceRequest::new("a", "http://s")).unwrap();
    let told = || client.computer_partition(&"computer".into(), &"slappart0".into()).unwrap();
    assert_eq!(told().restart, None);
    let answer =
        whole(&running, "POST /api/v1/instances/computer-slappart0/restart", "text/plain", "");
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(told().restart.is_some());
}

#[test]
fn forms_are_told_what_a_release_wants() {
    let running = Running::new();
    let directory = tempfile::tempdir().unwrap();
    let software = strict_release(directory.path());
    let route =
        |project| format!("GET /api/v1/schema?software_release={software}&project={project}");
    let said = json(&running, &route(""), "");
    assert_eq!(said["software"]["types"][0]["id"], "default");
    let refused = whole(&running, &route("p"), "text/plain", "");
    assert!(refused.starts_with("HTTP/1.1 404") && refused.contains("operator only"), "{refused}");
}

#[test]
fn one_of_many_clients_gets_the_last_partition() {
    let (running, _) = Running::formatted(1);
    let won: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|number| {
                let client = running.client();
                let ask = move || client.request(&InstanceRequest::new(format!("i{number}"), "s"));
                scope.spawn(move || match ask() {
                    Ok(Some(_)) => 1,
                    Err(SlapError::NotFound { .. }) => 0,
                    other => panic!("{other:?}"),
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
}
