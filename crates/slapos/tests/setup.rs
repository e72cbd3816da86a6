//! First configurations, against a Master of ours and a web face that is a fake.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use slapos_testkit::{TestNode, free_port};

/// Answers one request with that status and body; gives the request.
fn web(status: &'static str, body: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        let mut byte = [0];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            bytes.push(byte[0]);
        }
        let head = text(&bytes).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut form = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut form).unwrap();
        bytes.extend(form);
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let _ = sender.send(text(&bytes));
    });
    (url, asked)
}

const PAIR: &str = r#"{"certificate": "Subject: CN=COMP-42/emailAddress=x\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "key": "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"}"#;

fn slapos(words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
    command
        .args(words)
        .env_remove("SLAPOS_CONFIGURATION")
        .env_remove("SLAPOS_CLIENT_CONFIGURATION");
    let output = command.env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_computer_is_registered_by_token() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("etc/slapos.cfg");
    let token = directory.path().join("token");
    std::fs::write(&token, "the token\n").unwrap();
    let register = |web: &str, more: &[&str]| {
        let (config, token) = (config.to_str().unwrap(), token.to_str().unwrap());
        let who = ["node", "register", "my node", "--cfg", config, "--token-file", token];
        let place = ["--master-url", "https://master.example/", "--master-url-web", web];
        slapos(&[&who[..], &place, &["--partition-number", "3", "--create-tap"], more].concat())
    };
    let (url, asked) = web("200 OK", PAIR);
    let (code, said) = register(&url, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("The node is COMP-42"), "{said}");
    let asked = asked.recv().unwrap();
    assert!(asked.starts_with("POST /Person_requestComputer HTTP/1.1"), "{asked}");
    assert!(asked.to_lowercase().contains("x-access-token: the token"), "{asked}");
    assert!(asked.ends_with("title=my+node"), "{asked}");
    let text = std::fs::read_to_string(&config).unwrap();
    for line in [
        "computer_id = COMP-42",
        "master_url = https://master.example/",
        "partition_amount = 3",
        "create_tap = true",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let ssl = directory.path().join("etc/ssl");
    let key = std::fs::read_to_string(ssl.join("key")).unwrap();
    assert!(key.contains("secret") && !text.contains("the token") && !said.contains("secret"));
    assert_eq!((mode(&ssl.join("key")), mode(&ssl.join("certificate"))), (0o600, 0o600));
    assert!(ssl.join("partition_pki").is_dir());

    // Once more: not by chance, and the Master is not even asked.
    let (url, asked) = web("200 OK", PAIR);
    let (code, said) = register(&url, &[]);
    assert!(code == 1 && said.contains("add --force to replace it"), "{said}");
    assert!(asked.try_recv().is_err());

    // What was there is kept, under another name, once the Master has said yes.
    let (url, _) = web("403 FORBIDDEN", "no");
    let (code, said) = register(&url, &["--force"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("does not accept who asks"), "{said}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
    let (url, _) = web("500 ERROR", "Certificate still active.");
    let (code, said) = register(&url, &["--force"]);
    assert!(code == 1 && said.contains("there is already a node \"my node\""), "{said}");
    let (url, _) = web("200 OK", PAIR);
    assert_eq!(register(&url, &["--force"]).0, 0);
    let old = directory.path().join("etc/slapos.cfg.old");
    assert_eq!(std::fs::read_to_string(old).unwrap(), text);
    assert!(directory.path().join("etc/ssl.old/key").exists());
}

#[test]
fn a_full_disk_leaves_the_former_configuration_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("slapos.cfg");
    let key = directory.path().join("ssl/key");
    let register = |program: &str, before: &[&str]| {
        let (url, _) = web("200 OK", PAIR);
        let mut command = Command::new(program);
        command.args(before).args(["node", "register", "n", "--token", "t", "--force"]);
        command.args(["--cfg", config.to_str().unwrap(), "--master-url-web", &url]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let slapos = env!("CARGO_BIN_EXE_slapos");
    assert_eq!(register(slapos, &[]).0, Some(0));
    let read = || (std::fs::read(&config).unwrap(), std::fs::read(&key).unwrap());
    let before = read();
    let full = r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#;
    let (code, said) = register("sh", &["-c", full, slapos]);
    assert!(code == Some(1) && said.contains("a former configuration is in its place"), "{said}");
    assert!(read() == before, "{said}");
    assert!(!directory.path().join("slapos.cfg.old").exists(), "{said}");
}

#[test]
fn a_computer_is_registered_by_login() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("slapos.cfg");
    let (url, asked) = web("200 OK", PAIR);
    let who = ["node", "register", "n", "--cfg", config.to_str().unwrap(), "--login", "Aladdin"];
    let place = ["--password", "open sesame", "--master-url-web", &url];
    let (code, said) = slapos(&[&who[..], &place].concat());
    assert_eq!(code, 0, "{said}");
    let asked = asked.recv().unwrap();
    assert!(asked.starts_with("GET /Person_requestComputer?title=n HTTP/1.1"), "{asked}");
    assert!(asked.contains("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "{asked}");
}

#[test]
fn a_token_follows_no_redirection_and_nonsense_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("slapos.cfg");
    let register = |web: &str| {
        let who = ["node", "register", "n", "--cfg", config.to_str().unwrap()];
        slapos(&[&who[..], &["--token", "t", "--master-url-web", web]].concat())
    };
    let (url, _) = web("302 FOUND\r\nLocation: http://127.0.0.1:1/", "");
    let (code, said) = register(&url);
    assert!(code == 1 && said.contains("answers 302"), "{said}");
    let (url, _) = web("200 OK", r#"{"certificate": "rm -rf", "key": ""}"#);
    let (code, said) = register(&url);
    assert!(code == 3 && said.contains("is not PEM"), "{said}");
    let dry = ["node", "register", "n", "--cfg", config.to_str().unwrap(), "--dry-run"];
    let (code, said) = slapos(&dry);
    assert!(code == 0 && said.contains("[slapformat]"), "{said}");
    assert!(said.contains("software_root = /opt/slapgrid\n"), "{said}");
    let root = directory.path().display().to_string();
    let (_, said) = slapos(&["node", "register", "n", "--root", &root, "--dry-run"]);
    assert!(said.contains(&format!("software_root = {root}/software\n")), "{said}");
    assert!(said.contains(&format!("instance_root = {root}/instance\n")), "{said}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_computer_and_a_user_of_a_master_of_ours() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up"]);
    let url = node.master_url();
    let token = node.root().join("master/master.token").display().to_string();
    let other = node.path("other");
    let roots = [other.join("software"), other.join("instance")].map(|p| p.display().to_string());
    let file = other.join("etc/slapos.cfg").display().to_string();
    let who = ["node", "register", "second", "--cfg", &file, "--token-file", &token];
    let place = ["--master-url", &url, "--software-root", &roots[0], "--instance-root", &roots[1]];
    let (code, said) = slapos(&[&who[..], &place].concat());
    assert_eq!(code, 0, "{said}");
    assert_eq!(mode(&other.join("etc/master.token")), 0o600);
    let (code, said) = slapos(&["node", "bang", "--cfg", &file]);
    assert!(code == 1 && said.contains("computer second is not known"), "{said}");

    let wrong = node.path("wrong");
    std::fs::write(&wrong, "not it").unwrap();
    let client = node.path("home/.slapos/slapos-client.cfg").display().to_string();
    let configure = |token: &str| {
        let who = ["configure", "client", "--cfg", &client, "--token-file", token];
        slapos(&[&who[..], &["--master-url", &url]].concat())
    };
    let (code, said) = configure(wrong.to_str().unwrap());
    assert!(code == 1 && !Path::new(&client).exists(), "{said}");
    let (code, said) = configure(&token);
    assert_eq!(code, 0, "{said}");
    assert_eq!(mode(Path::new(&client)), 0o600);
    let (code, said) = configure(&token);
    assert!(code == 1 && said.contains("nothing was overwritten"), "{said}");
    // What was written serves: there, and where it is looked for.
    let (code, said) = slapos(&["service", "list", "--cfg", &client]);
    assert_eq!((code, said.as_str()), (0, "There is no instance.\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
    command.args(["service", "list"]).env("HOME", node.path("home"));
    command.env_remove("SLAPOS_CONFIGURATION").env_remove("SLAPOS_CLIENT_CONFIGURATION");
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "There is no instance.\n");
}

#[test]
fn a_user_of_a_master_elsewhere_gets_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("client.cfg");
    let (url, asked) = web("200 OK", PAIR);
    let who = ["configure", "client", "--cfg", config.to_str().unwrap(), "--token", "t"];
    let (code, said) = slapos(&[&who[..], &["--master-url-web", &url]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(asked.recv().unwrap().starts_with("POST /Person_getCertificate HTTP/1.1"));
    for name in ["client.cfg", "client.crt", "client.key"] {
        assert_eq!(mode(&directory.path().join(name)), 0o600, "{name}");
    }
    let text = std::fs::read_to_string(config).unwrap();
    assert!(text.contains("master_url = https://slap.vifib.com\n"), "{text}");
}

#[test]
fn a_node_of_its_own_is_configured_in_the_originals_places() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let root = node.root();
    let path = |name: &str| root.join(name).display().to_string();
    let port = free_port().to_string();
    let (etc, home) = (path("etc"), path("home"));
    let (software, instance) = (path("software"), path("instance"));
    let words = [
        "configure",
        "local",
        "--slapos-configuration-directory",
        &etc,
        "--slapos-buildout-directory",
        &home,
        "--slapos-software-root",
        &software,
        "--slapos-instance-root",
        &instance,
        "--daemon-listen-port",
        &port,
        "--partition-number",
        "2",
    ];
    let (code, said) = slapos(&words);
    assert_eq!(code, 0, "{said}");
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["supply", &profile]);
    node.ok(&["node", "software"]);
    node.ok(&["request", "one", &profile]);
    node.ok(&["node", "instance"]);
    let shown = node.json(&["proxy", "show"]);
    assert_eq!(shown["instances"][0]["computer"], "local_computer");
    let (code, said) = slapos(&words);
    assert!(code == 1 && said.contains("there is already"), "{said}");
}
