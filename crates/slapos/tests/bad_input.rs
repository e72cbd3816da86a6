//! Bad input: each gets a clear message and a non-zero exit, and breaks nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::path::PathBuf;

use slapos_testkit::{Entry, Run, SmallDisk, TestNode, is_root, kill, skipped, tar_gz, wait_for};

fn node() -> TestNode {
    TestNode::new(env!("CARGO_BIN_EXE_slapos"))
}

/// Builds a Software Release with this profile, expects that it fails and that nothing is taken
/// for whole, and returns what was said.
fn build_fails(node: &TestNode, profile: &str) -> Run {
    let path = node.tree.add_software("bad", profile).display().to_string();
    let run = node.fails(1, &["up", &path]);
    assert!(!completed(node), "a failed build was taken for whole");
    run
}

fn completed(node: &TestNode) -> bool {
    let builds = std::fs::read_dir(node.root().join("software")).unwrap();
    builds.filter_map(Result::ok).any(|build| build.path().join(".completed").exists())
}

fn expect(run: &Run, words: &[&str]) {
    for word in words {
        assert!(run.err.contains(word), "`{word}` is not in:\n{}", run.err);
    }
}

/// A source archive with a `configure` and a Makefile that runs `commands`.
fn source(node: &TestNode, name: &str, commands: &str) -> PathBuf {
    let makefile = format!(
        "all:\n\t{commands}\ninstall:\n\tmkdir -p $(PREFIX)/bin\n\techo built > $(PREFIX)/bin/{name}\n"
    );
    let archive = tar_gz(&[
        Entry::file(
            &format!("{name}-1/configure"),
            0o755,
            "#!/bin/sh\nfor a; do case $a in --prefix=*) echo \"PREFIX = ${a#--prefix=}\" > config.mk;; esac; done\n",
        ),
        Entry::file(&format!("{name}-1/Makefile"), 0o644, format!("include config.mk\n{makefile}")),
    ]);
    node.tree.write(&format!("{name}-1.tar.gz"), archive)
}

fn cmmi(archive: &std::path::Path) -> String {
    format!(
        "[buildout]\nparts = thing\n\n[thing]\nrecipe = slapos.recipe.cmmi\nurl = file://{}\nsha256sum = {}\n",
        archive.display(),
        sha256(archive)
    )
}

fn sha256(path: &std::path::Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap().to_owned()
}

#[test]
fn a_missing_extends_points_at_its_line() {
    let run =
        build_fails(&node(), "[buildout]\nextends =\n  ../../component/nothing.cfg\nparts =\n");
    expect(&run, &["software/bad/software.cfg:3", "component/nothing.cfg"]);
}

#[test]
fn an_unknown_section_is_pointed_at_and_a_likely_one_named() {
    let run = build_fails(
        &node(),
        "[buildout]\nparts = a\n\n[zlib]\nlocation = /z\n\n[a]\nrecipe = slapos.recipe.build:mkdirectory\npath = ${zlibb:location}/x\n",
    );
    expect(&run, &["software.cfg:9", "zlibb", "zlib"]);
}

#[test]
fn a_circular_reference_is_shown_as_the_cycle() {
    let run = build_fails(
        &node(),
        "[buildout]\nparts = a\n\n[a]\nrecipe = slapos.recipe.build:mkdirectory\nx = ${b:y}\n\n[b]\ny = ${a:x}\n",
    );
    expect(&run, &["software.cfg:6", "a:x", "b:y"]);
}

#[test]
fn a_recipe_nobody_provides_is_named() {
    let run = build_fails(&node(), "[buildout]\nparts = a\n\n[a]\nrecipe = slapos.recipe.cmi\n");
    expect(&run, &["software.cfg:5", "slapos.recipe.cmi", "slapos.recipe.cmmi"]);
}

#[test]
fn a_wrong_checksum_is_refused() {
    let node = node();
    let archive = source(&node, "thing", "true");
    let wrong = "0".repeat(64);
    let profile = cmmi(&archive).replace(&sha256(&archive), &wrong);
    let run = build_fails(&node, &profile);
    expect(&run, &[&wrong, &sha256(&archive), "thing-1.tar.gz"]);
}

#[test]
fn an_archive_cannot_escape() {
    let node = node();
    let hostile = [
        vec![Entry::file("t/ok", 0o644, "x"), Entry::file("../../../escaped", 0o644, "x")],
        vec![Entry::link("t/out", "/tmp"), Entry::file("t/out/escaped", 0o644, "x")],
    ];
    for (number, entries) in hostile.into_iter().enumerate() {
        let archive = node.tree.write(&format!("hostile-{number}.tar.gz"), tar_gz(&entries));
        let run = build_fails(&node, &cmmi(&archive));
        expect(&run, &["was refused", "nothing of it was kept", "software.cfg:4"]);
    }
    let found =
        std::process::Command::new("find").arg(node.root()).args(["-name", "escaped"]).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
    assert!(!std::path::Path::new("/tmp/escaped").exists());
}

#[test]
fn a_compiler_error_is_shown_with_its_place() {
    let node = node();
    let archive =
        source(&node, "thing", "@echo 'int main(void) { return nonsense; }' > t.c; cc t.c");
    let run = build_fails(&node, &cmmi(&archive));
    let log = "/.slapos/log/thing.log";
    expect(&run, &["make", "nonsense", "error:", "software.cfg:4", log]);
    // Mended, it builds; what was built before is not built again.
    let archive = source(&node, "thing", "true");
    let path = node.tree.add_software("bad", &cmmi(&archive)).display().to_string();
    node.ok(&["supply", &path, "local"]);
    node.ok(&["node", "software"]);
    assert!(completed(&node));
}

#[test]
fn a_killed_build_resumes_where_it_stopped() {
    let node = node();
    node.ok(&["up"]);
    let first = source(&node, "first", "true");
    let flag = node.path("go-on");
    let wait = format!("touch begun; while ! test -e {}; do sleep 0.05; done", flag.display());
    let second = source(&node, "second", &wait);
    let part = |name: &str, archive: &std::path::Path| {
        cmmi(archive)
            .replace("[buildout]\nparts = thing\n", "")
            .replace("[thing]", &format!("[{name}]"))
    };
    let profile = format!(
        "[buildout]\nparts = first second instance\n{}{}depends = ${{first:location}}\n{INSTANCE}",
        part("first", &first),
        part("second", &second)
    );
    let path = node.tree.add_software("two", &profile).display().to_string();
    node.ok(&["supply", &path, "local"]);
    let mut child = node.start(&["node", "software"]);
    wait_for("the second part to be compiling", 30, || find(&node, "begun"));
    kill(i64::from(child.id()));
    child.wait().unwrap();
    assert!(!completed(&node));
    std::fs::write(&flag, "").unwrap();
    let told = node.ok(&["node", "software", "-v"]).told();
    assert!(completed(&node));
    assert!(told.contains("install second"), "{told}");
    assert!(!told.contains("install first"), "what was built was built again:\n{told}");
}

const INSTANCE: &str = "\n[instance]\nrecipe = slapos.recipe.template\ninline =\n  [buildout]\n  parts =\noutput = ${buildout:directory}/instance.cfg\n";

fn find(node: &TestNode, name: &str) -> Option<()> {
    let root = node.root().join("software");
    let found = std::process::Command::new("find").arg(root).args(["-name", name]).output().ok()?;
    (!found.stdout.is_empty()).then_some(())
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    if !is_root() {
        skipped("a_full_disk_is_told_and_leaves_nothing", "needs root, to mount a small disk");
        return;
    }
    let node = node();
    node.ok(&["up"]);
    node.configure("[slapformat]", "software_min_free_space = 0\n\n[slapformat]");
    let software = node.root().join("software");
    let disk = SmallDisk::mount(&software, 8);
    node.ok(&["node", "format"]);
    let big = tar_gz(&[Entry::file("big-1/zeros", 0o644, vec![0; 32 << 20])]);
    let archive = node.tree.write("big-1.tar.gz", big);
    let path = node.tree.add_software("big", &cmmi(&archive)).display().to_string();
    node.ok(&["supply", &path, "local"]);
    let run = node.fails(1, &["node", "software"]);
    expect(&run, &["space"]);
    assert!(find(&node, "zeros").is_none(), "half an archive was left behind");
    drop(disk);
}

/// A Software Release with a shared part of so many bytes, built and removed.
fn leave_a_shared_part_that_nobody_needs(node: &TestNode, bytes: usize) {
    let content = vec![7; bytes];
    let file = node.tree.write("big", &content);
    let profile = format!(
        "[buildout]\nparts = tool\n[tool]\nrecipe = slapos.recipe.build:download\nshared = true\n\
         url = file://{}\nsha256sum = {}\n",
        file.display(),
        slapos_sources::Digest::sha256_of(&content).hex()
    );
    let profile = node.tree.add_software("tool", &profile).display().to_string();
    for words in [["supply", &profile, "local"], ["remove", &profile, "local"]] {
        node.ok(&words);
        node.ok(&["node", "software"]);
    }
}

#[test]
fn a_node_whose_disk_is_full_can_still_be_looked_at_stopped_and_emptied() {
    const NAME: &str = "a_node_whose_disk_is_full_can_still_be_looked_at_stopped_and_emptied";
    if !is_root() {
        skipped(NAME, "needs root, to mount a small disk");
        return;
    }
    let node = node();
    std::fs::create_dir_all(node.root()).unwrap();
    let disk = SmallDisk::mount(&node.root(), 48);
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["up"]);
    node.configure(
        "[slapformat]",
        "software_min_free_space = 0\ninstance_min_free_space = 0\n\n[slapformat]",
    );
    leave_a_shared_part_that_nobody_needs(&node, 8 << 20);
    node.ok(&["up", &profile]);
    let filler = node.root().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    let shows = |state: &str| {
        let shown = node.ok(&["node", "status"]).out;
        let mut lines = shown.lines().filter(|line| line.contains("sleeper-on-watch"));
        lines.any(|line| line.contains(state)).then_some(())
    };
    wait_for("the service to be shown as it is", 60, || shows("RUNNING"));
    node.ok(&["node", "stop", "slappart0:*"]);
    wait_for("the service to be stopped", 60, || shows("STOPPED"));
    let told = node.fails(1, &["node", "instance", "--all"]).told();
    assert!(told.contains("space"), "{told}");
    // There is room again, and with it all the rest.
    let run = node.ok(&["node", "prune"]);
    assert!(run.out.contains("1 of 1 shared parts removed"), "{}", run.out);
    std::io::Write::write_all(&mut file, &vec![0; 4 << 20]).unwrap();
    node.ok(&["node", "instance", "--all"]);
    wait_for("the service to run again", 60, || shows("RUNNING"));
    node.ok(&["down"]);
    drop(disk);
}

#[test]
fn a_port_already_taken_is_named() {
    let node = node();
    node.ok(&["up"]);
    node.ok(&["down"]);
    let config = std::fs::read_to_string(node.root().join("etc/slapos.cfg")).unwrap();
    let port = config.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let run = node.fails(1, &["up"]);
    expect(&run, &[&format!("127.0.0.1:{port}"), "another program has that port"]);
}

#[test]
fn a_database_that_is_not_ours_is_left_alone() {
    let node = node();
    node.ok(&["up"]);
    node.ok(&["down"]);
    let database = node.root().join("master/proxy.db");
    for file in ["proxy.db-wal", "proxy.db-shm"] {
        let _ = std::fs::remove_file(database.with_file_name(file));
    }
    std::fs::write(&database, "a diary\n").unwrap();
    let run = node.fails(1, &["up"]);
    expect(&run, &["proxy.db", "not a slapos Master"]);
    assert_eq!(std::fs::read_to_string(&database).unwrap(), "a diary\n");
}

#[test]
fn an_instance_whose_template_fails_says_where() {
    let node = node();
    let profile = node.tree.add_service().display().to_string();
    let instance = node.tree.root().join("software/service/instance.cfg.in");
    let text = std::fs::read_to_string(&instance).unwrap();
    std::fs::write(&instance, text.replace("inline = {{ word }}", "inline = {{ wrod }}")).unwrap();
    let run = node.fails(1, &["up", &profile]);
    expect(&run, &["slappart0", "wrod", "configuration", "buildout.cfg:"]);
    // Mended, the same instance goes on.
    std::fs::write(&instance, text).unwrap();
    node.ok(&["node", "software", "--all"]);
    node.ok(&["node", "instance"]);
    assert_eq!(
        node.json(&["service", "info", "service"])["connection-parameters"]["word"],
        "hello"
    );
}

#[test]
fn arguments_and_configuration_that_make_no_sense() {
    let node = node();
    expect(&node.fails(1, &["up", "no/such/software.cfg"]), &["no/such/software.cfg"]);
    assert!(!node.root().exists(), "nothing is made for nothing");
    expect(&node.fails(1, &["node", "software"]), &["etc/slapos.cfg", "slapos up"]);
    node.ok(&["up"]);
    expect(&node.fails(1, &["node", "instance", "--only", "slappart99"]), &["slappart99"]);
    node.configure("computer_id = local", "");
    expect(&node.fails(1, &["node", "instance"]), &["slapos.cfg:", "computer_id"]);
    node.configure("[slapos]", "[slapos]\ncomputer_id = local");
    node.ok(&["service", "list"]);
}

#[test]
fn a_wrong_token_gets_nothing() {
    let node = node();
    node.ok(&["up"]);
    let token = node.root().join("master/master.token");
    let right = std::fs::read_to_string(&token).unwrap();
    std::fs::write(&token, "wrong").unwrap();
    let run = node.fails(1, &["service", "list"]);
    assert!(!run.err.contains(&right) && !run.err.contains("wrong\n"), "{}", run.err);
    expect(&run, &["token"]);
    std::fs::write(&token, right).unwrap();
    node.ok(&["service", "list"]);
}

#[test]
fn a_build_that_keeps_going_tells_every_failure_and_builds_the_rest() {
    let node = node();
    let part = |name: &str, command: &str| {
        format!(
            "[{name}]\nrecipe = plone.recipe.command\nstop-on-error = true\ncommand = {command}\n"
        )
    };
    let profile = format!(
        "[buildout]\nparts = bad good worse\n{}{}{}",
        part("bad", "exit 3"),
        part("good", "touch ${buildout:directory}/good"),
        part("worse", "exit 4"),
    );
    node.ok(&["up"]);
    let path = node.tree.add_software("bad", &profile).display().to_string();
    node.ok(&["supply", &path, "local"]);
    let run = node.fails(1, &["node", "software", "--keep-going"]);
    expect(&run, &["part `bad` failed", "part `worse` failed", "software.cfg:3", "failed: bad"]);
    assert!(!completed(&node));
    let entries = std::fs::read_dir(node.root().join("software")).unwrap();
    assert!(entries.flatten().any(|entry| entry.path().join("good").exists()));
}
