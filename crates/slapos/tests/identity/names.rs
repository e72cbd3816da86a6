//! Names with characters that addresses take for themselves: they name a thing, or nothing, and never
//! another one.

use slapos_slap::{ComputerDescription, DEFAULT_TIMEOUT, SlapClient};
use slapos_sys::Secret;

use crate::master::{Master, TOKEN};

#[test]
fn a_name_never_leads_to_something_else() {
    let master = Master::start("");
    let ann = master.person("ann", "alpha");
    let known = || master.ok(&["service", "list", "--cfg", &ann]);
    for name in ["ann/tokens", "ann?x=1", "ann#x", "./ann", "ann%2Ftokens", "nobody/../ann"] {
        let said = master.refused(&["proxy", "user", "remove", name]);
        assert!(said.contains("there is no user"), "{name}: {said}");
        known();
    }
    let said = master.refused(&["proxy", "token", "revoke", "--user", "ann", "--id", ".."]);
    assert!(said.contains("\"..\" cannot be the name of anything"), "{said}");
    let said = master.refused(&["proxy", "project", "leave", "alpha", ""]);
    assert!(said.contains("\"\" cannot be the name of anything"), "{said}");
    known();

    // What nodes call themselves is their own affair.
    let url = format!("http://127.0.0.1:{}", master.port);
    let client = SlapClient::new(&url, Some(Secret::new(TOKEN)), DEFAULT_TIMEOUT).unwrap();
    let odd = "a/b?c#d e%2F+é";
    for name in [odd, "a"] {
        let description = ComputerDescription::new(name.into(), Vec::new());
        client.load_computer_configuration(&description).unwrap();
    }
    let set = ["proxy", "computer", "set", odd, "--title", "odd", "--json"];
    let said: serde_json::Value = serde_json::from_str(&master.ok(&set)).unwrap();
    assert_eq!((&said["id"], &said["title"]), (&odd.into(), &"odd".into()), "{said:#}");
    let token = master.ok(&["proxy", "token", "create", "--computer", odd]);
    let node = SlapClient::new(&url, Some(Secret::new(token)), DEFAULT_TIMEOUT).unwrap();
    assert!(node.ping().is_ok());
    let revoked = master.json(&["proxy", "computer", "revoke", odd]);
    assert_eq!(revoked, serde_json::json!({ "tokens": 1, "certificates": 0 }));
    assert!(node.ping().is_err());
    let said = master.refused(&["proxy", "computer", "certificate", odd]);
    assert!(said.contains("no file can be called"), "{said}");
    master.ok(&["proxy", "computer", "remove", odd]);
    let left = master.json(&["proxy", "computer", "list"]);
    let names: Vec<_> = left.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(names, ["a", "local"]);
}
