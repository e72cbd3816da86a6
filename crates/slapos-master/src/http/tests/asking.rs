//! What is asked of each route, about the things of one person.

use axum::http::Method;
use serde_json::json;
use slapos_slap::convert::description_to_value;
use slapos_slap::marshal::dumps;

use super::super::access::Route;
use super::world::{OWN, computer_of};

/// A request about ann's things.
pub(super) fn about_ann(route: &Route, number: usize) -> (String, String) {
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
pub(super) fn rpc(path: &str) -> String {
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
