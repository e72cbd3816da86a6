//! `slapos node collect` with the real binary: what it notes of an instance that runs.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and processes directly"
)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use slapos_testkit::TestNode;

/// The rows that a query gives, columns separated by `|`; none where there is no `sqlite3`.
fn query(database: &Path, sql: &str) -> Option<Vec<String>> {
    let output = std::process::Command::new("sqlite3").arg(database).arg(sql).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn what_an_instance_uses_is_noted_where_it_is_looked_for() {
    let name = "what_an_instance_uses_is_noted_where_it_is_looked_for";
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["up", &profile]);
    if !slapos_testkit::is_root() {
        let run = node.fails(5, &["node", "collect"]);
        assert!(run.err.contains("as root"), "{}", run.err);
        return slapos_testkit::skipped(name, "needs root");
    }
    std::fs::write(node.partition(0).join("srv/data"), vec![1; 2 << 20]).unwrap();
    node.ok(&["node", "collect"]);
    let var = node.root().join("instance/var");
    let database = var.join("data-log/collector.db");
    assert_eq!(std::fs::metadata(&database).unwrap().mode() & 0o777, 0o644);
    let user = user_base(&node) + "0";
    let pid = node.pids()["sleeper-on-watch"];
    // The promises' results say that something was deployed here.
    let monitor = node.partition(0).join(".slapgrid/monitor");
    let read = |name: &str| -> serde_json::Value {
        let path = monitor.join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), owner(&node));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let processes = read("monitor_process_resource.status.json");
    let sleeper = processes.as_array().unwrap().iter().find(|process| process["pid"] == pid);
    let sleeper = sleeper.expect("the sleeper is listed");
    assert_eq!(sleeper["command"], serde_json::json!(["/bin/sleep", "1000000"]));
    assert!(read("monitor_resource.status.json")["memory_rss"].as_f64().unwrap() > 0.0);
    let Some(rows) = query(&database, "SELECT partition, pid FROM user") else {
        return slapos_testkit::skipped(name, "needs sqlite3");
    };
    assert!(rows.contains(&format!("{user}|{pid}.0")), "{rows:?}");
    let folders = query(&database, "SELECT partition, disk_used > 2048 FROM folder").unwrap();
    assert_eq!(folders, [format!("{user}|1")], "only what is not empty");
    assert_eq!(
        query(&database, "SELECT memory_size > 0, cpu_num_core > 0 FROM computer").unwrap(),
        ["1|1"]
    );
    assert_eq!(
        query(&database, "SELECT cpu_percent BETWEEN 0 AND 100 FROM system").unwrap(),
        ["1"]
    );

    // As if that had been yesterday: a journal for the Master, made once, with its history going on.
    for table in ["user", "folder", "system"] {
        query(&database, &format!("UPDATE {table} SET date = date('now', '-1 day')")).unwrap();
    }
    node.ok(&["node", "collect"]);
    let journals = || std::fs::read_dir(var.join("xml_report/local")).unwrap().count();
    assert_eq!(journals(), 1);
    let history = read("monitor_resource_process.data.json");
    assert_eq!(history["data"].as_array().unwrap().len(), 3);
    let run = node.ok(&["node", "report"]);
    assert!(run.err.contains("usage: reported"), "{}", run.err);
    node.ok(&["node", "collect"]);
    assert_eq!(journals(), 0, "made once");

    // Yesterday is in an archive, today in tables.
    let beside = |name: &str| var.join("data-log").join(name);
    let yesterday = query(&database, "SELECT date('now', '-1 day')").unwrap().remove(0);
    let archive = std::process::Command::new("tar")
        .arg("-tzf")
        .arg(beside(&format!("{yesterday}.tar.gz")))
        .output()
        .unwrap();
    let members = String::from_utf8(archive.stdout).unwrap();
    assert!(members.contains(&format!("{yesterday}/dump_user.csv\n")), "{members}");
    let load = std::fs::read_to_string(beside("system_loadavg.csv")).unwrap();
    assert!(load.starts_with("time,entry\r\n"), "{load}");
    assert_eq!(load.lines().count(), 2, "the first sample of a day is not told: {load}");

    // Old samples go once they are archived.
    query(&database, "UPDATE user SET date = '2000-01-01', reported = 1").unwrap();
    node.ok(&["node", "collect"]);
    assert_eq!(query(&database, "SELECT COUNT(*) FROM user WHERE date < '2001'").unwrap(), ["0"]);
}

fn user_base(node: &TestNode) -> String {
    let text = std::fs::read_to_string(node.root().join("etc/slapos.cfg")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("user_base_name = "));
    line.unwrap().to_owned()
}

fn owner(node: &TestNode) -> u32 {
    std::fs::metadata(node.partition(0)).unwrap().uid()
}

#[test]
fn links_that_a_partition_plants_lead_nowhere() {
    let name = "links_that_a_partition_plants_lead_nowhere";
    if !slapos_testkit::is_root() {
        return slapos_testkit::skipped(name, "needs root");
    }
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    let profile = node.tree.add_service().display().to_string();
    node.ok(&["up", &profile]);
    let victim = node.path("victim");
    std::fs::create_dir(&victim).unwrap();
    let monitor = node.partition(0).join(".slapgrid/monitor");
    std::os::unix::fs::symlink(&victim, &monitor).unwrap();
    let run = node.ok(&["node", "collect"]);
    assert!(run.err.contains("cannot write to"), "{}", run.err);
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
    // Nor do files.
    std::fs::remove_file(&monitor).unwrap();
    std::fs::create_dir(&monitor).unwrap();
    std::os::unix::fs::chown(&monitor, Some(owner(&node)), None).unwrap();
    let secret = victim.join("secret");
    std::fs::write(&secret, "{\"data\": []}").unwrap();
    let file = monitor.join("monitor_resource_process.data.json");
    std::os::unix::fs::symlink(&secret, &file).unwrap();
    node.ok(&["node", "collect"]);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "{\"data\": []}");
    assert!(!file.is_symlink(), "it was replaced");
}

#[test]
fn an_agent_notes_it_too_where_that_is_configured() {
    let name = "an_agent_notes_it_too_where_that_is_configured";
    if !slapos_testkit::is_root() {
        return slapos_testkit::skipped(name, "needs root");
    }
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up"]);
    node.configure("\n[slapformat]\n", "\n[collect]\n\n[slapformat]\n");
    let mut agent = node.start(&["node", "agent"]);
    let database = node.root().join("instance/var/data-log/collector.db");
    slapos_testkit::wait_for("a sample", 30, || database.exists().then_some(()));
    agent.kill().unwrap();
    agent.wait().unwrap();
    // What it started goes on to its end, for which this waits.
    slapos_testkit::wait_for("the run to end", 30, || {
        (node.run(&["node", "collect"]).code == 0).then_some(())
    });
}
