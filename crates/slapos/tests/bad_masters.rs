//! Masters that are away, out of their mind, or of another kind: a Master made by this test, which
//! says what it is told to and remembers what it hears.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use slapos_slap::convert::computer_to_value;
use slapos_slap::marshal::{Value, dumps};
use slapos_slap::{
    Computer, ComputerPartition, InstanceState, SoftwareRelease, SoftwareState, SoftwareUrl,
};
use slapos_testkit::{Certificates, TestNode, kill, skipped, wait_for};

/// What a route is answered with, and what was posted, in order.
#[derive(Default)]
struct Script {
    answers: BTreeMap<String, (u16, String)>,
    heard: Vec<(String, String)>,
}

/// See the module.
struct FakeMaster {
    port: u16,
    script: Arc<Mutex<Script>>,
}

impl FakeMaster {
    fn new() -> Self {
        Self::at("127.0.0.1:0")
    }

    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { port, script }
    }

    fn answer(&self, route: &str, status: u16, body: impl Into<String>) {
        self.script.lock().unwrap().answers.insert(route.to_owned(), (status, body.into()));
    }

    fn tell(&self, computer: &Computer) {
        self.answer(
            "getFullComputerInformation",
            200,
            dumps(&computer_to_value(computer)).unwrap(),
        );
    }

    /// The posts to these routes since the last call, each as `route body`.
    fn heard(&self, routes: &[&str]) -> Vec<String> {
        let heard = std::mem::take(&mut self.script.lock().unwrap().heard);
        let wanted = heard.into_iter().filter(|(route, _)| routes.contains(&route.as_str()));
        wanted.map(|(route, body)| format!("{route} {body}")).collect()
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Script>) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let (head, length) = loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
        });
        break (head.to_owned(), length.unwrap_or(0));
    };
    while bytes.len() < head.len() + 4 + length {
        let read = stream.read(&mut piece).unwrap_or(0);
        bytes.extend_from_slice(&piece[..read]);
    }
    let target = head.split(' ').nth(1).unwrap().trim_start_matches('/');
    let route = target.split('?').next().unwrap().to_owned();
    let body = String::from_utf8_lossy(&bytes[head.len() + 4..]).into_owned();
    let mut script = script.lock().unwrap();
    let (status, answer) =
        script.answers.get(&route).cloned().unwrap_or_else(|| (200, "Ignored".to_owned()));
    script.heard.push((route, body));
    drop(script);
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
}

/// A node that was set up with its own Master and listens to the fake one now.
struct Fooled {
    node: TestNode,
    master: FakeMaster,
    cfg: PathBuf,
    profile: String,
}

impl Fooled {
    fn new() -> Self {
        let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
        let profile = node.tree.add_service().display().to_string();
        node.ok(&["up", &profile]);
        let master = FakeMaster::new();
        let own = std::fs::read_to_string(node.root().join("etc/slapos.cfg")).unwrap();
        let (own, _) = own.split_once("[slapproxy]").unwrap_or((&own, ""));
        let url = format!("master_url = http://127.0.0.1:{}", master.port);
        let lines =
            own.lines().map(|line| if line.starts_with("master_url") { &url } else { line });
        let cfg = node.path("fooled.cfg");
        std::fs::write(&cfg, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        Self { node, master, cfg, profile }
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--cfg", self.cfg.to_str().unwrap()]].concat()
    }

    fn fails(&self, code: i32, words: &[&str]) -> String {
        self.node.fails(code, &self.words(words)).told()
    }

    fn ok(&self, words: &[&str]) -> String {
        self.node.ok(&self.words(words)).told()
    }

    /// The computer with the service in its first partition.
    fn computer(&self, timestamp: &str) -> Computer {
        let mut partition = ComputerPartition::free("local".into(), "slappart0".into());
        partition.software = Some(SoftwareUrl::new(&self.profile));
        partition.software_type = "default".to_owned();
        partition.requested_state = InstanceState::Started;
        partition.timestamp = Some(timestamp.to_owned());
        let address = "127.16.0.1".parse().unwrap();
        partition.ip_list = vec![("lo".to_owned(), address)];
        let url = SoftwareUrl::new(&self.profile);
        let software = vec![SoftwareRelease { url, state: SoftwareState::Available }];
        Computer { id: "local".into(), software, partitions: vec![partition] }
    }
}

#[test]
fn services_run_on_whatever_the_master_says() {
    let fooled = Fooled::new();
    let service = fooled.node.pids()["sleeper-on-watch"];
    for (status, body) in
        [(500, "<h1>oops</h1>"), (503, ""), (200, "<html>hello</html>"), (200, "")]
    {
        fooled.master.answer("getFullComputerInformation", status, body);
        fooled.master.answer("getComputerInformation", status, body);
        let told = fooled.fails(3, &["node", "instance"]);
        assert!(told.contains("services run as last known"), "{status} {body}: {told}");
        assert_eq!(fooled.node.pids()["sleeper-on-watch"], service);
        fooled.fails(3, &["node", "software"]);
    }
    // One that does not know us is not away: that is an error, and services run all the same.
    fooled.master.answer("getFullComputerInformation", 404, "who?");
    fooled.master.answer("getComputerInformation", 404, "who?");
    // As after a start of the machine: neither supervisor nor services.
    fooled.node.ok(&["node", "supervisorctl", "shutdown"]);
    let told = fooled.fails(1, &["node", "instance"]);
    assert!(told.contains("404"), "{told}");
    assert_ne!(fooled.node.pids()["sleeper-on-watch"], 0);
    fooled.master.answer("getFullComputerInformation", 500, "");
    kill(i64::from(fooled.node.supervisor_pid()));
    fooled.fails(3, &["node", "instance"]);
    assert_ne!(fooled.node.pids()["sleeper-on-watch"], 0);
}

#[test]
fn a_boot_waits_for_its_master_and_services_do_not() {
    let fooled = Fooled::new();
    let before = fooled.node.pids();
    kill(i64::from(fooled.node.supervisor_pid()));
    before.values().for_each(|pid| kill(*pid));
    // Nobody listens there yet.
    let address = format!("127.0.0.1:{}", slapos_testkit::free_port());
    let text = std::fs::read_to_string(&fooled.cfg).unwrap();
    let former = format!("127.0.0.1:{}", fooled.master.port);
    std::fs::write(&fooled.cfg, text.replace(&former, &address)).unwrap();
    let mut boot = fooled.node.start(&fooled.words(&["node", "boot"]));
    let mut lines = BufReader::new(boot.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("cannot tell the Master how this computer is formatted yet") {
        let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
        said.push_str(&line);
    }
    let service = wait_for("the service to run", 30, || {
        Some(fooled.node.pids()["sleeper-on-watch"]).filter(|pid| *pid != 0)
    });
    assert_ne!(service, before["sleeper-on-watch"], "{said}");
    // What cron runs meanwhile is not kept waiting: services run, and it says that nobody answers.
    fooled.fails(3, &["node", "instance"]);
    let master = FakeMaster::at(&address);
    assert!(lines.all(|line| line.is_ok()) && boot.wait().unwrap().success());
    let heard = master.heard(&["loadComputerConfigurationFromXML", "computerBang"]);
    let routes: Vec<_> = heard.iter().filter_map(|post| post.split(' ').next()).collect();
    assert_eq!(routes, ["loadComputerConfigurationFromXML", "computerBang"]);
    assert_eq!(fooled.node.pids()["sleeper-on-watch"], service);
}

#[test]
fn a_master_that_takes_for_ever_is_not_waited_for() {
    let fooled = Fooled::new();
    let service = fooled.node.pids()["sleeper-on-watch"];
    // It listens, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let text = std::fs::read_to_string(&fooled.cfg).unwrap();
    std::fs::write(&fooled.cfg, text.replace("[slapos]", "[slapos]\nmaster_timeout = 1")).unwrap();
    let told = fooled.fails(3, &["node", "instance", "--master-url", &url]);
    assert!(told.contains("does not answer") && told.contains("timeout"), "{told}");
    assert_eq!(fooled.node.pids()["sleeper-on-watch"], service);
}

#[test]
fn a_master_by_https_sees_the_nodes_certificate() {
    let fooled = Fooled::new();
    let directory = fooled.node.path("tls");
    std::fs::create_dir(&directory).unwrap();
    let Some(certificates) = Certificates::make(&directory) else {
        skipped("a_master_by_https_sees_the_nodes_certificate", "needs openssl");
        return;
    };
    let mut computer = fooled.computer("7.0");
    computer.partitions[0].requested_state = InstanceState::Stopped;
    let known = dumps(&computer_to_value(&computer)).unwrap();
    let port = certificates.serve(move |target| {
        match target.starts_with("/getFullComputerInformation?computer_id=local") {
            true => known.clone(),
            false => "Ignored".to_owned(),
        }
    });
    let url = format!("https://127.0.0.1:{port}");
    let file = |name: &str| certificates.path(name).display().to_string();
    let (key, certificate, authority) = (file("node.key"), file("node.crt"), file("ca.crt"));
    let words = ["node", "instance", "--master-url", &url, "--master_ca_file", &authority];
    let told = fooled.fails(3, &words);
    assert!(told.contains("does not answer"), "{told}");
    let own = ["--key_file", &key, "--cert_file", &certificate];
    let told = fooled.ok(&[&words[..], &own].concat());
    assert!(told.contains("slappart0: deployed and stopped"), "{told}");
    let told = fooled.fails(1, &[&words[..], &own[..2]].concat());
    assert!(told.contains("`key_file` needs `cert_file`"), "{told}");
    let told = fooled.fails(1, &[&words[..], &own[..3], &[&authority, "--now"]].concat());
    assert!(told.contains("(`key_file`) cannot be used: it is not that of `cert_file`"), "{told}");
}

#[test]
fn a_master_that_goes_away_in_the_middle_ends_the_run() {
    let fooled = Fooled::new();
    fooled.master.tell(&fooled.computer("2.0"));
    fooled.master.answer("startedComputerPartition", 500, "down for today");
    let told = fooled.fails(3, &["node", "instance"]);
    assert!(told.contains("the Master went away"), "{told}");
    // It is done again when it is back, although nothing changed.
    fooled.master.answer("startedComputerPartition", 200, "Ignored");
    let told = fooled.ok(&["node", "instance"]);
    assert!(told.contains("slappart0: process: the last run failed"), "{told}");
    let told = fooled.ok(&["node", "instance", "--dry-run"]);
    assert!(told.contains("up to date"), "{told}");
}

#[test]
fn a_master_of_another_kind_is_told_what_it_expects() {
    const REPORTS: [&str; 7] = [
        "buildingSoftwareRelease",
        "availableSoftwareRelease",
        "startedComputerPartition",
        "stoppedComputerPartition",
        "softwareInstanceError",
        "destroyedComputerPartition",
        "updateComputerPartitionRelatedInstanceList",
    ];
    let fooled = Fooled::new();
    let master = &fooled.master;
    let mut computer = fooled.computer("3.0");
    master.tell(&computer);
    // Some Masters do not know that one is building.
    master.answer("buildingSoftwareRelease", 404, "what?");
    fooled.ok(&["node", "software", "--all"]);
    let heard = master.heard(&REPORTS);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].starts_with("buildingSoftwareRelease url="), "{heard:?}");
    assert!(heard[1].starts_with("availableSoftwareRelease url="), "{heard:?}");

    fooled.ok(&["node", "instance"]);
    let started = "startedComputerPartition computer_id=local&computer_partition_id=slappart0";
    assert_eq!(master.heard(&REPORTS), [started]);
    let timestamp = fooled.node.partition(0).join(".timestamp");
    assert_eq!(std::fs::read_to_string(&timestamp).unwrap(), "3.0");

    computer.partitions[0].timestamp = None;
    master.tell(&computer);
    for _ in 0..2 {
        let told = fooled.ok(&["node", "instance"]);
        assert!(told.contains("process: the Master gives it no timestamp"), "{told}");
        assert!(!timestamp.exists());
    }
    computer.partitions[0].timestamp = Some("2.0".to_owned());
    computer.partitions[0].requested_state = InstanceState::Stopped;
    master.tell(&computer);
    let _ = master.heard(&[]);
    fooled.ok(&["node", "instance"]);
    let stopped = "stoppedComputerPartition computer_id=local&computer_partition_id=slappart0";
    assert_eq!(master.heard(&REPORTS), [stopped]);
    computer.partitions[0].requested_state = InstanceState::Destroyed;
    master.tell(&computer);
    master.answer("destroyedComputerPartition", 200, "OK");
    fooled.ok(&["node", "report"]);
    let heard = master.heard(&REPORTS);
    assert!(heard.iter().any(|post| post.starts_with("destroyedComputerPartition")), "{heard:?}");
}

#[test]
fn the_instances_that_one_asked_for_are_listed() {
    let fooled = Fooled::new();
    let asking = |name: &str| {
        format!(
            "[{name}]\n<= slap-connection\nrecipe = slapos.cookbook:requestoptional\nname = {name}\nsoftware-url = x\n"
        )
    };
    let profile = format!("[buildout]\nparts = b a\n{}{}", asking("b"), asking("a"));
    fooled.node.tree.write("software/service/instance.cfg.in", profile);
    fooled.master.tell(&fooled.computer("6.0"));
    // Not allocated yet.
    fooled.master.answer("requestComputerPartition", 408, "");
    fooled.ok(&["node", "software", "--all"]);
    let _ = fooled.master.heard(&[]);
    fooled.ok(&["node", "instance"]);
    let route = "updateComputerPartitionRelatedInstanceList";
    let heard = fooled.master.heard(&[route]);
    let list = dumps(&Value::List(["a", "b"].map(Value::str).into())).unwrap();
    let list = list.replace('<', "%3C").replace('>', "%3E").replace('/', "%2F");
    let list = list.replace('"', "%22").replace('=', "%3D").replace(' ', "+");
    let form = "computer_id=local&computer_partition_id=slappart0&instance_reference_xml";
    assert_eq!(heard, [format!("{route} {form}={list}")]);
    // That there are none any more is told, once.
    let nothing = "[buildout]\nparts =\n";
    fooled.node.tree.write("software/service/instance.cfg.in", nothing);
    fooled.ok(&["node", "software", "--all"]);
    for expected in [1, 0] {
        let _ = fooled.master.heard(&[]);
        fooled.ok(&["node", "instance", "--all"]);
        let heard = fooled.master.heard(&[route]);
        assert_eq!(heard.len(), expected, "{heard:?}");
        assert!(heard.iter().all(|post| !post.contains("string")), "{heard:?}");
    }
}

#[test]
fn the_master_hears_why_and_no_secrets() {
    let fooled = Fooled::new();
    let instance = fooled.node.tree.root().join("software/service/instance.cfg.in");
    let text = std::fs::read_to_string(&instance).unwrap();
    let loud = "command = for i in 1 2 3 4 5 6 7 8; do echo line $i; done; \
        echo the password is hunter22 at http://me:swordfish@host/; exit 1; test -e";
    std::fs::write(&instance, text.replace("command = test -e", loud)).unwrap();
    let mut computer = fooled.computer("4.0");
    let password = ("admin-password".to_owned(), "hunter22".to_owned());
    computer.partitions[0].parameters = [password].into();
    fooled.master.tell(&computer);
    fooled.ok(&["node", "software", "--all"]);
    let _ = fooled.master.heard(&[]);
    fooled.fails(1, &["node", "instance"]);
    let heard = fooled.master.heard(&["softwareInstanceError"]);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("line+8"), "the end of the log: {heard:?}");
    assert!(!heard[0].contains("hunter22") && !heard[0].contains("swordfish"), "{heard:?}");
    let error = fooled.node.partition(0).join(".slapgrid-slappart0-error.log");
    assert!(!std::fs::read_to_string(error).unwrap().contains("hunter22"));
}

#[test]
fn partitions_get_their_certificates() {
    let fooled = Fooled::new();
    let computer = fooled.computer("5.0");
    fooled.master.tell(&computer);
    let given = |certificate: &str| {
        let certificate = ("certificate".to_owned(), Value::str(certificate));
        dumps(&Value::dict([certificate, ("key".to_owned(), Value::str("KEY"))])).unwrap()
    };
    fooled.master.answer("getComputerPartitionCertificate", 200, given("FIRST"));
    let directory = fooled.node.path("certificates");
    let option = directory.display().to_string();
    let words = ["node", "instance", "--all", "--certificate_repository_path", &option];
    fooled.ok(&words);
    let read =
        |kind: &str| std::fs::read_to_string(directory.join(format!("slappart0.{kind}"))).unwrap();
    assert_eq!((read("crt").as_str(), read("key").as_str()), ("FIRST", "KEY"));
    fooled.master.answer("getComputerPartitionCertificate", 200, given("SECOND"));
    fooled.ok(&words);
    assert_eq!(read("crt"), "SECOND");
    fooled.master.answer("getComputerPartitionCertificate", 404, "");
    let told = fooled.fails(1, &words);
    assert!(told.contains("Partition slappart0 is not known by SlapOS Master"), "{told}");
}
