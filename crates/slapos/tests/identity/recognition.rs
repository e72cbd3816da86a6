//! A Master is recognised before anything is shown to it, and stays the same when its token changes.

use std::path::Path;

use slapos_testkit::{TestNode, free_ports};

use crate::master::{Master, TOKEN};

#[test]
fn a_master_that_is_not_recognised_is_shown_nothing() {
    let master = Master::start("");
    let token = master.write("token", TOKEN);
    let config = master.path("client/client.cfg").display().to_string();
    let url = master.url();
    let words = ["configure", "client", "--cfg", &config, "--token-file", &token];
    let at = [&words[..], &["--master-url", &url]].concat();
    let said = master.refused(&at);
    assert!(said.contains("--ca-fingerprint"), "{said}");
    let other = "00".repeat(32);
    let said = master.refused(&[&at[..], &["--ca-fingerprint", &other]].concat());
    assert!(
        said.contains("has another fingerprint") && said.contains("nothing was shown"),
        "{said}"
    );
    assert!(!Path::new(&config).exists());
    let plain = format!("http://127.0.0.1:{}", master.port);
    let said =
        master.refused(&[&words[..], &["--master-url", &plain, "--trust-on-first-use"]].concat());
    assert!(said.contains("is not https"), "{said}");

    let run = master.slapos(&[&at[..], &["--trust-on-first-use"]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains(&master.fingerprint()), "{}", run.err);
    assert_eq!(master.ok(&["service", "list", "--cfg", &config]), "There is no instance.");
    // From a file, as who was handed one has it.
    let pem = master.write("ca.pem", &master.ok(&["proxy", "ca", "show"]));
    std::fs::remove_dir_all(master.path("client")).unwrap();
    master.ok(&[&at[..], &["--master-ca-file", &pem]].concat());
    assert_eq!(master.ok(&["service", "list", "--cfg", &config]), "There is no instance.");
}

#[test]
fn an_authority_outlives_the_operators_token() {
    let master = Master::start("");
    let before = master.fingerprint();
    master.stop();
    let former = master.write("former", TOKEN);
    master.write("master/master.token", "another-token");
    let said = master.refused(&["proxy", "start"]);
    assert!(said.contains("slapos proxy ca rekey --former-token-file"), "{said}");
    let wrong = master.write("wrong", "no token of this Master");
    let rekey = ["proxy", "ca", "rekey", "--former-token-file"];
    let said = master.refused(&[&rekey[..], &[&wrong]].concat());
    assert!(said.contains("was sealed by another token"), "{said}");
    let words = [&rekey[..], &[&former]].concat();
    assert!(master.ok(&words).contains("The present token opens"));
    assert!(master.ok(&words).contains("Nothing is to be changed"));
    master.run();
    assert_eq!(master.fingerprint(), before);
}

#[test]
fn a_node_that_others_are_to_reach_is_reached_by_https() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let path = |name: &str| node.root().join(name).display().to_string();
    // The next one is for the node itself.
    let port = free_ports(2);
    let words = [
        ("--slapos-configuration-directory", path("etc")),
        ("--slapos-buildout-directory", path("home")),
        ("--slapos-software-root", path("software")),
        ("--slapos-instance-root", path("instance")),
        ("--daemon-listen-ip", "0.0.0.0".to_owned()),
        ("--daemon-listen-port", port.to_string()),
        ("--partition-number", "1".to_owned()),
    ];
    let mut command = std::process::Command::new(node.binary());
    command.args(["configure", "local"]).env_remove("SLAPOS_CONFIGURATION");
    for (option, value) in &words {
        command.args([option, value.as_str()]);
    }
    let run = slapos_testkit::Run::of(&command.output().unwrap());
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains(&format!("by https at 0.0.0.0, port {port}")), "{}", run.out);
    let fingerprint = node.ok(&["proxy", "ca", "show", "--fingerprint"]).out;
    let client = node.path("client.cfg").display().to_string();
    let url = format!("https://127.0.0.1:{port}");
    let token = path("home/master/master.token");
    let mut command = std::process::Command::new(node.binary());
    command.args(["configure", "client", "--cfg", &client, "--token-file", &token]);
    command.args(["--master-url", &url, "--ca-fingerprint", fingerprint.trim()]);
    let run = slapos_testkit::Run::of(&command.output().unwrap());
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
}
