//! Instances that misbehave: each harms itself alone, and never the node.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::os::unix::fs::PermissionsExt;

use slapos_testkit::{SmallDisk, TestNode, is_root, runs, skipped, wait_for};

/// Two partitions: in the first an instance whose one part runs the shell script `script`, in the
/// second the service.
fn with_bad_neighbour(script: &str) -> TestNode {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let good = node.tree.add_service().display().to_string();
    let text = std::fs::read_to_string(&good).unwrap();
    let bad = node.tree.add_software("bad", &text).display().to_string();
    let script = node.tree.write("bad.sh", script);
    let command = format!("/bin/sh {}", script.display());
    node.tree.write(
        "software/bad/instance.cfg.in",
        format!("[buildout]\nparts = bad\n[bad]\nrecipe = plone.recipe.command\nstop-on-error = true\ncommand = {command}\n"),
    );
    node.ok(&["up", "--partitions", "2"]);
    for (name, profile) in [("bad", &bad), ("good", &good)] {
        node.ok(&["supply", profile, "local"]);
        node.ok(&["request", name, profile]);
    }
    node.ok(&["node", "software"]);
    node
}

fn is_deployed(node: &TestNode) -> bool {
    node.partition(1).join(".timestamp").exists() && node.pids().contains_key("sleeper-on-watch")
}

/// One that does not want to end: with a process in a session of its own, one that is nobody's
/// child and has no trace in its environment, and one that goes on making others.
const STUBBORN: &str = "trap '' TERM; \
    setsid sh -c 'echo $$ >> pids; sleep 86400' & \
    (setsid env -i sh -c 'echo $$ >> pids; exec sleep 86400' &) ; \
    (setsid sh -c 'echo $$ >> pids; while true; do sleep 0.01 & wait; done' &) ; \
    while true; do sleep 1; done";

/// The processes of [`STUBBORN`], once they are all there.
fn stubborn(node: &TestNode) -> Option<Vec<i64>> {
    let pids = std::fs::read_to_string(node.partition(0).join("pids")).ok()?;
    let pids: Vec<i64> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
    (pids.len() == 3).then_some(pids)
}

#[test]
fn what_a_killed_node_had_under_way_ends_with_it() {
    let node = with_bad_neighbour(STUBBORN);
    let mut child = node.start(&["node", "instance", "--only", "slappart0"]);
    let pids = wait_for("the processes to be there", 30, || stubborn(&node));
    slapos_testkit::kill(i64::from(child.id()));
    child.wait().unwrap();
    wait_for("all of them to be gone", 60, || pids.iter().all(|pid| !runs(*pid)).then_some(()));
}

/// Says to whom it belongs, what it is held to, and the command lines of all it descends from.
const CURIOUS: &str = "exec > seen; \
    id -u; grep NoNewPrivs /proc/self/status; grep 'Max processes' /proc/self/limits; p=$$; \
    while test \"$p\" -gt 1; do tr '\\0' ' ' < /proc/$p/cmdline; echo; \
    p=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' /proc/$p/stat); done";

#[test]
fn a_worker_that_executed_nothing_is_its_nodes_and_held_to_what_others_are() {
    let node = with_bad_neighbour(CURIOUS);
    node.ok(&["node", "instance"]);
    let seen = std::fs::read_to_string(node.partition(0).join("seen")).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[1], "NoNewPrivs:\t1", "{seen}");
    if is_root() {
        use std::os::unix::fs::MetadataExt as _;
        let owner = std::fs::metadata(node.partition(0)).unwrap().uid();
        assert_eq!(lines[0], owner.to_string(), "{seen}");
        assert_most_processes(lines[2]);
    }
    let at = lines.iter().position(|line| line.starts_with("slapos nursery "));
    assert!(at.is_some_and(|at| lines[at + 1].contains(" node instance ")), "{seen}");
}

#[test]
fn one_that_hangs_is_ended_with_all_that_it_started() {
    let node = with_bad_neighbour(STUBBORN);
    let run = node.fails(1, &["node", "instance", "--partition-timeout", "12", "--jobs", "1"]);
    let told = run.told();
    assert!(told.contains("slappart0 took too long and was stopped"), "{told}");
    assert!(is_deployed(&node), "{told}");
    for pid in stubborn(&node).unwrap() {
        assert!(!runs(pid), "process {pid} lives on");
    }
    let error = node.partition(0).join(".slapgrid-slappart0-error.log");
    assert!(std::fs::read_to_string(error).unwrap().contains("took too long"));
}

#[test]
fn one_that_ends_its_own_worker_is_told_and_tried_again() {
    // Its parent is the shell that has the command, and that one's is the worker.
    let node = with_bad_neighbour(
        "test -e second || { touch second; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 60; }",
    );
    let run = node.fails(1, &["node", "instance"]);
    assert!(
        run.told().contains("the worker of slappart0 died: signal: 9 (SIGKILL)"),
        "{}",
        run.err
    );
    assert!(is_deployed(&node), "{}", run.err);
    let error = node.partition(0).join(".slapgrid-slappart0-error.log");
    assert!(std::fs::read_to_string(&error).unwrap().contains("died"));
    node.ok(&["node", "instance"]);
    assert!(!error.exists());
}

#[test]
fn one_that_goes_on_forking_has_a_limit() {
    if !is_root() {
        skipped("one_that_goes_on_forking_has_a_limit", "needs root, and so users of partitions");
        return;
    }
    let node = with_bad_neighbour("grep '^Max processes' /proc/self/limits > most");
    node.ok(&["node", "instance"]);
    let most = std::fs::read_to_string(node.partition(0).join("most")).unwrap();
    assert_most_processes(&most);
}

/// Of a line of `/proc/PID/limits`: a partition has so many beside those that it has already.
fn assert_most_processes(line: &str) {
    let most: u64 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!((1024..1200).contains(&most), "{line}");
}

/// Forks as fast as it can, in every process that it made, each in a session of its own; one that may not
/// fork begins anew instead of ending, as a shell would. The first one starts nothing more itself: it
/// waits for ever. Nothing but the limit that it has protects the machine that runs this test.
const BOMB: &str = "\
    case $1 in bomb) echo >> made; trap 'exec /bin/sh \"$0\" bomb' EXIT;
        while true; do setsid /bin/sh \"$0\" bomb & done;;
    esac
    mkfifo never
    /bin/sh \"$0\" bomb 2> /dev/null &
    read x < never";

/// The processes of a user, without those that have ended.
fn of_user(uid: u32) -> Vec<i64> {
    use std::os::unix::fs::MetadataExt as _;
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let own = processes.filter(|process| process.metadata().is_ok_and(|meta| meta.uid() == uid));
    let pids = own.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(|pid| runs(*pid)).collect()
}

#[test]
fn one_that_forks_as_fast_as_it_can_harms_itself_alone() {
    use std::os::unix::fs::MetadataExt as _;
    const NAME: &str = "one_that_forks_as_fast_as_it_can_harms_itself_alone";
    if !is_root() {
        skipped(NAME, "needs root, and so users of partitions");
        return;
    }
    let node = with_bad_neighbour(BOMB);
    // Its own worker cannot do its work either, or only until its time is over.
    let run = node.fails(1, &["node", "instance", "--partition-timeout", "20", "--jobs", "1"]);
    let made = std::fs::metadata(node.partition(0).join("made")).unwrap();
    assert!(made.len() > 500, "{} processes", made.len());
    assert!(run.told().contains("slappart0"), "{}", run.err);
    assert!(is_deployed(&node), "{}", run.err);
    wait_for("all of them to be gone", 60, || of_user(made.uid()).is_empty().then_some(()));
}

#[test]
fn one_that_never_stops_printing_does_not_fill_the_disk() {
    let node = with_bad_neighbour(
        "until grep -q 'slapos left' .slapos/log/bad.log; do yes | head -c 20000000; done; false",
    );
    let run = node.fails(1, &["node", "instance"]);
    assert!(is_deployed(&node), "{}", run.err);
    let log = std::fs::metadata(node.partition(0).join(".slapos/log/bad.log")).unwrap();
    assert!(log.len() < 1 << 30, "{} bytes", log.len());
    // The Master is told the end of it, not all.
    let reported = node.json(&["proxy", "show"])["instances"][0]["reported"].clone();
    let message = reported["message"].as_str().unwrap();
    assert!(message.len() < 20_000 && message.contains("bad"), "{message}");
}

#[test]
fn one_that_fills_its_disk_harms_itself_alone() {
    if !is_root() {
        skipped("one_that_fills_its_disk_harms_itself_alone", "needs root, to mount a small disk");
        return;
    }
    let node = with_bad_neighbour("dd if=/dev/zero of=big bs=64k");
    node.configure("[slapos]", "[slapos]\ninstance_min_free_space = 0");
    let disk = SmallDisk::mount(&node.partition(0), 8);
    let run = node.fails(1, &["node", "instance"]);
    assert!(run.told().to_lowercase().contains("no space left"), "{}", run.err);
    assert!(is_deployed(&node), "{}", run.err);
    let reported = node.json(&["proxy", "show"])["instances"][0]["reported"].clone();
    assert_eq!(reported["state"], "error");
    // Nothing gets lost, and it can be destroyed.
    let bad = node.tree.root().join("software/bad/software.cfg").display().to_string();
    node.ok(&["request", "bad", &bad, "--state", "destroyed"]);
    node.ok(&["node", "report"]);
    assert_eq!(node.left_in(0), [""; 0]);
    drop(disk);
}

#[test]
fn what_a_partition_plants_leads_the_node_nowhere() {
    let node = with_bad_neighbour("true");
    node.ok(&["node", "instance"]);
    let victim = node.path("victim");
    let treasure = victim.join("treasure");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(&treasure, "kept").unwrap();
    std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o755)).unwrap();
    let place = |name: &str| {
        let path = node.partition(0).join(name);
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir_all(&path);
        path
    };
    let link = |name: &str, to: &std::path::Path| {
        std::os::unix::fs::symlink(to, place(name)).unwrap();
    };
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(place(name)).status();
        assert!(made.unwrap().success());
    };
    link(".timestamp", &treasure);
    link(".slapgrid-slappart0-error.log", &treasure);
    link("buildout.cfg", &treasure);
    pipe(".slapgrid/log/instance.log");
    pipe(".slapos-retention-lock-delay");
    let run = node.run(&["node", "instance", "--all"]);
    assert!(run.code == 0 || run.code == 1, "{}", run.err);
    assert!(is_deployed(&node));
    if is_root() {
        link(".slapgrid/log", &victim);
        node.run(&["node", "instance", "--all"]);
    } else {
        skipped("what_a_partition_plants_leads_the_node_nowhere", "half of it needs root");
    }
    assert_eq!(std::fs::read_to_string(&treasure).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 1);

    // A lock as long as a film, and a list that never ends, keep that partition and no other.
    let bad = node.tree.root().join("software/bad/software.cfg").display().to_string();
    let good = node.tree.root().join("software/service/software.cfg").display().to_string();
    node.ok(&["request", "bad", &bad, "--state", "destroyed"]);
    node.ok(&["request", "good", &good, "--state", "destroyed"]);
    let huge = std::fs::File::create(place(".slapos-retention-lock-delay")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let run = node.fails(1, &["node", "report"]);
    assert!(run.told().contains("is longer than"), "{}", run.err);
    assert_eq!(node.left_in(1), [""; 0]);
    let _ = place(".slapos-retention-lock-delay");
    node.ok(&["node", "report"]);
    assert_eq!(node.left_in(0), [""; 0]);
}

#[test]
fn a_partition_that_is_missing_or_open_is_told_and_the_others_go_on() {
    let node = with_bad_neighbour("true");
    let directory = node.partition(0);
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
    let run = node.fails(1, &["node", "instance"]);
    assert!(run.told().contains("has mode 0755, not 0750"), "{}", run.err);
    assert!(is_deployed(&node));
    let aside = node.path("aside");
    std::fs::rename(&directory, &aside).unwrap();
    let run = node.fails(1, &["node", "instance"]);
    assert!(run.told().contains(&format!("there is no {}", directory.display())), "{}", run.err);
    std::os::unix::fs::symlink(&aside, &directory).unwrap();
    let run = node.fails(1, &["node", "instance"]);
    assert!(run.told().contains("is no directory"), "{}", run.err);
    let reported = node.json(&["proxy", "show"])["instances"][0]["reported"].clone();
    assert!(reported["message"].as_str().unwrap().contains("is no directory"), "{reported}");
    std::fs::remove_file(&directory).unwrap();
    std::fs::rename(&aside, &directory).unwrap();
    node.ok(&["node", "format"]);
    node.ok(&["node", "instance"]);
}

#[test]
fn a_free_partition_is_tidied() {
    let node = with_bad_neighbour("true");
    node.ok(&["node", "instance"]);
    let bad = node.tree.root().join("software/bad/software.cfg").display().to_string();
    node.ok(&["request", "bad", &bad, "--state", "destroyed"]);
    node.ok(&["node", "report"]);
    // What a run that was killed may have left.
    let record = node.root().join("instance/var/slapgrid");
    std::fs::copy(record.join("slappart1.json"), record.join("slappart0.json")).unwrap();
    for name in [".slapgrid", "left"] {
        std::fs::create_dir(node.partition(0).join(name)).unwrap();
    }
    let told = node.ok(&["node", "instance"]).told();
    assert!(told.contains("still has files of a former instance"), "{told}");
    wait_for("the node's own things to be gone", 60, || {
        (!node.partition(0).join(".slapgrid").exists()).then_some(())
    });
    assert!(node.partition(0).join("left").exists());
    assert!(!record.join("slappart0.json").exists());
}
