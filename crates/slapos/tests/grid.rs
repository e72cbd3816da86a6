//! What `node software` and `node instance` take, decide and leave behind: options, logs, marks.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::io::{BufRead as _, BufReader};

use slapos_slap::SoftwareUrl;
use slapos_testkit::TestNode;

fn node_with_service() -> (TestNode, String) {
    TestNode::with_service(env!("CARGO_BIN_EXE_slapos"))
}

/// A node with an instance of the service in its first partition.
fn served() -> (TestNode, String) {
    TestNode::serving(env!("CARGO_BIN_EXE_slapos"))
}

fn read(node: &TestNode, name: &str) -> Option<String> {
    std::fs::read_to_string(node.partition(0).join(name)).ok()
}

fn plan(node: &TestNode, words: &[&str]) -> String {
    node.ok(&[&["node", "instance", "--dry-run"], words].concat()).told()
}

/// Makes the instance's template wrong, or right again.
fn spoil(node: &TestNode, from: &str, to: &str) {
    let path = node.tree.root().join("software/service/instance.cfg.in");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    node.ok(&["node", "software", "--all"]);
}

#[test]
fn an_instance_has_a_log_a_timestamp_and_its_last_error() {
    let (node, _) = served();
    let instance = node.json(&["proxy", "show"])["instances"][0].clone();
    assert_eq!(read(&node, ".timestamp").as_deref(), instance["timestamp"].as_str());
    assert_eq!(read(&node, ".slapos-retention-lock-delay").as_deref(), Some("0.0"));
    let log = read(&node, ".slapgrid/log/instance.log").unwrap();
    for words in ["INFO processes slappart0, to be started", "INFO install service:", "INFO done"] {
        assert!(log.contains(words), "{log}");
    }
    assert!(!log.contains("DEBUG"), "{log}");

    spoil(&node, "inline = {{ word }}", "inline = {{ wrod }}");
    let run = node.fails(1, &["node", "instance"]);
    let told = run.told();
    assert!(told.contains("Error while processing the following partitions:"), "{told}");
    assert!(told.contains("slappart0[default]: "), "{told}");
    assert_eq!(read(&node, ".timestamp"), None);
    let error = read(&node, ".slapgrid-slappart0-error.log").unwrap();
    assert!(error.contains("wrod") && error.contains("buildout.cfg:"), "{error}");
    let reported = node.json(&["proxy", "show"])["instances"][0]["reported"].clone();
    assert_eq!(reported["state"], "error");
    assert!(reported["message"].as_str().unwrap().contains("wrod"), "{reported}");
    assert!(read(&node, ".slapgrid/log/instance.log").unwrap().contains("ERROR"));

    spoil(&node, "inline = {{ wrod }}", "inline = {{ word }}");
    node.ok(&["node", "instance", "--buildout-debug"]);
    assert_eq!(read(&node, ".slapgrid-slappart0-error.log"), None);
    assert!(read(&node, ".timestamp").is_some());
    assert!(read(&node, ".slapgrid/log/instance.log").unwrap().contains("DEBUG"));
}

#[test]
fn a_software_release_has_a_log_and_says_what_it_is() {
    let (node, profile) = served();
    let shown = node.json(&["proxy", "show"]);
    assert_eq!(shown["software"][0]["url"], profile.as_str());
    let logs = std::fs::read_dir(node.root().join("software")).unwrap().flatten();
    let logs = logs.filter_map(|entry| {
        std::fs::read_to_string(entry.path().join(".slapgrid/log/software.log")).ok()
    });
    let logs: Vec<_> = logs.collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert!(logs[0].contains(&format!("INFO builds {profile}")), "{}", logs[0]);
    assert!(logs[0].contains("INFO built"), "{}", logs[0]);
    let link = std::fs::read_link(node.partition(0).join("software_release")).unwrap();
    let named = std::fs::read_to_string(link.join("buildout.cfg")).unwrap();
    assert!(named.starts_with(&format!("[buildout]\nextends = {profile}\n")), "{named}");
    assert!(!link.join(".netrc").exists());
}

#[test]
fn who_removes_the_timestamp_has_it_processed() {
    let (node, _) = served();
    assert!(plan(&node, &[]).contains("up to date"));
    std::fs::remove_file(node.partition(0).join(".timestamp")).unwrap();
    let told = plan(&node, &[]);
    assert!(told.contains("slappart0: process: its .timestamp was removed"), "{told}");
    node.ok(&["node", "instance"]);
    assert!(plan(&node, &[]).contains("up to date"));
}

#[test]
fn periodicities_come_from_the_command_the_file_and_the_software_release() {
    let (node, _) = served();
    let over = "slappart0: process: its periodicity of 0 s is over";
    assert!(plan(&node, &["--maximum-periodicity", "0"]).contains(over));
    assert!(plan(&node, &["--maximum-periodicity", "-1"]).contains("up to date"));
    node.configure("[slapos]", "[slapos]\nmaximum_periodicity = 0");
    assert!(plan(&node, &[]).contains(over));
    let link = std::fs::read_link(node.partition(0).join("software_release")).unwrap();
    std::fs::write(link.join("periodicity"), "-1\n").unwrap();
    assert!(plan(&node, &[]).contains("up to date"));
}

#[test]
fn force_stop_deploys_and_keeps_stopped_until_the_next_run() {
    let (node, _) = served();
    let why = "slappart0: process: it is to be kept stopped (--force-stop)";
    assert!(plan(&node, &["--force-stop"]).contains(why));
    node.ok(&["node", "instance", "--force-stop"]);
    assert!(!node.pids().contains_key("sleeper-on-watch"), "{:?}", node.pids());
    assert_eq!(read(&node, ".timestamp"), None);
    assert!(plan(&node, &[]).contains("slappart0: process: it is to be started"));
    node.ok(&["node", "instance"]);
    assert_ne!(node.pids()["sleeper-on-watch"], 0);
    assert!(read(&node, ".timestamp").is_some());
}

#[test]
fn arguments_stand_in_place_of_options() {
    let (node, _) = served();
    let run = node.fails(1, &["node", "instance", "--computer-id", "nobody"]);
    assert!(run.err.contains("nobody"), "{}", run.err);
    let run = node.fails(1, &["node", "instance", "--partition-timeout", "soon"]);
    assert!(run.err.contains("(given as an argument)"), "{}", run.err);
    for refused in ["--supervisord-socket", "--buildout"] {
        let run = node.fails(1, &["node", "software", refused, "/x"]);
        assert!(run.err.contains(&format!("{refused} cannot be honoured")), "{}", run.err);
    }
    let run = node.ok(&["node", "report", "--maximal_delay", "1"]);
    assert!(run.told().contains("waits for 1 s"), "{}", run.err);
    let run = node.ok(&["node", "report", "--maximal_delay", "1000000", "--now"]);
    assert!(!run.told().contains("waits for"), "{}", run.err);
    // The lock that is named is the one that is taken, and others read who has it.
    let lock = node.path("lock.pid");
    let path = lock.display().to_string();
    node.ok(&["node", "instance", "--pidfile", &path]);
    assert!(std::fs::read_to_string(&lock).unwrap().trim().parse::<u32>().is_ok());
    let absent = node.path("absent");
    let path = absent.join("lock.pid").display().to_string();
    let run = node.fails(1, &["node", "instance", "--pidfile", &path]);
    assert!(run.told().contains(&format!("there is no {}", absent.display())), "{}", run.err);
    assert!(run.err.contains("--pidfile") && !absent.exists(), "{}", run.err);
    node.configure("[slapos]", "[slapos]\nonly_cp = slappart1,slappart99");
    let run = node.fails(1, &["node", "instance"]);
    assert!(run.err.contains("Unknown partition(s): slappart99"), "{}", run.err);
}

#[test]
fn where_root_is_wanted_nobody_else_will_do() {
    let name = "where_root_is_wanted_nobody_else_will_do";
    let (node, _) = node_with_service();
    let cfg = node.path("checked.cfg");
    std::fs::write(&cfg, "[slapos]\ncomputer_id = c\nmaster_url = http://127.0.0.1:1\nsoftware_root = /nowhere/s\ninstance_root = /nowhere/i\nroot_check = true\n").unwrap();
    let cfg = cfg.display().to_string();
    for command in ["software", "instance", "report", "promise"] {
        let mut command = node.command(&["node", command, "--cfg", &cfg]);
        if slapos_testkit::is_root() {
            use std::os::unix::process::CommandExt;
            command.uid(65_534).gid(65_534);
        }
        let Ok(output) = command.output() else {
            return slapos_testkit::skipped(name, "others cannot execute the program under test");
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("This slapos command must be run as root."), "{said}");
    }
}

#[test]
fn nothing_is_begun_without_free_space() {
    let (node, _) = served();
    node.configure("[slapos]", "[slapos]\ninstance_min_free_space = 1000000T");
    let run = node.fails(1, &["node", "instance", "--all"]);
    assert!(run.told().contains("MiB must be") && run.err.contains("instance_min_free_space"));
    assert_ne!(node.pids()["sleeper-on-watch"], 0, "it runs on");
    node.configure("instance_min_free_space = 1000000T", "software_min_free_space = 1000000T");
    node.ok(&["node", "instance"]);
    let run = node.fails(1, &["node", "software", "--all"]);
    assert!(run.told().contains("MiB must be"), "{}", run.err);
    let reported = node.json(&["proxy", "show"])["software"][0]["reported"].clone();
    assert_eq!(reported["state"], "error", "{reported}");
}

#[test]
fn what_is_to_be_stopped_is_whatever_becomes_of_its_processing() {
    let (node, profile) = served();
    let service = || node.service("sleeper-on-watch");
    let request = |state| drop(node.ok(&["request", "service", &profile, "--state", state]));
    let fails_and_stops = |pid: i64, words: &[&str]| {
        let told = node.fails(1, &[&["node", "instance"], words].concat()).told();
        assert!(told.contains("its services are stopped all the same"), "{told}");
        assert!(!slapos_testkit::runs(pid), "{told}");
        told
    };
    let no_room = "\ninstance_min_free_space = 1000000T";
    node.configure("[slapos]", &format!("[slapos]{no_room}"));
    let pid = service();
    request("stopped");
    assert!(fails_and_stops(pid, &[]).contains("MiB must be"));
    let again = node.fails(1, &["node", "instance"]).told();
    assert!(again.contains("MiB must be") && !again.contains("all the same"), "{again}");
    node.configure(no_room, "");
    request("started");
    node.ok(&["node", "instance"]);
    // A profile that is wrong; the Master wants it to run, and who runs the command does not.
    spoil(&node, "inline = {{ word }}", "inline = {{ wrod }}");
    assert!(fails_and_stops(service(), &["--force-stop"]).contains("wrod"));
    spoil(&node, "inline = {{ wrod }}", "inline = {{ word }}");
    node.ok(&["node", "instance"]);
    // A Software Release that is gone.
    let pid = service();
    for release in std::fs::read_dir(node.root().join("software")).unwrap() {
        let _ = std::fs::remove_file(release.unwrap().path().join(".completed"));
    }
    request("stopped");
    assert!(fails_and_stops(pid, &[]).contains("is not built yet"));
}

#[test]
fn what_is_said_is_also_kept_in_the_log_that_is_named() {
    let (node, _) = served();
    let log = node.path("slapos.log");
    let path = log.display().to_string();
    node.ok(&["node", "instance", "--all", "--logfile", &path]);
    let kept = std::fs::read_to_string(&log).unwrap();
    assert!(kept.contains(" INFO slappart0: process: asked for (--all)\n"), "{kept}");
    node.fails(1, &["--log_file", &path, "node", "instance", "--only", "nobody"]);
    let more = std::fs::read_to_string(&log).unwrap();
    assert!(more.starts_with(&kept), "{more}");
    assert!(more.contains(" CRITICAL slapos: Unknown partition(s): nobody\n"), "{more}");
    let run = node.fails(1, &["node", "instance", "--log-file", "/no/such/directory/log"]);
    assert!(run.err.contains("cannot write the log /no/such/directory/log"), "{}", run.err);
}

#[test]
fn what_is_asked_for_and_not_done_is_said_once_where_somebody_looks_on() {
    let (node, _) = served();
    node.configure("[slapos]", "[slapos]\nbuildout = /b\nsupervisord_socket = /s");
    node.configure(
        "[slapformat]",
        "[networkcache]\nupload-binary-cache-url = http://127.0.0.1:1\n\n[slapformat]",
    );
    let options = [
        "[slapos] buildout has no effect: ",
        "[slapos] supervisord_socket has no effect: ",
        "[networkcache] upload-binary-cache-url has no effect: ",
    ];
    let commands: [&[&str]; 5] = [
        &["node", "format", "--dry-run"],
        &["node", "boot", "--dry-run"],
        &["node", "supervisord"],
        &["node", "status"],
        &["node", "cron", "--show"],
    ];
    for words in commands {
        let told = node.ok(words).told();
        for option in options {
            assert_eq!(told.matches(option).count(), 1, "{words:?}: {told}");
        }
    }
    // What runs every minute would fill its log.
    for command in ["software", "instance", "report", "promise"] {
        let told = node.ok(&["node", command]).told();
        assert!(!told.contains("has no effect"), "{command}: {told}");
    }
    assert_eq!(node.ok(&["--quiet", "node", "status"]).err, "");
    // Which is what `slapos node` alone is.
    assert!(node.ok(&["node"]).out.contains("RUNNING"));
}

#[test]
fn a_supervisor_that_must_not_be_started_is_not() {
    let (node, _) = served();
    node.configure("[slapos]", "[slapos]\nforbid_supervisord_automatic_launch = true");
    node.ok(&["node", "instance"]);
    let pids = node.pids();
    slapos_testkit::kill(i64::from(node.supervisor_pid()));
    let run = node.run(&["node", "instance"]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("start it with `slapos node supervisord`"), "{}", run.err);
    // Who starts it may come a moment later.
    let mut early = node.start(&["node", "instance"]);
    let mut said = BufReader::new(early.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("waits for the supervisor")), "it gave up at once");
    node.ok(&["node", "supervisord"]);
    let said: Vec<_> = said.collect();
    assert_eq!(early.wait().unwrap().code(), Some(0), "{said:?}");
    assert_eq!(node.pids()["sleeper-on-watch"], pids["sleeper-on-watch"], "adopted");
    let watchdog = node.root().join("instance/etc/supervisord.conf.d/watchdog.conf");
    std::fs::remove_file(&watchdog).unwrap();
    node.ok(&["node", "instance"]);
    assert!(watchdog.exists(), "whoever starts it, there is a watchdog");
}

#[test]
fn garbage_is_what_neither_master_nor_instances_name() {
    let (node, _) = served();
    let software = node.root().join("software");
    let old = software.join("0123456789abcdef0123456789abcdef");
    let other = software.join("something-else");
    for directory in [&old, &other] {
        std::fs::create_dir(directory).unwrap();
        std::fs::write(directory.join(".completed"), "long ago").unwrap();
        if slapos_testkit::is_root() {
            use std::os::unix::fs::MetadataExt;
            let owner = std::fs::metadata(&software).unwrap();
            std::os::unix::fs::chown(directory, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
    node.ok(&["node", "software"]);
    node.ok(&["node", "software", "--garbage-collect", "--dry-run"]);
    assert!(old.exists());
    node.ok(&["node", "software", "--garbage-collect"]);
    assert!(!old.exists() && other.exists());
    let link = std::fs::read_link(node.partition(0).join("software_release")).unwrap();
    assert!(link.join(".completed").exists());
}

#[test]
fn what_instances_run_from_or_may_be_brought_back_to_is_no_garbage() {
    let (node, profile) = served();
    let records = node.root().join("instance/var/slapgrid");
    let release = node.root().join("software").join(SoftwareUrl::new("/former.cfg").md5_hex());
    // As when the Master wants another Software Release of an instance by now.
    for file in ["slappart0.json", "generations/slappart0.json"] {
        let (from, to) = (records.join(file), records.join(file.replace('0', "1")));
        let text = std::fs::read_to_string(from).unwrap();
        assert!(text.contains(&profile), "{text}");
        std::fs::write(&to, text.replace(&profile, "/former.cfg")).unwrap();
    }
    std::fs::create_dir(&release).unwrap();
    if slapos_testkit::is_root() {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(node.root().join("software")).unwrap();
        std::os::unix::fs::chown(&release, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let collect = || node.ok(&["node", "software", "--garbage-collect"]);
    collect();
    assert!(release.exists());
    std::fs::copy(records.join("slappart0.json"), records.join("slappart1.json")).unwrap();
    collect();
    assert!(release.exists(), "a generation is of it");
    std::fs::remove_file(records.join("generations/slappart1.json")).unwrap();
    // What a damaged record said may be any Software Release, also where it was put beside.
    for name in ["slappart1.json", "slappart1.json.corrupt"] {
        std::fs::remove_file(records.join("slappart1.json")).unwrap_or_default();
        std::fs::write(records.join(name), "{").unwrap();
        let run = node.fails(1, &["node", "software", "--garbage-collect"]);
        assert!(run.err.contains(&format!("{name} cannot be read")), "{}", run.err);
        assert!(release.exists());
    }
    std::fs::remove_file(records.join("slappart1.json.corrupt")).unwrap();
    collect();
    assert!(!release.exists());
    // What the Master wants destroyed goes, and whom that concerns is said.
    node.ok(&["remove", &profile, "local"]);
    let told = node.ok(&["node", "software"]).told();
    assert!(told.contains("may be brought back to it: slappart0"), "{told}");
}

#[test]
fn what_the_profile_is_told_of_the_node() {
    let (node, profile) = node_with_service();
    node.ok(&["up"]);
    let extra = "[slapos]\ninstance_storage_home = /srv/storage\n\
        ipv4_global_network = 192.0.2.0/24\nbuild_time_part_list =\n  /opt/parts\n";
    node.configure("[slapos]", extra);
    let certificates = node.path("certificates");
    let option = format!("[slapos]\ncertificate_repository_path = {}", certificates.display());
    node.configure("[slapos]", &option);
    node.ok(&["up", &profile]);
    let text = read(&node, "buildout.cfg").unwrap();
    for line in [
        "storage-home = /srv/storage",
        "global-ipv4-network = 192.0.2.0/24",
        "build-time-part-list = /opt/parts",
        &format!("key-file = {}", certificates.join("slappart0.key").display()),
        &format!("cert_file = {}", certificates.join("slappart0.crt").display()),
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let key = std::fs::metadata(certificates.join("slappart0.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o400);
    assert_eq!(key.uid(), std::fs::metadata(node.partition(0)).unwrap().uid());
    node.ok(&["destroy", "service"]);
    assert!(!certificates.join("slappart0.key").exists());
}

#[test]
fn a_software_release_is_named_from_where_one_is() {
    let (node, profile) = served();
    let profile = std::path::Path::new(&profile);
    let (directory, name) = (profile.parent().unwrap(), profile.file_name().unwrap());
    let mut command = node.command(&["node", "software", "--only", name.to_str().unwrap()]);
    let run = slapos_testkit::Run::of(&command.current_dir(directory).output().unwrap());
    assert!(run.code == 0 && run.err.contains("nothing: it is built and frozen"), "{}", run.err);
    let url = format!("file://{}", profile.display());
    let told = node.ok(&["node", "software", "--only", &url]).told();
    assert!(told.contains("nothing: it is built and frozen"), "{told}");
    let told = node.fails(1, &["node", "software", "--only", "no/such.cfg"]).told();
    assert!(told.contains("the Master supplies no `no/such.cfg`"), "{told}");
    assert!(told.contains("supplied are") && told.contains(profile.to_str().unwrap()), "{told}");
}

#[test]
fn what_is_being_built_is_not_said_to_have_been_interrupted() {
    let (node, profile) = served();
    let release = node.root().join("software").join(SoftwareUrl::new(&profile).md5_hex());
    std::fs::remove_file(release.join(".completed")).unwrap();
    let lock = node.root().join("instance/var/run/slapgrid-sr.pid");
    let held = slapos_sys::lock::FileLock::try_acquire(&lock).unwrap().unwrap();
    let told = node.ok(&["node", "software", "-n"]).told();
    assert!(told.contains("nothing: another `slapos node software` is running"), "{told}");
    drop(held);
    let told = node.ok(&["node", "software", "-n"]).told();
    assert!(told.contains("build: its build did not end"), "{told}");
}
