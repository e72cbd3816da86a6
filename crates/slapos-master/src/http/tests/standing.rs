//! What becomes of who was known once, and of those who are called alike.

use axum::http::Method;
use serde_json::{Value, json};
use slapos_slap::token::{digest, id_of_digest};
use slapos_slap::{ComputerId, InstanceRequest, PartitionId, SoftwareState, SoftwareUrl};

use super::world::{FOREIGN, OWN, Proof, World};
use crate::store::Holder;

impl World {
    /// Changes something on the computer, and gives how it is told.
    fn changes(&self) -> String {
        let url = SoftwareUrl::new(self.app.store.time().to_string());
        let (store, own) = (&self.app.store, ComputerId::new(OWN));
        self.runtime.block_on(store.supply(&url, &own, SoftwareState::Available)).unwrap();
        url.to_string()
    }
}

fn node() -> Holder {
    Holder::Computer(ComputerId::new(OWN))
}

/// What a method of the JSON-RPC API answers.
fn rpc(world: &World, proof: &Proof, method: &str, body: &Value) -> (u16, Value) {
    let path = format!("/slapos.{method}");
    let answer = world.ask(proof, &Method::POST, &path, &body.to_string()).unwrap().rest();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn who_listens_hears_nothing_once_he_is_not_known_any_more() {
    let world = World::new();
    let now = world.app.store.time();
    let ann = Holder::User("ann".to_owned());
    let path = format!("/api/v1/events?computer={OWN}");
    for (proof, holder) in [
        (world.token(&ann, None), ann),
        (world.token(&node(), None), node()),
        (world.certificate(&node(), now), node()),
    ] {
        for path in ["/api/v1/events", &path] {
            // A new one for each.
            let proof = match &proof {
                Proof::Certificate(..) => world.certificate(&holder, now),
                _ => world.token(&holder, None),
            };
            let mut heard = world.ask(&proof, &Method::GET, path, "").unwrap();
            assert!(heard.line().unwrap().contains("200"), "{proof:?}");
            while heard.line().unwrap() != "event: resync" {}
            world.revoked(proof, &holder);
            let change = world.changes();
            let rest = heard.rest();
            assert!(!rest.contains(&change), "{rest}");
        }
    }
}

/// The JSON that is answered to `body`.
fn made(world: &World, proof: &Proof, path: &str, body: &Value) -> Value {
    let answer = world.ask(proof, &Method::POST, path, &body.to_string()).unwrap().rest();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn what_was_made_with_a_token_ends_with_it() {
    let world = World::new();
    let ann = Holder::User("ann".to_owned());
    let end = world.app.store.time() + 1_000_000_000;
    let (short, other) = (world.token(&ann, Some(end)), world.token(&ann, None));
    let token = |answer: &Value| Proof::Token(answer["token"].as_str().unwrap().to_owned());
    let known = |proof: &Proof| world.status(proof, &Method::GET, "/api/v1/me", "").unwrap();
    let (own, node) = ("/api/v1/users/ann/tokens", format!("/api/v1/computers/{OWN}/token"));

    let unlimited = made(&world, &other, own, &json!({}));
    assert_eq!(unlimited["expires_at"], Value::Null);
    let first = made(&world, &short, own, &json!({}));
    let second = made(&world, &token(&first), &node, &json!({"expires_in": 1_000_000_000}));
    assert!(first["expires_at"].is_string() && first["expires_at"] == second["expires_at"]);
    let sooner = made(&world, &short, own, &json!({"expires_in": 10}));
    assert!(sooner["expires_at"].as_str() < first["expires_at"].as_str());
    for never in [0, 1 + 36_525 * 86_400_i64, 1_000_000_000_000_000_000] {
        let body = json!({ "expires_in": never }).to_string();
        assert_eq!(world.status(&other, &Method::POST, own, &body), Some(400), "{never}");
    }
    let longest = made(&world, &other, own, &json!({"expires_in": 36_525 * 86_400_i64}));
    assert!(longest["expires_at"].as_str() > first["expires_at"].as_str());

    let made_by_short = [token(&first), token(&second), token(&sooner)];
    assert!(made_by_short.iter().all(|proof| known(proof) == 200));
    let Proof::Token(text) = &short else { panic!() };
    let id = id_of_digest(&digest(text));
    let path = format!("{own}/{id}");
    let answer = world.ask(&other, &Method::DELETE, &path, "").unwrap().rest();
    assert!(answer.ends_with("{\"revoked\":4}"), "{answer}");
    assert!(made_by_short.iter().all(|proof| known(proof) == 401));
    assert_eq!((known(&other), known(&token(&unlimited))), (200, 200));

    let third = made(&world, &other, &node, &json!({}));
    assert_eq!(known(&token(&third)), 200);
    world.runtime.block_on(world.app.store.remove_user("ann")).unwrap();
    assert_eq!(known(&token(&third)), 401, "he is gone who made it");
}

#[test]
fn a_person_who_left_a_project_hears_nothing_of_its_computer() {
    let world = World::new();
    let proof = world.token(&Holder::User("ann".to_owned()), None);
    let path = format!("/api/v1/events?computer={OWN}");
    let mut heard = world.ask(&proof, &Method::GET, &path, "").unwrap();
    assert!(heard.line().unwrap().contains("200"));
    while heard.line().unwrap() != "event: resync" {}
    world.runtime.block_on(world.app.store.remove_member("alpha", "ann")).unwrap();
    let change = world.changes();
    let rest = heard.rest();
    assert!(!rest.contains(&change), "{rest}");
}

#[test]
fn a_shared_instance_of_a_project_is_published_for() {
    let world = World::new();
    let node = world.token(&node(), None);
    let body = json!({
        "instance_guid": "shared-ann______1",
        "connection_parameter_dict": {"url": "u"},
    });
    let method = "put.v0.software_instance_connection_parameter";
    let (status, answer) = rpc(&world, &node, method, &body);
    assert_eq!(status, 200, "{answer}");
    let found = world.app.store.named_shared_instance("alpha", "", "shared-ann");
    let found = world.runtime.block_on(found).unwrap().unwrap();
    assert_eq!(found.connection.get("url").map(String::as_str), Some("u"));
}

/// Two trees of one title on one computer, of two projects.
#[test]
fn instances_that_are_called_alike_are_told_apart_by_their_project() {
    let world = World::new();
    let mut tree = InstanceRequest::new("tree-ann", "s");
    tree.sla = [("computer_guid".to_owned(), OWN.to_owned())].into();
    world.runtime.block_on(world.app.store.request_in("", &tree)).unwrap();
    let node = world.token(&node(), None);
    let list = json!({"computer_guid": OWN});
    let (_, listed) = rpc(&world, &node, "allDocs.v0.compute_node_instance_list", &list);
    let names: Vec<_> = listed["result_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["instance_guid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["tree-ann______0___alpha", "tree-ann______0"]);
    for name in &names {
        let body = json!({"instance_guid": name, "message": name});
        assert_eq!(rpc(&world, &node, "put.v0.software_instance_error", &body).0, 200);
    }
    for name in &names {
        let body = json!({"instance_guid": name});
        let (_, found) = rpc(&world, &node, "get.v0.software_instance", &body);
        assert_eq!(found["instance_guid"], **name);
        let told = found["access_status_message"].as_str().unwrap();
        assert!(told.ends_with(name.as_str()), "{told}");
    }
    // Who owns the one sees nothing of the other, by whatever face.
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    let (_, listed) = rpc(&world, &ann, "allDocs.v0.compute_node_instance_list", &list);
    assert_eq!(listed["result_list"].as_array().unwrap().len(), 1, "{listed}");
    let (status, _) =
        rpc(&world, &ann, "get.v0.software_instance", &json!({"instance_guid": names[1]}));
    assert_eq!(status, 200, "a name without a project is that of her own");
    let page = world.ask(&ann, &Method::GET, "/hateoas/partitions/tree-ann", "").unwrap().rest();
    assert!(page.contains(&names[0]) && !page.contains("tree-ann______0\""), "{page}");
}

#[test]
fn who_fails_locks_out_nobody_else() {
    let world = World::failing(2.0);
    let good = world.token(&node(), None);
    let path = format!("/getFullComputerInformation?computer_id={OWN}");
    let ask = |proof: &Proof| world.status(proof, &Method::GET, &path, "").unwrap();
    let wrong = Proof::Token("wrong".to_owned());
    let statuses = [ask(&wrong), ask(&wrong), ask(&wrong), ask(&good), ask(&wrong)];
    assert_eq!(statuses, [401, 401, 429, 200, 429]);
}

#[test]
fn the_tokens_of_a_computer_go_with_those_of_its_partitions() {
    let world = World::new();
    let part = Holder::Partition(ComputerId::new(OWN), PartitionId::new("slappart0"));
    let proof = world.token(&part, None);
    let path = format!(
        "/registerComputerPartition?computer_reference={OWN}&computer_partition_reference=slappart0"
    );
    assert_eq!(world.status(&proof, &Method::GET, &path, ""), Some(200));
    let operator = Proof::Token("the token".to_owned());
    let tokens = format!("/api/v1/computers/{OWN}/token");
    assert_eq!(world.status(&operator, &Method::DELETE, &tokens, ""), Some(200));
    assert_eq!(world.status(&proof, &Method::GET, &path, ""), Some(401));
    // And a free partition has none, which would be that of whoever comes next.
    let free = format!("/api/v1/computers/{OWN}/partitions/slappart7/token");
    assert_eq!(world.status(&operator, &Method::POST, &free, "{}"), Some(404));
}

#[test]
fn addresses_are_told_as_they_are_reached() {
    let world = World::new();
    let proof = world.certificate(&node(), world.app.store.time());
    let answer = world.ask(&proof, &Method::GET, "/getHateoasUrl", "").unwrap().rest();
    assert!(answer.ends_with("https://m/hateoas/"), "{answer}");
}

#[test]
fn a_last_page_says_that_it_is_the_last_and_nothing_is_ignored() {
    let world = World::new();
    let operator = Proof::Token("the token".to_owned());
    let get = |path: &str| world.ask(&operator, &Method::GET, path, "").unwrap().rest();
    let page = get("/api/v1/users?limit=1");
    let (_, next) = page.split_once(r#""next":""#).unwrap();
    let next = next.split('"').next().unwrap();
    let page = get(&format!("/api/v1/users?limit=1&after={next}"));
    assert!(page.contains("bob") && page.contains(r#""next":null"#), "{page}");
    let refused = get("/api/v1/users?color=red");
    assert!(refused.contains(" 400 ") && refused.contains("application/problem+json"), "{refused}");
}

/// What a person may not see he cannot tell from what is not there, nor by asking for a place in it.
#[test]
fn a_computer_of_others_is_asked_for_as_one_that_is_not_there() {
    let world = World::new();
    let ann = world.token(&Holder::User("ann".to_owned()), None);
    let told = |computer: &str| {
        let sla = json!({"computer_guid": computer});
        let own = json!({"title": "x", "software_release": "s", "parameters": {}, "sla": sla});
        let bodies = [
            ("/api/v1/instances", own.to_string()),
            ("/api/v1/requests/check", own.to_string()),
            (
                "/slapos.post.v0.software_instance",
                json!({"title": "x", "software_release_uri": "s", "software_type": "default",
                    "sla_parameters": sla})
                .to_string(),
            ),
        ];
        bodies.map(|(path, body)| {
            let answer = world.ask(&ann, &Method::POST, path, &body).unwrap().rest();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap();
            format!("{status} {}", body.replace(computer, "COMPUTER"))
        })
    };
    let (foreign, absent) = (told(FOREIGN), told("none-there"));
    assert_eq!(foreign, absent);
    assert!(foreign[0].starts_with("404 ") && foreign[2].starts_with("403 "), "{foreign:?}");
}

#[test]
fn a_project_is_named_by_the_operator_too() {
    let world = World::new();
    let form = |project: &str| {
        let sla = format!(
            "<marshal><dictionary id=\"i2\"><string>computer_guid</string><string>{OWN}</string>\
             <string>project_guid</string><string>{project}</string></dictionary></marshal>"
        );
        let sla: String = sla.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("partition_reference=of-{project}&software_release=s&filter_xml={sla}")
    };
    let operator = Proof::Token("the token".to_owned());
    let ask = |project: &str| {
        world.status(&operator, &Method::POST, "/requestComputerPartition", &form(project))
    };
    assert_eq!((ask("alpha"), ask("nowhere")), (Some(200), Some(404)));
    let project = ["alpha".to_owned()];
    let trees = world.app.store.trees_in(Some(&project), Some("of-alpha"));
    assert_eq!(world.runtime.block_on(trees).unwrap().len(), 1);
}
