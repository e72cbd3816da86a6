//! What partitions plant for managers: ports, services before the end, processors, disks.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use slapos_testkit::{kill, wait_for};

use super::{Managed, lines, name_of};

#[test]
fn links_pipes_and_long_files_of_a_partition_are_ignored() {
    if !slapos_testkit::is_root() {
        slapos_testkit::skipped(
            "links_pipes_and_long_files_of_a_partition_are_ignored",
            "needs root",
        );
        return;
    }
    let managed = Managed::new("manager_list = whitelistfirewall", "[firewall]\n");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let name = ".slapos-whitelist-firewall";
    let secret = managed.node.path("secret");
    std::fs::write(&secret, r#"["192.0.2.66"]"#).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let path = managed.node.partition(0).join(name);
    let ignored = || {
        let run = managed.node(&["node", "instance"]);
        assert!(run.err.contains(&format!("{name} is ignored")), "{}", run.err);
        assert_eq!(managed.kept("firewalld.rules"), "");
        std::fs::remove_file(&path).unwrap();
    };
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    ignored();
    // What the partition's user may not read is not read for it either.
    std::fs::hard_link(&secret, &path).unwrap();
    ignored();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    ignored();
    std::fs::write(&path, vec![b' '; 1 << 20]).unwrap();
    managed.own(&path);
    ignored();
    std::fs::write(&path, "{}").unwrap();
    managed.own(&path);
    ignored();
}

#[test]
fn ports_lead_to_a_partition_while_it_runs() {
    let managed =
        Managed::new("manager_list = portredir", "[service_limits]\nrlimit_nofile = 321\n");
    managed.script(
        "socat",
        "#!/bin/sh\necho \"$@\" >> $(dirname $0)/socat.$(id -un)\nexec sleep 86400\n",
    );
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(managed.bin(), open).unwrap();
    managed.request("started");
    managed.node(&["node", "instance"]);
    let status = |name: &str| managed.node.pids().get(name).copied();
    assert_eq!(status("socat-tcp-18080"), None);
    let file = managed.plant(
        ".slapos-port-redirect",
        r#"[{"srcPort": 18080, "destPort": 80, "destAddress": "2001:db8::1"}, {"srcPort": "x"}]"#,
    );
    let run = managed.node(&["node", "instance"]);
    assert!(run.err.contains(r#""x" is no port"#), "{}", run.err);
    let first = status("socat-tcp-18080").unwrap();
    assert!(first > 0);
    let user = name_of(managed.uid());
    let said = wait_for("socat to be run as the partition's user", 60, || {
        let said = managed.kept(&format!("socat.{user}"));
        (!said.is_empty()).then_some(said)
    });
    assert_eq!(said, "TCP4-LISTEN:18080,fork TCP6:[2001:db8::1]:80\n");
    assert_eq!(open_files(first), "321", "it has the partition's limits");
    managed.node(&["node", "instance"]);
    assert_eq!(status("socat-tcp-18080"), Some(first), "left alone");
    managed.request("stopped");
    managed.node(&["node", "instance"]);
    assert_eq!(status("socat-tcp-18080"), None);
    managed.request("started");
    managed.node(&["node", "instance"]);
    assert!(status("socat-tcp-18080").is_some());
    std::fs::remove_file(file).unwrap();
    // As a run that was killed in this very moment leaves it.
    let definition = "instance/etc/supervisord.conf.d/slappart0-socat.conf";
    std::fs::remove_file(managed.node.root().join(definition)).unwrap();
    managed.node(&["node", "instance"]);
    assert_eq!(status("socat-tcp-18080"), None);
}

fn open_files(pid: i64) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    files.split_whitespace().nth(3).unwrap().to_owned()
}

#[test]
fn services_run_once_before_an_instance_is_removed() {
    let managed = Managed::new("manager_list = prerm", "[service_limits]\nrlimit_nofile = 321\n");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let script = "#!/bin/sh\necho $(basename $0) >> ../prerm.log\n";
    let log = managed.node.partition(0).join("ran");
    for (name, end) in [("quick", "exit 7\n"), ("slow", "while test ! -e go; do sleep 0.1; done\n")]
    {
        let text = script.replace("../prerm.log", &log.display().to_string()) + end;
        let path = managed.plant(&format!("etc/prerm/{name}"), &text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    managed.request("destroyed");
    let run = managed.node(&["node", "report"]);
    let waits = run.err.lines().find(|line| line.contains("not removed yet: waiting for"));
    assert!(waits.is_some_and(|line| line.contains("etc/prerm/slow")), "{}", run.err);
    let waited = managed.node.partition(0).join(".slapos-report-wait-service-list");
    let waited = std::fs::read_to_string(waited).unwrap();
    assert_eq!(waited, "slappart0-prerm:quick\nslappart0-prerm:slow\n");
    let ran = |expected: &[&str]| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let mut names = lines(&text);
        names.sort_unstable();
        names == expected
    };
    wait_for("both to run", 60, || ran(&["quick", "slow"]).then_some(()));
    assert_eq!(open_files(managed.node.pids()["slow"]), "321", "it has the partition's limits");
    // Again, also when the supervisor's daemon was killed: none runs twice.
    kill(i64::from(managed.node.supervisor_pid()));
    managed.node(&["node", "report"]);
    assert!(ran(&["quick", "slow"]));
    managed.plant("go", "");
    wait_for("the slow one to end, and the instance to go", 30, || {
        managed.node(&["node", "report"]);
        managed.node.left_in(0).is_empty().then_some(())
    });
    assert_eq!(managed.node.pids().get("slow"), None);
    assert!(!managed.node.root().join("instance/var/slapgrid/prerm/slappart0.json").exists());
}

#[test]
fn processors_are_given_to_processes_of_power_users() {
    let managed = Managed::new("manager_list = cpuset", "[manager:cpuset]\ncgroup-path = CGROUP");
    let cgroup = managed.node.path("cgroup");
    for name in ["cpuset.cpus", "cpuset.cpu_exclusive", "cpuset.mems", "tasks"] {
        for cpu in ["", "cpu0", "cpu1"] {
            let path = cgroup.join(cpu).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, if cpu.is_empty() && name == "cpuset.cpus" { "0-1" } else { "" })
                .unwrap();
        }
    }
    managed.node.configure("CGROUP", &cgroup.display().to_string());
    managed.node(&["node", "format"]);
    assert_eq!(std::fs::read_to_string(cgroup.join("cpu1/cpuset.cpus")).unwrap(), "1\n");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let pid = managed.node.pids()["sleeper-on-watch"];
    let foreign = std::process::id();
    let file = managed.plant(".slapos-cpu-exclusive", &format!("{pid}\n{foreign}\n"));
    let tasks = || std::fs::read_to_string(cgroup.join("cpu1/tasks")).unwrap();
    let run = managed.node(&["node", "instance"]);
    assert!(run.err.contains("is not in power_user_list"), "{}", run.err);
    assert_eq!(tasks(), "");
    let user = name_of(managed.uid());
    managed.node.configure(
        "manager_list = cpuset",
        &format!("manager_list = cpuset\npower_user_list = {user}"),
    );
    let run = managed.node(&["node", "instance"]);
    assert_eq!(tasks(), format!("{pid}\n"), "{}", run.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    assert_eq!(std::fs::metadata(&file).unwrap().uid(), managed.uid());
    if slapos_testkit::is_root() {
        assert!(run.err.contains(&format!("process {foreign} is not its")), "{}", run.err);
    }
}

#[test]
fn no_process_leaves_the_limits_of_its_partition_for_a_processor() {
    let managed = Managed::new("manager_list = cpuset", "[manager:cpuset]\ncgroup-path = CGROUP");
    let cgroup = managed.node.path("cgroup");
    std::fs::create_dir(&cgroup).unwrap();
    for name in ["cgroup.controllers", "cgroup.subtree_control"] {
        std::fs::write(cgroup.join(name), "cpuset memory").unwrap();
    }
    managed.node.configure("CGROUP", &cgroup.display().to_string());
    let user = name_of(managed.uid());
    managed.node.configure(
        "manager_list = cpuset",
        &format!("manager_list = cpuset\npower_user_list = {user}"),
    );
    managed.request("started");
    managed.node(&["node", "instance"]);
    let pid = managed.node.pids()["sleeper-on-watch"];
    managed.plant(".slapos-cpu-exclusive", &format!("{pid}\n"));
    managed
        .node
        .configure("[manager:cpuset]", "[service_limits]\nmemory_max = 1GB\n\n[manager:cpuset]");
    let run = managed.node(&["node", "instance"]);
    assert!(run.err.contains("it would leave memory_max of [service_limits]"), "{}", run.err);
    assert_eq!(std::fs::read_dir(&cgroup).unwrap().count(), 2);
}

#[test]
fn disks_that_are_allowed_are_given_and_taken_back() {
    let name = "disks_that_are_allowed_are_given_and_taken_back";
    if !slapos_testkit::is_root() {
        slapos_testkit::skipped(name, "needs root");
        return;
    }
    let managed =
        Managed::new("manager_list = devperm", "[manager:devperm]\nallowed-disk-for-vm =\n  DISK");
    let disk = managed.node.path("disk");
    let made = std::process::Command::new("mknod").arg(&disk).args(["b", "7", "250"]).output();
    if !made.is_ok_and(|made| made.status.success()) {
        slapos_testkit::skipped(name, "needs mknod");
        return;
    }
    managed.node.configure("  DISK", &format!("  {}", disk.display()));
    let listing = serde_json::json!({"blockdevices": [
        {"path": disk, "type": "disk"}, {"path": "/dev/other", "type": "disk"}]});
    managed.script("lsblk", &format!("#!/bin/sh\ncat <<'END'\n{listing}\nEND\n"));
    managed.request("started");
    managed.node(&["node", "instance"]);
    let link = managed.node.partition(0).join("link");
    std::os::unix::fs::symlink(&disk, &link).unwrap();
    let text = serde_json::json!([{"disk": link}, {"disk": "/etc/passwd"}, {}]).to_string();
    managed.plant(".slapos-disk-permission", &text);
    let run = managed.node(&["node", "instance"]);
    assert!(run.err.contains("does not name /etc/passwd"), "{}", run.err);
    assert!(run.err.contains("it names no disk"), "{}", run.err);
    assert_eq!(std::fs::metadata(&disk).unwrap().uid(), managed.uid());
    assert_eq!(std::fs::metadata("/etc/passwd").unwrap().uid(), 0);
    // Somebody else's disk is not taken.
    std::os::unix::fs::chown(&disk, Some(4242), None).unwrap();
    let run = managed.node(&["node", "instance"]);
    assert!(run.err.contains("belongs to uid 4242"), "{}", run.err);
    assert_eq!(std::fs::metadata(&disk).unwrap().uid(), 4242);
    std::os::unix::fs::chown(&disk, Some(0), None).unwrap();
    managed.node(&["node", "instance"]);
    assert_eq!(std::fs::metadata(&disk).unwrap().uid(), managed.uid());
    // Also one that is not in the option any more.
    managed.node.configure(&format!("  {}", disk.display()), "  /dev/none");
    managed.request("destroyed");
    managed.node(&["node", "report"]);
    assert_eq!(std::fs::metadata(&disk).unwrap().uid(), 0);
    let record = managed.node.root().join("instance/var/slapgrid/devperm/slappart0.json");
    assert!(!record.exists());
}
