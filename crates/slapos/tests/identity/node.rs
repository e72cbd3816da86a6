//! A node that was registered at a Master with a token, with an agent or without, and what the Master's
//! log tells of it.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;
use slapos_testkit::{pids_in, wait_for};

use crate::master::Master;

/// See the module. It ends, with its services, when this is dropped.
pub(crate) struct Node<'a> {
    master: &'a Master,
    computer: &'static str,
    /// Its configuration.
    pub(crate) config: String,
    agent: Option<Child>,
}

/// A command of whose configuration that is.
pub(crate) fn by<'a>(config: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [words, &["--cfg", config]].concat()
}

impl<'a> Node<'a> {
    /// Registers the node of that computer, with two partitions.
    pub(crate) fn register(master: &'a Master, computer: &'static str, token: &str) -> Self {
        let token = master.write(&format!("{computer}.token"), token);
        let path = |name: &str| master.path(&format!("{computer}/{name}")).display().to_string();
        let config = path("etc/slapos.cfg");
        let fingerprint = master.fingerprint();
        master.ok(&[
            &["node", "register", computer, "--cfg", &config, "--token-file", &token][..],
            &["--master-url", &master.url(), "--ca-fingerprint", &fingerprint],
            &["--partition-number", "2", "--software-root", &path("soft")],
            &["--instance-root", &path("inst")],
        ]
        .concat());
        Self { master, computer, config, agent: None }
    }

    /// Starts its agent.
    pub(crate) fn with_agent(mut self) -> Self {
        let log = std::fs::File::create(self.path("agent.log")).unwrap();
        let mut command = self.master.command(&by(&self.config, &["node", "agent"]));
        command.stdout(Stdio::null()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
        self
    }

    /// Below the node's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.master.path(self.computer).join(name)
    }

    /// What a command says that succeeds.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        self.master.ok(&by(&self.config, words))
    }

    /// The process of a service, once it runs.
    pub(crate) fn service(&self, name: &str) -> i64 {
        wait_for(&format!("{name} on {}", self.computer), 120, || {
            let words = by(&self.config, &["node", "status", "--json"]);
            let status = self.master.slapos(&words).out;
            let status = serde_json::from_str(&status).ok()?;
            pids_in(&status).get(name).copied().filter(|pid| *pid != 0)
        })
    }

    /// Waits until a file of its first partition says that.
    pub(crate) fn waits_for(&self, file: &str, text: &str) {
        let path = self.path("inst/slappart0").join(file);
        wait_for(&format!("{text} in {}", path.display()), 120, || {
            let found = std::fs::read_to_string(&path).ok()?;
            (found.trim() == text).then_some(())
        });
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        self.master.slapos(&by(&self.config, &["down"]));
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path("agent.log")).unwrap_or_default();
            eprintln!("the agent of {} said:\n{log}", self.computer);
        }
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
