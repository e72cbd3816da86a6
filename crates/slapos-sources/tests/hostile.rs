//! Archives that try to get out, or to take too much: what they do not get to do.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[path = "support/archives.rs"]
mod archives;

use archives::{Place, Tar, compress};
use slapos_sources::archive::{Limits, Strip};
use std::fs;
use tar::{EntryType, Header};

#[test]
fn names_that_lead_out_are_refused() {
    let place = Place::new();
    let refusal = |name: &str| place.refusal(&Tar::new().file("ok", "").file(name, "x").bytes());
    insta::assert_snapshot!(refusal("../../outside"), @r#""/archive" was refused: its entry "../../outside" leads out of the tree by ..; nothing of it was kept"#);
    insta::assert_snapshot!(refusal("a/../../outside"), @r#""/archive" was refused: its entry "a/../../outside" leads out of the tree by ..; nothing of it was kept"#);
    insta::assert_snapshot!(refusal("/tmp/outside"), @r#""/archive" was refused: its entry "/tmp/outside" has an absolute path; nothing of it was kept"#);
}

#[test]
fn nothing_is_written_through_a_planted_link() {
    let place = Place::new();
    // The link itself would be harmless.
    let through = Tar::new().directory("d").symlink("l", "d").file("l/x", "x").bytes();
    insta::assert_snapshot!(place.refusal(&through), @r#""/archive" was refused: its entry "l/x" would be written through the link "l"; nothing of it was kept"#);
    let out = Tar::new().symlink("l", "../..").file("l/outside", "x").bytes();
    insta::assert_snapshot!(place.refusal(&out), @r#""/archive" was refused: its entry "l/outside" would be written through the link "l"; nothing of it was kept"#);
    let directory = Tar::new().symlink("l", "../..").directory("l").bytes();
    insta::assert_snapshot!(place.refusal(&directory), @r#""/archive" was refused: its entry "l" is a directory and something else too; nothing of it was kept"#);
    // A file of the same name replaces the link, and what it points to stays.
    let replaced = Tar::new().symlink("l", "../../outside").file("l", "new").bytes();
    place.unpack(&replaced).unwrap();
    assert_eq!(place.read("l"), "new");
    assert_eq!(fs::read_to_string(place.dir.path().join("outside")).unwrap(), "untouched");
}

#[test]
fn links_that_lead_out_are_refused() {
    let place = Place::new();
    let symlink = |target: &str| place.refusal(&Tar::new().symlink("d/l", target).bytes());
    insta::assert_snapshot!(symlink("../../outside"), @r#""/archive" was refused: its entry "d/l" is a link that leads out of the tree; nothing of it was kept"#);
    insta::assert_snapshot!(symlink("/etc/passwd"), @r#""/archive" was refused: its entry "d/l" is a link to an absolute path (/etc/passwd); nothing of it was kept"#);
    let chained = Tar::new().symlink("x/l", "..").symlink("m", "x/l/../../outside").bytes();
    insta::assert_snapshot!(place.refusal(&chained), @r#""/archive" was refused: its entry "m" is a link that leads out of the tree; nothing of it was kept"#);
    let hard =
        |target: &str| place.refusal(&Tar::new().file("a", "").hard_link("h", target).bytes());
    insta::assert_snapshot!(hard("../../outside"), @r#""/archive" was refused: its entry "../../outside" leads out of the tree by ..; nothing of it was kept"#);
    insta::assert_snapshot!(hard("/etc/passwd"), @r#""/archive" was refused: its entry "/etc/passwd" has an absolute path; nothing of it was kept"#);
    insta::assert_snapshot!(hard("missing"), @r#""/archive" was refused: its entry "h" is a hard link to "missing", which is no file of this archive; nothing of it was kept"#);
    // A hard link to a link must not carry its words to where they mean something else.
    let moved =
        Tar::new().file("x", "").symlink("a/b/l", "../../x").hard_link("h", "a/b/l").bytes();
    insta::assert_snapshot!(place.refusal(&moved), @r#""/archive" was refused: its entry "h" is a link that leads out of the tree; nothing of it was kept"#);
    // Harmless as long as the top directory is kept.
    let up = Tar::new().symlink("top/l", "../top/x").bytes();
    assert!(place.extract(&up, &Limits::default(), Strip::Auto).is_err());
    assert!(place.unpack(&up).is_ok());
}

#[test]
fn devices_and_oddities_are_refused() {
    let place = Place::new();
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let device = Tar::new().entry(kind, "dev", "", 0o666, b"").bytes();
        assert!(place.refusal(&device).contains("is a device or pipe"));
    }
    let sparse = Tar::new().entry(EntryType::GNUSparse, "s", "", 0o644, b"").bytes();
    assert!(place.refusal(&sparse).contains("not supported"));
    let below = Tar::new().file("a", "").file("a/b", "").bytes();
    assert!(place.refusal(&below).contains("is below a file"));
    let over = Tar::new().file("a/b", "").file("a", "").bytes();
    assert!(place.refusal(&over).contains("would replace a directory"));
    let root = Tar::new().file("ok", "").symlink("./", "x").bytes();
    assert!(place.refusal(&root).contains("would replace the directory"));
}

#[test]
fn limits_hold() {
    let place = Place::new();
    let small = Limits { total_bytes: 10_000, entries: 3, path_bytes: 20, ..Limits::default() };
    let refusal = |bytes: &[u8]| {
        let error = place.extract(bytes, &small, Strip::Never).unwrap_err();
        place.assert_clean();
        place.message(&error)
    };
    let many = (0..4).fold(Tar::new(), |tar, n| tar.file(&format!("f{n}"), ""));
    insta::assert_snapshot!(refusal(&many.bytes()), @r#""/archive" was refused: it has more than 3 entries; nothing of it was kept"#);
    let large = Tar::new().file("f", &"x".repeat(10_000)).bytes();
    insta::assert_snapshot!(refusal(&compress("gz", &large)), @r#""/archive" was refused: it unpacks to more than 10000 bytes; nothing of it was kept"#);
    let long = Tar::new().file("a/b/c/d/e/f/g/h/i/j/k/l", "").bytes();
    assert!(refusal(&long).contains("has an overlong name"));
    let name = Tar::new().file(&"n".repeat(99), "").bytes();
    assert!(refusal(&name).contains("has an overlong name"));
}

#[test]
fn a_bomb_is_recognised_long_before_the_disk_is_full() {
    let place = Place::new();
    let mut bomb = Header::new_gnu();
    bomb.set_path("zeros").unwrap();
    bomb.set_size(70 << 20);
    bomb.set_cksum();
    let mut bytes = bomb.as_bytes().to_vec();
    bytes.resize(71 << 20, 0);
    let refusal = place.refusal(&compress("zst", &bytes));
    assert!(refusal.contains("as a bomb does"), "{refusal}");
}

#[test]
fn a_huge_name_is_not_read_into_memory() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(5 << 30);
    header.set_cksum();
    let refusal = Place::new().refusal(header.as_bytes());
    assert!(refusal.contains("one of its headers has 5368709120 bytes"), "{refusal}");
}
