//! Every route as every kind of caller, against the table of the documentation.

use axum::http::{Method, StatusCode};
use serde_json::json;
use slapos_slap::{ComputerId, PartitionId};

use super::super::access::{Audited, May, Route};
use super::super::{guide, routes};
use super::answers::Answers;
use super::asking::about_ann;
use super::world::{FOREIGN, OWN, Proof, World};
use crate::authority::CLIENT_LIFE;
use crate::store::Holder;

/// Routes that are about nobody's things: whoever may ask sees, or makes, his own.
const ABOUT_NOBODY: [&str; 17] = [
    "/api/v1/summary",
    // What a Software Release says of itself, for whatever project the caller has.
    "/api/v1/schema",
    "/api/v1/computers",
    "/api/v1/software",
    "/api/v1/instances",
    "/api/v1/forwarded",
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

/// In whose name the audit log tells what a caller of the test did; nobody's if he is not known.
fn name(who: &str) -> Option<&'static str> {
    match who {
        "operator" => Some("operator"),
        "own user" => Some("user ann"),
        "foreign user" => Some("user bob"),
        who if who.starts_with("own computer") => Some("computer c-ann"),
        who if who.starts_with("own partition") => Some("partition c-ann/slappart0"),
        who if who.starts_with("foreign computer") => Some("computer c-bob"),
        who if who.starts_with("foreign partition") => Some("partition c-bob/slappart0"),
        _ => None,
    }
}

/// The entry that is to be in the audit log, of what was not refused at the door. What is kept only when
/// it changed something is for another test.
fn entry(route: &Route, who: &str, status: u16) -> Option<(&'static str, u16)> {
    let name = name(who).filter(|_| !matches!(status, 401 | 403))?;
    let person = name == "operator" || name.starts_with("user");
    let outcome = StatusCode::from_u16(status).unwrap();
    route.audited.keeps(person, false, outcome).then_some((name, status))
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
    let (answers, mut described) = (Answers::new(), 0);
    world.noted();
    for route in routes() {
        let mut entries = Vec::new();
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
            let told = world.told(&proof(), &route.method, &path, &body).unwrap();
            let status = told.status;
            entries.extend(entry(&route, who, status));
            if let Some(json) = told.json.filter(|_| route.path.starts_with("/api/v1/")) {
                described += 1;
                wrong.extend(answers.wrong(&route.method, route.path, status, &json));
            }
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
        let noted = world.noted().into_iter().filter(|entry| {
            let changing = matches!(route.audited, Audited::Changes | Audited::Given);
            let changed = changing && entry.outcome < 300;
            !matches!(entry.outcome, 401 | 403) && !changed
        });
        let noted: Vec<_> = noted.map(|entry| (entry.caller, entry.outcome)).collect();
        let told = noted.iter().map(|(caller, outcome)| (caller.as_str(), *outcome));
        if !told.eq(entries.iter().map(|(name, status)| (*name, i64::from(*status)))) {
            let method = &route.method;
            wrong.push(format!("{method} {}: noted {noted:?}, not {entries:?}", route.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(described > 100, "{described} answers were held against the document");
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
