//! Hooks with the real binary: managers, the firewall and usage reports, with programs of the
//! machine replaced by scripts on `PATH` that keep what they are told.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

mod firewall;
mod partition;
mod usage;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use slapos_testkit::{Run, TestNode};

/// A node whose instance runs a sleeper, and the programs that its commands find first.
struct Managed {
    node: TestNode,
    profile: String,
}

impl Managed {
    fn new(slapos: &str, sections: &str) -> Self {
        let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
        let profile = node.tree.add_service().display().to_string();
        let managed = Self { node, profile };
        managed.script("firewall-cmd", firewall::FIREWALL_CMD);
        managed.node.ok(&["up", "--partitions", "3"]);
        managed.node.configure("\n[slapformat]\n", &format!("{slapos}\n[slapformat]\n"));
        managed.node.configure("\n[slapproxy]\n", &format!("\n{sections}\n[slapproxy]\n"));
        managed.node.ok(&["supply", &managed.profile, "local"]);
        managed.node.ok(&["node", "software"]);
        managed
    }

    fn bin(&self) -> PathBuf {
        self.node.path("bin")
    }

    /// A program that commands of this node find first.
    fn script(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.bin()).unwrap();
        let path = self.bin().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a script kept.
    fn kept(&self, name: &str) -> String {
        std::fs::read_to_string(self.bin().join(name)).unwrap_or_default()
    }

    fn request(&self, state: &str) {
        self.node.ok(&["request", "service", &self.profile, "--state", state]);
    }

    fn try_node(&self, args: &[&str]) -> Run {
        let path = std::env::var("PATH").unwrap();
        let mut command = self.node.command(args);
        command.env("PATH", format!("{}:{path}", self.bin().display()));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Run { code: output.status.code().unwrap_or(-1), out, err }
    }

    fn node(&self, args: &[&str]) -> Run {
        let run = self.try_node(args);
        assert_eq!(run.code, 0, "{args:?}\n{}{}", run.out, run.err);
        run
    }

    /// Puts a file in the partition, as its own user would.
    fn plant(&self, name: &str, text: &str) -> PathBuf {
        let path = self.node.partition(0).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.own(&path);
        path
    }

    fn own(&self, path: &std::path::Path) {
        let owner = std::fs::metadata(self.node.partition(0)).unwrap();
        let mut path = path;
        while path != self.node.partition(0) {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
            path = path.parent().unwrap();
        }
    }

    /// Makes the Master believe what `node format` of a node with taps tells it. False, and said,
    /// where that cannot be done.
    fn route(&self, test: &str) -> bool {
        let database = self.node.root().join("master/proxy.db");
        let sql = "UPDATE partition_address SET interface = 'route_' || partition_reference";
        let done = std::process::Command::new("sqlite3").arg(&database).arg(sql).output();
        let done = done.is_ok_and(|done| done.status.success());
        if !done {
            slapos_testkit::skipped(test, "needs sqlite3");
        }
        done
    }

    fn uid(&self) -> u32 {
        std::fs::metadata(self.node.partition(0)).unwrap().uid()
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn unknown_managers_are_refused_with_their_line() {
    let managed = Managed::new("", "");
    managed.node.configure("\n[slapformat]\n", "manager_list = prerm, nosuch\n\n[slapformat]\n");
    let run = managed.try_node(&["node", "instance"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("there is no manager `nosuch`"), "{}", run.err);
    // The node is not brought down by a configuration that is refused.
    managed.node.configure("manager_list = prerm, nosuch\n", "");
}

fn name_of(uid: u32) -> String {
    let output = std::process::Command::new("id").args(["-un", &uid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
