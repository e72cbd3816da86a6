//! Hooks with the real binary: managers, the firewall and usage reports, with programs of the
//! machine replaced by scripts on `PATH` that keep what they are told.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use slapos_testkit::{Run, TestNode, kill, wait_for};

/// A node whose instance runs a sleeper, and the programs that its commands find first.
struct Managed {
    node: TestNode,
    profile: String,
}

/// Keeps permanent direct rules in a file, one a line, as firewalld lists them; counts reloads.
const FIREWALL_CMD: &str = r#"#!/bin/sh
state=$(dirname "$0")/firewalld
touch $state.rules $state.chains
case "$*" in
  --reload) echo reloaded >> $state.reloads; echo success; exit;;
  "--permanent --direct --get-all-rules") cat $state.rules; exit;;
  "--permanent --direct --get-all-chains") cat $state.chains; exit;;
esac
test "$1 $2" = "--permanent --direct" || { echo "what is $*?"; exit 2; }
verb=$3; shift 3
case $verb in
  --*-rule) file=$state.rules;;
  --*-chain) file=$state.chains;;
esac
case $verb in
  --add-*) grep -qxF -e "$*" $file && { echo "ALREADY_ENABLED"; exit 1; }; echo "$*" >> $file;;
  --remove-*) grep -qxF -e "$*" $file || { echo "NOT_ENABLED"; exit 1; }
    grep -vxF -e "$*" $file > $file.new; mv $file.new $file;;
esac
echo success
"#;

impl Managed {
    fn new(slapos: &str, sections: &str) -> Self {
        let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
        let profile = node.tree.add_service().display().to_string();
        let managed = Self { node, profile };
        managed.script("firewall-cmd", FIREWALL_CMD);
        managed.node.ok(&["up", "--partitions", "3"]);
        managed.node.configure("\n[slapformat]\n", &format!("{slapos}\n[slapformat]\n"));
        managed.node.configure("\n[slapproxy]\n", &format!("\n{sections}\n[slapproxy]\n"));
        managed.node.ok(&["supply", &managed.profile, "local"]);
        managed.node.ok(&["node", "software"]);
        managed
    }

    fn bin(&self) -> PathBuf {
        self.node.path("bin")
    }

    /// A program that commands of this node find first.
    fn script(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.bin()).unwrap();
        let path = self.bin().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a script kept.
    fn kept(&self, name: &str) -> String {
        std::fs::read_to_string(self.bin().join(name)).unwrap_or_default()
    }

    fn request(&self, state: &str) {
        self.node.ok(&["request", "service", &self.profile, "--state", state]);
    }

    fn try_node(&self, args: &[&str]) -> Run {
        let path = std::env::var("PATH").unwrap();
        let mut command = self.node.command(args);
        command.env("PATH", format!("{}:{path}", self.bin().display()));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Run { code: output.status.code().unwrap_or(-1), out, err }
    }

    fn node(&self, args: &[&str]) -> Run {
        let run = self.try_node(args);
        assert_eq!(run.code, 0, "{args:?}\n{}{}", run.out, run.err);
        run
    }

    /// Puts a file in the partition, as its own user would.
    fn plant(&self, name: &str, text: &str) -> PathBuf {
        let path = self.node.partition(0).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.own(&path);
        path
    }

    fn own(&self, path: &std::path::Path) {
        let owner = std::fs::metadata(self.node.partition(0)).unwrap();
        let mut path = path;
        while path != self.node.partition(0) {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
            path = path.parent().unwrap();
        }
    }

    /// Makes the Master believe what `node format` of a node with taps tells it. False, and said,
    /// where that cannot be done.
    fn route(&self, test: &str) -> bool {
        let database = self.node.root().join("master/proxy.db");
        let sql = "UPDATE partition_address SET interface = 'route_' || partition_reference";
        let done = std::process::Command::new("sqlite3").arg(&database).arg(sql).output();
        let done = done.is_ok_and(|done| done.status.success());
        if !done {
            slapos_testkit::skipped(test, "needs sqlite3");
        }
        done
    }

    fn uid(&self) -> u32 {
        std::fs::metadata(self.node.partition(0)).unwrap().uid()
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn unknown_managers_are_refused_with_their_line() {
    let managed = Managed::new("", "");
    managed.node.configure("\n[slapformat]\n", "manager_list = prerm, nosuch\n\n[slapformat]\n");
    let run = managed.try_node(&["node", "instance"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("there is no manager `nosuch`"), "{}", run.err);
}

#[test]
fn a_whitelist_is_made_once_and_goes_with_its_instance() {
    let managed = Managed::new("manager_list = whitelistfirewall", "[firewall]\n");
    managed.request("started");
    managed.node(&["node", "instance"]);
    assert_eq!(managed.kept("firewalld.rules"), "");
    managed.plant(".slapos-whitelist-firewall", r#"["192.0.2.1", "::1", "no -j ACCEPT"]"#);
    let run = managed.node(&["node", "instance"]);
    assert!(run.err.contains(r#""no -j ACCEPT" is no IPv4 address"#), "{}", run.err);
    let expected = [
        "ipv4 filter slappart0-whitelist 0 -d 192.0.2.1 -j ACCEPT".to_owned(),
        "ipv4 filter slappart0-whitelist 1 -j REJECT".to_owned(),
        format!(
            "ipv4 filter OUTPUT 0 -m owner --uid-owner {} -j slappart0-whitelist",
            managed.uid()
        ),
    ];
    assert_eq!(lines(&managed.kept("firewalld.rules")), expected);
    // Nothing is done where all is in place.
    managed.node(&["node", "instance", "--all"]);
    assert_eq!(lines(&managed.kept("firewalld.reloads")).len(), 1);
    managed.request("destroyed");
    managed.node(&["node", "instance"]);
    assert_eq!(lines(&managed.kept("firewalld.rules")), expected);
    managed.node(&["node", "report"]);
    assert_eq!(managed.kept("firewalld.rules"), "");
    assert_eq!(managed.kept("firewalld.chains"), "");
    assert_eq!(lines(&managed.kept("firewalld.reloads")).len(), 2);
}

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
fn the_firewall_lets_the_tree_through_and_protects_before_the_start() {
    let managed = Managed::new("", "[firewall]\nauthorized_sources =\n  192.0.2.0/24\n");
    managed.request("started");
    if !managed.route("the_firewall_lets_the_tree_through_and_protects_before_the_start") {
        return;
    }
    managed.node(&["node", "instance"]);
    let rules = managed.kept("firewalld.rules");
    insta::assert_snapshot!(rules, @r"
    ipv4 filter FORWARD 0 -s 192.0.2.0/24 -d 127.16.0.1 -j ACCEPT
    ipv4 filter FORWARD 900 -d 127.16.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
    ipv4 filter FORWARD 1000 -d 127.16.0.1 -j REJECT
    ipv4 filter INPUT 0 -s 192.0.2.0/24 -d 127.16.0.1 -j ACCEPT
    ipv4 filter INPUT 900 -d 127.16.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
    ipv4 filter INPUT 1000 -d 127.16.0.1 -j REJECT
    ");
    assert_eq!(lines(&managed.kept("firewalld.reloads")).len(), 1);
    managed.node(&["node", "instance", "--all"]);
    assert_eq!(lines(&managed.kept("firewalld.reloads")).len(), 1);
    // A source that is not authorized any more.
    managed.node.configure("  192.0.2.0/24\n", "  198.51.100.1\n");
    managed.node(&["node", "instance", "--all"]);
    let rules = managed.kept("firewalld.rules");
    assert!(!rules.contains("192.0.2.0") && rules.contains("-s 198.51.100.1 -d"), "{rules}");
    // A reload that a killed run owed is made good.
    let due = managed.node.root().join("instance/var/slapgrid/firewall/reload-is-due");
    std::fs::write(&due, "").unwrap();
    managed.node(&["node", "instance"]);
    assert_eq!(lines(&managed.kept("firewalld.reloads")).len(), 3);
    assert!(!due.exists());
    // It stays until the instance is gone, its services included.
    managed.request("destroyed");
    managed.node(&["node", "instance"]);
    assert_eq!(lines(&managed.kept("firewalld.rules")).len(), 6);
    managed.node(&["node", "report"]);
    assert_eq!(managed.kept("firewalld.rules"), "");
}

#[test]
fn an_instance_without_its_firewall_is_not_deployed() {
    let managed = Managed::new("", "[firewall]\n");
    managed.request("started");
    if !managed.route("an_instance_without_its_firewall_is_not_deployed") {
        return;
    }
    managed.script("firewall-cmd", "#!/bin/sh\necho FirewallD is not running\nexit 252\n");
    let run = managed.try_node(&["node", "instance"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(
        run.err.contains("manager firewall") && run.err.contains("is not running"),
        "{}",
        run.err
    );
    assert!(!managed.node.partition(0).join("etc/word.txt").exists());
    let info = managed.node.json(&["proxy", "show"]);
    assert!(info.to_string().contains("FirewallD is not running"), "the Master was told: {info}");
    managed.script("firewall-cmd", FIREWALL_CMD);
    managed.node(&["node", "instance"]);
    assert!(managed.node.partition(0).join("etc/word.txt").exists());
}

#[test]
fn what_a_hook_fails_at_after_the_deployment_is_told_and_tried_again() {
    let managed = Managed::new("manager_list = whitelistfirewall", "[firewall]\n");
    managed.request("started");
    managed.node(&["node", "instance"]);
    managed.script("firewall-cmd", "#!/bin/sh\necho FirewallD is not running\nexit 252\n");
    managed.plant(".slapos-whitelist-firewall", r#"["192.0.2.1"]"#);
    for _ in 0..2 {
        let run = managed.try_node(&["node", "instance"]);
        assert_eq!(run.code, 1, "{}", run.err);
        assert!(run.err.contains("manager whitelistfirewall"), "{}", run.err);
    }
    let info = managed.node.json(&["proxy", "show"]);
    assert!(info.to_string().contains("FirewallD is not running"), "the Master was told: {info}");
}

#[test]
fn the_supervisor_runs_the_firewall_that_is_configured() {
    let managed =
        Managed::new("", "[firewall]\nfirewall_executable = FIREWALLD --nofork\nlog_file = LOG\n");
    managed.script("firewalld", "#!/bin/sh\necho firewalld $*\nexec sleep 86400\n");
    managed.node.configure("FIREWALLD", &managed.bin().join("firewalld").display().to_string());
    let log = managed.node.path("firewall.log");
    managed.node.configure("LOG", &log.display().to_string());
    managed.request("started");
    if !managed.route("the_supervisor_runs_the_firewall_that_is_configured") {
        return;
    }
    managed.node(&["node", "instance"]);
    let pid = || managed.node.pids().get("firewall").copied();
    let first = pid().unwrap();
    assert!(first > 0);
    // Started by the supervisor, and anew to read the rules.
    let starts = wait_for("both starts", 10, || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (lines(&text).len() == 2).then_some(text)
    });
    assert_eq!(lines(&starts), ["firewalld --nofork"; 2]);
    assert_eq!(managed.kept("firewalld.reloads"), "");
    managed.node(&["node", "instance", "--all"]);
    assert_eq!(pid(), Some(first), "left alone");
    managed.node.configure("[firewall]\n", "[nofirewall]\n");
    managed.node(&["node", "instance"]);
    assert_eq!(pid(), None);
}

#[test]
fn ports_lead_to_a_partition_while_it_runs() {
    let managed = Managed::new("manager_list = portredir", "");
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
    let said = wait_for("socat to be run as the partition's user", 10, || {
        let said = managed.kept(&format!("socat.{user}"));
        (!said.is_empty()).then_some(said)
    });
    assert_eq!(said, "TCP4-LISTEN:18080,fork TCP6:[2001:db8::1]:80\n");
    managed.node(&["node", "instance"]);
    assert_eq!(status("socat-tcp-18080"), Some(first), "left alone");
    managed.request("stopped");
    managed.node(&["node", "instance"]);
    assert_eq!(status("socat-tcp-18080"), None);
    managed.request("started");
    managed.node(&["node", "instance"]);
    assert!(status("socat-tcp-18080").is_some());
    std::fs::remove_file(file).unwrap();
    managed.node(&["node", "instance"]);
    assert_eq!(status("socat-tcp-18080"), None);
}

fn name_of(uid: u32) -> String {
    let output = std::process::Command::new("id").args(["-un", &uid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn services_run_once_before_an_instance_is_removed() {
    let managed = Managed::new("manager_list = prerm", "");
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
    wait_for("both to run", 20, || ran(&["quick", "slow"]).then_some(()));
    // Again, also when the supervisor's daemon was killed: none runs twice.
    kill(i64::from(managed.node.supervisor_pid()));
    managed.node(&["node", "report"]);
    assert!(ran(&["quick", "slow"]));
    managed.plant("go", "");
    wait_for("the slow one to end, and the instance to go", 30, || {
        managed.node(&["node", "report"]);
        let left = std::fs::read_dir(managed.node.partition(0)).unwrap().count();
        (left == 0).then_some(())
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
    managed.request("destroyed");
    managed.node(&["node", "report"]);
    assert_eq!(std::fs::metadata(&disk).unwrap().uid(), 0);
}

const REPORT: &str = "<consumption><movement><resource>CPU</resource><title>t</title><reference>x</reference><quantity>1.5</quantity><price>0</price><VAT></VAT></movement></consumption>";

#[test]
fn usage_is_gathered_and_handed_in_once() {
    let managed = Managed::new("", "");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let program = |name: &str, text: &str| {
        let path = managed.plant(&format!("etc/report/{name}"), text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("cpu", &format!("#!/bin/sh\nid -un > ran\necho '{REPORT}' > $1\n"));
    managed.plant("var/xml_report/wrong", "<consumption/>");
    let reports = managed.node.partition(0).join("var/xml_report");
    let left = || {
        let entries = std::fs::read_dir(&reports).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let run = managed.node(&["node", "report"]);
    assert!(
        run.err.contains(
            "usage report wrong is left where it is: <consumption> needs <movement> here"
        ),
        "{}",
        run.err
    );
    assert!(run.err.contains("usage: reported"), "{}", run.err);
    assert_eq!(left(), ["wrong"]);
    let ran = std::fs::read_to_string(managed.node.partition(0).join("etc/report/ran")).unwrap();
    assert_eq!(ran.trim(), name_of(managed.uid()));
    // A program that fails is told, and stops neither the others nor removals.
    program("broken", "#!/bin/sh\necho no meter; exit 1\n");
    let run = managed.try_node(&["node", "report"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("etc/report/broken failed: exit status: 1 no meter"), "{}", run.err);
    assert_eq!(left(), ["wrong"]);
    let info = managed.node.json(&["proxy", "show"]);
    assert!(info.to_string().contains("no meter"), "the Master was told: {info}");
}

#[test]
fn what_a_killed_run_had_gathered_counts_once() {
    let managed = Managed::new("", "");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let report = managed.plant("var/xml_report/one", REPORT);
    let root = managed.node.root().join("instance/var");
    // What a run leaves behind that was killed before it took the report away.
    let journal = format!(
        "<?xml version=\"1.0\"?><journal><transaction type=\"a\"><start_date/><stop_date/><reference/><currency/><payment_mode/><arrow type=\"b\"/>{}</transaction></journal>",
        REPORT.replace("<consumption>", "").replace("</consumption>", "")
    );
    let intent = serde_json::json!({
        "name": "usage.1.xml", "document": journal,
        "taken": [["slappart0", {"name": "one", "text": REPORT}]],
    });
    std::fs::create_dir_all(root.join("slapgrid")).unwrap();
    std::fs::write(root.join("slapgrid/usage.json"), intent.to_string()).unwrap();
    let odd = root.join("xml_report/local/odd");
    std::fs::create_dir_all(odd.parent().unwrap()).unwrap();
    std::fs::write(&odd, "<journal/>").unwrap();
    let run = managed.node(&["node", "report"]);
    assert!(!report.exists() && !root.join("slapgrid/usage.json").exists());
    assert_eq!(run.err.matches("usage: reported").count(), 1, "{}", run.err);
    let left: Vec<_> = std::fs::read_dir(odd.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "only what is no journal stays");
}
