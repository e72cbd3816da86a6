//! Masters and clients of the other kind: the original's clients at our Master, and our node and
//! client at the original's `slapos proxy`. From PyPI; skipped with a visible line where that cannot
//! be reached.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use slapos_testkit::{
    Original, Person, Run, SERVICE_PROFILE, TestNode, Tree, free_port, open_directory, skipped,
    wait_for,
};

const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

fn original(test: &str) -> Option<Original> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slapos-original");
    Original::at(&place).map_err(|why| skipped(test, &why)).ok()
}

/// The same through the original's library: what recipes and other programs use.
const THROUGH_THE_LIBRARY: &str = "
import sys
from slapos.slap import slap
url, profile = sys.argv[1:]
client = slap()
client.initializeConnection(url)
computer = client.registerComputer('local')
assert [r.getURI() for r in computer.getSoftwareReleaseList()] == [profile]
parts = computer.getComputerPartitionList()
assert [(p.getId(), p.getState()) for p in parts][1] == ('slappart1', 'destroyed'), parts
own = client.registerComputerPartition('local', 'slappart0')
assert own.getState() == 'started' and own.getInstanceParameterDict()['word'] == 'salut'
assert own.getInstanceParameter('root_instance_title') == 'one'
assert own.getConnectionParameter('word') == 'salut'
assert own.getSoftwareRelease().getURI() == profile
again = client.registerOpenOrder().request(
  profile, 'one', partition_parameter_kw={'word': 'salut'}, filter_kw={'computer_guid': 'local'})
assert again.getId() == 'slappart0' and again.getConnectionParameterDict()['word'] == 'salut'
try:
  client.registerOpenOrder().request('/no/profile', 'three', filter_kw={'computer_guid': 'COMP-9'})
except Exception as error:
  assert type(error).__name__ == 'NotFoundError', error
else:
  raise AssertionError('nothing refuses an unknown computer')
print('all is well')
";

const SCHEMA_OF_RELEASE: &str =
    r#"{"serialisation": "xml", "software-type": {"default": {"request": "input.json"}}}"#;
const SCHEMA: &str =
    r#"{"properties": {"word": {"type": "string"}}, "additionalProperties": false}"#;

#[test]
fn clients_of_the_original_speak_to_our_master() {
    let Some(original) = original("clients_of_the_original_speak_to_our_master") else { return };
    let node = TestNode::new(BINARY);
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["up", "--partitions", "2"]);
    let url = node.master_url();
    let home = Home::new(&original, &node, &url);

    home.slapos(&["supply", &profile, "local"]);
    node.ok(&["node", "software"]);
    let request = ["request", "one", &profile, "--node", "computer_guid=local"];
    // Its clients show what our Master says of parameters that do not fit.
    std::fs::write(format!("{profile}.json"), SCHEMA_OF_RELEASE).unwrap();
    std::fs::write(Path::new(&profile).with_file_name("input.json"), SCHEMA).unwrap();
    let wrong = [&request[..], &["--parameters", "wort=salut"]].concat();
    let run = Run::of(&home.command("slapos").args(&wrong).output().unwrap());
    let refusal = "422 Client Error: the parameters are not what";
    assert!(run.code != 0 && run.err.contains(refusal), "{}", run.err);
    assert!(run.err.contains("'wort' was unexpected"), "{}", run.err);
    let with_word = [&request[..], &["--parameters", "word=salut"]].concat();
    let said = home.slapos(&with_word).err;
    assert!(said.contains("Instance requested.\nState is : started."), "{said}");
    node.ok(&["node", "instance"]);
    let said = home.slapos(&with_word).err;
    assert!(said.contains("'word': 'salut'"), "{said}");
    let list: serde_json::Value =
        serde_json::from_str(&home.slapos(&["service", "list"]).out).unwrap();
    assert_eq!(list, serde_json::json!({ "one": profile }));
    let info: serde_json::Value =
        serde_json::from_str(&home.slapos(&["service", "info", "one"]).out).unwrap();
    assert_eq!(info["connection-parameters"]["word"], "salut", "{info:#}");
    assert_eq!(info["software-url"], profile.as_str());

    let mut library = home.command("python");
    library.args(["-c", THROUGH_THE_LIBRARY, &url, &profile]);
    assert_eq!(Run::well(&mut library).out, "all is well\n");

    home.slapos(&[&request[..], &["--state", "destroyed"]].concat());
    home.slapos(&["remove", &profile, "local"]);
    for command in ["instance", "report", "software"] {
        node.ok(&["node", command]);
    }
    assert_eq!(home.slapos(&["service", "list"]).out.trim(), "{}");
}

/// Where a user of the original's clients keeps a configuration, and the token of our Master.
struct Home<'a> {
    original: &'a Original,
    directory: tempfile::TempDir,
}

impl<'a> Home<'a> {
    fn new(original: &'a Original, node: &TestNode, url: &str) -> Self {
        let token = node.token();
        let directory = tempfile::tempdir().unwrap();
        let netrc = format!("machine 127.0.0.1 login me password {token}\n");
        std::fs::write(directory.path().join(".netrc"), netrc).unwrap();
        let config = format!("[slapos]\nmaster_url = {url}\nmaster_rest_url = {url}/hateoas/\n");
        std::fs::write(directory.path().join("client.cfg"), config).unwrap();
        original.person.give(directory.path());
        Self { original, directory }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.original.command(program);
        command.env("HOME", self.directory.path()).env_remove("NETRC");
        command.env("SLAPOS_CLIENT_CONFIGURATION", self.directory.path().join("client.cfg"));
        command.current_dir(self.directory.path());
        command
    }

    fn slapos(&self, words: &[&str]) -> Run {
        Run::well(self.command("slapos").args(words))
    }
}

/// The original's Master, and a node of ours that has it; both run as an ordinary user.
struct Foreign {
    person: Person,
    directory: tempfile::TempDir,
    master: Child,
}

impl Foreign {
    fn new(original: &Original) -> Self {
        Self::with(original, "")
    }

    /// With more sections in the configuration of the Master.
    fn with(original: &Original, more: &str) -> Self {
        let directory = open_directory("slapos-foreign-");
        let (base, port) = (directory.path(), free_port());
        let config = proxy_config(base, port) + more;
        std::fs::write(base.join("proxy.cfg"), config).unwrap();
        std::fs::write(base.join("slapos.cfg"), node_config(base, port)).unwrap();
        original.person.give(base);
        let mut master = original.command("slapos");
        master.args(["proxy", "start", "--cfg"]).arg(base.join("proxy.cfg"));
        master.current_dir(base).env("HOME", base).stdout(Stdio::null()).stderr(Stdio::null());
        let master = master.spawn().unwrap();
        wait_for("the original's Master", 60, || TcpStream::connect(("127.0.0.1", port)).ok());
        let person = Person::ordinary(Path::new(BINARY)).unwrap();
        Self { person, directory, master }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.person.command(Path::new(BINARY));
        command.args(words).current_dir(self.directory.path());
        command.env("SLAPOS_CONFIGURATION", self.path("slapos.cfg"));
        command.env("HOME", self.directory.path()).env("NO_COLOR", "1");
        command
    }

    fn slapos(&self, words: &[&str]) -> Run {
        Run::well(&mut self.command(words))
    }

    fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.slapos(&[words, &["--json"]].concat()).out).unwrap()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.command(&["node", "supervisorctl", "shutdown"]).output();
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}

/// A Master of ours that stands alone, formatted, with more in its configuration; its address.
fn alone(node: &TestNode, more: &str) -> String {
    node.ok(&["up", "--partitions", "2"]);
    if !more.is_empty() {
        let file = node.root().join("etc/slapos.cfg");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config + more).unwrap();
        node.ok(&["down"]);
        node.ok(&["up"]);
    }
    with_token(node)
}

/// The address of the Master of a node, for whoever has nowhere else to put its token.
fn with_token(node: &TestNode) -> String {
    node.master_url().replace("http://", &format!("http://me:{}@", node.token()))
}

#[test]
fn what_a_tree_asked_another_master_for_ends_with_it() {
    let (front, back) = (TestNode::new(BINARY), TestNode::new(BINARY));
    let profile = back.tree.add_service().display().to_string();
    let with_token = alone(&back, "");
    back.ok(&["supply", &profile, "local"]);
    alone(&front, &format!("\n[multimaster/{with_token}]\nsoftware_release_list =\n  {profile}\n"));
    let own = front.tree.add_software("own", SERVICE_PROFILE).display().to_string();
    front.tree.write("software/own/instance.cfg.in", FAR.replace("FAR", &profile));
    front.ok(&["supply", &own, "local"]);
    front.ok(&["node", "software"]);
    front.ok(&["request", "root", &own]);
    front.ok(&["node", "instance"]);
    let there = || back.json(&["proxy", "show"])["instances"].clone();
    assert_eq!(there()[0]["title"], "slappart0_far", "{:#}", there());
    assert_eq!(there()[0]["requested_state"], "started");
    front.ok(&["destroy", "root"]);
    wait_for("the other Master to be asked", 60, || {
        (there()[0]["requested_state"] == "destroyed").then_some(())
    });
    back.ok(&["node", "report"]);
    assert_eq!(there().as_array().unwrap().len(), 0);
    let told = wait_for("the audit log", 60, || {
        let told = front.ok(&["proxy", "audit"]).out;
        told.contains("slappart0_far").then_some(told)
    });
    assert!(told.contains("whose tree root has ended"), "{told}");
}

#[test]
fn what_another_master_serves_is_listed_and_shown() {
    const SOFTWARE: &str = "http://back/software.cfg";
    let (front, back) = (TestNode::new(BINARY), TestNode::new(BINARY));
    let with_token = alone(&back, "");
    alone(
        &front,
        &format!("\n[multimaster/{with_token}]\nsoftware_release_list =\n  {SOFTWARE}\n"),
    );
    front.ok(&["request", "far", SOFTWARE]);
    assert_eq!(front.json(&["service", "list"]), serde_json::json!({ "far": SOFTWARE }));
    let text = front.ok(&["service", "list"]).out;
    assert!(text.contains("served by other Masters") && text.contains(SOFTWARE), "{text}");
    assert!(!text.contains("no instance"), "{text}");
    let text = front.fails(1, &["service", "restart", "far"]).told();
    assert!(text.contains("`far` is served by the Master http://me:***@"), "{text}");
    assert!(text.contains("ask there for `user_far`"), "{text}");
    assert!(front.ok(&["request", "far", SOFTWARE, "--check"]).out.contains("which decides"));
    let mut info = front.json(&["service", "info", "far"]);
    assert!(info["forwarded-at"].take().as_str().is_some_and(|at| at.starts_with("20")));
    // The token by which it is asked is not told.
    let there = back.master_url().replace("http://", "http://me:***@") + "/";
    let expected = serde_json::json!({
        "name": "far", "software-url": SOFTWARE, "software-type": "default", "shared": false,
        "forwarded-to": there, "forwarded-name": "user_far", "forwarded-at": null,
    });
    assert_eq!(info, expected);
    let text = front.ok(&["service", "info", "far"]).out;
    assert!(text.contains("served by the Master") && text.contains("user_far"), "{text}");
    front.fails(2, &["service", "info", "user_far"]);
}

/// Asks for an instance that another Master has.
const FAR: &str = r"[buildout]
parts = far

[far]
<= slap-connection
recipe = slapos.cookbook:requestoptional
name = far
software-url = FAR
";

fn proxy_config(base: &Path, port: u16) -> String {
    let base = base.display();
    format!(
        "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = local\n\
         software_root = {base}/soft\ninstance_root = {base}/inst\n\n\
         [slapproxy]\nhost = 127.0.0.1\nport = {port}\ndatabase_uri = {base}/proxy.db\n"
    )
}

fn node_config(base: &Path, port: u16) -> String {
    let base = base.display();
    format!(
        "[slapos]\nmaster_url = http://127.0.0.1:{port}\ncomputer_id = local\nroot_check = False\n\
         master_rest_url = http://127.0.0.1:{port}/hateoas\n\
         software_root = {base}/soft\ninstance_root = {base}/inst\n\
         shared_part_list = {base}/shared\n\
         software_min_free_space = 1M\ninstance_min_free_space = 1M\n\n\
         [slapformat]\npartition_amount = 2\nalter_user = false\nalter_network = false\n\
         create_tap = false\ncomputer_xml = {base}/slapos.xml\n"
    )
}

#[test]
fn our_node_works_for_the_masters_of_the_original() {
    let test = "our_node_works_for_the_masters_of_the_original";
    let Some(original) = original(test) else { return };
    let node = Foreign::new(&original);
    let profile = Tree::new(node.path("tree")).add_service().display().to_string();
    node.slapos(&["node", "format", "--now"]);
    node.slapos(&["supply", &profile, "local"]);
    node.slapos(&["node", "software"]);
    node.slapos(&["request", "one", &profile, "--parameters", "word=hola"]);
    node.slapos(&["node", "instance"]);
    let word = node.path("inst/slappart0/etc/word.txt");
    assert_eq!(std::fs::read_to_string(&word).unwrap(), "hola");
    // Whoever looks after it finds its supervisor where the original has it.
    let mut look = original.command("supervisorctl");
    look.arg("-c").arg(node.path("inst/etc/supervisord.conf"));
    look.args(["status", "slappart0:sleeper-on-watch"]).current_dir(node.directory.path());
    wait_for("the service", 30, || {
        let run = Run::of(&look.output().unwrap());
        (run.code == 0 && run.out.contains("RUNNING")).then_some(())
    });
    let info = node.json(&["service", "info", "one"]);
    assert_eq!(info["connection-parameters"]["word"], "hola", "{info:#}");
    assert_eq!(node.json(&["service", "list"]), serde_json::json!({ "one": profile }));
    // The parameters that are not given stay, and nothing else is due.
    node.slapos(&["request", "one", &profile]);
    let told = node.slapos(&["node", "instance", "-v"]).told();
    assert!(!told.contains("process:"), "{told}");

    assert!(node.slapos(&["computer", "list"]).out.contains("local"));
    assert!(node.slapos(&["computer", "info", "local"]).out.contains("local"));
    node.slapos(&["node", "promise"]);
    node.slapos(&["node", "bang", "-m", "again"]);
    let script = node.path("script.py");
    std::fs::write(&script, "import sys\nprint(request(sys.argv[1], 'one').getId())\n").unwrap();
    assert_eq!(
        node.slapos(&["console", &script.display().to_string(), &profile]).out,
        "slappart0\n"
    );
    // What only our Master has is not made up.
    for words in [&["computer", "token"][..], &["service", "restart", "one"], &["proxy", "orphans"]]
    {
        let run = Run::of(&node.command(words).output().unwrap());
        assert!(
            run.code != 0 && !run.err.is_empty() && !run.err.contains("panicked"),
            "{words:?} {run:?}"
        );
        eprintln!("{words:?}: {}", run.err);
    }

    node.slapos(&["request", "one", &profile, "--state", "destroyed"]);
    node.slapos(&["remove", &profile, "local"]);
    for command in ["instance", "report", "software"] {
        node.slapos(&["node", command]);
    }
    assert!(!word.exists(), "it is destroyed");
    assert_eq!(node.json(&["service", "list"]), serde_json::json!({}));
}

#[test]
fn masters_of_both_kinds_forward_requests_to_each_other() {
    let test = "masters_of_both_kinds_forward_requests_to_each_other";
    let Some(original) = original(test) else { return };
    let node = TestNode::new(BINARY);
    node.ok(&["up", "--partitions", "2"]);
    let file = node.root().join("etc/slapos.cfg");
    let config = std::fs::read_to_string(&file).unwrap();
    let with_token = with_token(&node);
    let section = |url: &str, software: &str| {
        format!("\n[multimaster/{url}]\nsoftware_release_list =\n  {software}\n")
    };
    let foreign = Foreign::with(&original, &section(&with_token, "http://back/software.cfg"));
    foreign.slapos(&["node", "format", "--now"]);

    // From the original's to ours.
    let answer = foreign.json(&["request", "one", "http://back/software.cfg"]);
    assert_eq!(answer["partition"], "slappart0", "{answer:#}");
    let here = || node.json(&["service", "list"]);
    assert_eq!(here(), serde_json::json!({ "user_one": "http://back/software.cfg" }));
    assert_eq!(foreign.json(&["service", "list"]), serde_json::json!({}));

    // From ours to the original's.
    let config_of_node = std::fs::read_to_string(foreign.path("slapos.cfg")).unwrap();
    let there = config_of_node.lines().find_map(|line| line.strip_prefix("master_url = "));
    let more = config + &section(there.unwrap(), "http://far/software.cfg");
    std::fs::write(&file, more).unwrap();
    node.ok(&["down"]);
    // The Master runs again; the instance of a release that nobody has cannot.
    node.fails(1, &["up"]);
    let answer = node.json(&["request", "two", "http://far/software.cfg", "--parameters", "a=1"]);
    assert_eq!(answer["partition"], "slappart0", "{answer:#}");
    let list = foreign.json(&["service", "list"]);
    assert_eq!(list, serde_json::json!({ "user_two": "http://far/software.cfg" }));
    let both = [("two", "http://far/software.cfg"), ("user_one", "http://back/software.cfg")];
    assert_eq!(here(), serde_json::Value::from_iter(both));
    let info = foreign.json(&["service", "info", "user_two"]);
    assert_eq!(info["instance-parameters"]["a"], "1", "{info:#}");
}
