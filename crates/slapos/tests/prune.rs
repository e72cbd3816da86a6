//! `slapos node prune`: what goes, what stays, and who is waited for.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::path::{Path, PathBuf};

use slapos_sys::lock::DirectoryLock;
use slapos_testkit::{SERVICE_PROFILE, TestNode};

/// A Software Release with the shared part `tool`, made of `source`.
fn supply(node: &TestNode, source: &str) -> String {
    let file = node.tree.write("source", source);
    let digest = slapos_sources::Digest::sha256_of(source.as_bytes()).hex();
    let text = SERVICE_PROFILE.replace("parts = instance", "parts = instance script");
    let profile = format!(
        "{text}\n[tool]\nrecipe = slapos.recipe.build:download\nshared = true\n\
         url = file://{}\nsha256sum = {digest}\n\
         [script]\nrecipe = slapos.recipe.template\ninline = ${{tool:target}}\n\
         output = ${{buildout:directory}}/script\n",
        file.display()
    );
    node.tree.add_service();
    node.tree.add_software("service", &profile).display().to_string()
}

fn tools(node: &TestNode) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(node.root().join("shared/tool")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    paths.collect()
}

/// A node whose first build of `tool` is needed no more; where that is, and the profile.
fn node_with_an_old_tool() -> (TestNode, PathBuf, String) {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let profile = supply(&node, "one");
    node.ok(&["up", &profile, "--partitions", "2"]);
    let old = tools(&node).remove(0);
    supply(&node, "two");
    node.ok(&["node", "software", "--all"]);
    assert_eq!(tools(&node).len(), 2);
    (node, old, profile)
}

fn unseal(part: &Path) {
    slapos_sys::fs::set_mode(part, 0o755).unwrap();
    std::fs::remove_file(part.join(".buildout-shared.json")).unwrap();
}

#[test]
fn what_nothing_refers_to_goes_and_what_is_used_stays() {
    let (node, old, _) = node_with_an_old_tool();
    let plan = node.json(&["node", "prune", "--dry-run"]);
    assert_eq!(plan["removed"][0]["location"], old.to_str().unwrap(), "{plan:#}");
    assert_eq!(plan["removed"][0]["reason"], "nothing refers to it");
    assert!(plan["removed"].as_array().unwrap().len() == 1 && plan["bytes"].as_u64() > Some(0));
    assert!(old.exists(), "a dry run removes nothing");

    let run = node.ok(&["node", "prune"]);
    assert!(run.out.contains("1 of 2 shared parts removed"), "{}", run.out);
    assert!(!old.exists() && tools(&node).len() == 1);
    let again = node.json(&["node", "prune"]);
    assert_eq!(again["removed"], serde_json::json!([]));
    let reason = again["kept"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("/software/") && reason.ends_with(" refers to it"), "{reason}");
    // What is left works.
    node.ok(&["node", "software", "--all"]);
    assert_eq!(tools(&node).len(), 1);
}

#[test]
fn what_a_partition_or_another_build_refers_to_stays() {
    let (node, old, _) = node_with_an_old_tool();
    let mention = node.partition(1).join("etc/tool.cfg");
    std::fs::create_dir_all(mention.parent().unwrap()).unwrap();
    std::fs::write(&mention, old.to_str().unwrap()).unwrap();
    let report = node.json(&["node", "prune"]);
    assert_eq!(report["removed"], serde_json::json!([]));
    assert!(report.to_string().contains("partition slappart1 refers to it"), "{report:#}");
    std::fs::remove_file(&mention).unwrap();

    let elsewhere = node.tree.write("elsewhere/one/.installed.cfg", old.to_str().unwrap());
    let elsewhere = elsewhere.ancestors().nth(2).unwrap().to_str().unwrap();
    node.ok(&["node", "prune", "--additional-software-directory", elsewhere]);
    assert!(old.exists());
    node.fails(1, &["node", "prune", "--additional-software-directory", "/nowhere/at/all"]);
    node.ok(&["node", "prune"]);
    assert!(!old.exists());
}

#[test]
fn rubble_goes_and_nothing_goes_while_a_build_uses_shared_parts() {
    let (node, old, profile) = node_with_an_old_tool();
    tools(&node).iter().for_each(|part| unseal(part));
    // As an earlier run leaves it that was killed between its two steps.
    let aside = old.with_extension("pruned");
    std::fs::rename(&old, &aside).unwrap();

    let building = DirectoryLock::try_share(&node.root().join("shared")).unwrap().unwrap();
    let busy = node.fails(10, &["node", "prune"]);
    assert!(busy.err.contains("a build uses the shared parts"), "{}", busy.err);
    assert!(aside.exists());
    drop(building);

    let report = node.json(&["node", "prune"]);
    assert_eq!(report["removed"].as_array().unwrap().len(), 2, "{report:#}");
    assert!(!node.root().join("shared/tool").exists(), "its directory is empty and goes");
    node.ok(&["node", "software", "--all"]);
    assert_eq!(tools(&node).len(), 1, "what was lost is built again");
    node.ok(&["up", &profile]);
}

/// An index with the wheel `one`, which holds nothing, where the builder can read it.
fn index(node: &TestNode) -> PathBuf {
    let index = node.root().join("index");
    let info = node.root().join("wheel/one-1.0.dist-info");
    std::fs::create_dir_all(&info).unwrap();
    std::fs::create_dir_all(&index).unwrap();
    for (file, text) in [
        ("METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n"),
        ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"),
        ("RECORD", ""),
    ] {
        std::fs::write(info.join(file), text).unwrap();
    }
    let status = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-c"])
        .arg(index.join("one-1.0-py3-none-any.whl"))
        .arg("one-1.0.dist-info")
        .current_dir(node.root().join("wheel"))
        .status();
    assert!(status.unwrap().success());
    index
}

#[test]
fn eggs_go_when_no_software_release_has_a_link_to_them() {
    let (node, old, _) = node_with_an_old_tool();
    let profile = format!(
        "[buildout]\nparts = egg\nindex = {}\n[egg]\nrecipe = zc.recipe.egg:eggs\n\
         eggs = one\n[versions]\none = 1.0\n",
        index(&node).display()
    );
    let file = node.tree.add_software("eggs", &profile).display().to_string();
    node.ok(&["supply", &file]);
    node.ok(&["node", "software"]);
    let report = node.json(&["node", "prune"]);
    let gone = report["removed"].to_string();
    assert!(gone.contains(old.to_str().unwrap()) && !gone.contains(".egg"), "{report:#}");
    let kept = report["kept"].as_array().unwrap();
    let mut places = kept.iter().map(|kept| kept["location"].as_str().unwrap());
    let egg = PathBuf::from(places.find(|place| place.contains("/one-1.0-py3")).unwrap());
    node.ok(&["remove", &file]);
    node.ok(&["node", "software"]);
    assert!(egg.exists());
    let report = node.json(&["node", "prune"]);
    assert_eq!(report["removed"][0]["location"], egg.to_str().unwrap(), "{report:#}");
    assert_eq!(report["removed"][0]["reason"], "nothing refers to it");
    assert!(!egg.exists());
}
