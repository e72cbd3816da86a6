//! A node at a Master of the tests, and what the Master's log tells of it.

use serde_json::Value;

use crate::master::Master;

/// Registers the node of that computer, and gives its configuration.
pub(crate) fn register(master: &Master, computer: &str, token: &str) -> String {
    let token = master.write(&format!("{computer}.token"), token);
    let config = master.path("node/etc/slapos.cfg").display().to_string();
    let [software, instance] =
        ["node/soft", "node/inst"].map(|name| master.path(name).display().to_string());
    let fingerprint = master.fingerprint();
    master.ok(&[
        &["node", "register", computer, "--cfg", &config, "--token-file", &token][..],
        &["--master-url", &master.url(), "--ca-fingerprint", &fingerprint],
        &["--partition-number", "2", "--software-root", &software, "--instance-root", &instance],
    ]
    .concat());
    config
}

/// A command of whose configuration that is.
pub(crate) fn by<'a>(config: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--cfg", config]].concat()
}

/// Ends the services of a node.
pub(crate) struct Ended<'a> {
    pub(crate) master: &'a Master,
    pub(crate) node: &'a str,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.master.slapos(&["down", "--cfg", self.node]);
    }
}

/// Entries of the audit log, as `CALLER METHOD ROUTE OUTCOME`.
pub(crate) fn audit(master: &Master) -> Vec<String> {
    let entries = master.json(&["proxy", "audit", "--limit", "500"]);
    let entry = |entry: &Value| {
        let word = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let (caller, method, route) = (word("caller"), word("method"), word("route"));
        format!("{caller} {method} {route} {}", entry["outcome"])
    };
    entries.as_array().unwrap().iter().map(entry).collect()
}
