//! Python's `StandaloneSlapOS` (slapos.core, from PyPI), which embeds a node in other programs and
//! in the tests of Software Releases, with our program in place of the `slapos` that it starts:
//! supply, request, wait, change, stop, destroy. It brings its own supervisor for the services.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

use std::path::Path;

use slapos_testkit::{Original, Tree, free_port, skipped};

const BINARY: &str = env!("CARGO_BIN_EXE_slapos");

#[test]
fn standalone_slapos_runs_on_ours() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slapos-original");
    let original = match Original::at(&place) {
        Ok(original) => original,
        Err(why) => return skipped("standalone_slapos_runs_on_ours", &why),
    };
    let directory = tempfile::Builder::new().prefix("slapos-alone-").tempdir().unwrap();
    let home = directory.path();
    let profile = Tree::new(home.join("tree")).add_service();
    std::fs::create_dir(home.join("node")).unwrap();
    let script = home.join("standalone.py");
    std::fs::write(&script, include_str!("standalone/standalone.py")).unwrap();
    let mut open = std::process::Command::new("chmod");
    assert!(open.args(["-R", "u=rwX,go=rX"]).arg(home).status().unwrap().success());
    original.person.give(home);
    let mut python = original.command("python");
    python.arg("-u").arg(&script).arg(home.join("node")).arg(BINARY).arg(&profile);
    python.arg(free_port().to_string()).env("HOME", home).env("NETRC", home.join("netrc"));
    python.env_remove("SLAPOS_CONFIGURATION").current_dir(home);
    let output = python.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success() && said.contains("all is well"), "{said}");
}
