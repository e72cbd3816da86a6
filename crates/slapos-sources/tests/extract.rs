//! Unpacking: what good archives become, and what is left of those that fail: nothing.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[path = "support/archives.rs"]
mod archives;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use archives::{Place, Tar, compress, good, zip_of};
use slapos_sources::archive::{ArchiveError, Extracted, Limits, Strip, extract};
use slapos_sources::{Progress, Silent};
use tar::{Builder, Header};

#[test]
fn every_compression_unpacks_to_the_same() {
    let mut archives = vec![good()];
    archives.extend(["gz", "bz2", "xz", "lz", "zst"].map(|kind| compress(kind, &good())));
    for bytes in archives {
        let place = Place::new();
        let done = place.extract(&bytes, &Limits::default(), Strip::Auto).unwrap();
        assert_eq!((done.entries, done.bytes), (5, 15));
        assert_eq!(done.stripped.as_deref(), Some("pkg-1.0"));
        assert_eq!(place.read("src/a.c"), "int a;");
        assert_eq!(place.read("link"), "int a;");
        let meta = |name: &str| fs::metadata(place.target().join(name)).unwrap();
        assert_eq!(meta("hard").ino(), meta("src/a.c").ino());
        // Executable, but neither set-uid nor for others to write.
        assert_eq!(meta("configure").permissions().mode() & 0o7777, 0o755);
        assert_eq!(meta("src/a.c").mtime(), 1_000_000_000);
        assert_eq!(meta(".").mtime(), 1_000_000_000);
        assert!(meta(".").permissions().mode() & 0o200 != 0);
        assert_eq!(fs::read_dir(place.dir.path().join("work")).unwrap().count(), 1);
    }
}

#[test]
fn the_top_directory_is_stripped_as_asked() {
    let two = Tar::new().file("a/x", "").file("b/x", "").bytes();
    let lone_file = Tar::new().file("a", "").bytes();
    let strip = |bytes: &[u8], strip| Place::new().extract(bytes, &Limits::default(), strip);
    let kept = |result: Result<Extracted, ArchiveError>| result.unwrap().stripped;
    assert_eq!(kept(strip(&good(), Strip::Never)), None);
    assert_eq!(kept(strip(&good(), Strip::Always)), Some("pkg-1.0".into()));
    assert_eq!(kept(strip(&two, Strip::Auto)), None);
    assert_eq!(kept(strip(&lone_file, Strip::Auto)), None);
    let error = strip(&two, Strip::Always).unwrap_err().to_string();
    assert!(error.contains("exactly one directory at the top"), "{error}");
}

#[test]
fn long_names_of_gnu_and_pax_are_understood() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    let mut gnu = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    gnu.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let place = Place::new();
    place.unpack(&gnu.into_inner().unwrap()).unwrap();
    assert_eq!(place.read(&long), "x");

    let mut pax = Builder::new(Vec::new());
    pax.append_pax_extensions([("path", long.as_bytes()), ("comment", b"c")]).unwrap();
    let mut header = Header::new_ustar();
    header.set_path("short").unwrap();
    header.set_size(1);
    header.set_cksum();
    pax.append(&header, &b"y"[..]).unwrap();
    let place = Place::new();
    place.unpack(&pax.into_inner().unwrap()).unwrap();
    assert_eq!(place.read(&long), "y");
}

#[test]
fn truncated_and_damaged_archives_are_refused() {
    for kind in ["plain", "gz", "bz2", "xz", "lz", "zst"] {
        let body: String = (0..20_000).map(|n: u32| format!("{n}\n")).collect();
        let tar = Tar::new().file("a", &body).file("b", &body).bytes();
        let bytes = if kind == "plain" { tar } else { compress(kind, &tar) };
        let place = Place::new();
        let refusal = place.refusal(&bytes[..bytes.len() / 2]);
        assert!(refusal.contains("is damaged"), "{kind}: {refusal}");
        if kind == "gz" || kind == "xz" {
            // Only the checksum at the very end is missing.
            let refusal = place.refusal(&bytes[..bytes.len() - 4]);
            assert!(refusal.contains("it ends too early"), "{kind}: {refusal}");
        }
    }
    let place = Place::new();
    insta::assert_snapshot!(place.refusal(&compress("gz", b"#!/bin/sh\nexit 1\n")), @r#""/archive" is damaged: what is compressed in it is no tar archive; remove it and fetch it again"#);
    insta::assert_snapshot!(place.refusal(&compress("gz", &[b'x'; 2000])), @r#""/archive" is damaged: what is compressed in it is no tar archive; remove it and fetch it again"#);
    insta::assert_snapshot!(place.refusal(b"<html><body>Not found"), @r#""/archive" cannot be unpacked: it is a web page: the server answered with a page in place of the file"#);
    insta::assert_snapshot!(place.refusal(&Tar::new().bytes()), @r#""/archive" cannot be unpacked: it is no archive of a known kind; supported are zip, and tar, plain or with gzip, bzip2, xz, lzip or zstd"#);
    insta::assert_snapshot!(place.refusal(&compress("xz", &Tar::new().bytes())), @r#""/archive" is damaged: it holds nothing; remove it and fetch it again"#);
}

#[test]
fn zip_archives_are_unpacked_and_guarded_alike() {
    let place = Place::new();
    let good =
        zip_of(&[("p/run", 0o755, b"#!"), ("p/a", 0o644, b"text"), ("p/l", 0o120_777, b"a")]);
    let done = place.extract(&good, &Limits::default(), Strip::Auto).unwrap();
    assert_eq!(done.stripped.as_deref(), Some("p"));
    assert_eq!(place.read("l"), "text");
    let meta = fs::metadata(place.target().join("run")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o755);
    assert_eq!(meta.mtime(), 1_000_000_000);

    let place = Place::new();
    for (name, mode, body) in [
        ("../../outside", 0o644, &b"x"[..]),
        ("/tmp/outside", 0o644, b"x"),
        ("l", 0o120_777, b"../../outside"),
        ("l", 0o120_777, b"/etc/passwd"),
    ] {
        let refusal = place.refusal(&zip_of(&[(name, mode, body)]));
        assert!(refusal.contains("was refused: its entry"), "{refusal}");
    }
    let through = zip_of(&[("l", 0o120_777, b"../.."), ("l/outside", 0o644, b"x")]);
    assert!(place.refusal(&through).contains("through the link"));
    let bomb = zip_of(&[("zeros", 0o644, &vec![0; 70 << 20])]);
    assert!(place.refusal(&bomb).contains("as a bomb does"));
    let body: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
    let whole = zip_of(&[("a", 0o644, &body)]);
    assert!(place.refusal(&whole[..whole.len() / 2]).contains("is damaged"));
}

#[test]
fn an_occupied_target_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.target()).unwrap();
    place.unpack(&good()).unwrap();
    assert!(matches!(place.unpack(&good()), Err(ArchiveError::TargetExists { .. })));
    let place = Place::new();
    symlink(place.dir.path(), place.target()).unwrap();
    assert!(matches!(place.unpack(&good()), Err(ArchiveError::TargetExists { .. })));
}

#[test]
fn cancelling_leaves_nothing() {
    struct Stop;
    impl Progress for Stop {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let place = Place::new();
    let archive = place.dir.path().join("archive");
    fs::write(&archive, good()).unwrap();
    let result = extract(&archive, &place.target(), &Limits::default(), Strip::Auto, &Stop);
    assert!(matches!(result, Err(ArchiveError::Cancelled)));
    place.assert_clean();
}

/// Runs itself again on a file system of one megabyte, in a user namespace.
#[test]
fn a_full_disk_is_explained_and_given_back() {
    const TEST: &str = "a_full_disk_is_explained_and_given_back";
    if let Some(small) = std::env::var_os("SMALL_DISK") {
        return on_a_small_disk(Path::new(&small));
    }
    let dir = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=1m none \"$SMALL_DISK\" || exit 77; exec \"$0\" --exact \"$1\"";
    let status = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(TEST)
        .env("SMALL_DISK", dir.path())
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) if !matches!(status.code(), Some(1 | 77)) => panic!("{status}"),
        other => {
            let _ = writeln!(std::io::stderr(), "SKIPPED {TEST}: no user namespaces ({other:?})");
        }
    }
}

fn on_a_small_disk(disk: &Path) {
    let body: String = (0..300_000).map(|n: u32| format!("{n}\n")).collect();
    let tar = Tar::new().file("a", "small").file("b", &body).bytes();
    let elsewhere = tempfile::tempdir().unwrap();
    let archive = elsewhere.path().join("a.tar.gz");
    fs::write(&archive, compress("gz", &tar)).unwrap();
    for bytes in [compress("gz", &tar), zip_of(&[("b", 0o644, body.as_bytes())])] {
        fs::write(&archive, bytes).unwrap();
        let error =
            extract(&archive, &disk.join("target"), &Limits::default(), Strip::Never, &Silent)
                .unwrap_err();
        let ArchiveError::NoSpace { needed, free, .. } = &error else {
            panic!("{error}");
        };
        assert!(*needed >= body.len() as u64, "{error}");
        assert!(*free <= 1 << 20 && *free > 0, "{error}");
        assert_eq!(fs::read_dir(disk).unwrap().count(), 0);
    }
}
