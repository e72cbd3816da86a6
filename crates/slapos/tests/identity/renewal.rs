//! Certificates that come to their end: the node has another in time, and its agent goes on with that.

use std::process::{Child, Command, Stdio};

use slapos_testkit::{skipped, wait_for};

use crate::master::Master;
use crate::node::{Ended, audit, by, register};

/// In days: the first certificate is good for two minutes.
const SHORT: &str = "certificate_days = 0.0014\n";

/// An agent that is ended with the test.
struct Agent(Child);

impl Agent {
    fn start(master: &Master, node: &str) -> Agent {
        let log = std::fs::File::create(master.path("agent.log")).unwrap();
        let mut command = master.command(&by(node, &["node", "agent"]));
        Agent(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// How often the agent said that it listens.
fn listened(master: &Master) -> usize {
    let said = std::fs::read_to_string(master.path("agent.log")).unwrap();
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
    let mut master = Master::start(SHORT);
    let token = master.ok(&["proxy", "computer", "add", "COMP-1"]);
    let node = register(&master, "COMP-1", &token);
    master.ok(&["proxy", "token", "revoke", "--computer", "COMP-1"]);
    let pem = master.path("node/etc/ssl/node.pem");
    let first = std::fs::read_to_string(&pem).unwrap();
    let former = master.write("former.pem", &first);
    assert!(!is_over(&former));
    // From now on they last as long as usual.
    master.run_with(SHORT, "");
    let _ended = Ended { master: &master, node: &node };
    let _agent = Agent::start(&master, &node);
    wait_for("the agent to listen", 60, || (listened(&master) > 0).then_some(()));
    wait_for("another certificate", 60, || {
        (std::fs::read_to_string(&pem).unwrap() != first).then_some(())
    });
    let entry = "computer COMP-1 POST /api/v1/computers/{id}/certificate 201";
    wait_for("the log to tell it", 30, || {
        audit(&master).iter().find(|found| *found == entry).map(drop)
    });
    // Who listens with what is over is let go, and comes again with what is good.
    let before = listened(&master);
    wait_for("the end of the first one", 180, || is_over(&former).then_some(()));
    wait_for("the agent to listen again", 60, || (listened(&master) > before).then_some(()));
    let text = std::fs::read_to_string(&node).unwrap();
    let old = master.write("old.cfg", &text.replace(&pem.display().to_string(), &former));
    let said = master.refused(&by(&old, &["node", "report"]));
    assert!(said.contains("certificate"), "{said}");
    master.ok(&by(&node, &["node", "report"]));
}
