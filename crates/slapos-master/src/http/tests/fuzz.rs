//! Whatever is sent to whatever route by whomever: the answer is below 500, and what is refused
//! changes nothing. The routes come from the OpenAPI document, so that none is forgotten.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::*;
use crate::http::api::openapi;

/// How many requests are sent. Each opens a connection.
const CASES: u32 = 500;

/// A route, as the document describes it.
#[derive(Clone, Debug)]
struct Target {
    method: String,
    path: String,
    /// Parameters of the query.
    parameters: Vec<String>,
    /// A body that is as described.
    body: Option<Value>,
}

fn targets() -> Vec<Target> {
    let document: Value = serde_json::from_str(&openapi::text()).unwrap();
    let mut targets = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let target = Target {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect(),
                body: (!schema.is_null()).then(|| example(&document, schema, path)),
            };
            // What takes JSON has most to misunderstand.
            targets.extend(vec![target.clone(); if target.body.is_some() { 4 } else { 1 }]);
        }
    }
    targets
}

/// A value that a schema allows, and that means something where it is one of those names.
fn example(document: &Value, schema: &Value, name: &str) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let place = document.pointer(reference.trim_start_matches('#')).unwrap();
        return example(document, place, name);
    }
    if let Some(first) = schema["oneOf"].as_array().and_then(|kinds| kinds.first()) {
        return example(document, first, name);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "string" => json!(match name {
            "computer" => "computer",
            "partition" => "slappart0",
            "project" => "",
            "at" => "2026-11-26T10:00:00Z",
            "url" | "software_release" => "s",
            "state" => "started",
            _ => "default",
        }),
        "integer" => json!(1),
        "number" => json!(0.5),
        "boolean" => json!(false),
        "array" => json!([example(document, &schema["items"], name)]),
        _ => {
            let members = schema["properties"].as_object().cloned().unwrap_or_default();
            let mut whole = Map::new();
            for (member, schema) in &members {
                whole.insert(member.clone(), example(document, schema, member));
            }
            if name == "/api/v1/software" {
                whole.insert("state".to_owned(), json!("available"));
            }
            Value::Object(whole)
        }
    }
}

/// What is sent.
#[derive(Clone, Debug)]
struct Shot {
    target: Target,
    token: &'static str,
    name: String,
    query: Vec<(String, String)>,
    kind: &'static str,
    body: Vec<u8>,
}

fn shots() -> impl Strategy<Value = Shot> {
    let tokens = select(vec!["the token", "the token", "the token", "the token", "", "wrong"]);
    (select(targets()), tokens, names(), any::<prop::sample::Index>(), queries()).prop_flat_map(
        |(target, token, name, kind, query)| {
            let kinds = ["application/json", "application/x-www-form-urlencoded", "text/xml", ""];
            // Mostly what the route takes, so that its inside is reached.
            let usual = usize::from(target.body.is_none());
            let kind = kinds[if kind.index(3) == 0 { kind.index(4) } else { usual }];
            (Just(target.clone()), bodies(target.body)).prop_map(move |(target, body)| {
                let mut query: Vec<(String, String)> = query.clone();
                for (number, name) in target.parameters.iter().enumerate() {
                    if let Some(pair) = query.get_mut(number) {
                        pair.0.clone_from(name);
                    }
                }
                Shot { target, token, name: name.clone(), query, kind, body }
            })
        },
    )
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["computer", "computer-slappart0", "_s", "slappart0", "nobody", "root"])
            .prop_map(str::to_owned),
        select(vec!["..%2f..%2fetc", "%00", "%ff", "%C3%A9", "a%0d%0ab", "%25s%n", "-"])
            .prop_map(str::to_owned),
        "[a-z%]{0,4}".prop_map(|text| text.replace('%', "%25")),
        Just("x".repeat(3000)),
    ]
}

fn queries() -> impl Strategy<Value = Vec<(String, String)>> {
    let keys = select(vec!["computer_id", "computer_partition_id", "url", "x", "limit", "after"]);
    let values = prop_oneof![
        names(),
        select(vec!["0", "-1", "99999999999999999999", "W10", "WyIiXQ", "started", "None"])
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec((keys.prop_map(str::to_owned), values), 0..4)
}

const ENTITIES: &str = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bbbbbbbb'>\
    <!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d SYSTEM 'file:///etc/passwd'>]>\
    <marshal><dictionary id='i2'><string>&c;</string><string>&d;</string></dictionary></marshal>";

fn bodies(example: Option<Value>) -> impl Strategy<Value = Vec<u8>> {
    let example = example.unwrap_or_else(|| json!({"title": "t", "software_release": "s"}));
    let text = example.to_string();
    let cut = text.clone();
    let members: Vec<String> =
        example.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default();
    let strange = select(vec![
        json!(null),
        json!(-1),
        json!(1e308),
        json!([]),
        json!({"a": {"b": [1]}}),
        json!("a\u{0}b"),
        json!("\u{7}"),
        json!("é".repeat(3000)),
        json!("../../x"),
        json!("computer"),
        json!("destroyed"),
    ]);
    let changed = (select(members_or(members)), strange).prop_map(move |(member, value)| {
        let mut changed = example.clone();
        changed[member.as_str()] = value;
        changed.to_string().into_bytes()
    });
    prop_oneof![
        5 => Just(text.into_bytes()),
        5 => changed,
        2 => (0..cut.len()).prop_map(move |at| cut.as_bytes()[..at].to_vec()),
        3 => forms(),
        1 => proptest::collection::vec(any::<u8>(), 0..64),
        1 => Just(b"[".repeat(20_000)),
        1 => Just(ENTITIES.as_bytes().to_vec()),
        1 => Just([b"{\"title\": \"".as_slice(), &b"y".repeat(2 << 20), b"\"}"].concat()),
    ]
}

fn members_or(members: Vec<String>) -> Vec<String> {
    if members.is_empty() { vec!["unknown".to_owned()] } else { members }
}

/// The forms of classic SLAP, and what resembles them.
fn forms() -> impl Strategy<Value = Vec<u8>> {
    let keys = select(vec![
        "computer_id",
        "computer_partition_id",
        "computer_reference",
        "computer_partition_reference",
        "url",
        "state",
        "xml",
        "connection_xml",
        "partition_reference",
        "software_release",
        "software_type",
        "partition_parameter_xml",
        "filter_xml",
        "shared_xml",
        "slave_reference",
        "instance_reference_xml",
        "new_name",
        "error_log",
        "use_string",
    ]);
    let values = select(vec![
        "computer".to_owned(),
        "slappart0".to_owned(),
        "started".to_owned(),
        "<marshal><dictionary id='i2'/></marshal>".replace('<', "%3C").replace('>', "%3E"),
        "%3Cmarshal%3E%3Cbool%3E1%3C/bool%3E%3C/marshal%3E".to_owned(),
        ENTITIES.replace('%', "%25").replace('&', "%26").replace(' ', "+"),
        format!("%3Cmarshal%3E{}", "%3Clist%3E".repeat(3000)),
        "%3Cinstance%3E%3Cparameter id='a'%3Eb%3C/parameter%3E%3C/instance%3E".to_owned(),
        "%00".to_owned(),
        "%ff".to_owned(),
        "z".repeat(3000),
    ]);
    proptest::collection::vec((keys, values), 0..7).prop_map(|pairs| {
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join("&").into_bytes()
    })
}

/// Sends it; gives the status, and nothing of what an endless answer says.
fn fire(running: &Running, shot: &Shot) -> u16 {
    let mut path = String::new();
    for (number, piece) in shot.target.path.split(['{', '}']).enumerate() {
        path.push_str(if number % 2 == 1 { &shot.name } else { piece });
    }
    let pairs: Vec<_> = shot.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let kind = match shot.kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\n"),
    };
    let head = format!(
        "{} {path}?{} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         {kind}Content-Length: {}\r\n\r\n",
        shot.target.method,
        pairs.join("&"),
        shot.token,
        shot.body.len()
    );
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // Who is refused early need not be listened to.
    let _ = stream.write_all(&shot.body);
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            // The rest of a long body, which nobody reads, ends the connection.
            _ if shot.body.len() > 100_000 => return 413,
            other => panic!("{shot:?}: no answer: {other:?} {}", String::from_utf8_lossy(&answer)),
        }
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

/// All that is remembered and can be told, except when somebody was heard of.
fn state(running: &Running) -> String {
    let mut whole = String::new();
    for path in ["overview", "computers", "software", "instances", "trees"] {
        whole.push_str(&running.ask("GET", &format!("/api/v1/{path}"), None).1);
    }
    let guid = "/api/v1/instances/computer-slappart0";
    whole.push_str(&running.ask("GET", guid, None).1);
    whole.push_str(&running.ask("GET", &format!("{guid}/promises"), None).1);
    let contact = |text: &str| text.split("\"last_contact_at\"").count();
    let parts: Vec<_> = whole.split("\"last_contact_at\":").collect();
    assert_eq!(contact(&whole), parts.len());
    let kept = |part: &str| part.split_once(',').map(|(_, rest)| rest.to_owned());
    let rest = parts.iter().skip(1).filter_map(|part| kept(part)).collect::<String>();
    format!("{}{rest}", parts[0]).replace("\"state\":\"never\"", "\"state\":\"ok\"")
}

#[test]
fn nothing_that_is_sent_makes_the_master_fail_and_what_is_refused_changes_nothing() {
    let (running, client) = Running::formatted(3);
    client.request(&InstanceRequest::new("root", "s")).unwrap();
    client.supply(&"s".into(), &home(), SoftwareState::Available).unwrap();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let before = std::cell::RefCell::new(state(&running));
    let statuses = std::cell::RefCell::new(std::collections::BTreeMap::<u16, u32>::new());
    runner
        .run(&shots(), |shot| {
            let status = fire(&running, &shot);
            *statuses.borrow_mut().entry(status).or_default() += 1;
            // As the original says that there is no cache.
            let unconfigured = status == 503 && shot.target.path.starts_with("/shacache/");
            prop_assert!(status < 500 || unconfigured, "{status}");
            if shot.target.method == "GET" {
                return Ok(());
            }
            let now = state(&running);
            // Some refusals of classic SLAP are texts with 200.
            if status >= 400 || shot.token != "the token" {
                prop_assert_eq!(&now, &*before.borrow(), "{} changed something", status);
            }
            before.replace(now);
            Ok(())
        })
        .unwrap();
    let statuses = statuses.into_inner();
    // It is no test if everything is refused at the door.
    for status in [200, 400, 401, 404] {
        assert!(statuses.contains_key(&status), "{statuses:?}");
    }
    assert!(statuses.contains_key(&201) || statuses.contains_key(&204), "{statuses:?}");
}
