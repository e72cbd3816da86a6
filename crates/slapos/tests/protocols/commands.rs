//! Our commands for people, at our Master and beside those of the original.

use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};
use slapos_slap::InstanceState;
use slapos_testkit::{Person, Run, free_port};

use crate::master::{Master, TOKEN, original};

const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

/// Somebody with a configuration for a Master.
struct User {
    person: Person,
    directory: tempfile::TempDir,
}

impl User {
    fn new(url: &str, more: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("slapos-user-").tempdir().unwrap();
        let base = directory.path();
        std::fs::write(base.join("token"), TOKEN).unwrap();
        let config = format!(
            "[slapos]\nmaster_url = {url}\nmaster_token_file = {}/token\n{more}",
            base.display()
        );
        std::fs::write(base.join("client.cfg"), config).unwrap();
        let person = Person::ordinary(Path::new(BINARY)).unwrap();
        person.give(base);
        Self { person, directory }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.person.command(Path::new(BINARY));
        command.args(words).current_dir(self.directory.path()).env("NO_COLOR", "1");
        command.env("HOME", self.directory.path()).env_remove("SLAPOS_CLIENT_CONFIGURATION");
        command.env("SLAPOS_CONFIGURATION", self.directory.path().join("client.cfg"));
        command
    }

    fn run(&self, code: i32, words: &[&str]) -> Run {
        let run = Run::of(&self.command(words).output().unwrap());
        assert_eq!(run.code, code, "{words:?}\n{}{}", run.out, run.err);
        run
    }

    fn json(&self, words: &[&str]) -> Json {
        serde_json::from_str(&self.run(0, &[words, &["--json"]].concat()).out).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

fn format(master: &Master) {
    format_as(master, "local");
}

fn format_as(master: &Master, computer: &str) {
    let partitions = [0, 1].map(|number| json!({"partition_id": format!("slappart{number}")}));
    let body = json!({"computer_guid": computer, "compute_partition_list": partitions});
    let kind = [("Content-Type", "application/json")];
    let path = "/slapos.put.v0.compute_node_format";
    let answer = master.send("POST", path, &kind, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn computers_products_and_parameters() {
    let master = Master::ours("software_product_list =\n  demo http://127.0.0.1:9/demo.cfg\n");
    format(&master);
    let user = User::new(&master.url(), "");
    assert_eq!(user.run(0, &["computer", "list"]).out, "List of Computers:\nlocal local\n");
    let told = user.run(0, &["computer", "info", "local"]).out;
    assert_eq!(told, "Computer Reference: local\nComputer Title    : local\n");
    user.run(2, &["computer", "info", "COMP-9"]);
    assert_eq!(user.json(&["computer", "list"]), json!([{"reference": "local", "title": "local"}]));

    user.run(0, &["supply", "product.demo", "local"]);
    user.run(1, &["supply", "product.other", "local"]);
    let file = user.write("parameters.json", r#"{"a": 1, "b": {"c": true}}"#);
    let request = ["request", "one", "product.demo", "--parameters-file", &file];
    let said = user.run(1, &request).err;
    assert!(said.contains("--force-serialisation xml, or json-in-xml"), "{said}");
    let forced = |form: &str| {
        user.json(&[&request[..], &["--force-serialisation", form]].concat())["parameters"].clone()
    };
    assert_eq!(forced("xml"), json!({"a": "1", "b": "{'c': True}"}));
    let all = forced("json-in-xml");
    let all: Json = serde_json::from_str(all["_"].as_str().unwrap()).unwrap();
    assert_eq!(all, json!({"a": 1, "b": {"c": true}}));

    let shared = ["request", "guest", "product.demo", "--slave", "--parameters", "x=y"];
    assert_eq!(user.json(&shared)["partition"], "slappart0");
    let info = user.json(&["service", "info", "guest"]);
    assert_eq!((&info["shared"], &info["instance-parameters"]), (&json!(true), &json!({"x": "y"})));
}

#[test]
fn what_is_asked_for_on_a_node_may_go_to_another() {
    let master = Master::ours("");
    format(&master);
    let kind = [("Content-Type", "application/json")];
    let made = master.send("POST", "/api/v1/computers", &kind, br#"{"title": "COMP-2"}"#);
    assert_eq!(made.status, 201, "{made:?}");
    format_as(&master, "COMP-2");
    let user =
        User::new(&master.url(), "software_root = /s\ninstance_root = /i\ncomputer_id = local\n");
    let release = "http://127.0.0.1:9/s.cfg";
    user.run(0, &["supply", release, "COMP-2"]);
    assert_eq!(user.json(&["request", "one", release])["computer"], "COMP-2");
    // Once it is somewhere it stays there, and that is said.
    let run = user.run(0, &["request", "one", release, "--node", "computer_guid=local"]);
    assert!(run.err.contains("one stays on COMP-2: an instance is not moved"), "{}", run.err);
    // Where nothing else speaks for a place, it is the Master's own computer.
    let other = "http://127.0.0.1:9/other.cfg";
    assert_eq!(user.json(&["request", "two", other])["computer"], "local");
    let run = user.run(0, &["request", "guest", release, "--slave", "--state", "stopped"]);
    assert!(run.err.contains("guest is to be started, not stopped"), "{}", run.err);
}

#[test]
fn what_a_request_would_do_is_told_without_doing_it() {
    let master = Master::ours("");
    format(&master);
    let user = User::new(&master.url(), "");
    let profile = user.write("software.cfg", "[buildout]\n");
    let schema =
        r#"{"serialisation": "xml", "software-type": {"default": {"request": "in.json"}}}"#;
    user.write("software.cfg.json", schema);
    user.write(
        "in.json",
        r#"{"properties": {"n": {"type": "string"}}, "additionalProperties": false}"#,
    );
    let check = ["request", "one", profile.as_str(), "--check"];
    let told = user.run(0, &check).out.replace(&profile, "PROFILE");
    insta::assert_snapshot!(told, @r"
    It would be made on local/slappart0: there is none of that title.
    Nobody supplies PROFILE to local: unless it is there already, the instance waits until somebody does.
    Its parameters are what the Software Release takes.
    ");
    assert_eq!(user.json(&["service", "list"]), json!({}));
    user.run(0, &["supply", &profile, "local"]);
    user.run(0, &["request", "one", &profile]);
    let told = user.run(0, &check).out;
    insta::assert_snapshot!(told, @r"
    It is on local/slappart0, and nothing would be changed: it is as it is asked for.
    Its parameters are what the Software Release takes.
    ");
    let told = user.run(1, &[&check[..], &["--parameters", "m=x"]].concat()).out;
    insta::assert_snapshot!(told, @r"
    It would not be granted: its parameters are not what the Software Release says of them.
    Its parameters are not what the Software Release takes:
      $: Additional properties are not allowed ('m' was unexpected)
    ");
    let elsewhere = ["--node", "computer_guid=COMP-9"];
    let told = user.run(1, &[&["request", "two", &profile, "--check"], &elsewhere[..]].concat());
    assert!(told.out.starts_with("It would not be granted: "), "{told:?}");
}

#[test]
fn services_start_anew_and_orphans_go_when_somebody_says_so() {
    let master = Master::ours("");
    format(&master);
    let user =
        User::new(&master.url(), "software_root = /s\ninstance_root = /i\ncomputer_id = local\n");
    crate::json_rpc::request(&master, "one", None, InstanceState::Started);
    crate::json_rpc::request(&master, "child", Some("slappart0"), InstanceState::Started);
    let restarted = |words: &[&str]| {
        let told = user.json(&[&["service", "restart", "one"], words].concat());
        let titles = told["restarted"].as_array().unwrap().iter().map(|one| one["title"].clone());
        titles.collect::<Vec<_>>()
    };
    assert_eq!(restarted(&[]), ["one"]);
    assert_eq!(restarted(&["--tree"]), ["one", "child"]);
    user.run(2, &["service", "restart", "two"]);

    assert_eq!(user.run(0, &["proxy", "orphans"]).out, "There is no orphan.\n");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = "computer_id=local&computer_partition_id=slappart0&\
                instance_reference_xml=%3Cmarshal%3E%3Clist%20id='i2'/%3E%3C/marshal%3E";
    let path = "/updateComputerPartitionRelatedInstanceList";
    assert_eq!(master.send("POST", path, &kind, body.as_bytes()).status, 200);
    let told = user.run(0, &["proxy", "orphans"]).out;
    assert!(told.contains("child") && told.contains("They stay as they are"), "{told}");
    let told = user.json(&["proxy", "orphans", "--destroy"]);
    assert_eq!(told["destroyed"], json!(["child"]));
    assert_eq!(user.json(&["proxy", "orphans"])["orphans"][0]["state"], "destroyed");
    crate::json_rpc::request(&master, "one", None, InstanceState::Stopped);
    user.run(1, &["service", "restart", "one"]);
}

#[test]
fn a_console_speaks_for_its_user() {
    let master = Master::ours("software_product_list = demo http://127.0.0.1:9/demo.cfg\n");
    format(&master);
    let user = User::new(&master.url(), "");
    let script = user.write(
        "script.py",
        "import sys
assert sys.argv == [__file__, '-x', 'y'], sys.argv
supply(product.demo, 'local')
partition = request(product.demo, 'one', partition_parameter_kw={'a': 'b', 'n': 1})
assert partition.getId() == 'slappart0' and partition.getState() == 'started'
assert partition.getInstanceParameterDict() == {'a': 'b', 'n': '1'}
assert slap.getOpenOrderDict() == {'one': 'http://127.0.0.1:9/demo.cfg'}
assert slap.getComputerDict() == {'local': 'local'}
assert getInformation('one')._requested_state == 'started'
try:
  getInformation('two')
except NotFoundError:
  pass
else:
  raise AssertionError('there is no two')
print('all is well')
",
    );
    assert_eq!(user.run(0, &["console", &script, "-x", "y"]).out, "all is well\n");
    // Talked to, it does the same.
    let mut talk = user.command(&["console"]);
    talk.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut talk = talk.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = talk.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"print(request(product.demo, 'one').getId())\n")
        .unwrap();
    drop(input);
    let said = Run::of(&talk.wait_with_output().unwrap());
    assert!(said.out.contains("slappart0"), "{said:?}");
}

#[test]
fn a_master_that_is_not_there_has_its_own_exit_code() {
    let user = User::new(&format!("http://127.0.0.1:{}", free_port()), "");
    let profile = user.write("software.cfg", "[buildout]\n");
    for words in [
        &["service", "list"][..],
        &["service", "info", "a"],
        &["computer", "list"],
        &["computer", "info", "a"],
        &["computer", "token"],
        &["supply", &profile, "local"],
        &["remove", &profile, "local"],
        &["request", "a", &profile],
        &["request", "a", "product.x"],
    ] {
        user.run(3, words);
    }
}

#[test]
fn shells_can_complete() {
    let user = User::new("http://127.0.0.1:9", "");
    for shell in ["bash", "zsh", "fish"] {
        let script = user.run(0, &["complete", "--shell", shell]).out;
        assert!(script.contains("cachelookup") && script.contains("parameters-file"), "{shell}");
    }
    let check = "source /dev/stdin && complete -p slapos";
    let mut bash = Command::new("bash");
    bash.args(["-c", check]).stdin(std::process::Stdio::piped());
    let mut bash = bash.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let script = user.run(0, &["complete"]).out;
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let run = Run::of(&bash.wait_with_output().unwrap());
    assert!(run.code == 0 && run.out.contains("slapos"), "{run:?}");
}

#[test]
fn a_network_cache_is_looked_into_as_by_the_original() {
    let Some(python) = original("a_network_cache_is_looked_into_as_by_the_original") else {
        return;
    };
    let master = Master::ours(
        "shacache_content_directory = HERE/content\nshacache_metadata_directory = HERE/dir\n\
         shacache_anonymous_download = true\n",
    );
    let sources = slapos_testkit::repository().join("crates/slapos-sources/src/networkcache");
    let certificate = std::fs::read_to_string(sources.join("certificate.pem")).unwrap();
    let signature = std::fs::read_to_string(sources.join("signature.base64")).unwrap();
    // The signed text, under a key of each kind; and one that nobody signed.
    let put = |key: &str, information: &str, signature: &str| {
        let entry = json!([information, signature]).to_string();
        let path = format!("/shacache/dir/{key}");
        assert_eq!(master.send("PUT", &path, &[], entry.as_bytes()).status, 201);
    };
    let signed = r#"{"sha512": "a"}"#;
    put("pypi:a=1", signed, &signature);
    put("pypi:b=1", r#"{"sha512": "a", "basename": "b.tar.gz"}"#, &signature);
    let url = format!("{}/shacache", master.url());
    let user = User::new(
        "http://127.0.0.1:9",
        &format!(
            "[networkcache]\ndownload-dir-url = {url}/dir\ndownload-cache-url = {url}/cache\n\
             download-binary-dir-url = {url}/dir\ndownload-binary-cache-url = {url}/cache\n\
             signature-certificate-list =\n  {}\n",
            certificate.trim().replace('\n', "\n  ")
        ),
    );
    let found = user.json(&["cachelookup", "pypi", "a", "1"]);
    assert_eq!(found, json!([{"information": {"sha512": "a"}, "verified": true}]));
    let found = user.json(&["cachelookup", "pypi", "b", "1"]);
    assert_eq!(found[0]["verified"], false);
    user.run(1, &["cachelookup", "pypi", "c", "1"]);
    user.run(1, &["cachelookup", "url", "http://nowhere/x"]);
    user.run(1, &["cachelookup", "binary-sr", "http://nowhere/x.cfg"]);
    // The original says the same of the signature.
    let config = user.directory.path().join("client.cfg");
    let theirs = |words: &[&str]| {
        let mut command = python.command("slapos");
        command.args(words).arg("--cfg").arg(&config).env("HOME", user.directory.path());
        Run::of(&command.current_dir(user.directory.path()).output().unwrap())
    };
    let told = theirs(&["cachelookup", "pypi", "b", "1"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!((told.out + &told.err).contains("False"));
    let told = user.run(0, &["cachelookup", "pypi", "b", "1"]).out;
    insta::assert_snapshot!(told, @r"
    basename  sha512  signed
    b.tar.gz  a       no
    ");
    assert_eq!(theirs(&["cachelookup", "pypi", "c", "1"]).code, 1);
    for words in [["url", "http://nowhere/x"], ["binary-sr", "http://nowhere/x.cfg"]] {
        let told = theirs(&[&["cachelookup"], &words[..]].concat());
        assert_ne!(told.code, 0, "{told:?}");
        assert!(!told.err.contains("Traceback"), "{told:?}");
    }
}
