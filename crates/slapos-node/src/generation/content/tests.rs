//! Contents of generations: kept, given back, and bounded.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{capture, differences, restore};

/// A partition whose ledger records `paths`.
fn partition() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(".slapos")).unwrap();
    write(dir.path(), "buildout.cfg", "[buildout]\n");
    dir
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn record(root: &Path, paths: &[&str]) {
    let paths: Vec<_> = paths.iter().map(|path| root.join(path)).collect();
    let entry = serde_json::json!({
        "state": "installed", "identity": "1", "recipe": "r", "version": 1, "options": {},
        "inputs": {}, "references": {}, "paths": paths,
    });
    let ledger = serde_json::json!({ "version": 1, "parts": { "a": entry } });
    write(root, ".slapos/installed.json", &ledger.to_string());
    let read = slapos_engine::Ledger::read(&root.join(".slapos/installed.json")).unwrap();
    assert_eq!(read.parts().len(), 1, "the ledger of this test is understood");
}

/// All files and links with what they hold, but for the generations themselves.
fn tree(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut rooms = vec![root.to_owned()];
    while let Some(room) = rooms.pop() {
        for entry in std::fs::read_dir(room).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if name == ".slapos/generations" {
                continue;
            }
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_dir() {
                rooms.push(path);
                all.push(format!("{name}/ {mode:o}"));
            } else if meta.is_symlink() {
                all.push(format!("{name} -> {}", std::fs::read_link(&path).unwrap().display()));
            } else {
                all.push(format!("{name} {mode:o} {}", std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

fn first_generation(root: &Path) -> Vec<String> {
    write(root, "etc/word", "one");
    write(root, "parts/x/deep/file", "deep");
    write(root, "srv/data", "kept whatever happens");
    std::os::unix::fs::symlink("word", root.join("etc/link")).unwrap();
    slapos_sys::fs::set_mode(&root.join("parts/x/deep"), 0o555).unwrap();
    record(root, &["etc/word", "etc/link", "parts/x", "gone"]);
    capture(root, 1, None, &[]).unwrap();
    tree(root)
}

fn second_generation(root: &Path) {
    slapos_sys::fs::remove_tree(&root.join("parts/x")).unwrap();
    std::fs::remove_file(root.join("etc/link")).unwrap();
    write(root, "etc/link", "a file now");
    write(root, "etc/word", "two");
    write(root, "new/y/z", "new");
    write(root, ".slapos/aside/a/word", "half of it");
    record(root, &["etc/word", "etc/link", "new/y"]);
    capture(root, 2, None, &[1]).unwrap();
}

#[test]
fn what_was_in_place_is_in_place_again_and_data_stays() {
    let dir = partition();
    let first = first_generation(dir.path());
    second_generation(dir.path());
    restore(dir.path(), 1, Some(2)).unwrap();
    let mut expected = first;
    // No part recorded the directory, so it is nobody's to remove.
    expected.insert(
        expected.iter().position(|line| line.starts_with("parts/")).unwrap(),
        "new/ 755".into(),
    );
    assert_eq!(tree(dir.path()), expected);
    // The same once more changes nothing.
    restore(dir.path(), 1, Some(2)).unwrap();
    assert_eq!(tree(dir.path()), expected);
}

#[test]
fn one_that_is_not_whole_is_not_touched() {
    let dir = partition();
    first_generation(dir.path());
    second_generation(dir.path());
    let before = tree(dir.path());
    let objects = dir.path().join(".slapos/generations/objects");
    for entry in std::fs::read_dir(objects).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::read_to_string(&path).unwrap() == "one" {
            std::fs::write(&path, "two").unwrap();
        }
    }
    let lost = restore(dir.path(), 1, Some(2)).unwrap().unwrap();
    assert!(lost.contains("is damaged"), "{lost}");
    assert!(restore(dir.path(), 7, None).unwrap().is_some());
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn the_same_content_is_kept_once_and_what_no_generation_needs_goes() {
    let dir = partition();
    first_generation(dir.path());
    let digest = capture(dir.path(), 2, None, &[1]).unwrap();
    assert_eq!(capture(dir.path(), 3, Some(&digest), &[1, 2]).unwrap(), digest);
    let names = |folder: &str| {
        let entries = std::fs::read_dir(dir.path().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert!(!names(".slapos/generations").contains(&"3.json".to_owned()));
    let before = names(".slapos/generations/objects").len();
    write(dir.path(), "etc/word", "two");
    capture(dir.path(), 3, None, &[]).unwrap();
    assert_eq!(names(".slapos/generations/objects").len(), before, "`one` went, `two` came");
    assert!(restore(dir.path(), 1, None).unwrap().is_some());
}

#[test]
fn differences_are_shown_as_people_know_them() {
    let dir = partition();
    first_generation(dir.path());
    second_generation(dir.path());
    insta::assert_snapshot!(differences(dir.path(), 1, Some(2)).unwrap(), @r"
    etc/link: link to word -> file of mode 0644
    --- etc/link (generation 1)
    +++ etc/link (generation 2)
    @@ -0,0 +1 @@
    +a file now
    \ No newline at end of file
    --- etc/word (generation 1)
    +++ etc/word (generation 2)
    @@ -1 +1 @@
    -one
    \ No newline at end of file
    +two
    \ No newline at end of file
    new/y: nothing -> directory of mode 0755
    new/y/z: nothing -> file of mode 0644
    --- new/y/z (generation 1)
    +++ new/y/z (generation 2)
    @@ -0,0 +1 @@
    +new
    \ No newline at end of file
    parts/x: directory of mode 0755 -> nothing
    parts/x/deep: directory of mode 0555 -> nothing
    parts/x/deep/file: file of mode 0644 -> nothing
    --- parts/x/deep/file (generation 1)
    +++ parts/x/deep/file (generation 2)
    @@ -1 +0,0 @@
    -deep
    \ No newline at end of file
    ");
    write(dir.path(), "etc/word", "three");
    insta::assert_snapshot!(differences(dir.path(), 2, None).unwrap(), @r"
    --- etc/word (generation 2)
    +++ etc/word (now)
    @@ -1 +1 @@
    -two
    \ No newline at end of file
    +three
    \ No newline at end of file
    ");
}

#[test]
fn what_services_write_in_directories_of_parts_stays() {
    let dir = partition();
    write(dir.path(), "parts/db/setting", "one");
    record(dir.path(), &["parts/db", "etc/word"]);
    capture(dir.path(), 1, None, &[]).unwrap();
    write(dir.path(), "parts/db/setting", "two");
    write(dir.path(), "parts/db/made", "by the part");
    capture(dir.path(), 2, None, &[1]).unwrap();
    write(dir.path(), "parts/db/table", "rows");
    write(dir.path(), "parts/db/made", "and changed by the service");
    restore(dir.path(), 1, Some(2)).unwrap();
    let read =
        |name: &str| std::fs::read_to_string(dir.path().join("parts/db").join(name)).unwrap();
    assert_eq!(read("setting"), "one");
    assert_eq!(read("table"), "rows");
    assert_eq!(read("made"), "and changed by the service");
    // Where nothing is known of what parts left, nothing that is there is touched.
    write(dir.path(), "parts/db/setting", "three");
    restore(dir.path(), 1, None).unwrap();
    assert_eq!(read("setting"), "three");
    std::fs::remove_file(dir.path().join("parts/db/setting")).unwrap();
    restore(dir.path(), 1, None).unwrap();
    assert_eq!(read("setting"), "one");
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let dir = partition();
    write(dir.path(), "etc/closed", "secret");
    slapos_sys::fs::set_mode(&dir.path().join("etc/closed"), 0).unwrap();
    record(dir.path(), &["etc/closed", "etc/missing"]);
    capture(dir.path(), 1, None, &[]).unwrap();
    restore(dir.path(), 1, None).unwrap();
    assert!(dir.path().join("etc/closed").exists());
}
