//! A whole node of the original at our Master: format, software, instances that ask for others and
//! publish, promises, report.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use slapos_testkit::{Original, Run, SOFTWARE_FOR_BOTH, instance_for_both, open_directory};

use crate::master::{Master, TOKEN, original};

/// A service and a promise.
const ROOT: &str = r"configuration.child =
configuration.word = hello

[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
service = $${:etc}/service
promise = $${:etc}/promise

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${directory:service}/sleeper
command-line = /bin/sleep 86400

[promise]
recipe = slapos.recipe.template
inline =
  #!/bin/sh
  exit 0
output = $${directory:promise}/holds
mode = 0755
";

const ASKS: &str = r"
[child]
recipe = slapos.cookbook:request
computer-id = $${slap-connection:computer-id}
partition-id = $${slap-connection:partition-id}
server-url = $${slap-connection:server-url}
key-file = $${slap-connection:key-file}
cert-file = $${slap-connection:cert-file}
software-url = @CHILD@
name = child
return = word
config-word = asked for

# There is no place for it.
[third]
<= child
recipe = slapos.cookbook:requestoptional
name = third

[publish]
recipe = slapos.cookbook:publish
of-child = $${child:connection-word}
of-third = $${third:connection-word}none
";

const TELLS: &str = r"
[publish]
recipe = slapos.cookbook:publish
word = $${slapconfiguration:configuration.word}
";

/// What an instance reports as used.
const USED: &str = "<?xml version='1.0' encoding='utf-8'?><consumption><movement>\
    <resource>service_module/cpu_load_percent</resource><title>CPU</title><reference>x</reference>\
    <quantity>1.5</quantity><price>0.0</price><VAT></VAT><category></category></movement>\
    </consumption>";

/// The original's node, and where everything of it is.
struct Node<'a> {
    original: &'a Original,
    directory: tempfile::TempDir,
}

impl<'a> Node<'a> {
    /// At that Master, or by https at `url` with that certificate and key.
    fn new(original: &'a Original, master: &Master, https: Option<(&str, &str, &str)>) -> Self {
        let directory = open_directory("slapos-grid-");
        let base = directory.path();
        for name in ["etc", "inst", "soft", "var"] {
            std::fs::create_dir(base.join(name)).unwrap();
        }
        let node = Self { original, directory };
        let child = node.profile("tells", TELLS, "");
        node.profile("asks", ASKS, &child);
        let (here, user) = (node.base().display(), original.person.name());
        // The header has no room for it: that is where partitions say who they are.
        let by_token = format!("{}/token/{TOKEN}", master.url());
        let client = format!("[slapos]\nmaster_url = {by_token}\n");
        std::fs::write(node.base().join("etc/client.cfg"), client).unwrap();
        let url = https.map_or(by_token.as_str(), |(url, ..)| url);
        let more = https.map_or_else(String::new, |(_, certificate, key)| {
            std::fs::create_dir(node.base().join("pki")).unwrap();
            std::fs::write(node.base().join("etc/certificate"), certificate).unwrap();
            std::fs::write(node.base().join("etc/key"), key).unwrap();
            format!(
                "cert_file = {here}/etc/certificate\nkey_file = {here}/etc/key\n\
                 certificate_repository_path = {here}/pki\n"
            )
        });
        let config = format!(
            "[slapos]\nsoftware_root = {here}/soft\ninstance_root = {here}/inst\n\
             master_url = {url}\ncomputer_id = local\nroot_check = False\n\
             pidfile_software = {here}/var/software.pid\n\
             pidfile_instance = {here}/var/instance.pid\n\
             pidfile_report = {here}/var/report.pid\n\
             software_min_free_space = 1M\ninstance_min_free_space = 1M\n{more}\n\
             [slapformat]\ninput_definition_file = {here}/etc/format.cfg\npartition_amount = 2\n\
             alter_user = false\nalter_network = false\ncreate_tap = false\ncreate_tun = false\n\
             computer_xml = {here}/var/slapos.xml\npartition_has_ipv6_range = false\n\n\
             [networkcache]\n"
        );
        std::fs::write(node.base().join("etc/slapos.cfg"), config).unwrap();
        let partition = |index: usize| {
            let six = "::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
            format!(
                "\n[partition_{index}]\naddress = 127.0.0.1/255.255.255.255 {six}\n\
                 pathname = slappart{index}\nuser = {user}\nnetwork_interface =\n"
            )
        };
        let definition = format!(
            "[computer]\naddress = 127.0.0.1/255.255.255.255\n{}{}",
            partition(0),
            partition(1)
        );
        std::fs::write(node.base().join("etc/format.cfg"), definition).unwrap();
        original.person.give(node.base());
        node
    }

    fn base(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a Software Release and returns its URL.
    fn profile(&self, name: &str, publishes: &str, child: &str) -> String {
        let folder = self.base().join("profiles").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let software = SOFTWARE_FOR_BOTH.replace("@HERE@", &folder.to_string_lossy());
        std::fs::write(folder.join("software.cfg"), software).unwrap();
        let rest = format!("{ROOT}{publishes}").replace("@CHILD@", child);
        let instance = instance_for_both("service promise publish", &rest);
        std::fs::write(folder.join("instance.cfg.in"), instance).unwrap();
        folder.join("software.cfg").display().to_string()
    }

    fn url(&self, name: &str) -> String {
        self.base().join("profiles").join(name).join("software.cfg").display().to_string()
    }

    fn command(&self, words: &[&str]) -> Command {
        let config: PathBuf = self.base().join("etc/slapos.cfg");
        let client = self.base().join("etc/client.cfg");
        let mut command = self.original.command("slapos");
        command.args(words).current_dir(self.base());
        command.env("SLAPOS_CONFIGURATION", &config).env("HOME", self.base());
        command.env("SLAPOS_CLIENT_CONFIGURATION", &client).env_remove("NETRC");
        command
    }

    fn slapos(&self, words: &[&str]) -> Run {
        let run = Run::of(&self.command(words).output().unwrap());
        assert_eq!(run.code, 0, "{words:?}\n{}{}", run.out, run.err);
        run
    }

    fn node(&self, what: &str) -> Run {
        self.slapos(&["node", what, "--now"])
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let config = self.base().join("inst/etc/supervisord.conf");
        let mut end = self.original.command("supervisorctl");
        let _ = end.arg("-c").arg(config).arg("shutdown").current_dir(self.base()).output();
    }
}

fn overview(master: &Master) -> Json {
    let answer = master.send("GET", "/api/v1/overview", &[], b"");
    serde_json::from_str(&answer.body).unwrap()
}

/// What is known of an instance.
fn instance(master: &Master, title: &str) -> Json {
    let overview = overview(master);
    let mut instances = overview["instances"].as_array().unwrap().iter();
    instances.find(|instance| instance["title"] == title).cloned().unwrap_or_default()
}

/// The life of a tree of two instances, by the commands of the original.
fn live(node: &Node, master: &Master) {
    node.node("format");
    let partitions = overview(master)["partitions"].as_array().unwrap().len();
    assert_eq!(partitions, 2);
    let (asks, tells) = (node.url("asks"), node.url("tells"));
    node.slapos(&["supply", &asks, "local"]);
    node.slapos(&["supply", &tells, "local"]);
    node.node("software");
    let software = overview(master)["software"].clone();
    for release in software.as_array().unwrap() {
        assert_eq!(release["reported"]["state"], "available", "{release:#}");
    }
    node.slapos(&["request", "root", &asks]);
    let list: Json = serde_json::from_str(&node.slapos(&["service", "list"]).out).unwrap();
    assert_eq!(list, serde_json::json!({"root": asks}));
    // The first run asks for the child, the second makes it, the third publishes of it.
    let _ = node.command(&["node", "instance", "--now"]).output().unwrap();
    let _ = node.command(&["node", "instance", "--now"]).output().unwrap();
    node.node("instance");
    let (root, child) = (instance(master, "root"), instance(master, "child"));
    assert_eq!(child["connection"]["word"], "asked for", "{child:#}");
    assert_eq!(child["root_title"], "root", "{child:#}");
    assert_eq!(root["connection"]["of-child"], "asked for", "{root:#}");
    assert_eq!(root["connection"]["of-third"], "none", "{root:#}");
    assert_eq!(instance(master, "third"), Json::Null);
    let info: Json = serde_json::from_str(&node.slapos(&["service", "info", "root"]).out).unwrap();
    assert_eq!(info["connection-parameters"]["of-child"], "asked for", "{info:#}");
    for known in [&root, &child] {
        assert_eq!(known["reported"]["state"], "started", "{known:#}");
    }

    // A partition's report is told, and kept.
    let reports = node.base().join("inst/slappart0/var/xml_report");
    std::fs::create_dir_all(&reports).unwrap();
    std::fs::write(reports.join("usage.xml"), USED).unwrap();
    for path in [reports.parent().unwrap(), &reports, &reports.join("usage.xml")] {
        node.original.person.give(path);
    }
    node.node("report");
    let told = master.send("GET", "/api/v1/instances/local-slappart0/usage", &[], b"");
    let told: Json = serde_json::from_str(&told.body).unwrap();
    assert_eq!(
        (&told["usage"][0]["quantity"], &told["usage"][0]["by"]),
        (&"1.5".into(), &"slappart0".into()),
        "{told:#}"
    );

    if node.base().join("pki").exists() {
        // Each partition that has an instance has a certificate of its own.
        for name in ["slappart0.crt", "slappart0.key"] {
            assert!(node.base().join("pki").join(name).exists(), "{name}");
        }
    }
    let before = instance(master, "root")["timestamp"].clone();
    node.slapos(&["node", "bang", "-m", "the address changed"]);
    assert_ne!(instance(master, "root")["timestamp"], before);
    node.node("promise");
    assert!(node.slapos(&["computer", "list"]).out.contains("local"));
    assert!(node.slapos(&["computer", "info", "local"]).out.contains("Computer Reference: local"));
    node.slapos(&["request", "root", &asks, "--state", "stopped"]);
    node.node("instance");
    assert_eq!(instance(master, "root")["reported"]["state"], "stopped");

    node.slapos(&["request", "root", &asks, "--state", "destroyed"]);
    // The children are told to go, go, and then their root may.
    for what in ["instance", "report", "instance", "report", "report"] {
        let _ = node.command(&["node", what, "--now"]).output().unwrap();
    }
    assert_eq!(overview(master)["instances"], serde_json::json!([]));
    node.slapos(&["remove", &asks, "local"]);
    node.slapos(&["remove", &tells, "local"]);
    node.node("software");
    assert_eq!(overview(master)["software"], serde_json::json!([]));
}

#[test]
fn a_node_of_the_original_works_for_our_master_by_token() {
    let test = "a_node_of_the_original_works_for_our_master_by_token";
    let Some(python) = original(test) else { return };
    let master = Master::ours("");
    live(&Node::new(&python, &master, None), &master);
}

#[test]
fn a_node_of_the_original_works_for_our_master_by_certificate() {
    let test = "a_node_of_the_original_works_for_our_master_by_certificate";
    let Some(python) = original(test) else { return };
    let port = slapos_testkit::free_port();
    let master = Master::ours(&format!("tls_port = {port}\n"));
    // Which makes the computer known.
    let kind = [("Content-Type", "application/json")];
    let body = serde_json::json!({"computer_guid": "local", "compute_partition_list": []});
    let path = "/slapos.put.v0.compute_node_format";
    assert_eq!(master.send("POST", path, &kind, body.to_string().as_bytes()).status, 200);
    let pair = master.send("POST", "/api/v1/computers/local/certificate", &kind, b"{}");
    assert_eq!(pair.status, 201, "{pair:?}");
    let pair: Json = serde_json::from_str(&pair.body).unwrap();
    let text = |name: &str| pair[name].as_str().unwrap().to_owned();
    let url = format!("https://127.0.0.1:{port}");
    let (certificate, key) = (text("certificate"), text("key"));
    let node = Node::new(&python, &master, Some((&url, &certificate, &key)));
    live(&node, &master);
}
