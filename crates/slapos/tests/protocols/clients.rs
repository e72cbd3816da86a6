//! The original's commands for people, at our Master.

use std::process::Command;

use serde_json::json;
use slapos_testkit::{Original, Run};

use crate::master::{Master, TOKEN, original};

/// Where a user of the original's commands is at home: a configuration, and the token of our Master.
struct Home<'a> {
    original: &'a Original,
    master: &'a Master,
    directory: tempfile::TempDir,
}

impl<'a> Home<'a> {
    fn new(original: &'a Original, master: &'a Master) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let netrc = format!("machine 127.0.0.1 login me password \"{TOKEN}\"\n");
        std::fs::write(directory.path().join(".netrc"), netrc).unwrap();
        original.person.give(directory.path());
        let home = Self { original, master, directory };
        home.at(&master.url());
        home
    }

    /// Which Master is asked.
    fn at(&self, url: &str) {
        let config = format!("[slapos]\nmaster_url = {url}\n");
        std::fs::write(self.directory.path().join("client.cfg"), config).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.original.command("slapos");
        command.env("HOME", self.directory.path()).env_remove("NETRC");
        command.env("SLAPOS_CLIENT_CONFIGURATION", self.directory.path().join("client.cfg"));
        command.args(words).current_dir(self.directory.path());
        command
    }

    fn slapos(&self, code: i32, words: &[&str]) -> Run {
        let run = Run::of(&self.command(words).output().unwrap());
        assert_eq!(run.code, code, "{words:?}\n{}{}", run.out, run.err);
        run
    }

    fn format(&self) {
        let partition = |number: usize| {
            json!({"partition_id": format!("slappart{number}"),
                   "ip_list": [{"ip-address": format!("10.0.0.{}", number + 1),
                                "netmask": "255.255.255.255", "network-interface": ""}]})
        };
        let body = json!({"computer_guid": "local",
                          "compute_partition_list": [partition(0), partition(1)]});
        let kind = [("Content-Type", "application/json")];
        let path = "/slapos.put.v0.compute_node_format";
        let answer = self.master.send("POST", path, &kind, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn people_use_our_master_by_the_commands_of_the_original() {
    let Some(python) = original("people_use_our_master_by_the_commands_of_the_original") else {
        return;
    };
    let ours = Master::ours("software_product_list =\n  kvm http://127.0.0.1:9/kvm.cfg\n");
    let home = Home::new(&python, &ours);
    home.format();
    assert_eq!(home.slapos(0, &["computer", "list"]).out, "List of Computers:\nlocal local\n");
    let told = home.slapos(0, &["computer", "info", "local"]).out;
    assert_eq!(told, "Computer Reference: local\nComputer Title    : local\n");
    home.slapos(2, &["computer", "info", "COMP-9"]);

    home.slapos(0, &["supply", "product.kvm", "local"]);
    home.slapos(1, &["supply", "product.nothing", "local"]);
    let said = home.slapos(0, &["request", "one", "product.kvm", "--parameters", "a=b"]).err;
    assert!(said.contains("State is : started."), "{said}");
    let list: serde_json::Value =
        serde_json::from_str(&home.slapos(0, &["service", "list"]).out).unwrap();
    assert_eq!(list, json!({"one": "http://127.0.0.1:9/kvm.cfg"}));
    let info: serde_json::Value =
        serde_json::from_str(&home.slapos(0, &["service", "info", "one"]).out).unwrap();
    assert_eq!(info["instance-parameters"], json!({"a": "b"}), "{info:#}");
    assert_eq!(info["status"], "none", "{info:#}");
    home.slapos(2, &["service", "info", "two"]);

    let script = home.directory.path().join("script.py");
    let text = "
import sys
assert sys.argv[1:] == ['x'], sys.argv
partition = request(product.kvm, 'one', partition_parameter_kw={'a': 'b'})
assert partition.getId() == 'slappart0' and partition.getState() == 'started'
supply('http://127.0.0.1:9/kvm.cfg', 'local', state='destroyed')
assert getInformation('one')._source_reference == 'default'
computer = slap.registerComputer('local')
assert computer.getStatus()['text'] == '#error no data found for local', computer.getStatus()
computer.getComputerPartitionList()
assert computer.getStatus()['text'] == '#access local', computer.getStatus()
print('all is well')
";
    std::fs::write(&script, text).unwrap();
    let said = home.slapos(0, &["console", &script.display().to_string(), "x"]);
    assert!(said.out.contains("all is well"), "{said:?}");
}

#[test]
fn who_asks_for_a_frontend_that_nobody_has_is_told_his_own_address_by_both() {
    let test = "who_asks_for_a_frontend_that_nobody_has_is_told_his_own_address_by_both";
    let Some(python) = original(test) else { return };
    let script = "
import sys
from slapos.slap import slap
client = slap()
client.initializeConnection(sys.argv[1])
own = client.registerComputerPartition('local', 'slappart0')
web = 'http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg'
ask = lambda url: own.request(web, 'default', 'front', shared=True, partition_parameter_kw={'url': url})
print(sorted(ask('https://[::1]:8080/a').getConnectionParameterDict().items()))
";
    let told = |master: &Master, url: &str| {
        let home = Home::new(&python, master);
        home.format();
        crate::json_rpc::request(master, "one", None, slapos_slap::InstanceState::Started);
        let mut command = python.command("python");
        command.args(["-c", script, url]).current_dir(home.directory.path());
        Run::of(&command.output().unwrap())
    };
    let theirs = Master::original(&python, "");
    let ours = Master::ours("direct_frontends = true\n");
    let with_token = |master: &Master| format!("{}/token/{TOKEN}", master.url());
    let (theirs, direct) = (told(&theirs, &theirs.url()), told(&ours, &with_token(&ours)));
    assert_eq!((theirs.code, &theirs.out), (0, &direct.out), "{theirs:?} {direct:?}");
    assert!(direct.out.contains("('secure_access', 'https://[::1]:8080/a')"), "{direct:?}");
    // Unless that is wanted, there is none.
    let none = Master::ours("");
    let told = told(&none, &with_token(&none));
    assert!(told.code != 0 && told.err.contains("NotFoundError"), "{told:?}");
}

#[test]
fn people_are_told_why_they_have_to_ask_again() {
    let Some(python) = original("people_are_told_why_they_have_to_ask_again") else { return };
    let elsewhere = slapos_testkit::free_port();
    let ours = Master::ours(&format!(
        "requests_per_second = 0.001\n[multimaster/http://127.0.0.1:{elsewhere}]\n\
         software_release_list = http://127.0.0.1:9/far.cfg\n\
         computer = local\npartition = slappart0\n"
    ));
    let home = Home::new(&python, &ours);
    home.format();
    // 503: what is needed is away.
    let said = home.slapos(1, &["request", "far", "http://127.0.0.1:9/far.cfg"]).err;
    let away =
        format!("503 Server Error: the Master at http://127.0.0.1:{elsewhere}/ does not answer");
    assert!(said.contains(&away), "{said}");
    // 429: too often.
    let kind = [("Content-Type", "application/json")];
    assert_eq!(ours.send("POST", "/api/v1/users", &kind, br#"{"name": "ann"}"#).status, 201);
    let made = ours.send("POST", "/api/v1/users/ann/tokens", &kind, b"{}");
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    home.at(&format!("{}/token/{}", ours.url(), made["token"].as_str().unwrap()));
    let said = home.slapos(1, &["service", "list"]).err;
    assert!(said.contains("429 Client Error: too many requests: wait"), "{said}");
}
