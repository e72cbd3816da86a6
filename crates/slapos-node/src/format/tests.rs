//! What is wanted of a network, and what the plan makes of it: all without touching one.

use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;
use slapos_config::Config;
use slapos_slap::ComputerDescription;

use super::*;
use crate::config::NodeConfig;

fn config(options: &str) -> NodeConfig {
    let text = format!(
        "[slapos]\nsoftware_root = /r/soft\ninstance_root = /r/inst\nmaster_url = http://127.0.0.1:1\ncomputer_id = COMP-1\n[slapformat]\npartition_amount = 2\n{options}"
    );
    NodeConfig::from_config(&Config::parse(&text, "s").unwrap(), Path::new("s")).unwrap()
}

/// `eth0` with one global address, and `br0` with an IPv4 network for taps.
const MANAGED: &str = "interface_name = eth0\nipv4_local_network = 10.0.0.0/16\n";

fn address(text: &str) -> FoundAddress {
    let (addr, len) = text.split_once('/').unwrap();
    FoundAddress {
        addr: addr.parse().unwrap(),
        len: len.parse().unwrap(),
        tentative: false,
        duplicate: false,
    }
}

fn interface(addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|text| address(text)).collect();
    Interface { up: true, addresses, tuntap: None }
}

fn machine() -> Survey {
    let mut survey = Survey::default();
    let interfaces = &mut survey.network.interfaces;
    interfaces.insert("eth0".to_owned(), interface(&["2001:db8:1:2::1/64", "fe80::1/64"]));
    interfaces.insert("br0".to_owned(), interface(&["10.9.0.1/24"]));
    survey
}

/// The same machine when all of `made` is there, and known.
fn later(survey: &Survey, made: &Wanted) -> Survey {
    let mut survey = survey.clone();
    survey.known = Known { origin: Origin::Record, computer: Some(made.description.clone()) };
    let network = &mut survey.network;
    for wish in &made.network {
        match wish {
            NetworkWish::Interface { name, mode, owner, .. } => {
                let tuntap = TunTap { mode: (*mode).to_owned(), owner: Some(owner.clone()) };
                let made = Interface { up: true, addresses: Vec::new(), tuntap: Some(tuntap) };
                network.interfaces.insert(name.clone(), made);
            }
            NetworkWish::Address { interface, addr, len, .. } => {
                let found = address(&format!("{addr}/{len}"));
                network.interfaces.get_mut(interface).unwrap().addresses.push(found);
            }
            NetworkWish::Route { route, .. } => network.routes.push(route.clone()),
            NetworkWish::NonlocalBind => network.nonlocal_bind = true,
        }
    }
    survey
}

/// The steps that change the network.
fn changes(config: &NodeConfig, survey: &Survey, wanted: &Wanted) -> String {
    let observed = Observed { root: true, ..Observed::default() };
    let plan = plan(config, wanted, &survey.network, &observed).unwrap();
    let steps = plan.steps.iter().filter(|step| matches!(step, FormatStep::Network(_)));
    let lines = steps.map(ToString::to_string).chain(plan.warnings.iter().cloned());
    lines.collect::<Vec<_>>().join("\n")
}

fn addresses(description: &ComputerDescription) -> Vec<String> {
    let partitions = description.partitions.iter();
    let lines = partitions.map(|partition| {
        let all = partition.addresses.iter().map(|a| a.addr.to_string());
        all.collect::<Vec<_>>().join(" ")
    });
    lines.collect()
}

#[test]
fn without_an_interface_each_partition_has_a_loopback_address() {
    let config = config("");
    let survey = Survey { ipv6_loopback: true, ..Survey::default() };
    let made = wanted(&config, &survey).unwrap();
    assert_eq!(addresses(&made.description), ["127.16.0.1 ::1", "127.16.0.2 ::1"]);
    assert_eq!(made.description.address, "127.0.0.1");
    assert_eq!(made.description.partitions[0].tap.name, "");
    assert_eq!((made.network.len(), made.warnings.len()), (0, 0));
}

#[test]
fn a_network_that_nobody_may_alter_must_be_loopback() {
    let wide = config("ipv4_local_network = 10.0.0.0/16\n");
    insta::assert_snapshot!(wanted(&wide, &Survey::default()).unwrap_err(), @"ipv4_local_network = 10.0.0.0/16 is not within 127.0.0.0/8, and no interface is named");
    let idle = config("create_tap = true\n");
    insta::assert_snapshot!(wanted(&idle, &Survey::default()).unwrap().warnings.join("\n"), @"`create_tap` has no effect: the network is left alone (`alter_network`, `interface_name`)");
}

#[test]
fn all_that_a_partition_can_have() {
    let config = config(&format!("{MANAGED}tap_gateway_interface = br0\ncreate_tun = true\n"));
    let survey = machine();
    let made = wanted(&config, &survey).unwrap();
    let lines = changes(&config, &survey, &made);
    // Two partitions have the same; one is enough to read.
    let second = |line: &&str| line.contains("slappart1") || line.contains("slapuser1");
    let first: Vec<_> = lines.lines().filter(|line| !second(line)).collect();
    let local = made.description.partitions[0].addresses[0].addr.to_string();
    insta::assert_snapshot!(first.join("\n").replace(&local, "[local]"), @r"
    set net.ipv6.ip_nonlocal_bind: partitions listen on any address of their ranges
    create tap interface slaptap0 for user slapuser0: there is none
    add route to 10.9.0.2/32 by slaptap0: slappart0 has it, and it is not there
    add address 2001:db8:1:2:8001:ffff:ffff:ffff/80 to slaptap0: slappart0 has it, and it is not there
    add route to 2001:db8:1:2:8001::1/128 by slaptap0: slappart0 has it, and it is not there
    add route to 2001:db8:1:2:8001::/80 by slaptap0 through 2001:db8:1:2:8001::1: slappart0 has it, and it is not there
    create tun interface slaptun0 for user slapuser0: there is none
    add address 172.16.0.1/13 to slaptun0: slappart0 has it, and it is not there
    add address 2001:db8:1:2:c001::1/80 to slaptun0: slappart0 has it, and it is not there
    add address [local]/32 to eth0: slappart0 has it, and it is not there
    add address 2001:db8:1:2::2/64 to eth0: slappart0 has it, and it is not there
    add local route to 2001:db8:1:2:4001::/80 by lo: slappart0 has it, and it is not there
    ");
    let partition = &made.description.partitions[0];
    assert_eq!(partition.ipv6_range.as_ref().unwrap().network, "2001:db8:1:2:4001::/80");
    assert_eq!(partition.tap.ipv4_gateway, "10.9.0.1");
    assert_eq!(partition.tap.ipv6_network, "2001:db8:1:2:8001::1/80");
    assert_eq!(partition.tun.as_ref().unwrap().ipv4_network, "172.16.0.1/255.248.0.0");
    assert_eq!(partition.tun.as_ref().unwrap().ipv6_network, "2001:db8:1:2:c001::1/80");
}

#[test]
fn a_second_run_changes_nothing() {
    let config = config(&format!("{MANAGED}tap_gateway_interface = br0\ncreate_tun = true\n"));
    let made = wanted(&config, &machine()).unwrap();
    let second = later(&machine(), &made);
    let again = wanted(&config, &second).unwrap();
    assert_eq!(again.description, made.description);
    assert_eq!(changes(&config, &second, &again), "");
}

#[test]
fn after_a_reboot_all_is_made_again_as_it_was() {
    let config = config(&format!("{MANAGED}create_tun = true\n"));
    let made = wanted(&config, &machine()).unwrap();
    let mut rebooted = machine();
    rebooted.known = Known { origin: Origin::Record, computer: Some(made.description.clone()) };
    assert_eq!(wanted(&config, &rebooted).unwrap(), made);
}

#[test]
fn addresses_that_were_given_stay_as_long_as_their_network_does() {
    let config = config(MANAGED);
    let mut made = wanted(&config, &machine()).unwrap();
    let kept: IpAddr = "2001:db8:1:2::beef".parse().unwrap();
    made.description.partitions[1].addresses[1].addr = kept;
    made.description.partitions[1].addresses[0].addr = "10.77.0.1".parse().unwrap();
    let mut survey = machine();
    survey.known = Known { origin: Origin::Record, computer: Some(made.description.clone()) };
    let again = wanted(&config, &survey).unwrap();
    assert_eq!(addresses(&again.description)[1], "10.77.0.1 2001:db8:1:2::beef");
    // The provider gives another network: addresses, range and tap follow.
    let moved = interface(&["2001:db8:9::1/64"]);
    survey.network.interfaces.insert("eth0".to_owned(), moved);
    let moved = wanted(&config, &survey).unwrap();
    insta::assert_snapshot!(moved.warnings.join("\n"), @r"
    slappart0 had 2001:db8:1:2::2, which it cannot have here; it gets 2001:db8:9::2
    slappart1 had 2001:db8:1:2::beef, which it cannot have here; it gets 2001:db8:9::3
    ");
    let moved = moved.description;
    assert_eq!(addresses(&moved)[1], "10.77.0.1 2001:db8:9::3");
    let partition = &moved.partitions[1];
    assert_eq!(partition.ipv6_range.as_ref().unwrap().addr, "2001:db8:9:0:4002::");
    assert_eq!(partition.tap.ipv6_addr, "2001:db8:9:0:8002:ffff:ffff:ffff");
}

#[test]
fn the_computers_own_address_is_not_confused_with_a_partitions() {
    let config = config(MANAGED);
    let mut survey = machine();
    survey.network.interfaces.insert("eth0".to_owned(), interface(&["2001:db8:1:2::77/64"]));
    let made = wanted(&config, &survey).unwrap();
    assert_eq!(made.description.address, "2001:db8:1:2::77");
    let mut second = later(&survey, &made);
    assert_eq!(wanted(&config, &second).unwrap().description, made.description);
    // Its own address is another now; those of the partitions are still there, and lower.
    let eth0 = second.network.interfaces.get_mut("eth0").unwrap();
    eth0.addresses[0] = address("2001:db8:1:2::78/64");
    let third = wanted(&config, &second).unwrap();
    assert_eq!(third.description.address, "2001:db8:1:2::78");
    assert_eq!(third.description.partitions, made.description.partitions);
}

#[test]
fn what_is_taken_elsewhere_is_not_given() {
    let managed = config(MANAGED);
    let mut survey = machine();
    let other = interface(&["2001:db8:1:2::3/128"]);
    survey.network.interfaces.insert("eth1".to_owned(), other);
    let made = wanted(&managed, &survey).unwrap();
    let second = made.description.partitions[1].addresses[1].addr;
    assert_ne!(second, "2001:db8:1:2::3".parse::<IpAddr>().unwrap());
    assert_eq!(wanted(&managed, &survey).unwrap(), made, "the same each time");
    // Another machine has that too.
    survey.refused.insert(second);
    let third = wanted(&managed, &survey).unwrap().description.partitions[1].addresses[1].addr;
    assert_ne!(third, second);
    let narrow = config(&format!("{MANAGED}ipv6_prefixshift = 8\n"));
    insta::assert_snapshot!(wanted(&narrow, &survey).unwrap_err(), @"2001:db8:1:2::3, meant for slappart1, is taken");
}

#[test]
fn interfaces_of_others_are_left_alone() {
    let config = config(&format!("{MANAGED}tap_ipv6 = false\npartition_has_ipv6_range = false\n"));
    let mut survey = machine();
    let tuntap = TunTap { mode: "tap".to_owned(), owner: Some("somebody".to_owned()) };
    let theirs = Interface { up: false, addresses: Vec::new(), tuntap: Some(tuntap) };
    survey.network.interfaces.insert("slaptap0".to_owned(), theirs);
    survey.network.interfaces.insert("slaptap1".to_owned(), interface(&[]));
    let made = wanted(&config, &survey).unwrap();
    let lines = changes(&config, &survey, &made);
    let lines: Vec<_> = lines.lines().filter(|line| line.contains("slaptap")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    set interface slaptap0 up: it is down
    slappart0: tap interface slaptap0 belongs to somebody, not to slapuser0; it is left alone
    slappart1: interface slaptap1 is no tap interface; it is left alone
    ");
}

#[test]
fn where_the_network_is_left_alone_what_is_known_is_told() {
    let managed = config(MANAGED);
    let made = wanted(&managed, &machine()).unwrap();
    let left = config(&format!("{MANAGED}alter_network = false\n"));
    let mut survey = machine();
    survey.known = Known { origin: Origin::Record, computer: Some(made.description.clone()) };
    let told = wanted(&left, &survey).unwrap();
    assert_eq!(told.description.partitions, made.description.partitions);
    assert_eq!((told.network, told.warnings), (Vec::new(), Vec::new()));
    let unknown = wanted(&left, &machine()).unwrap();
    insta::assert_snapshot!(unknown.warnings[0], @"slappart0 has no address: none is known, and `alter_network = false` gives none");
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let refusal =
        |options: &str, survey: &Survey| wanted(&config(options), survey).unwrap_err().to_string();
    let mut bare = machine();
    bare.network.interfaces.insert("eth0".to_owned(), interface(&["fe80::1/64"]));
    insta::assert_snapshot!(refusal(MANAGED, &bare), @"no IPv6 address was found on eth0 that those of partitions could be derived from");
    insta::assert_snapshot!(refusal("interface_name = none0\n", &bare), @"there is no network interface none0");
    insta::assert_snapshot!(refusal("alter_network = true\n", &bare), @"`alter_network = true` needs an interface to put addresses on");
    insta::assert_snapshot!(refusal("ipv6_prefixshift = 2\n", &bare), @"ipv6_prefixshift = 2 does not suit partition_amount = 2");
    insta::assert_snapshot!(refusal("master_ca_file = /none\n", &bare), @"/none does not exist");
    insta::assert_snapshot!(refusal("no_bridge = true\n", &bare), @"s:8: `no_bridge` is no option any more: partitions get their addresses on `interface_name`, and no bridge is made");
    let long = format!("{MANAGED}tap_base_name = abcdefghijklmno\n");
    insta::assert_snapshot!(refusal(&long, &machine()), @"the kernel takes no interface of the name abcdefghijklmno0: it is too long");
    let gateway = format!("{MANAGED}tap_gateway_interface = eth0\n");
    insta::assert_snapshot!(refusal(&gateway, &machine()), @"there is no IPv4 address on eth0 to be a gateway");
    let mut small = machine();
    small.network.interfaces.insert("eth0".to_owned(), interface(&["2001:db8::1/112"]));
    insta::assert_snapshot!(refusal(MANAGED, &small), @"2001:db8::1/112 on eth0 is too small for ranges of partitions: they would be /128");
    let mut few = machine();
    few.network.interfaces.insert("br0".to_owned(), interface(&["10.9.0.1/31"]));
    let gateway = format!("{MANAGED}tap_gateway_interface = br0\n");
    insta::assert_snapshot!(refusal(&gateway, &few), @"the network of br0 has too few addresses for taps");
}

/// A managed computer with any network, any number of partitions and any options.
fn any_computer() -> impl Strategy<Value = (NodeConfig, Survey)> {
    let truth = || any::<bool>();
    let options = (truth(), truth(), truth(), truth(), 2_u8..=20);
    (any::<u64>(), 16_u8..=100, 1_u32..40, options).prop_map(|(low, len, amount, options)| {
        let (tap, tun, range, gateway, shift) = options;
        let gateway = if gateway { "tap_gateway_interface = br0\n" } else { "" };
        let text = format!(
            "{MANAGED}create_tap = {tap}\ncreate_tun = {tun}\npartition_has_ipv6_range = {range}\nipv6_prefixshift = {shift}\n{gateway}"
        );
        let mut config = config(&text);
        config.format.partition_amount = amount;
        let mut survey = machine();
        let own = std::net::Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(low));
        let eth0 = interface(&[&format!("{own}/{len}")]);
        survey.network.interfaces.insert("eth0".to_owned(), eth0);
        (config, survey)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_made_stays((config, survey) in any_computer()) {
        let Ok(made) = wanted(&config, &survey) else { return Ok(()) };
        let later = later(&survey, &made);
        let again = wanted(&config, &later).unwrap();
        prop_assert_eq!(&again.description, &made.description);
        prop_assert_eq!(changes(&config, &later, &again), "");
        let mut rebooted = survey;
        rebooted.known = later.known;
        prop_assert_eq!(wanted(&config, &rebooted).unwrap(), made);
    }

    #[test]
    fn more_partitions_change_nothing_for_those_that_are_there(
        (config, survey) in any_computer(),
        more in 1_u32..20,
    ) {
        let Ok(made) = wanted(&config, &survey) else { return Ok(()) };
        let mut wider = config.clone();
        wider.format.partition_amount += more;
        let Ok(grown) = wanted(&wider, &later(&survey, &made)) else { return Ok(()) };
        let kept = &grown.description.partitions[..made.description.partitions.len()];
        prop_assert_eq!(kept, &made.description.partitions[..]);
    }
}
