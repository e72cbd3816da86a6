//! A node with a Master, and no network to alter.

use slapos_testkit::TestNode;

#[test]
fn a_definition_file_says_what_the_master_is_told() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--partitions", "2"]);
    let written = node.path("definition").display().to_string();
    let record = node.path("record.json").display().to_string();
    node.ok(&["node", "format", "--now", "-o", &written, "--computer_json", &record]);
    let text = std::fs::read_to_string(&written).unwrap();
    assert!(text.contains("address = 127.16.0.2/255.255.255.255"), "{text}");
    let mine = text.replace("127.16.0.2/", "127.99.0.1/");
    std::fs::write(&written, mine).unwrap();
    let format = ["node", "format", "--alter_network", "False", "-i", &written];
    let plan = node.ok(&[&format[..], &["--dry-run"]].concat()).told();
    assert!(plan.contains("slappart1/.slapos-resource: it says something else"), "{plan}");
    assert!(!node.ok(&["proxy", "show", "--network"]).out.contains("127.99.0.1"));
    node.ok(&format);
    let shown = node.ok(&["proxy", "show", "--network"]).out;
    assert!(shown.contains("127.99.0.1") && shown.contains("127.16.0.1"), "{shown}");
}

#[test]
fn nothing_to_do_after_up_and_what_is_wrong_is_refused() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--partitions", "1"]);
    let plan = node.ok(&["node", "format", "-n"]).told();
    assert_eq!(plan, "INFO format: nothing to do: users, directories and addresses are in place");
    let resource = std::fs::read_to_string(node.partition(0).join(".slapos-resource")).unwrap();
    assert!(resource.contains("127.16.0.1"), "{resource}");
    node.configure("[slapformat]", "[slapformat]\nbridge_name = br0");
    // Other commands are not concerned.
    node.ok(&["node", "instance"]);
    let run = node.fails(1, &["node", "format"]);
    assert!(run.err.contains("`bridge_name` is no option any more"), "{}", run.err);
    node.configure("bridge_name = br0", "create_tap = perhaps");
    let run = node.fails(1, &["node", "format"]);
    assert!(run.err.contains("`create_tap` must be true or false"), "{}", run.err);
    node.fails(2, &["node", "format", "--alter_user", "maybe"]);
    // So that the node can be taken down.
    node.configure("create_tap = perhaps", "create_tap = false");
}

#[test]
fn one_at_a_time_and_what_was_killed_leaves_nothing() {
    let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--partitions", "1"]);
    let instances = node.partition(0).parent().unwrap().to_owned();
    let lock = instances.join("var/run/slapformat.pid");
    let held = slapos_sys::lock::FileLock::try_acquire(&lock).unwrap().unwrap();
    let run = node.fails(10, &["node", "format"]);
    assert!(run.err.contains("another `slapos node format` is running"), "{}", run.err);
    node.ok(&["node", "format", "--dry-run"]);
    drop(held);
    let left = ["var/watchdog", "var/slapgrid", "var/slapgrid/journal", "var/slapgrid/firewall"]
        .map(|room| instances.join(room).join(".slapos-left.tmp"));
    for file in &left {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "half").unwrap();
    }
    node.ok(&["node", "format"]);
    assert_eq!(left.iter().find(|file| file.exists()), None);
}

#[test]
fn a_master_that_is_gone_or_refuses_is_told_by_the_exit_code() {
    let (node, profile) = TestNode::with_service(env!("CARGO_BIN_EXE_slapos"));
    node.ok(&["up", "--partitions", "2"]);
    node.ok(&["supply", &profile, "local"]);
    for name in ["one", "two"] {
        node.ok(&["request", name, &profile]);
    }
    let told = "this computer is formatted, but its Master could not be told";
    node.ok(&["node", "stop", "slapproxy:slapproxy"]);
    let run = node.fails(3, &["node", "format"]);
    assert!(run.err.contains(told), "{}", run.err);
    // It answers, and does not let go of a partition that is in use.
    node.ok(&["node", "start", "slapproxy:slapproxy"]);
    node.configure("partition_amount = 2", "partition_amount = 1");
    std::fs::remove_file(node.root().join("instance/var/slapformat/computer.xml")).unwrap();
    let run = node.fails(2, &["node", "format"]);
    assert!(run.err.contains(told), "{}", run.err);
}
