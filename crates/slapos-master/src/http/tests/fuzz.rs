//! Whatever is sent to whatever route by whomever: it is answered, below 500, and what is refused
//! changes nothing of all that is remembered. Each route of the list gets the same number of shots; what
//! it takes comes from the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Shutdown;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use super::super::routes;
use super::asking::about_ann;
use super::world::{FOREIGN, OWN, Proof, World, computer_of};
use super::*;
use crate::http::access::Route;
use crate::http::api::openapi;
use crate::store::Holder;

/// Who sends the shots at each route. Each opens a connection.
const SENDERS: [Sender; 12] = {
    use Sender::{Instance, Nobody, Node, Operator, Person};
    [
        Operator, Person, Node, Instance, Operator, Person, Nobody, Operator, Node, Person,
        Instance, Operator,
    ]
};

/// The routes that are read and yet make something: a certificate where there is none.
const MAKING: [&str; 1] = ["/getComputerPartitionCertificate"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sender {
    Operator,
    Nobody,
    Person,
    Node,
    Instance,
}

/// A route, as the document describes it.
#[derive(Clone, Debug)]
struct Target {
    method: String,
    path: String,
    /// Parameters of the query.
    parameters: Vec<String>,
    /// A JSON body that is as described.
    body: Option<Value>,
    /// Another body that it takes.
    form: Vec<u8>,
}

fn target(document: &Value, route: &Route) -> Target {
    let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let (_, form) = about_ann(route, 0);
    let body = match route.path.starts_with("/slapos.") {
        true => serde_json::from_str(&form).ok(),
        false => (!schema.is_null()).then(|| example(document, schema, route.path)),
    };
    let queries = parameters.iter().filter(|parameter| parameter["in"] == "query");
    Target {
        method: route.method.to_string(),
        path: route.path.to_owned(),
        parameters: queries.map(|query| query["name"].as_str().unwrap().to_owned()).collect(),
        body,
        form: form.into_bytes(),
    }
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
            "computer" => OWN,
            "partition" => "slappart0",
            "project" => "alpha",
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
    address: String,
    kind: &'static str,
    body: Vec<u8>,
    /// So many bytes less are sent than were announced.
    short: bool,
}

fn shots(target: &Target) -> impl Strategy<Value = Shot> + use<> {
    let kinds = ["application/json", "application/x-www-form-urlencoded", "text/xml", ""];
    // Mostly what the route takes, so that its inside is reached.
    let usual = usize::from(target.body.is_none());
    let kind = prop_oneof![3 => Just(kinds[usual]), 1 => select(kinds.to_vec())];
    let (path, parameters) = (target.path.clone(), target.parameters.clone());
    let bodies = bodies(target.body.clone(), target.form.clone());
    let short = prop_oneof![9 => Just(false), 1 => Just(true)];
    (proptest::option::of(names()), kind, bodies, queries(), short).prop_map(
        move |(name, kind, body, mut query, short)| {
            for (pair, name) in query.iter_mut().zip(&parameters) {
                pair.0.clone_from(name);
            }
            let pairs: Vec<_> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let address = format!("{}?{}", addressed(&path, name.as_deref()), pairs.join("&"));
            Shot { address, kind, body, short }
        },
    )
}

/// A path about something strange, or else about what is there.
fn addressed(path: &str, strange: Option<&str>) -> String {
    let usual = |place: &str| match place {
        "id" if path.contains("/users/") => "0",
        "id" | "reference" => OWN,
        "partition" => "slappart0",
        "guid" => "c-ann-slappart0",
        "title" => "tree-ann",
        "name" if path.contains("/projects/") => "alpha",
        _ => "ann",
    };
    let pieces = path.split(['{', '}']).enumerate();
    pieces
        .map(
            |(number, piece)| if number % 2 == 0 { piece } else { strange.unwrap_or(usual(piece)) },
        )
        .collect()
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![OWN, FOREIGN, "c-ann-slappart0", "_tree-ann_shared", "slappart0", "nobody"])
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

fn bodies(example: Option<Value>, form: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
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
        json!(OWN),
        json!("destroyed"),
    ]);
    let changed = (select(members_or(members)), strange).prop_map(move |(member, value)| {
        let mut changed = example.clone();
        changed[member.as_str()] = value;
        changed.to_string().into_bytes()
    });
    prop_oneof![
        5 => Just(text.into_bytes()),
        3 => Just(form),
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
        OWN.to_owned(),
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

/// Sends it; gives the status. `None` is no answer, which is none only for a request that was not sent to
/// its end.
fn fire(world: &World, method: &str, proof: &Proof, shot: &Shot) -> Result<Option<u16>, String> {
    let kind = match shot.kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\n"),
    };
    let token = match proof {
        Proof::Token(token) => format!("Authorization: Bearer {token}\r\n"),
        _ => String::new(),
    };
    // Whoever is refused early need not be listened to: what is long is sent only when it is wanted.
    let patient = shot.body.len() > 10_000 && !shot.short;
    let expect = if patient { "Expect: 100-continue\r\n" } else { "" };
    let length = shot.body.len() + if shot.short { 10 } else { 0 };
    let head = format!(
        "{method} {} HTTP/1.1\r\nHost: m\r\n{token}Connection: close\r\n{expect}{kind}\
         Content-Length: {length}\r\n\r\n",
        shot.address
    );
    let mut stream = TcpStream::connect(world.running.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    if shot.short {
        // Who is refused may not be listened to any more, and who goes need not be answered.
        let _ = stream.write_all(&shot.body).and_then(|()| stream.shutdown(Shutdown::Write));
        return Ok(status(&mut stream).unwrap_or(None));
    }
    let mut begun = if patient { status(&mut stream)? } else { Some(100) };
    if begun == Some(100) {
        stream.write_all(&shot.body).map_err(|error| error.to_string())?;
        begun = status(&mut stream)?;
    }
    begun.map(Some).ok_or_else(|| "the connection was lost".to_owned())
}

/// The status of an answer; nothing of what an endless answer says.
fn status(stream: &mut TcpStream) -> Result<Option<u16>, String> {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => answer.push(byte[0]),
            Ok(_) if answer.is_empty() => return Ok(None),
            other => {
                return Err(format!("{other:?} after {}", String::from_utf8_lossy(&answer)));
            }
        }
    }
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).unwrap().parse().map(Some).map_err(|_| text.to_string())
}

/// What is there for the shots, and who sends them.
struct Range {
    world: World,
    proofs: BTreeMap<&'static str, Proof>,
    state: Vec<String>,
}

impl Range {
    fn new() -> Range {
        let mut range = Range { world: World::new(), proofs: BTreeMap::new(), state: Vec::new() };
        range.mend();
        range
    }

    /// Puts back what the last shot took away: the targets, and what the senders prove themselves by.
    fn mend(&mut self) {
        let world = &self.world;
        let store = &world.app.store;
        world.runtime.block_on(async {
            // Most of it is there.
            let _ = store.add_user("ann").await;
            let _ = store.add_project("alpha").await;
            let _ = store.add_member("alpha", "ann").await;
            let _ = store.add_computer(&OWN.into(), "alpha").await;
            let _ = store.format(&computer_of(OWN)).await;
            let mut tree = InstanceRequest::new("tree-ann", "s");
            tree.sla = [("computer_guid".to_owned(), OWN.to_owned())].into();
            let _ = store.request_in("alpha", &tree).await;
        });
        let computer = Holder::Computer(OWN.into());
        let partition = Holder::Partition(OWN.into(), part(0));
        self.proofs = [
            ("Operator", Proof::Token("the token".to_owned())),
            ("Nobody", Proof::Nothing),
            ("Person", world.token(&Holder::User("ann".to_owned()), None)),
            ("Node", world.token(&computer, None)),
            ("Instance", world.token(&partition, None)),
        ]
        .into();
        self.state = self.present();
    }

    fn present(&self) -> Vec<String> {
        self.world.runtime.block_on(self.world.app.store.lines())
    }

    /// Sends a shot; says what is wrong with what came of it.
    fn try_one(&mut self, target: &Target, sender: Sender, shot: &Shot) -> Result<u16, String> {
        let proof = &self.proofs[format!("{sender:?}").as_str()];
        let status = fire(&self.world, &target.method, proof, shot)?.unwrap_or(0);
        // As the original says that there is no cache.
        let unconfigured = status == 503 && target.path.starts_with("/shacache/");
        if status >= 500 && !unconfigured {
            return Err(format!("{status}"));
        }
        let now = self.present();
        if now == self.state {
            return Ok(status);
        }
        let reads = target.method == "GET" && !MAKING.contains(&target.path.as_str());
        // Some refusals of classic SLAP are texts with 200.
        if reads || status >= 400 || sender == Sender::Nobody {
            let (before, after): (BTreeSet<_>, BTreeSet<_>) =
                (self.state.iter().collect(), now.iter().collect());
            let differ: Vec<_> = before.symmetric_difference(&after).collect();
            return Err(format!("{status}, and it changed {differ:?}"));
        }
        self.mend();
        Ok(status)
    }
}

#[test]
fn nothing_that_is_sent_makes_the_master_fail_and_what_is_refused_changes_nothing() {
    let document: Value = serde_json::from_str(&openapi::text()).unwrap();
    let mut range = Range::new();
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let (mut statuses, mut tried) = (BTreeMap::<u16, u32>::new(), BTreeSet::new());
    let mut wrong = Vec::new();
    for route in routes() {
        let target = target(&document, &route);
        let strategy = shots(&target);
        for sender in SENDERS {
            let shot = strategy.new_tree(&mut runner).unwrap().current();
            match range.try_one(&target, sender, &shot) {
                Ok(status) => *statuses.entry(status).or_default() += 1,
                Err(why) => {
                    let body: String =
                        String::from_utf8_lossy(&shot.body).chars().take(300).collect();
                    let (method, address) = (&target.method, &shot.address);
                    wrong.push(format!(
                        "{method} {address} ({}, {sender:?}, short: {}) {body}: {why}",
                        shot.kind, shot.short
                    ));
                    range.mend();
                }
            }
            tried.insert((target.method.clone(), target.path.clone()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let listed: BTreeSet<_> =
        routes().iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
    assert_eq!(tried, listed);
    // It is no test if everything is refused at the door.
    for status in [200, 201, 204, 400, 401, 403, 404] {
        assert!(statuses.contains_key(&status), "{statuses:?}");
    }
}
