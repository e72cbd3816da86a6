//! The JSON-RPC API: every method, well and badly called.

use serde_json::{Value as Json, json};
use slapos_slap::convert::request_to_form;
use slapos_slap::{InstanceRequest, InstanceState};

use crate::master::{Answer, Master, original};

/// One call, and why ours answers otherwise, if it does.
struct Call {
    method: &'static str,
    body: Json,
    differs: Option<(&'static str, u16, &'static str)>,
}

fn call(method: &'static str, body: Json) -> Call {
    Call { method, body, differs: None }
}

impl Call {
    /// Ours answers with that status and body.
    fn ours(mut self, why: &'static str, status: u16, body: &'static str) -> Self {
        self.differs = Some((why, status, body));
        self
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn json_call(master: &Master, method: &str, body: &str) -> Answer {
    // When something was processed is another time at each.
    let mut answer = master.send("POST", &format!("/slapos.{method}"), &[JSON], body.as_bytes());
    if let Some((before, after)) = answer.body.split_once("\"processing_timestamp\": ") {
        let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let known = if after.starts_with('0') { "0" } else { "NOW" };
        answer.body = format!("{before}\"processing_timestamp\": {known}{rest}");
    }
    answer
}

fn both(test: &str) -> Option<(Master, Master)> {
    let original = original(test)?;
    Some((Master::original(&original, ""), Master::ours("")))
}

fn compare(theirs: &Master, ours: &Master, calls: &[Call]) {
    for Call { method, body, differs } in calls {
        let body = body.to_string();
        let (theirs, ours) = (json_call(theirs, method, &body), json_call(ours, method, &body));
        match differs {
            None => assert_eq!(ours, theirs, "{method} {body}"),
            Some((why, status, text)) => {
                assert_ne!(ours, theirs, "{method} {body} is the same: {why}");
                assert_eq!((ours.status, ours.body.as_str()), (*status, *text), "{method}: {why}");
                assert_eq!(ours.kind, "application/json", "{method}");
            }
        }
    }
}

/// What children are asked for by, which this API has no method for.
pub(crate) fn request(master: &Master, title: &str, requester: Option<&str>, state: InstanceState) {
    let mut wanted = InstanceRequest::new(title, "/sr");
    wanted.requester = requester.map(|partition| ("local".into(), partition.into()));
    wanted.state = Some(state);
    let form = request_to_form(&wanted).unwrap();
    let encoded: Vec<_> = form
        .iter()
        .map(|(name, text)| {
            let bytes = text.bytes().map(|byte| format!("%{byte:02X}"));
            format!("{name}={}", bytes.collect::<String>())
        })
        .collect();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let body = encoded.join("&");
    let answer = master.send("POST", "/requestComputerPartition", &[kind], body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn formatted() -> Call {
    let address = |number: usize| {
        json!([{"ip-address": format!("10.0.0.{number}"), "netmask": "255.255.255.255",
                "network-interface": format!("slaptap{number}")},
               {"ip-address": format!("fd00::{number}"), "netmask": "ffff::",
                "network-interface": format!("slaptap{number}")}])
    };
    let partition = |number: usize| {
        json!({"partition_id": format!("slappart{number}"), "ip_list": address(number + 1),
               "something": "else"})
    };
    let partitions: Vec<_> = (0..4).map(partition).collect();
    let body = json!({"computer_guid": "local", "compute_partition_list": partitions});
    call("put.v0.compute_node_format", body)
}

#[test]
fn the_life_of_computers_and_software_is_told_alike() {
    let Some((theirs, ours)) = both("the_life_of_computers_and_software_is_told_alike") else {
        return;
    };
    let software = |state: &str| json!({"software_release_uri": "http://é/sr", "computer_guid": "local", "reported_state": state});
    let computer = json!({"computer_guid": "local"});
    let stranger = json!({"computer_guid": "COMP-9"});
    let not_registered =
        r#"{"status": 403, "type": "Forbidden", "title": "COMP-9 is not registered."}"#;
    let why = "what is not known is refused, not made up";
    compare(
        &theirs,
        &ours,
        &[
            formatted(),
            formatted(),
            call("get.v0.hateoas_url", json!({})),
            call("allDocs.WIP.compute_node_list", json!({})),
            call("get.v0.compute_node_status", stranger.clone()).ours(why, 403, not_registered),
            call("post.v0.compute_node_certificate", computer.clone()),
            call("remove.v0.compute_node_certificate", computer.clone()),
            call("post.v0.compute_node_usage", json!({"computer_guid": "local", "tioxml": "<x/>"})).ours(
                "what cannot be read is refused, as by the original's large Master",
                400,
                r#"{"status": 400, "type": "Bad Request", "title": "The tioxml does not validate the xsd: the document must be a <journal>"}"#,
            ),
            call("put.v0.compute_node_bang", json!({"computer_guid": "local", "message": "é"})),
            call(
                "post.v0.software_installation",
                json!({"software_release_uri": "http://é/sr", "computer_guid": "local"}),
            ),
            call(
                "post.v0.software_installation",
                json!({"software_release_uri": "http://é/sr", "computer_guid": "COMP-9"}),
            )
            .ours(why, 403, not_registered),
            call("allDocs.v0.compute_node_software_installation_list", computer.clone()),
            call("allDocs.v0.compute_node_software_installation_list", stranger.clone()),
            call("put.v0.software_installation_reported_state", software("building")),
            call(
                "put.v0.software_installation_error",
                json!({"software_release_uri": "http://é/sr", "computer_guid": "local", "message": "no"}),
            ),
            call("put.v0.software_installation_reported_state", software("available")),
            call(
                "post.v0.software_installation",
                json!({"software_release_uri": "http://é/sr", "computer_guid": "local", "state": "destroyed"}),
            ),
            call("allDocs.v0.compute_node_software_installation_list", computer.clone()),
            call("put.v0.software_installation_reported_state", software("destroyed")),
            call("allDocs.v0.compute_node_software_installation_list", computer.clone()),
            call("allDocs.v0.compute_node_instance_list", computer),
            call("allDocs.v0.compute_node_instance_list", stranger),
        ],
    );
    // Its lists were asked for: a node is there. The original's embedded Master never says.
    let status = json_call(&ours, "get.v0.compute_node_status", r#"{"computer_guid": "local"}"#);
    let status: Json = serde_json::from_str(&status.body).unwrap();
    assert_eq!(status["text"], "#access local", "{status:#}");
    assert_eq!(status["no_data_since_5_minutes"], 0, "{status:#}");
}

#[test]
fn the_life_of_instances_is_told_alike() {
    let Some((theirs, ours)) = both("the_life_of_instances_is_told_alike") else { return };
    let wanted = |more: Json| {
        let mut body =
            json!({"title": "one é", "software_release_uri": "/sr", "software_type": "default"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let parameters =
        json!({"parameters": {"a": "x", "b": {"c": [1, true, null, "it's"]}, "n": 1.5}});
    let one = |more: Json| {
        let mut body = json!({"instance_guid": "one é______0"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let absent = || json!({"instance_guid": "two______0"});
    let computer = json!({"computer_guid": "local"});
    let place =
        |partition: &str| json!({"computer_guid": "local", "compute_partition_id": partition});
    compare(
        &theirs,
        &ours,
        &[
            formatted(),
            call("post.v0.software_instance", wanted(parameters)),
            call("post.v0.software_instance", wanted(json!({"state": "stopped"}))),
            call("get.v0.software_instance", one(json!({}))),
            call("get.v0.instance_tree", json!({"title": "one é"})),
            call("get.v0.instance_tree", json!({"title": "two"})),
            call("allDocs.v0.instance_tree_list", json!({})),
            call("allDocs.v0.compute_node_instance_list", computer.clone()),
            call("get.v0.compute_partition", place("slappart0")),
            call("get.v0.compute_partition", place("slappart1")),
            call("get.v0.compute_partition", place("slappart9")),
            call("get.v0.software_instance_certificate", one(json!({}))),
            call("get.v0.software_instance", absent()),
            call("get.v0.software_instance", json!({"instance_guid": "x"})),
            call("get.v0.software_instance", json!({"instance_guid": "a___b___1"})),
            call(
                "put.v0.software_instance_connection_parameter",
                one(json!({"connection_parameter_dict": {"url": "http://x/", "port": 80}})),
            ),
            call("get.v0.software_instance", one(json!({}))),
            call("put.v0.software_instance_bang", one(json!({"message": "m"}))),
            call("put.v0.software_instance_title", one(json!({"title": "two"}))),
            call("get.v0.software_instance", absent()),
            call(
                "put.v0.software_instance_title",
                json!({"instance_guid": "two______0", "title": "one é"}),
            ),
            call("put.v0.software_instance_reported_state", one(json!({"reported_state": "started"}))),
            call("put.v0.software_instance_error", one(json!({"message": "it fails"}))),
            call("get.v0.software_instance", one(json!({}))).ours(
                "the last report is kept, and told",
                200,
                r##"{"title": "one \u00e9", "instance_guid": "one \u00e9______0", "software_release_uri": "/sr", "software_type": "default", "state": "stopped", "connection_parameters": {"port": "80", "url": "http://x/"}, "parameters": {}, "shared": false, "root_instance_title": "one \u00e9", "ip_list": [["slaptap1", "10.0.0.1"], ["slaptap1", "fd00::1"]], "full_ip_list": [], "sla_parameters": {}, "computer_guid": "local", "compute_partition_id": "slappart0", "processing_timestamp": NOW, "access_status_message": "#error it fails"}"##,
            ),
            call(
                "put.v0.software_instance_bang",
                json!({"instance_guid": "three______0", "message": "m"}),
            )
            .ours("what is not there is refused", 403, r#"{"status": 403, "type": "Forbidden", "title": "No software instance three______0 found."}"#),
        ],
    );
}

#[test]
fn shared_instances_and_trees_are_told_alike() {
    let Some((theirs, ours)) = both("shared_instances_and_trees_are_told_alike") else { return };
    compare(&theirs, &ours, &[formatted()]);
    for master in [&theirs, &ours] {
        request(master, "host", None, InstanceState::Started);
        request(master, "child", Some("slappart0"), InstanceState::Started);
    }
    let shared = |more: Json| {
        let mut body = json!({"title": "guest", "software_release_uri": "/sr", "software_type": "default", "shared": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let guest = |more: Json| {
        let mut body = json!({"instance_guid": "guest______1"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let gone = || json!({"instance_guid": "host______0", "reported_state": "destroyed"});
    compare(
        &theirs,
        &ours,
        &[
            call("get.v0.software_instance", json!({"instance_guid": "child___host___0"})),
            call("post.v0.software_instance", shared(json!({"parameters": {"domain": "x"}}))),
            call("get.v0.software_instance", guest(json!({}))),
            call("get.v0.instance_tree", json!({"title": "guest"})),
            call("allDocs.v0.instance_tree_list", json!({})),
            call("allDocs.v0.instance_node_instance_list", json!({"instance_guid": "host______0"})),
            call("allDocs.v0.instance_node_instance_list", json!({"instance_guid": "child___host___0"})),
            call("allDocs.v0.instance_node_instance_list", guest(json!({}))),
            call(
                "put.v0.software_instance_connection_parameter",
                guest(json!({"connection_parameter_dict": {"url": "http://guest/"}})),
            ),
            call("get.v0.software_instance", guest(json!({}))),
            call("put.v0.software_instance_bang", guest(json!({"message": "m"}))),
            call("put.v0.software_instance_title", guest(json!({"title": "x"}))),
            call("put.v0.software_instance_error", guest(json!({"message": "m"}))),
            call("put.v0.software_instance_reported_state", guest(json!({"reported_state": "destroyed"}))),
            call("post.v0.software_instance", shared(json!({"software_type": "other", "title": "lost"}))).ours(
                "it is said where was looked",
                403,
                r#"{"status": 403, "type": "Forbidden", "title": "No partition corresponding to slave request: lost. There is no instance of /sr with type other"}"#,
            ),
        ],
    );
    // Ours removes only what is to be removed.
    let before = json_call(&ours, "put.v0.software_instance_reported_state", &gone().to_string());
    assert_eq!(before.status, 403, "{before:?}");
    for master in [&theirs, &ours] {
        request(master, "host", None, InstanceState::Destroyed);
    }
    let refused = call("put.v0.software_instance_reported_state", gone()).ours(
        "children are named by where they are",
        403,
        r#"{"status": 403, "type": "Forbidden", "title": "Not destroying yet because this partition has child partitions: slappart1"}"#,
    );
    compare(&theirs, &ours, &[refused]);
}

#[test]
fn what_is_no_call_is_refused_alike() {
    let Some((theirs, ours)) = both("what_is_no_call_is_refused_alike") else { return };
    let request = |more: Json| {
        let mut body = json!({"title": "a", "software_release_uri": "/sr", "software_type": "t"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call("post.v0.software_instance", body)
    };
    let refused = [
        call("get.v0.hateoas_url", json!({"a": 1})),
        call("get.v0.hateoas_url", json!([])),
        call("get.v0.hateoas_url", json!("x")),
        call("get.v0.compute_node_status", json!({})),
        call("get.v0.compute_node_status", json!({"computer_guid": null})),
        call("get.v0.compute_node_status", json!({"computer_guid": "a", "b": 1, "c": 2})),
        call("post.v0.software_installation", json!({"computer_guid": "a"})),
        call(
            "post.v0.software_installation",
            json!({"computer_guid": "a", "software_release_uri": "b", "state": "started"}),
        ),
        call("get.v0.instance_tree", json!({"title": "é".repeat(201)})),
        request(json!({"shared": 1})),
        request(json!({"shared": "true", "state": 3})),
        request(json!({"parameters": []})),
        request(json!({"sla_parameters": {"retention_delay": "1"}})),
        request(json!({"sla_parameters": {"other": 1}})),
        request(json!({"title": "x".repeat(300)})),
        call(
            "put.v0.compute_node_format",
            json!({"computer_guid": "a", "compute_partition_list": {}}),
        ),
        call(
            "put.v0.compute_node_format",
            json!({"computer_guid": "a", "compute_partition_list": [{}]}),
        ),
        call(
            "put.v0.compute_node_format",
            json!({"computer_guid": "a", "compute_partition_list": [{"partition_id": "p", "ip_list": [{"netmask": 1}]}]}),
        ),
        call(
            "put.v0.software_instance_reported_state",
            json!({"instance_guid": "a______0", "reported_state": "x"}),
        ),
    ];
    compare(&theirs, &ours, &refused);
    let answers = |master: &Master| {
        let path = "/slapos.get.v0.hateoas_url";
        let plain = [("Content-Type", "text/plain")];
        let html = [JSON, ("Accept", "text/html")];
        let some =
            [("Content-Type", "application/json; charset=utf-8"), ("Accept", "a/b, */*;q=0.1")];
        [
            master.send("POST", path, &plain, b"{}"),
            master.send("POST", path, &[], b"{}"),
            master.send("POST", path, &some, b"{}"),
            master.send("POST", path, &html, b"{}"),
            master.send("POST", path, &[JSON], b"{"),
            master.send("GET", path, &[], b""),
            master.send("POST", "/slapos.get.v9.nothing", &[JSON], b"{}"),
        ]
    };
    let (theirs, ours) = (answers(&theirs), answers(&ours));
    assert_eq!(ours[..3], theirs[..3]);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.status, theirs.status, "{ours:?} {theirs:?}");
    }
    // The words of these are ours; those of the original say no more.
    insta::assert_snapshot!(ours[3].body, @r#"{"status": 406, "type": "Not Acceptable", "title": "answers are application/json"}"#);
    insta::assert_snapshot!(ours[4].body, @r#"{"status": 400, "type": "Bad Request", "title": "the body is not JSON: EOF while parsing an object at line 1 column 1"}"#);
}
