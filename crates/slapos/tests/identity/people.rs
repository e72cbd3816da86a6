//! The whole way: the operator lets people and a node in, a person gets an instance on the node of his
//! project, others get nothing, and what is revoked is over at once.

use std::os::unix::fs::PermissionsExt as _;

use slapos_testkit::Tree;

use crate::master::Master;
use crate::node::{Node, audit, by};

#[test]
fn a_person_gets_an_instance_on_the_node_of_his_project() {
    let master = Master::start("");
    let (ann, bob) = (master.person("ann", "alpha"), master.person("bob", "beta"));
    let token = master.ok(&["proxy", "computer", "add", "COMP-1", "--project", "alpha"]);
    let node = Node::register(&master, "COMP-1", &token);

    // It has a certificate, for itself alone, and no token.
    let text = std::fs::read_to_string(&node.config).unwrap();
    assert!(!text.contains("master_token_file"), "{text}");
    let pem = node.path("etc/ssl/node.pem");
    assert_eq!(pem.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    master.ok(&["proxy", "token", "revoke", "--computer", "COMP-1"]);
    node.ok(&["node", "format"]);

    let profile = Tree::new(master.path("tree")).add_service().display().to_string();
    master.ok(&by(&ann, &["supply", &profile, "COMP-1"]));
    node.ok(&["node", "software"]);
    let request = ["request", "one", profile.as_str(), "--parameters", "word=hola"];
    master.ok(&by(&ann, &request));
    node.ok(&["node", "instance"]);
    let info = master.json(&by(&ann, &["service", "info", "one"]));
    assert_eq!(info["connection-parameters"]["word"], "hola", "{info:#}");
    // What a computer may know is enough to bring all of it up.
    let up = master.json(&by(&node.config, &["up"]));
    let one = &up["instances"][0];
    assert_eq!((&one["name"], &one["reported"]["state"]), (&"one".into(), &"started".into()));
    assert_eq!(one["connection-parameters"]["word"], "hola", "{up:#}");

    // For bob there is neither the computer nor the instance.
    let said = master.refused(&by(&bob, &["supply", &profile, "COMP-1"]));
    assert!(said.contains("computer COMP-1 is not known"), "{said}");
    master.refused(&by(&bob, &["service", "info", "one"]));
    assert_eq!(master.ok(&by(&bob, &["service", "list"])), "There is no instance.");

    // What is revoked is over.
    master.ok(&["proxy", "computer", "revoke", "COMP-1"]);
    let run = master.slapos(&by(&node.config, &["node", "report"]));
    assert!(run.code != 0 && run.err.contains("401"), "{}", run.err);
    master.ok(&["proxy", "token", "revoke", "--user", "ann"]);
    let said = master.refused(&by(&ann, &["service", "list"]));
    assert!(said.contains("401"), "{said}");

    let audit = audit(&master);
    for entry in [
        "operator POST /api/v1/users 201",
        "operator POST /api/v1/computers 201",
        "user ann POST /requestComputerPartition 200",
        "user bob POST /supplySupply 404",
        "operator DELETE /api/v1/users/{name}/tokens 200",
    ] {
        assert!(audit.iter().any(|found| found == entry), "{entry} in {audit:#?}");
    }
    let refused = "stranger at 127.0.0.1 GET /getFullComputerInformation 401";
    assert!(audit.iter().any(|found| found == refused), "{audit:#?}");
}
