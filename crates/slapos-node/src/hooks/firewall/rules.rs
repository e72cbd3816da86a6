//! Which rules an instance is to have: pure functions.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;
use slapos_slap::ComputerPartition;

use crate::hooks::firewalld::{Change, Rule, State};

/// Addresses behind interfaces of this name are what the firewall is about.
const ROUTED: &str = "route_";
const CHAINS: [&str; 2] = ["INPUT", "FORWARD"];
const KNOWN: &str = "-m state --state ESTABLISHED,RELATED";

/// Who reaches the addresses of an instance, beside the instances of its own tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Only these sources.
    Only(Vec<String>),
    /// All but these sources; `always` do whatever is rejected.
    AllBut { rejected: Vec<String>, always: Vec<String> },
}

/// The routed IPv4 addresses of a partition.
pub(super) fn routed(partition: &ComputerPartition) -> Vec<Ipv4Addr> {
    let routed = partition.addresses().filter(|(interface, _)| interface.starts_with(ROUTED));
    v4(routed.map(|(_, address)| address))
}

/// The IPv4 addresses of a tree that are not `own`.
pub(super) fn others(tree: &[(String, IpAddr)], own: &[Ipv4Addr]) -> Vec<Ipv4Addr> {
    let mut found = v4(tree.iter().map(|(_, address)| *address));
    found.retain(|address| !own.contains(address));
    found
}

fn v4(addresses: impl Iterator<Item = IpAddr>) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(address) if !found.contains(&address) => found.push(address),
            _ => {}
        }
    }
    found
}

/// What the request of an instance (its filter) and `[firewall]` say about access. `warn` is called
/// with what is no address and left out.
pub(super) fn access(
    filter: &IndexMap<String, String>,
    authorized: &[String],
    mut warn: impl FnMut(&str),
) -> Access {
    let mut named = |option: &str| {
        let words = filter.get(option).map(String::as_str).unwrap_or_default();
        sources(words.split_whitespace(), &mut warn)
    };
    let restricted = filter.get("fw_restricted_access").is_none_or(|word| word != "off");
    let mut welcome = named("fw_authorized_sources");
    if restricted {
        welcome.extend(sources(authorized.iter().map(String::as_str), &mut warn));
        return Access::Only(welcome);
    }
    let rejected = named("fw_rejected_sources");
    welcome.extend(sources(authorized.iter().map(String::as_str), &mut warn));
    Access::AllBut { rejected, always: welcome }
}

/// Those of `words` that are an IPv4 address or network.
fn sources<'a>(words: impl Iterator<Item = &'a str>, warn: &mut impl FnMut(&str)) -> Vec<String> {
    let valid = |word: &&str| {
        let fine = is_source(word);
        if !fine {
            warn(word);
        }
        fine
    };
    words.filter(valid).map(str::to_owned).collect()
}

fn is_source(word: &str) -> bool {
    let (address, prefix) = word.split_once('/').unwrap_or((word, "32"));
    let prefix = prefix.parse::<u8>().is_ok_and(|bits| bits <= 32);
    prefix && address.parse::<Ipv4Addr>().is_ok()
}

/// The rules of an instance at the addresses `own`, in whose tree are `tree`.
pub(super) fn rules(own: &[Ipv4Addr], tree: &[Ipv4Addr], access: &Access) -> BTreeSet<Rule> {
    let tree: Vec<_> = tree.iter().map(Ipv4Addr::to_string).collect();
    let mut rules = BTreeSet::new();
    for ip in own {
        match access {
            Access::Only(sources) => {
                accept(&mut rules, *ip, tree.iter().chain(sources));
                reject(&mut rules, *ip, None, [900, 1000]);
            }
            Access::AllBut { rejected, always } => {
                accept(&mut rules, *ip, tree.iter().chain(always));
                for source in rejected {
                    reject(&mut rules, *ip, Some(source), [800, 900]);
                }
            }
        }
    }
    rules
}

fn accept<'a>(rules: &mut BTreeSet<Rule>, ip: Ipv4Addr, sources: impl Iterator<Item = &'a String>) {
    for source in sources {
        let args = format!("-s {source} -d {ip} -j ACCEPT");
        rules.extend(CHAINS.map(|chain| Rule::new(chain, 0, args.clone())));
    }
}

/// Connections that exist first, then new ones.
fn reject(rules: &mut BTreeSet<Rule>, ip: Ipv4Addr, source: Option<&str>, priorities: [u32; 2]) {
    let from = source.map(|source| format!("-s {source} ")).unwrap_or_default();
    for chain in CHAINS {
        let [known, new] = priorities;
        rules.insert(Rule::new(chain, known, format!("{from}-d {ip} {KNOWN} -j REJECT")));
        rules.insert(Rule::new(chain, new, format!("{from}-d {ip} -j REJECT")));
    }
}

/// What is to change so that `wanted` is there and nothing else of this instance: what was
/// `recorded` as its, or, where nothing was, what has the shape of rules about its addresses. What
/// lets somebody through goes last, and what is new comes first.
pub(super) fn changes(
    state: &State,
    wanted: &BTreeSet<Rule>,
    recorded: Option<&BTreeSet<Rule>>,
    own: &[Ipv4Addr],
) -> Vec<Change> {
    let former: BTreeSet<Rule> = match recorded {
        Some(recorded) => recorded.intersection(&state.rules).cloned().collect(),
        None => about(state, own),
    };
    let added = wanted.difference(&state.rules).cloned().map(Change::AddRule);
    let gone = former.difference(wanted).cloned().map(Change::RemoveRule);
    added.chain(gone).collect()
}

/// The rules that have the shape of ours and are about these addresses.
pub(super) fn about(state: &State, own: &[Ipv4Addr]) -> BTreeSet<Rule> {
    state.rules.iter().filter(|rule| is_about(rule, own)).cloned().collect()
}

/// Whether a rule is one that [`rules`] could have made for one of these addresses.
fn is_about(rule: &Rule, own: &[Ipv4Addr]) -> bool {
    if !CHAINS.contains(&rule.chain.as_str()) || ![0, 800, 900, 1000].contains(&rule.priority) {
        return false;
    }
    own.iter().any(|ip| {
        let rest = match rule.args.strip_prefix("-s ").and_then(|rest| rest.split_once(' ')) {
            Some((source, rest)) if is_source(source) => rest,
            _ => &rule.args,
        };
        let shapes = ["-j ACCEPT", "-j REJECT", &format!("{KNOWN} -j REJECT")]
            .map(|end| format!("-d {ip} {end}"));
        shapes.iter().any(|shape| shape == rest)
    })
}

#[cfg(test)]
mod tests {
    use slapos_slap::Route;

    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn filter(items: &[(&str, &str)]) -> IndexMap<String, String> {
        items.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn text(rules: &BTreeSet<Rule>) -> String {
        rules.iter().map(|rule| format!("{rule}\n")).collect()
    }

    fn silent(_: &str) {}

    #[test]
    fn by_default_only_the_tree_and_authorized_sources_get_through() {
        let filter = filter(&[("fw_authorized_sources", "10.9.0.0/16 nonsense 1.2.3.4/33")]);
        let mut warned = Vec::new();
        let access =
            access(&filter, &["192.0.2.1".to_owned()], |word| warned.push(word.to_owned()));
        assert_eq!(warned, ["nonsense", "1.2.3.4/33"]);
        let rules = rules(&[ip("10.0.0.1")], &[ip("10.0.0.2")], &access);
        insta::assert_snapshot!(text(&rules), @r"
        ipv4 filter FORWARD 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        ipv4 filter FORWARD 0 -s 10.9.0.0/16 -d 10.0.0.1 -j ACCEPT
        ipv4 filter FORWARD 0 -s 192.0.2.1 -d 10.0.0.1 -j ACCEPT
        ipv4 filter FORWARD 900 -d 10.0.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
        ipv4 filter FORWARD 1000 -d 10.0.0.1 -j REJECT
        ipv4 filter INPUT 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        ipv4 filter INPUT 0 -s 10.9.0.0/16 -d 10.0.0.1 -j ACCEPT
        ipv4 filter INPUT 0 -s 192.0.2.1 -d 10.0.0.1 -j ACCEPT
        ipv4 filter INPUT 900 -d 10.0.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
        ipv4 filter INPUT 1000 -d 10.0.0.1 -j REJECT
        ");
    }

    #[test]
    fn unrestricted_access_rejects_only_what_is_named() {
        let filter = filter(&[
            ("fw_restricted_access", "off"),
            ("fw_rejected_sources", "10.8.0.0/16"),
            ("fw_authorized_sources", "10.8.1.1"),
        ]);
        let access = access(&filter, &[], silent);
        let rules = rules(&[ip("10.0.0.1")], &[ip("10.0.0.2")], &access);
        insta::assert_snapshot!(text(&rules), @r"
        ipv4 filter FORWARD 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        ipv4 filter FORWARD 0 -s 10.8.1.1 -d 10.0.0.1 -j ACCEPT
        ipv4 filter FORWARD 800 -s 10.8.0.0/16 -d 10.0.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
        ipv4 filter FORWARD 900 -s 10.8.0.0/16 -d 10.0.0.1 -j REJECT
        ipv4 filter INPUT 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        ipv4 filter INPUT 0 -s 10.8.1.1 -d 10.0.0.1 -j ACCEPT
        ipv4 filter INPUT 800 -s 10.8.0.0/16 -d 10.0.0.1 -m state --state ESTABLISHED,RELATED -j REJECT
        ipv4 filter INPUT 900 -s 10.8.0.0/16 -d 10.0.0.1 -j REJECT
        ");
    }

    #[test]
    fn only_routed_addresses_count_each_once() {
        let mut partition = ComputerPartition::free("c".into(), "p".into());
        let entry = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
        partition.ip_list = vec![entry("eth0", "10.0.0.9"), entry("route_tap", "10.0.0.1")];
        let route = |address: &str| Route {
            interface: "route_tap".to_owned(),
            addr: address.parse().unwrap(),
            gateway: String::new(),
            netmask: String::new(),
            network: String::new(),
        };
        partition.full_ip_list = vec![route("10.0.0.1"), route("::1")];
        let own = routed(&partition);
        assert_eq!(own, [ip("10.0.0.1")]);
        let tree = [entry("x", "10.0.0.1"), entry("x", "10.0.0.2"), entry("y", "10.0.0.2")];
        assert_eq!(others(&tree, &own), [ip("10.0.0.2")]);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let own = [ip("10.0.0.1")];
        let wanted = rules(&own, &[ip("10.0.0.2")], &Access::Only(Vec::new()));
        let mut state = State { rules: wanted.clone(), ..State::default() };
        assert_eq!(changes(&state, &wanted, Some(&wanted), &own), []);
        let less = rules(&own, &[], &Access::Only(Vec::new()));
        let told = |changes: Vec<Change>| {
            changes.iter().map(|change| format!("{change}\n")).collect::<String>()
        };
        insta::assert_snapshot!(told(changes(&state, &less, Some(&wanted), &own)), @r"
        --remove-rule ipv4 filter FORWARD 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        --remove-rule ipv4 filter INPUT 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        ");
        // Without a record, as after the original: what looks like ours is, an administrator's
        // own rule and those about other addresses are not.
        state.rules.insert(Rule::new("INPUT", 0, "-s 10.0.0.2 -d 10.0.0.1 -p tcp -j ACCEPT"));
        state.rules.insert(Rule::new("INPUT", 0, "-s 10.0.0.2 -d 10.0.0.11 -j ACCEPT"));
        insta::assert_snapshot!(told(changes(&state, &less, None, &own)), @r"
        --remove-rule ipv4 filter FORWARD 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        --remove-rule ipv4 filter INPUT 0 -s 10.0.0.2 -d 10.0.0.1 -j ACCEPT
        ");
        // An address that was given up, and a new one.
        let moved = rules(&[ip("10.0.0.3")], &[], &Access::Only(Vec::new()));
        let all = changes(&state, &moved, Some(&wanted), &[ip("10.0.0.3")]);
        let added = all.iter().take_while(|change| matches!(change, Change::AddRule(_))).count();
        assert_eq!((added, all.len()), (4, 4 + wanted.len()));
    }
}
