//! Certificates that come to their end: the node has another in time, and its agent goes on with that.

use std::process::{Command, Stdio};

use slapos_testkit::{skipped, wait_for};

use crate::master::Master;
use crate::node::{Node, audit, by};

/// In days: the first certificate is good for two minutes.
const SHORT: &str = "certificate_days = 0.0014\n";

/// How often the agent said that it listens.
fn listened(node: &Node<'_>) -> usize {
    let said = std::fs::read_to_string(node.path("agent.log")).unwrap();
    said.matches("listens to the Master").count()
}

/// Whether the first certificate in a file has come to its end.
fn is_over(file: &str) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-checkend", "0", "-in", file]);
    !openssl.stdout(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_node_outlives_its_certificate_and_its_agent_goes_on() {
    let test = "a_node_outlives_its_certificate_and_its_agent_goes_on";
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        return skipped(test, "needs openssl");
    }
    let master = Master::start(SHORT);
    let token = master.ok(&["proxy", "computer", "add", "COMP-1"]);
    let node = Node::register(&master, "COMP-1", &token);
    master.ok(&["proxy", "token", "revoke", "--computer", "COMP-1"]);
    let pem = node.path("etc/ssl/node.pem");
    let first = std::fs::read_to_string(&pem).unwrap();
    let former = master.write("former.pem", &first);
    assert!(!is_over(&former));
    // From now on they last as long as usual.
    master.run_reconfigured(SHORT, "");
    let node = node.with_agent();
    wait_for("the agent to listen", 60, || (listened(&node) > 0).then_some(()));
    wait_for("another certificate", 60, || {
        (std::fs::read_to_string(&pem).unwrap() != first).then_some(())
    });
    let entry = "computer COMP-1 POST /api/v1/computers/{id}/certificate 201";
    wait_for("the log to tell it", 30, || {
        audit(&master).iter().find(|found| *found == entry).map(drop)
    });
    // Who listens with what is over is let go, and comes again with what is good.
    let before = listened(&node);
    wait_for("the end of the first one", 180, || is_over(&former).then_some(()));
    wait_for("the agent to listen again", 60, || (listened(&node) > before).then_some(()));
    let text = std::fs::read_to_string(&node.config).unwrap();
    let old = master.write("old.cfg", &text.replace(&pem.display().to_string(), &former));
    let said = master.refused(&by(&old, &["node", "report"]));
    assert!(said.contains("certificate"), "{said}");
    node.ok(&["node", "report"]);
}
