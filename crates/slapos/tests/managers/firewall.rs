//! The firewall and whitelists, with a firewalld that a script plays.

use slapos_testkit::wait_for;

use super::{Managed, lines};

/// Keeps permanent direct rules in a file, one a line, as firewalld lists them; counts reloads.
pub(crate) const FIREWALL_CMD: &str = r#"#!/bin/sh
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
fn a_partition_is_not_forgotten_before_its_rules_are_gone() {
    let managed = Managed::new("manager_list = whitelistfirewall", "[firewall]\n");
    managed.request("started");
    managed.node(&["node", "instance"]);
    managed.plant(".slapos-whitelist-firewall", r#"["192.0.2.1"]"#);
    managed.node(&["node", "instance"]);
    let (rules, chains) = (managed.kept("firewalld.rules"), managed.kept("firewalld.chains"));
    let record = managed.node.root().join("instance/var/slapgrid/slappart0.json");
    let text = std::fs::read(&record).unwrap();
    managed.request("destroyed");
    managed.node(&["node", "report"]);
    // As when the Master alone let the instance go.
    std::fs::write(&record, text).unwrap();
    std::fs::write(managed.bin().join("firewalld.rules"), rules).unwrap();
    std::fs::write(managed.bin().join("firewalld.chains"), chains).unwrap();
    managed.script("firewall-cmd", "#!/bin/sh\necho FirewallD is not running\nexit 252\n");
    let run = managed.try_node(&["node", "instance"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(record.exists(), "the next run comes here again");
    managed.script("firewall-cmd", FIREWALL_CMD);
    managed.node(&["node", "instance"]);
    assert_eq!(managed.kept("firewalld.rules"), "");
    assert!(!record.exists());
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
    // A source that is not authorized any more: its instance need not be due.
    managed.node.configure("  192.0.2.0/24\n", "  198.51.100.1\n");
    let told = managed.node(&["node", "instance"]).told();
    assert!(told.contains("firewall rules changed") && !told.contains("process:"), "{told}");
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
fn what_a_request_says_about_access_is_followed_at_once() {
    let managed = Managed::new("", "[firewall]\n");
    managed.request("started");
    if !managed.route("what_a_request_says_about_access_is_followed_at_once") {
        return;
    }
    managed.node(&["node", "instance"]);
    let asked = |access: &[&str]| {
        let words = ["request", "service", &managed.profile, "--node"];
        managed.node.ok(&[&words[..], access].concat());
        let told = managed.node(&["node", "instance"]).told();
        assert!(!told.contains("process:"), "{told}");
        (managed.kept("firewalld.rules"), lines(&managed.kept("firewalld.reloads")).len())
    };
    let open = ["fw_restricted_access=on", "fw_authorized_sources=10.0.0.1 nonsense"];
    let (rules, reloads) = asked(&open);
    assert!(rules.contains("-s 10.0.0.1 -d 127.16.0.1 -j ACCEPT"), "{rules}");
    assert_eq!((asked(&open), reloads), ((rules, 2), 2), "nothing is done where all is in place");
    let (rules, _) = asked(&["fw_restricted_access=off", "fw_rejected_sources=10.0.0.6"]);
    assert!(rules.contains("-s 10.0.0.6 -d 127.16.0.1 -j REJECT"), "{rules}");
    assert!(!rules.contains("10.0.0.1 "), "{rules}");
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
    // One that is to be stopped is, whether or not its firewall can be looked at.
    let service = managed.node.service("sleeper-on-watch");
    managed.script("firewall-cmd", "#!/bin/sh\necho FirewallD is not running\nexit 252\n");
    managed.request("stopped");
    let run = managed.try_node(&["node", "instance"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(!slapos_testkit::runs(service), "{}", run.err);
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
fn what_was_brought_back_is_known_though_a_hook_fails_after_it() {
    let managed = Managed::new("manager_list = whitelistfirewall", "[firewall]\n");
    let node = &managed.node;
    for word in ["word=good", "word=fine"] {
        node.ok(&["request", "service", &managed.profile, "--parameters", word]);
        managed.node(&["node", "instance"]);
    }
    let back = |number| managed.try_node(&["node", "rollback", "slappart0", number]);
    let held = || node.json(&["service", "info", "service"])["held-generation"].clone();
    let word = || std::fs::read_to_string(node.partition(0).join("etc/word.txt")).unwrap();
    assert_eq!(back("1").code, 0);
    assert_eq!(held(), 1);
    managed.script("firewall-cmd", "#!/bin/sh\necho FirewallD is not running\nexit 252\n");
    managed.plant(".slapos-whitelist-firewall", r#"["192.0.2.1"]"#);
    let run = back("2");
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("manager whitelistfirewall"), "{}", run.err);
    managed.script("firewall-cmd", FIREWALL_CMD);
    managed.node(&["node", "instance"]);
    assert_eq!((word().trim(), held()), ("fine", serde_json::Value::Null));
    // Who could not begin has his end all the same, and nothing is brought back.
    let once = "--reload) test -e $state.once || { touch $state.once; exit 252; }; ";
    managed.script("firewall-cmd", &FIREWALL_CMD.replace("--reload) ", once));
    let due = node.root().join("instance/var/slapgrid/firewall/reload-is-due");
    std::fs::write(&due, "").unwrap();
    let run = back("1");
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(!due.exists(), "{}", run.err);
    assert_eq!(word().trim(), "fine");
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
    let starts = wait_for("both starts", 60, || {
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

/// Where a disturbed call of `firewall-cmd` has its caller killed.
#[derive(Clone, Copy, Debug)]
enum When {
    BeforeItsChange,
    AfterIt,
}

/// Has the caller of the nth call killed; leaves the rest to [`FIREWALL_CMD`] in `real-cmd`.
const KILLER: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >> $here/calls
test "$(wc -l < $here/calls)" = "$(cat $here/kill-at)" || exec $here/real-cmd "$@"
test -e $here/after && $here/real-cmd "$@"
kill -9 $PPID
"#;

/// What firewalld is to have in the end, in any order.
fn expected(managed: &Managed, source: &str, listed: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for chain in ["FORWARD", "INPUT"] {
        let of = |rest: &str| format!("ipv4 filter {chain} {rest}");
        rules.push(of(&format!("0 -s {source} -d 127.16.0.1 -j ACCEPT")));
        rules.push(of("1000 -d 127.16.0.1 -j REJECT"));
        rules.push(of("900 -d 127.16.0.1 -m state --state ESTABLISHED,RELATED -j REJECT"));
    }
    let uid = managed.uid();
    rules.push(format!("ipv4 filter OUTPUT 0 -m owner --uid-owner {uid} -j slappart0-whitelist"));
    rules.push(format!("ipv4 filter slappart0-whitelist 0 -d {listed} -j ACCEPT"));
    rules.push("ipv4 filter slappart0-whitelist 1 -j REJECT".to_owned());
    rules.sort();
    rules
}

#[test]
fn runs_that_are_killed_at_any_call_of_firewalld_are_made_good() {
    let managed = Managed::new(
        "manager_list = whitelistfirewall",
        "[firewall]\nauthorized_sources =\n  192.0.2.0\n",
    );
    managed.request("started");
    if !managed.route("runs_that_are_killed_at_any_call_of_firewalld_are_made_good") {
        return;
    }
    managed.script("real-cmd", FIREWALL_CMD);
    managed.script("firewall-cmd", KILLER);
    let put = |name: &str, text: &str| std::fs::write(managed.bin().join(name), text).unwrap();
    let (mut tried, mut number) = (0, 0_u8);
    for when in [When::BeforeItsChange, When::AfterIt] {
        if matches!(when, When::AfterIt) {
            put("after", "");
        }
        for at in 1.. {
            // Each time there is something to change, in the firewall and in the whitelist.
            managed.node.configure(
                &format!("  192.0.2.{number}\n"),
                &format!("  192.0.2.{}\n", number + 1),
            );
            number += 1;
            managed.plant(".slapos-whitelist-firewall", &format!("[\"198.51.100.{number}\"]"));
            put("calls", "");
            put("kill-at", &at.to_string());
            let survived = managed.try_node(&["node", "instance", "--all"]).code == 0;
            put("kill-at", "0");
            managed.node(&["node", "instance", "--all"]);
            let rules = managed.kept("firewalld.rules");
            let mut rules: Vec<_> = rules.lines().map(str::to_owned).collect();
            rules.sort();
            let source = format!("192.0.2.{number}");
            assert_eq!(
                rules,
                expected(&managed, &source, &format!("198.51.100.{number}")),
                "killed {when:?}, call {at}"
            );
            // What was changed last is in force.
            let calls = managed.kept("calls");
            let last = |word: &str| lines(&calls).iter().rposition(|line| line.contains(word));
            assert!(last("--reload") >= last("-rule "), "killed {when:?}, call {at}:\n{calls}");
            if survived {
                break;
            }
            tried += 1;
        }
    }
    println!("{tried} runs killed, {tried} made good");
    assert!(tried > 10, "{tried}");
}

/// Asks for an instance of another Software Release, and waits for what it publishes.
const FRONT: &str = r"[buildout]
parts = backend

[backend]
<= slap-connection
recipe = slapos.cookbook:request
name = Backend
software-url = BACK
return = word
";

impl Managed {
    /// Asks for an instance that asks for another.
    fn request_front(&self) {
        let tree = &self.node.tree;
        let front = tree.add_software("front", slapos_testkit::SERVICE_PROFILE);
        let front = front.display().to_string();
        tree.write("software/front/instance.cfg.in", FRONT.replace("BACK", &self.profile));
        self.node.ok(&["supply", &front, "local"]);
        self.node(&["node", "software"]);
        self.node.ok(&["request", "front", &front]);
    }
}

#[test]
fn a_failure_of_one_round_does_not_outlast_it() {
    let managed = Managed::new("", "[firewall]\nauthorized_sources =\n  192.0.2.1\n");
    if !managed.route("a_failure_of_one_round_does_not_outlast_it") {
        return;
    }
    managed.request_front();
    managed.node(&["node", "instance"]);
    // Other rules and, of the instance below, another word: the one above is processed twice.
    let template = managed.node.tree.root().join("software/service/instance.cfg.in");
    let text = std::fs::read_to_string(&template).unwrap();
    std::fs::write(&template, text.replace("word = hello", "word = salve")).unwrap();
    managed.node(&["node", "software", "--all"]);
    managed.node.configure("  192.0.2.1\n", "  192.0.2.2\n");
    let fails_once = "case \"$*\" in *\"INPUT 0 -s 192.0.2.2 -d 127.16.0.1 \"*)\n\
         test -e $state.failed || { touch $state.failed; echo not now; exit 1; };; esac\n\
         verb=$3; shift 3";
    managed.script("firewall-cmd", &FIREWALL_CMD.replace("verb=$3; shift 3", fails_once));
    let run = managed.node(&["node", "instance", "--all"]);
    assert!(run.err.contains("not now"), "{}", run.err);
}

#[test]
fn an_instance_that_comes_into_being_in_a_run_is_protected_in_it() {
    let managed = Managed::new("", "[firewall]\n");
    if !managed.route("an_instance_that_comes_into_being_in_a_run_is_protected_in_it") {
        return;
    }
    managed.request_front();
    managed.node(&["node", "instance"]);
    assert!(managed.node.partition(1).join("etc/word.txt").exists(), "deployed in the same run");
    let rules = managed.kept("firewalld.rules");
    for rule in [
        "ipv4 filter INPUT 0 -s 127.16.0.1 -d 127.16.0.2 -j ACCEPT",
        "ipv4 filter INPUT 1000 -d 127.16.0.2 -j REJECT",
        // The one that asked was processed again, when the tree had grown.
        "ipv4 filter INPUT 0 -s 127.16.0.2 -d 127.16.0.1 -j ACCEPT",
    ] {
        assert!(lines(&rules).contains(&rule), "{rule} is not in\n{rules}");
    }
}
