//! Every route as every kind of caller, against the table of the documentation.

use axum::http::Method;
use serde_json::json;
use slapos_slap::convert::description_to_value;
use slapos_slap::marshal::dumps;
use slapos_slap::{ComputerId, PartitionId};

use super::super::access::{May, Route};
use super::super::{guide, routes};
use super::world::{FOREIGN, OWN, Proof, World, computer_of};
use crate::authority::CLIENT_LIFE;
use crate::store::Holder;

/// A request about ann's things.
fn about_ann(route: &Route, number: usize) -> (String, String) {
    // What only the operator may do is about nothing that is.
    let nobody = ["/api/v1/users/{name}", "/api/v1/projects"];
    let name = match nobody.iter().any(|path| route.path.starts_with(path))
        && !route.path.contains("tokens")
    {
        true => "nobody",
        false => "ann",
    };
    let path = route
        .path
        .replace("{id}", if route.path.contains("/users/") { "0" } else { OWN })
        .replace("{name}", name)
        .replace("{user}", "nobody")
        .replace("{partition}", "slappart0")
        .replace("{guid}", "c-ann-slappart0")
        .replace("{reference}", OWN)
        .replace(
            "{title}",
            if route.path.contains("/shared/") { "shared-ann" } else { "tree-ann" },
        );
    let xml = dumps(&description_to_value(&computer_of(OWN))).unwrap();
    let form = [
        ("computer_id", OWN),
        ("computer_partition_id", "slappart0"),
        ("computer_reference", OWN),
        ("computer_partition_reference", "slappart0"),
        ("computer", OWN),
        ("partition_reference", "child"),
        ("software_release", "s"),
        ("url", "s"),
        ("state", if route.path == "/supplySupply" { "available" } else { "" }),
        ("new_name", "tree-ann"),
        ("connection_xml", "<marshal><dictionary id=\"i2\"/></marshal>"),
        ("instance_reference_xml", "<marshal><list id=\"i2\"/></marshal>"),
        ("computer_title", &format!("made-{number}")),
        ("title", &format!("vouched-{number}")),
        ("software_product_reference", "x"),
        ("nonce", "0123456789abcdef0123456789abcdef"),
        ("xml", &xml),
        ("use_string", JOURNAL),
    ]
    .map(|(key, value)| format!("{key}={}", encoded(value)))
    .join("&");
    match (&route.method, route.path) {
        (&Method::GET, "/api/v1/audit" | "/api/v1/overview") => (path, String::new()),
        (&Method::GET, "/api/v1/search") => (format!("{path}?q=x"), String::new()),
        (&Method::GET, "/api/v1/software/log") => {
            (format!("{path}?computer={OWN}&url=s"), String::new())
        }
        (&Method::GET, "/api/v1/events") => (format!("{path}?computer={OWN}"), String::new()),
        (&Method::GET, "/api/v1/proof") => {
            (format!("{path}?nonce=0123456789abcdef0123456789abcdef"), String::new())
        }
        // Parameters that are not known are refused there.
        (&Method::GET, api) if api.starts_with("/api/v1/") => (path, String::new()),
        (&Method::GET, _) => (format!("{path}?{form}"), String::new()),
        (_, method) if method.starts_with("/slapos.") => (path, rpc(method)),
        (_, "/api/v1/software") => {
            (path, json!({"computer": OWN, "url": "s", "state": "available"}).to_string())
        }
        (_, "/api/v1/instances" | "/api/v1/requests/check") => (
            path,
            json!({"title": "api", "project": "alpha", "software_release": "s", "parameters": {}})
                .to_string(),
        ),
        (_, "/api/v1/computers/{id}/progress") => {
            (path, json!({"url": "s", "done": 1, "total": 2, "part": "p"}).to_string())
        }
        (_, "/api/v1/computers/{id}/promises") => (path, json!({"partitions": []}).to_string()),
        (_, "/api/v1/computers/{id}/metrics") => {
            let room = json!({"total": 2, "available": 1});
            let services = json!({"running": 1, "failed": 0});
            let body =
                json!({"load": 0.5, "memory": room.clone(), "disk": room, "services": services});
            (path, body.to_string())
        }
        (_, "/api/v1/computers") => {
            (path, format!(r#"{{"title": "made-{number}", "project": "alpha"}}"#))
        }
        (_, "/api/v1/users" | "/api/v1/projects") => (path, format!(r#"{{"name": "n{number}"}}"#)),
        (_, api) if api.starts_with("/api/") => (path, "{}".to_owned()),
        _ => (path, form),
    }
}

/// What a node reports as used.
const JOURNAL: &str = "<journal><transaction type='Sale Packing List'><start_date/><stop_date/>\
    <reference/><currency/><payment_mode/><category/><arrow type='Administration'/><movement>\
    <resource>r</resource><quantity>1</quantity><price>0</price><VAT/></movement></transaction>\
    </journal>";

/// The body of a method of the JSON-RPC API.
fn rpc(path: &str) -> String {
    let computer = json!({"computer_guid": OWN});
    let instance = "tree-ann______0";
    let method = path.trim_start_matches("/slapos.");
    let body = match method {
        "post.v0.compute_node_usage" => json!({"computer_guid": OWN, "tioxml": JOURNAL}),
        "put.v0.compute_node_format" => {
            json!({"computer_guid": OWN, "compute_partition_list": computer_of(OWN).partitions.iter()
                .map(|partition| json!({"partition_id": partition.reference})).collect::<Vec<_>>()})
        }
        "put.v0.compute_node_bang" => json!({"computer_guid": OWN, "message": ""}),
        "post.v0.software_installation" => {
            json!({"computer_guid": OWN, "software_release_uri": "s"})
        }
        "put.v0.software_installation_reported_state" => {
            json!({"computer_guid": OWN, "software_release_uri": "s", "reported_state": "building"})
        }
        "put.v0.software_installation_error" => {
            json!({"computer_guid": OWN, "software_release_uri": "s", "message": ""})
        }
        "post.v0.software_instance" => {
            json!({"title": "json", "software_release_uri": "s", "software_type": "default"})
        }
        "get.v0.instance_tree" => json!({"title": "tree-ann"}),
        "get.v0.compute_partition" => {
            json!({"computer_guid": OWN, "compute_partition_id": "slappart0"})
        }
        "put.v0.software_instance_reported_state" => {
            json!({"instance_guid": instance, "reported_state": "started"})
        }
        "put.v0.software_instance_error" | "put.v0.software_instance_bang" => {
            json!({"instance_guid": instance, "message": ""})
        }
        "put.v0.software_instance_title" => json!({"instance_guid": instance, "title": "tree-ann"}),
        "put.v0.software_instance_connection_parameter" => {
            json!({"instance_guid": instance, "connection_parameter_dict": {}})
        }
        other if other.contains("instance_list") && !other.contains("compute_node") => {
            json!({"instance_guid": instance})
        }
        other if other.contains("software_instance") => json!({"instance_guid": instance}),
        other if other.contains("compute_node") && !other.ends_with("WIP.compute_node_list") => {
            computer
        }
        _ => json!({}),
    };
    body.to_string()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Routes that are about nobody's things: whoever may ask sees, or makes, his own.
const ABOUT_NOBODY: [&str; 16] = [
    "/api/v1/summary",
    // What a Software Release says of itself, for whatever project the caller has.
    "/api/v1/schema",
    "/api/v1/computers",
    "/api/v1/software",
    "/api/v1/instances",
    "/api/v1/trees",
    "/api/v1/search",
    "/hateoas/",
    "/api/v1/projects",
    "/requestComputer",
    "/Person_requestComputer",
    "/hateoas/computer_module/Base_getComputerToken",
    "/api/v1/me",
    "/slapos.allDocs.WIP.compute_node_list",
    "/slapos.allDocs.v0.instance_tree_list",
    "/slapos.post.v0.software_instance",
];

fn about_nobody(route: &Route) -> bool {
    let listed = route.method == Method::GET || !route.path.starts_with("/api/");
    listed && ABOUT_NOBODY.contains(&route.path)
}

/// What comes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Whoever it is, he is not known.
    Unknown,
    /// It is not for him, or does not exist for him.
    Refused,
    Granted,
}

fn verdict(status: u16) -> Verdict {
    match status {
        401 => Verdict::Unknown,
        403 | 404 => Verdict::Refused,
        _ => Verdict::Granted,
    }
}

/// What the table says about somebody who owns the things, or does not.
fn expected(route: &Route, may: May, own: bool) -> Verdict {
    match may {
        May::Not => Verdict::Refused,
        May::All => Verdict::Granted,
        // Lists show each his own; what is made or wanted is in a place that is somebody's.
        May::Own if own || about_nobody(route) => Verdict::Granted,
        May::Own => Verdict::Refused,
    }
}

/// What makes a proof when it is needed.
type Showing<'a> = Box<dyn Fn() -> Proof + 'a>;

#[test]
fn every_route_as_every_kind_of_caller() {
    let world = World::new();
    let user = |name: &str| Holder::User(name.to_owned());
    let computer = |id: &str| Holder::Computer(ComputerId::new(id));
    let part = |id: &str| Holder::Partition(ComputerId::new(id), PartitionId::new("slappart0"));
    let now = world.app.store.time();
    let mut number = 0;
    let mut wrong = Vec::new();
    for route in routes() {
        let rule = route.rule;
        let stranger = if rule.anybody { Verdict::Granted } else { Verdict::Unknown };
        let of =
            |may, own| if rule.anybody { Verdict::Granted } else { expected(&route, may, own) };
        let old = Some(now - 1);
        let callers: [(&str, Showing<'_>, Verdict); 16] = [
            ("stranger", Box::new(|| Proof::Nothing), stranger),
            ("wrong token", Box::new(|| Proof::Token("wrong".to_owned())), stranger),
            ("expired token", Box::new(|| world.token(&user("ann"), old)), stranger),
            (
                "revoked token",
                Box::new(|| world.revoked(world.token(&user("ann"), None), &user("ann"))),
                stranger,
            ),
            (
                "revoked certificate",
                Box::new(|| world.revoked(world.certificate(&computer(OWN), now), &computer(OWN))),
                stranger,
            ),
            ("foreign user", Box::new(|| world.token(&user("bob"), None)), of(rule.user, false)),
            (
                "foreign computer",
                Box::new(|| world.token(&computer(FOREIGN), None)),
                of(rule.computer, false),
            ),
            (
                "foreign computer's certificate",
                Box::new(|| world.certificate(&computer(FOREIGN), now)),
                of(rule.computer, false),
            ),
            (
                "foreign partition",
                Box::new(|| world.token(&part(FOREIGN), None)),
                of(rule.partition, false),
            ),
            (
                "foreign partition's certificate",
                Box::new(|| world.certificate(&part(FOREIGN), now)),
                of(rule.partition, false),
            ),
            ("own partition", Box::new(|| world.token(&part(OWN), None)), of(rule.partition, true)),
            (
                "own partition's certificate",
                Box::new(|| world.certificate(&part(OWN), now)),
                of(rule.partition, true),
            ),
            (
                "own computer",
                Box::new(|| world.token(&computer(OWN), None)),
                of(rule.computer, true),
            ),
            (
                "own computer's certificate",
                Box::new(|| world.certificate(&computer(OWN), now)),
                of(rule.computer, true),
            ),
            ("own user", Box::new(|| world.token(&user("ann"), None)), of(rule.user, true)),
            ("operator", Box::new(|| Proof::Token("the token".to_owned())), Verdict::Granted),
        ];
        for (who, proof, expected) in callers {
            number += 1;
            let (path, body) = about_ann(&route, number);
            let status = world.status(&proof(), &route.method, &path, &body).unwrap();
            // To the operator nothing is forbidden, but something may not be there; and no token of
            // ann's has that name.
            let found = match (who, status) {
                ("operator", 404) => Verdict::Granted,
                (_, 404) if rule.anybody => Verdict::Granted,
                ("own user", 404) if route.path.ends_with("/tokens/{id}") => Verdict::Granted,
                _ => verdict(status),
            };
            // There is no cache here, which is said with 503.
            let failed = status >= 500 && !route.path.starts_with("/shacache/");
            if found != expected || failed {
                let method = &route.method;
                wrong.push(format!("{method} {} as {who}: {status}, {expected:?}", route.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_computer_is_given_by_who_has_it_to_projects_that_are_his() {
    let world = World::new();
    let token = |name: &str| world.token(&Holder::User(name.to_owned()), None);
    let (ann, bob) = (token("ann"), token("bob"));
    let operator = Proof::Token("the token".to_owned());
    world.runtime.block_on(async {
        let store = &world.app.store;
        store.add_computer(&"new".into(), "alpha").await.unwrap();
        store.add_project("gamma").await.unwrap();
        store.add_member("gamma", "ann").await.unwrap();
    });
    let give = |who: &Proof, computer: &str, project: &str| {
        let body = json!({ "project": project }).to_string();
        let path = format!("/api/v1/computers/{computer}");
        world.status(who, &Method::PATCH, &path, &body).unwrap()
    };
    // Not his; not to others, nor to nobody; not with an instance of the former project.
    assert_eq!(give(&bob, "new", "beta"), 404);
    assert_eq!((give(&ann, "new", "beta"), give(&ann, "new", "")), (404, 404));
    assert_eq!(give(&ann, OWN, "gamma"), 409);
    assert_eq!(give(&ann, "new", "gamma"), 200);
    assert_eq!((give(&operator, "new", "beta"), give(&operator, "new", "delta")), (200, 404));
    assert_eq!((give(&ann, "new", "alpha"), give(&bob, "new", "beta")), (404, 200));
}

#[test]
fn certificates_of_others_and_expired_ones_do_not_come_to_a_request() {
    let world = World::new();
    let holder = Holder::Computer(OWN.into());
    let now = world.app.store.time();
    let past = now - 2 * i64::try_from(CLIENT_LIFE).unwrap() * 1_000_000;
    let path = format!("/getFullComputerInformation?computer_id={OWN}");
    let ask = |proof: &Proof| world.status(proof, &Method::GET, &path, "");
    assert_eq!(ask(&world.certificate(&holder, now)), Some(200));
    assert_eq!(ask(&world.certificate(&holder, past)), None, "it has expired");
    let other = World::new();
    assert_eq!(ask(&other.certificate(&holder, now)), None, "another authority signed it");
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_routes() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    let table = guide::table();
    if std::env::var_os("SLAPOS_WRITE_DOCS").is_some() {
        slapos_sys::fs::write_atomic(&file, table.as_bytes(), 0o644).unwrap();
    }
    let kept = slapos_sys::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == table,
        "docs/access.md is not what the routes say: SLAPOS_WRITE_DOCS=1 cargo test -p slapos-master"
    );
}
