//! `slapos profile`, as people and programs use it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const MAIN: &str = "\
[buildout]
extends = base.cfg
parts = app

[app]
<= base
recipe = builder
url = https://host/${:name}-${:version}.tar
md5sum = 0123
home = ${lib:location}/home

[lib]
recipe = builder
";

const BASE: &str = "\
[base]
name = thing
version = 1
path =
  one
  two

[app]
url = unseen
";

fn profile() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("main.cfg"), MAIN).unwrap();
    std::fs::write(directory.path().join("base.cfg"), BASE).unwrap();
    directory
}

/// Runs in the directory, with no configuration and no home.
fn run(directory: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slapos"));
    command.env_clear().current_dir(directory.path()).arg("profile").args(args).output().unwrap()
}

/// What is printed, the directory left out.
fn said(directory: &TempDir, args: &[&str]) -> String {
    let output = run(directory, args);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    text.replace(directory.path().to_str().unwrap(), "")
}

#[test]
fn people_read_it() {
    let at = profile();
    insta::assert_snapshot!(said(&at, &["annotate", "main.cfg", "app"]), @r"
    [app]
    name = thing
    #   =  /base.cfg:2 (in [base])
    version = 1
    #   =  /base.cfg:3 (in [base])
    path =
        one
        two
    #   =  /base.cfg:4 (in [base])
    url = https://host/${:name}-${:version}.tar
    #   =  /base.cfg:9 (replaced)
    #   =  /main.cfg:8
    recipe = builder
    #   =  /main.cfg:7
    md5sum = 0123
    #   =  /main.cfg:9
    home = ${lib:location}/home
    #   =  /main.cfg:10
    ");
    insta::assert_snapshot!(said(&at, &["why", "main.cfg", "app:path"]), @r"
    [app] path

    /base.cfg:4 (in [base])
      extended at /main.cfg:2
        =
            one
            two

        value
            one
            two
    ");
    insta::assert_snapshot!(said(&at, &["why", "main.cfg", "app:home"]), @r"
    [app] home

    /main.cfg:10
        = ${lib:location}/home

        value ${lib:location}/home
        unresolved lib:location
    ");
    insta::assert_snapshot!(said(&at, &["lint", "main.cfg"]), @r"
    /base.cfg:9: note: app:url: `url` of [app] is set again at /main.cfg:8, by a file that extends this one [shadowed-value]
    /main.cfg:9: warning: app:md5sum: https://host/thing-1.tar is checked by MD5 only [md5-only]
        help: add `sha256sum = ` and the digest of the bytes that have this MD5
    errors: 0, warnings: 1, notes: 1
    ");
    insta::assert_snapshot!(said(&at, &["why", "main.cfg", "app:hone"]), @r"
    error: /base.cfg:8: section [app] has no option `hone`
       --> /base.cfg:8:1
        |
      8 | [app]
        | ^^^^^
        |
        = help: did you mean `home`?
    ");
    insta::assert_snapshot!(said(&at, &["dump", "nowhere.cfg"]), @"error: there is no file /nowhere.cfg");
}

#[test]
fn programs_read_it() {
    let at = profile();
    let json = |args: &[&str]| -> Value {
        let output = run(&at, args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let main = at.path().join("main.cfg").display().to_string();
    let dump = json(&["dump", "main.cfg", "--stage", "resolved"]);
    assert_eq!(dump["files"][1], main.as_str());
    assert_eq!(dump["sections"]["app"]["url"], "https://host/thing-1.tar");
    assert_eq!(dump["source"]["app"]["url"], format!("{main}:8"));
    assert_eq!(dump["unresolved"]["app"]["home"][0], "lib:location");
    assert_eq!(json(&["dump", "main.cfg", "--stage", "merged"])["sections"]["app"]["<"], "base");
    assert_eq!(json(&["graph", "main.cfg", "--format", "json"])["edges"][0]["to"], "lib");
    assert_eq!(json(&["lint", "main.cfg", "--json", "--level", "warning"])[0]["rule"], "md5-only");
    assert_eq!(json(&["why", "main.cfg", "app:path", "--json"])["changes"][0]["section"], "base");
    let annotated = json(&["annotate", "main.cfg", "--json"]);
    assert_eq!(annotated["lib"][0]["option"], "recipe");
}

#[test]
fn values_are_asked_for() {
    let at = profile();
    assert_eq!(said(&at, &["query", "main.cfg", "parts"]), "app\n");
    assert_eq!(said(&at, &["query", "main.cfg", "app:path"]), "one\ntwo\n");
    let resolved = ["query", "main.cfg", "app:url", "--stage", "resolved"];
    assert_eq!(said(&at, &resolved), "https://host/thing-1.tar\n");
    let set = [&resolved[..], &["--set", "app:version=2"]].concat();
    assert_eq!(said(&at, &set), "https://host/thing-2.tar\n");
    assert_eq!(run(&at, &["query", "main.cfg", "app:nothing"]).status.code(), Some(1));
}

#[test]
fn what_is_dead_fails() {
    let at = profile();
    std::fs::write(at.path().join("main.cfg"), "[buildout]\nparts = gone\n[a]\n<= nothing\n")
        .unwrap();
    assert_eq!(run(&at, &["lint", "main.cfg"]).status.code(), Some(1));
    let output = run(&at, &["dump", "main.cfg"]);
    assert_eq!(output.status.code(), Some(1));
    let dump: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(dump["errors"]["a"]["<"].as_str().unwrap().contains("no section [nothing]"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("^^^^^^^ no such section"));
}
