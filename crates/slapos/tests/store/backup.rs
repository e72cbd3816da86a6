//! `slapos proxy backup`, `restore` and `migrate`.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use slapos_testkit::wait_for;

use super::masters::{Configured, Place, computer, names, server, wish};

/// A Master that has something, and what it has.
fn full(master: &Configured) -> slapos_slap::Overview {
    let client = master.client();
    client.load_computer_configuration(&computer(30)).unwrap();
    for title in ["a", "b", "ü\n"] {
        client.request(&wish(title)).unwrap();
    }
    client.overview().unwrap()
}

#[test]
fn a_master_moves_to_postgresql_and_back() {
    let Some(server) = server("a_master_moves_to_postgresql_and_back") else { return };
    let place = Place::new();
    let first = place.configure("1.cfg", &place.file());
    let running = first.start();
    let before = full(&first);
    let saved = place.path("saved");
    let file = saved.to_str().unwrap();
    first.ok(&["backup", file]);
    assert_eq!(saved.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    running.kill();

    let second = place.configure("2.cfg", &server.database("master"));
    second.ok(&["restore", file]);
    let running = second.start();
    assert_eq!(second.client().overview().unwrap(), before);
    second.client().request(&wish("later")).unwrap();
    let later = second.client().overview().unwrap();
    second.ok(&["backup", file]);
    let refused = second.run(&["restore", file, "--force"]);
    assert_eq!(refused.code, 1);
    let words = "is used by a Master (connected from the machine of the database)";
    assert!(refused.err.contains(words), "{}", refused.err);
    assert_eq!(second.client().overview().unwrap(), later);
    running.kill();
    let refused = second.run(&["restore", file]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("say --force to replace it"), "{}", refused.err);

    let third = place.configure("3.cfg", &place.path("master/third.db").display().to_string());
    third.ok(&["restore", file]);
    let _running = third.start();
    assert_eq!(third.client().overview().unwrap(), later);
    let left: Vec<_> = names(&place.path("")).into_iter().filter(|n| n.contains(".tmp")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_rehearsal_reads_all_of_a_backup_and_changes_nothing() {
    let place = Place::new();
    let master = place.configure("a.cfg", &place.file());
    let _running = master.start();
    let before = full(&master);
    let file = place.path("saved").display().to_string();
    master.ok(&["backup", &file]);
    let other = place.path("other/proxy.db").display().to_string();
    let other = place.configure("b.cfg", &other);
    let told = other.ok(&["restore", &file, "--dry-run"]).out;
    assert!(told.contains("it holds nothing, or is not there"), "{told}");
    assert!(told.contains("the backup is whole") && told.contains("Nothing was done"), "{told}");
    assert!(!place.path("other").exists());
    let refused = master.run(&["restore", &file, "-n"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("say --force to replace it"), "{}", refused.err);
    let told = master.ok(&["restore", &file, "--force", "-n"]).out;
    assert!(told.contains("asked for (--force)"), "{told}");
    let told = master.ok(&["migrate", "--to", "8", "--dry-run"]).out;
    assert!(told.contains("take back schema 10 (scale)"), "{told}");
    assert_eq!(master.ok(&["migrate", "-n"]).out, "nothing is to be changed\n");
    assert_eq!(master.client().overview().unwrap(), before);
    let saved = std::fs::read(&file).unwrap();
    std::fs::write(&file, &saved[..saved.len() / 2]).unwrap();
    let refused = other.run(&["restore", &file, "-n"]);
    assert_eq!((refused.code, refused.err.contains("cut off")), (1, true), "{}", refused.err);
}

/// However it ended, a Master that is gone keeps nobody from restoring.
#[test]
fn nothing_is_restored_under_a_master() {
    let place = Place::new();
    let master = place.configure("a.cfg", &place.file());
    let running = master.start();
    let before = full(&master);
    let file = place.path("saved").display().to_string();
    master.ok(&["backup", &file]);
    for words in [["restore", &file, "--force"].as_slice(), &["migrate", "--to", "8"]] {
        let refused = master.run(words);
        assert_eq!(refused.code, 1, "{}", refused.out);
        let told = format!("{} is used by a Master on this machine, and was left", place.file());
        assert!(refused.err.contains(&told), "{}", refused.err);
        assert!(refused.err.contains("stop every Master of it first"), "{}", refused.err);
    }
    assert_eq!(master.client().overview().unwrap(), before);
    running.kill();
    master.ok(&["restore", &file, "--force"]);
}

/// Root's own place for backups, and a database in a directory where another may write.
#[test]
fn root_saves_and_restores_as_the_masters_user() {
    let test = "root_saves_and_restores_as_the_masters_user";
    if !slapos_testkit::is_root() {
        return slapos_testkit::skipped(test, "this is not root");
    }
    let place = Place::new();
    let master = place.configure("a.cfg", &place.file());
    let open = |name, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path(name), permissions).unwrap();
    };
    open("", 0o755);
    let nobody = slapos_sys::user::by_name("nobody").unwrap().unwrap();
    slapos_sys::user::chown(&place.path("master"), &nobody).unwrap();
    std::fs::create_dir(place.path("own")).unwrap();
    open("own", 0o700);
    let running = master.start();
    let before = full(&master);
    let file = place.path("own/saved").display().to_string();
    master.ok(&["backup", &file]);
    running.kill();
    for name in names(&place.path("master")) {
        let owner = place.path("master").join(&name).metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), nobody.uid, "{name}");
        if name.starts_with("proxy.db") {
            std::fs::remove_file(place.path("master").join(name)).unwrap();
        }
    }
    let missing = master.run(&["backup", &file]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("proxy.db: No such file"), "{}", missing.err);
    master.ok(&["restore", &file]);
    master.ok(&["migrate", "--to", "4"]);
    let owner = place.path("master/proxy.db").metadata().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), nobody.uid);
    let _running = master.start();
    assert_eq!(master.client().overview().unwrap(), before);
}

/// Killed in the middle, and cut off at any line: what was there is there.
#[test]
fn a_restoration_that_is_killed_leaves_what_was_there() {
    let place = Place::new();
    let master = place.configure("a.cfg", &place.file());
    let running = master.start();
    full(&master);
    let saved = master.ok(&["backup", "-"]).out;
    master.client().request(&wish("later")).unwrap();
    let before = master.client().overview().unwrap();
    running.kill();
    let lines: Vec<_> = saved.lines().collect();
    for cut in [1, lines.len() / 2, lines.len() - 1] {
        let mut command = master.command(&["restore", "-", "--force"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", lines[..cut].join("\n")).unwrap();
        wait_for("the lines to be taken", 60, || {
            let state = std::fs::read_to_string(format!("/proc/{}/wchan", child.id()));
            let asleep = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            (state.is_ok() && asleep.contains(") S ")).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        drop(input);
        let running = master.start();
        assert_eq!(master.client().overview().unwrap(), before, "killed after {cut} lines");
        running.kill();
    }
    let whole = place.path("whole");
    std::fs::write(&whole, &saved).unwrap();
    master.ok(&["restore", whole.to_str().unwrap(), "--force"]);
    let _running = master.start();
    assert_eq!(master.client().overview().unwrap().instances.len(), 3);
}

#[test]
fn the_schema_goes_back_for_an_older_version_and_forth_again() {
    let place = Place::new();
    let master = place.configure("a.cfg", &place.file());
    let running = master.start();
    let before = full(&master);
    running.kill();
    assert_eq!(master.ok(&["migrate"]).out, "nothing is to be changed\n");
    let back = master.ok(&["migrate", "--to", "2"]).out;
    assert!(back.ends_with("4 changes: taken back\n3 partition_route: taken back\n"), "{back}");
    let forth: serde_json::Value =
        serde_json::from_str(&master.ok(&["migrate", "--json"]).out).unwrap();
    let step = serde_json::json!({ "number": 3, "name": "partition_route", "back": false });
    assert_eq!(forth[0], step);
    let _running = master.start();
    assert_eq!(master.client().overview().unwrap(), before);
    let refused = master.run(&["migrate", "--to", "0"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("there is no schema 0; this version knows 1, 2"),
        "{}",
        refused.err
    );
}
