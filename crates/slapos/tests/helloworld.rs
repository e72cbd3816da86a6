//! What a newcomer does, with the real binary and nothing faked: helloworld is compiled from
//! source, deployed, fetched, survives the death of its supervisor, and is destroyed.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests look at files and processes directly"
)]

use slapos_testkit::{TestNode, kill, repository, runs, wait_for};

fn helloworld() -> String {
    repository().join("software/helloworld/software.cfg").display().to_string()
}

fn fetch(url: &str) -> String {
    ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

#[test]
fn a_newcomers_first_service() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let first = node.json(&["up", &helloworld(), "--parameters", "title=Bonjour <all>"]);
    assert_eq!(first["state"], "started", "{first:#}");
    assert_eq!(first["reported"]["state"], "started");
    let promises = first["promises"].as_array().unwrap();
    assert!(promises.len() >= 2, "{first:#}");
    assert!(promises.iter().all(|promise| promise["state"] == "ok"), "{first:#}");

    // The page is the instance's own, rendered from its parameters, on both families.
    let connection = &first["connection-parameters"];
    let page = fetch(connection["url"].as_str().unwrap());
    assert!(page.contains("Bonjour &lt;all&gt;"), "{page}");
    if let Some(url) = connection["url-ipv6"].as_str() {
        assert_eq!(fetch(url), page);
    }
    links_to_what_we_built(&node);
    nothing_is_open_to_others(&node);

    // Again: everything is found in place.
    let again = node.ok(&["up", &helloworld(), "-v"]);
    assert!(again.err.contains("it is built and frozen"), "{}", again.err);
    assert!(!again.err.contains("process:"), "an unchanged instance was processed: {}", again.err);

    survives_the_death_of_its_supervisor(&node, connection["url"].as_str().unwrap());

    // A changed parameter reaches the page.
    let changed = node.json(&["up", &helloworld(), "--parameters", "title=Salut"]);
    let page = fetch(changed["connection-parameters"]["url"].as_str().unwrap());
    assert!(page.contains("Salut"), "{page}");

    comes_back_with_its_data(&node);

    node.ok(&["destroy", "helloworld"]);
    assert_eq!(node.left_in(0), [""; 0]);
    assert_eq!(node.json(&["service", "list"]), serde_json::json!({}));
    works_without_ipv6(&node);
}

/// On a machine that has no IPv6 at all, and no network: what is built is found in place.
fn works_without_ipv6(node: &TestNode) {
    if !slapos_testkit::is_root() {
        slapos_testkit::skipped("works_without_ipv6", "needs root, to make a network of its own");
        return;
    }
    if std::process::Command::new("ip").arg("-V").output().is_err() {
        slapos_testkit::skipped("works_without_ipv6", "needs `ip` (Debian: iproute2)");
        return;
    }
    node.ok(&["down"]);
    let root = node.root().display().to_string();
    let up =
        [node.binary().to_str().unwrap(), "up", &helloworld(), "--json", "--root", &root].join(" ");
    let down = [node.binary().to_str().unwrap(), "down", "--root", &root].join(" ");
    let off = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    let script = format!("ip link set lo up && {off} && {up}; code=$?; {down} >&2; exit $code");
    let output =
        std::process::Command::new("unshare").args(["-n", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&said);
    assert_eq!(document["reported"]["state"], "started", "{document:#}\n{said}");
    let published = document["connection-parameters"].as_object().unwrap();
    assert!(published.contains_key("url") && !published.contains_key("url-ipv6"), "{document:#}");
}

/// nginx uses the zlib and pcre2 that were built for it and not the machine's.
fn links_to_what_we_built(node: &TestNode) {
    let shared = node.root().join("shared");
    let nginx = glob_one(&shared.join("nginx"), "sbin/nginx");
    let output = std::process::Command::new("ldd").arg(nginx).output().unwrap();
    let libraries = String::from_utf8_lossy(&output.stdout).into_owned();
    for library in ["libz.so", "libpcre2-8.so"] {
        let line = libraries.lines().find(|line| line.contains(library)).unwrap();
        assert!(line.contains(shared.to_str().unwrap()), "{line}");
    }
}

fn glob_one(part: &std::path::Path, file: &str) -> std::path::PathBuf {
    let found = std::fs::read_dir(part).unwrap().map(|entry| entry.unwrap().path().join(file));
    found.filter(|path| path.exists()).last().unwrap()
}

fn nothing_is_open_to_others(node: &TestNode) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(node.partition(0)) & 0o777, 0o750);
    assert_eq!(mode(node.root().join("master/master.token")) & 0o777, 0o600);
    assert_eq!(mode(node.root().join("master/proxy.db")) & 0o077, 0);
    if slapos_testkit::is_root() {
        assert_ne!(std::fs::metadata(node.partition(0)).unwrap().uid(), 0);
        assert_ne!(std::fs::metadata(node.root().join("software")).unwrap().uid(), 0);
    }
}

fn survives_the_death_of_its_supervisor(node: &TestNode, url: &str) {
    let services = || {
        let mut pids = node.pids();
        // Only the supervisor that started it can speak to it.
        pids.remove("watchdog");
        pids
    };
    let before = services();
    let supervisor = node.supervisor_pid();
    kill(i64::from(supervisor));
    wait_for("the supervisor to die", 60, || (!runs(i64::from(supervisor))).then_some(()));
    assert!(!fetch(url).is_empty(), "the service died with its supervisor");
    node.ok(&["node", "instance"]);
    assert_ne!(node.supervisor_pid(), supervisor);
    assert_eq!(services(), before, "a service was started twice or lost");
}

fn comes_back_with_its_data(node: &TestNode) {
    let before = node.json(&["up"]);
    let master = node.pids()["slapproxy"];
    node.ok(&["down"]);
    wait_for("the Master to end", 60, || (!runs(master)).then_some(()));
    let after = node.json(&["up"]);
    let url = |document: &serde_json::Value| {
        document["instances"][0]["connection-parameters"]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(url(&before), url(&after));
    assert!(fetch(&url(&after)).contains("Salut"));
}
