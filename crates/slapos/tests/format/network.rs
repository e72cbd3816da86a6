//! Networks made for the test.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::process::CommandExt as _;

use crate::support::{Namespace, Node, json};

const ALL: &str = "partition_amount = 2
interface_name = eth0
ipv4_local_network = 10.0.0.0/16
tap_gateway_interface = gate0
create_tun = true";

/// `eth0` with a global network, and `gate0` with one for taps.
fn connect(namespace: &Namespace) {
    namespace.cable("eth0", "peer0");
    namespace.cable("gate0", "peer1");
    namespace.ip("addr add 2001:db8:1:2::1/64 dev eth0 nodad");
    namespace.ip("addr add 10.9.0.1/24 dev gate0");
}

fn uid(name: &str) -> Option<u32> {
    slapos_sys::user::by_name(name).unwrap().map(|user| user.uid)
}

#[test]
fn a_dry_run_says_all_and_does_nothing() {
    let Some(namespace) = Namespace::new("a_dry_run_says_all_and_does_nothing") else { return };
    connect(&namespace);
    let node = Node::new(ALL);
    let before = namespace.ip("-o addr show");
    let said = node.format(&namespace, 0, &["--dry-run"]);
    let users = &node.users;
    for line in [
        format!("INFO format: create user {users}0: there is none"),
        format!("INFO format: create tap interface slaptap0 for user {users}0: there is none"),
        "INFO format: add address 2001:db8:1:2::3/64 to eth0: slappart1 has it, and it is not there".to_owned(),
        "INFO format: add local route to 2001:db8:1:2:4001::/80 by lo: slappart0 has it, and it is not there".to_owned(),
        format!("INFO format: write {}: it is missing", node.path("computer.xml").display()),
    ] {
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert_eq!(uid(&format!("{users}0")), None);
    assert_eq!(std::fs::read_dir(node.path("")).unwrap().count(), 1, "the configuration alone");
    assert_eq!(namespace.ip("-o addr show"), before);
}

#[test]
fn all_that_a_node_can_have_is_made_once_and_again_after_a_reboot() {
    let name = "all_that_a_node_can_have_is_made_once_and_again_after_a_reboot";
    let Some(namespace) = Namespace::new(name) else { return };
    connect(&namespace);
    let node = Node::new(ALL);
    std::fs::create_dir_all(node.path("disks/data1")).unwrap();
    let options = format!(
        "{ALL}\ninstance_storage_home = {}\ncertificate_repository_path = {}\noutput_definition_file = {}\nlog_file = {}",
        node.path("disks").display(),
        node.path("certificates").display(),
        node.path("definition").display(),
        node.path("log").display(),
    );
    node.configure(&options);
    let said = node.format(&namespace, 3, &[]);
    assert!(
        said.contains("this computer is formatted, but its Master could not be told"),
        "{said}"
    );

    let log = std::fs::read_to_string(node.path("log")).unwrap();
    assert!(log.contains("] INFO     create tap interface slaptap0"), "{log}");
    assert!(log.contains("] ERROR    this computer is formatted, but its Master"), "{log}");

    let owner = uid(&format!("{}1", node.users)).unwrap();
    for directory in ["inst/slappart1", "disks/data1/slappart1"] {
        let meta = std::fs::metadata(node.path(directory)).unwrap();
        assert_eq!((meta.uid(), meta.permissions().mode() & 0o7777), (owner, 0o750), "{directory}");
    }
    assert_reads_its_key_alone(&node, owner);

    let record = node.record();
    let partition = &record["partition_list"][1];
    assert_eq!(json(&node.path("inst/slappart1/.slapos-resource")), *partition);
    assert_eq!(partition["ipv6_range"]["network"], "2001:db8:1:2:4002::/80");
    let local = partition["address_list"][0]["addr"].as_str().unwrap();
    let eth0 = namespace.ip("-o addr show dev eth0");
    assert!(eth0.contains("2001:db8:1:2::3/64") && eth0.contains(&format!("{local}/32")), "{eth0}");
    let tap = namespace.ip("-o addr show dev slaptap1");
    assert!(tap.contains("2001:db8:1:2:8002:ffff:ffff:ffff/80"), "{tap}");
    let tun = namespace.ip("-o addr show dev slaptun1");
    assert!(tun.contains("172.24.0.1/13") && tun.contains("2001:db8:1:2:c002::1/80"), "{tun}");
    assert!(namespace.ip("route show 10.9.0.3").contains("dev slaptap1"));
    let route = namespace.ip("-6 route show 2001:db8:1:2:8002::/80");
    assert!(route.contains("via 2001:db8:1:2:8002::1 dev slaptap1"), "{route}");
    listens(&namespace, "2001:db8:1:2:4002::beef");

    assert_in_order(&node, &namespace);
    // The definition that was written gives the same computer.
    let definition = node.path("definition").display().to_string();
    let said = node.format(&namespace, 0, &["--dry-run", "-i", &definition]);
    assert!(!said.contains("add address"), "{said}");

    // A reboot: the network is empty again, the record stays.
    drop(namespace);
    let namespace = Namespace::new(name).unwrap();
    connect(&namespace);
    let said = node.format(&namespace, 3, &[]);
    assert!(!said.contains("write "), "{said}");
    assert_eq!(node.record(), record);
    assert_in_order(&node, &namespace);
}

/// The user of a partition reads its own key, and does not see whose keys there are.
fn assert_reads_its_key_alone(node: &Node, user: u32) {
    let certificates = node.path("certificates");
    let key = certificates.join("slappart1.key");
    std::fs::write(&key, "its key").unwrap();
    std::os::unix::fs::chown(&key, Some(user), None).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o400)).unwrap();
    let as_user = |program: &str, path: &std::path::Path| {
        let mut command = std::process::Command::new(program);
        command.arg(path).current_dir("/").uid(user).gid(user).output().unwrap()
    };
    assert_eq!(as_user("cat", &key).stdout, b"its key");
    assert!(!as_user("ls", &certificates).status.success());
}

fn assert_in_order(node: &Node, namespace: &Namespace) {
    let said = node.format(namespace, 0, &["--dry-run"]);
    assert_eq!(said, "INFO format: nothing to do: users, directories and addresses are in place");
}

/// A program can take any address of a partition's range.
fn listens(namespace: &Namespace, addr: &str) {
    let bind = format!(
        "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).bind(('{addr}', 0))"
    );
    let python = std::path::Path::new("python3");
    let status = namespace.command(python).args(["-c", &bind]).status().unwrap();
    assert!(status.success(), "{addr}");
}

/// As in the example of the original: re6st gives `lo` an address.
#[test]
fn the_loopback_interface_serves_too() {
    let Some(namespace) = Namespace::new("the_loopback_interface_serves_too") else { return };
    namespace.ip("addr add 2001:db8:7::1/64 dev lo");
    let example = "partition_amount = 2\ninterface_name = lo\ncreate_tap = false\nipv4_local_network = 10.0.0.0/16";
    let node = Node::new(example);
    node.format(&namespace, 3, &[]);
    assert_in_order(&node, &namespace);
    let lo = namespace.ip("-o addr show dev lo");
    assert!(lo.contains("2001:db8:7::3/64"), "{lo}");
    listens(&namespace, "2001:db8:7:0:4002::1");
    // IPv6 comes from elsewhere from now on.
    namespace.cable("eth0", "peer0");
    namespace.ip("addr add 2001:db8:8::1/64 dev eth0 nodad");
    node.configure(&format!("{example}\nipv6_interface = eth0"));
    let before = node.record();
    let said = node.format(&namespace, 3, &[]);
    assert!(said.contains("had 2001:db8:7::3, which it cannot have here"), "{said}");
    assert_in_order(&node, &namespace);
    let addresses = |record: &serde_json::Value, number: usize| {
        record["partition_list"][1]["address_list"][number]["addr"].clone()
    };
    let after = node.record();
    assert_eq!(addresses(&after, 0), addresses(&before, 0));
    assert_eq!(addresses(&after, 1), "2001:db8:8::3");
    assert_eq!(after["partition_list"][1]["ipv6_range"]["addr"], "2001:db8:8:0:4002::");
}

#[test]
fn growing_keeps_what_was_given_and_shrinking_is_refused() {
    let name = "growing_keeps_what_was_given_and_shrinking_is_refused";
    let Some(namespace) = Namespace::new(name) else { return };
    connect(&namespace);
    let node = Node::new(ALL);
    node.format(&namespace, 3, &[]);
    let before = node.record();
    node.configure(&ALL.replace("partition_amount = 2", "partition_amount = 3"));
    node.format(&namespace, 3, &[]);
    let after = node.record();
    for index in 0..2 {
        assert_eq!(after["partition_list"][index], before["partition_list"][index]);
    }
    assert_eq!(after["partition_list"].as_array().unwrap().len(), 3);
    assert!(node.path("computer.xml.zip").exists());
    assert_in_order(&node, &namespace);
    node.configure(ALL);
    let said = node.format(&namespace, 1, &[]);
    assert!(
        said.contains("partition_amount = 2 is less than the 3 partitions that this computer has"),
        "{said}"
    );
    assert_eq!(node.record(), after);
}

#[test]
fn an_address_that_another_machine_has_is_given_back() {
    let name = "an_address_that_another_machine_has_is_given_back";
    let Some(namespace) = Namespace::new(name) else { return };
    let other = Namespace::new(name).unwrap();
    namespace.cable("eth0", "peer0");
    namespace.ip(&format!("link set peer0 netns {}", other.name()));
    other.ip("link set peer0 up");
    other.ip("addr add 2001:db8:1:2::2/64 dev peer0 nodad");
    namespace.ip("addr add 2001:db8:1:2::1/64 dev eth0 nodad");
    let node = Node::new("partition_amount = 1\ninterface_name = eth0\ncreate_tap = false");
    let said = node.format(&namespace, 3, &[]);
    let warning = "another machine has 2001:db8:1:2::2; the partition gets another address";
    assert!(said.contains(warning), "{said}");
    let eth0 = namespace.ip("-o addr show dev eth0");
    let addr = node.record()["partition_list"][0]["address_list"][1]["addr"].clone();
    let addr = addr.as_str().unwrap();
    assert!(eth0.contains(addr) && !eth0.contains("2001:db8:1:2::2/"), "{eth0}");
    assert_in_order(&node, &namespace);
}

#[test]
fn what_a_partition_plants_leads_nowhere() {
    let name = "what_a_partition_plants_leads_nowhere";
    let Some(namespace) = Namespace::new(name) else { return };
    let node = Node::new("partition_amount = 2");
    node.format(&namespace, 3, &[]);
    let resource = |index: u32| node.path(&format!("inst/slappart{index}/.slapos-resource"));
    let wanted = std::fs::read(resource(0)).unwrap();
    let meta = std::fs::metadata(resource(0)).unwrap();
    assert_eq!(Some(meta.uid()), uid(&format!("{}0", node.users)), "written by its user");
    // A link to what only root may read and write.
    let victim = node.path("victim");
    std::fs::write(&victim, &wanted).unwrap();
    std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(resource(0)).unwrap();
    std::os::unix::fs::symlink(&victim, resource(0)).unwrap();
    // A directory, which no file can replace.
    std::fs::remove_file(resource(1)).unwrap();
    std::fs::create_dir(resource(1)).unwrap();
    let said = node.format(&namespace, 3, &[]);
    assert_eq!(std::fs::read(&victim).unwrap(), wanted);
    assert_eq!(std::fs::metadata(&victim).unwrap().uid(), 0);
    assert!(std::fs::symlink_metadata(resource(0)).unwrap().is_file());
    assert_eq!(std::fs::read(resource(0)).unwrap(), wanted);
    assert!(said.contains("WARNING format: write") && said.contains("that failed"), "{said}");
    // A pipe, at which one could wait for ever.
    std::fs::remove_file(resource(0)).unwrap();
    let made = std::process::Command::new("mkfifo").arg(resource(0)).status().unwrap();
    assert!(made.success());
    node.format(&namespace, 3, &[]);
    assert!(std::fs::symlink_metadata(resource(0)).unwrap().is_file());
}

#[test]
fn users_are_put_right() {
    let Some(namespace) = Namespace::new("users_are_put_right") else { return };
    let node = Node::new("partition_amount = 1");
    node.format(&namespace, 3, &[]);
    let user = format!("{}0", node.users);
    let run = |words: &[&str]| {
        let output = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
        assert!(output.status.success(), "{words:?} {output:?}");
    };
    run(&["usermod", "--home", "/nonexistent", "--groups", "", "--password", "x", &user]);
    let said = node.format(&namespace, 3, &[]);
    let home = node.path("inst/slappart0");
    let changed = format!("change user {user}: its home is /nonexistent, not {}", home.display());
    assert!(said.contains(&changed), "{said}");
    assert!(said.contains(&format!("lock the password of user {user}")), "{said}");
    let found = slapos_sys::user::by_name(&user).unwrap().unwrap();
    let builders = slapos_sys::user::group_id(&node.builder).unwrap().unwrap();
    assert!(found.home == home && found.groups.contains(&builders), "{found:?}");
    assert_in_order(&node, &namespace);
}

#[test]
fn a_killed_run_is_made_good_by_the_next() {
    let name = "a_killed_run_is_made_good_by_the_next";
    let Some(namespace) = Namespace::new(name) else { return };
    connect(&namespace);
    let node = Node::new(ALL);
    // Each run is killed when it has said that its third step is done.
    let mut killed = 0;
    while node.killed_after(&namespace, 3) {
        killed += 1;
        assert!(killed < 50, "no run comes to its end");
    }
    // On a busy machine a run may get further before it is gone.
    assert!(killed > 0, "no run was killed");
    node.format(&namespace, 3, &[]);
    assert_in_order(&node, &namespace);
    let partition = &node.record()["partition_list"][1];
    assert_eq!(partition["address_list"][1]["addr"], "2001:db8:1:2::3");
    assert_eq!(partition["tun"]["ipv4_addr"], "172.24.0.1");
    assert_eq!(json(&node.path("inst/slappart1/.slapos-resource")), *partition);
}
