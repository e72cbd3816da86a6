//! Where a partition may connect to: `.slapos-whitelist-firewall` lists IPv4 addresses, and the
//! processes of its user reach no other (manager `whitelistfirewall`; needs `[firewall]`).
//!
//! The rules are a chain of firewalld of the partition's own, which what its user sends goes through.
//! A partition that takes the file away is free again, as in the original: it limits itself. That it
//! may have such rules is marked where partitions cannot write, before they are made; without the
//! mark firewalld is not asked.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use slapos_slap::PartitionId;
use slapos_sys::fs;

use super::Hook;
use super::firewalld::{Change, Firewalld, Rule, State};
use super::planted::{self, Planted};
use super::scene::{Member, Occasion, Scene};
use crate::error::{IoContext, NodeError};

const FILE: &str = ".slapos-whitelist-firewall";
/// What iptables takes for the name of a chain.
const LONGEST_CHAIN: usize = 28;

/// See the module.
pub(super) struct WhitelistFirewall {
    firewalld: Option<Firewalld>,
}

impl WhitelistFirewall {
    pub(super) fn new(firewalld: Option<Firewalld>) -> Self {
        Self { firewalld }
    }
}

impl Hook for WhitelistFirewall {
    fn name(&self) -> &'static str {
        "whitelistfirewall"
    }

    fn instance_tear_down(
        &self,
        scene: &Scene<'_, '_>,
        member: &Member<'_>,
    ) -> Result<(), NodeError> {
        let Some(firewalld) = &self.firewalld else {
            scene.warn(member, "manager whitelistfirewall does nothing without [firewall]");
            return Ok(());
        };
        if member.occasion == Occasion::Going {
            // As it is, until it is removed.
            return Ok(());
        }
        let mark = mark(scene, &member.partition.id);
        let wanted = match planted::list(scene, member, FILE)? {
            Planted::Bad => return Ok(()),
            Planted::Absent if !mark.exists() => return Ok(()),
            Planted::Absent => None,
            Planted::Said(entries) => Some(addresses(&entries, |entry| {
                scene.warn(member, &format!("{FILE}: {entry} is no IPv4 address"));
            })),
        };
        let uid = member.owner(scene)?.uid;
        let chain = chain_of(&member.partition.id)?;
        set(&mark)?;
        if firewalld.change(|state| changes(state, &chain, uid, wanted.as_deref()))? {
            let what = if wanted.is_some() { "changed" } else { "removed" };
            scene.note(member, &format!("whitelist of its firewall {what}"));
        }
        match wanted {
            Some(_) => Ok(()),
            None => unset(&mark),
        }
    }

    /// Also without the mark: the original leaves none, and what it made would limit the next
    /// instance.
    fn removed(&self, scene: &Scene<'_, '_>, partition: &PartitionId) -> Result<(), NodeError> {
        let Some(firewalld) = &self.firewalld else { return Ok(()) };
        if let Ok(chain) = chain_of(partition) {
            firewalld.change(|state| changes(state, &chain, 0, None))?;
        }
        unset(&mark(scene, partition))
    }

    fn end(&self, _: &Scene<'_, '_>) -> Result<(), NodeError> {
        let Some(firewalld) = &self.firewalld else { return Ok(()) };
        firewalld.reload_if_due(|| firewalld.reload()).map(drop)
    }
}

/// There while a partition may have rules.
fn mark(scene: &Scene<'_, '_>, partition: &PartitionId) -> PathBuf {
    scene.records("whitelistfirewall").join(partition.as_str())
}

fn set(mark: &Path) -> Result<(), NodeError> {
    if let Some(parent) = mark.parent() {
        fs::create_dir_all(parent, 0o700).context("create", parent)?;
    }
    fs::write_once(mark, b"", 0o600).map(drop).context("write", mark)
}

fn unset(mark: &Path) -> Result<(), NodeError> {
    fs::remove_tree(mark).context("remove", mark)
}

fn chain_of(partition: &PartitionId) -> Result<String, NodeError> {
    let chain = format!("{partition}-whitelist");
    match chain.len() <= LONGEST_CHAIN {
        true => Ok(chain),
        false => Err(NodeError::user(format!(
            "{chain} is too long for a chain of iptables, which has at most {LONGEST_CHAIN} characters"
        ))
        .hint("choose a shorter partition_base_name in [slapformat]")),
    }
}

/// The IPv4 addresses of the entries, each once; `warn` is called with the others.
fn addresses(entries: &[serde_json::Value], mut warn: impl FnMut(&str)) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for entry in entries {
        match entry.as_str().and_then(|text| text.parse().ok()) {
            Some(address) if !found.contains(&address) => found.push(address),
            Some(_) => {}
            None => warn(&entry.to_string()),
        }
    }
    found
}

/// What is to change so that the user `uid` reaches only `wanted`, or anything if that is none; a
/// pure function. The way into the chain is made last and removed first. Rejecting comes after all
/// that accepts, which firewalld warrants only for different priorities.
fn changes(state: &State, chain: &str, uid: u32, wanted: Option<&[Ipv4Addr]>) -> Vec<Change> {
    let leads_here =
        |rule: &&Rule| rule.chain == "OUTPUT" && rule.args.ends_with(&format!(" -j {chain}"));
    let entry = Rule::new("OUTPUT", 0, format!("-m owner --uid-owner {uid} -j {chain}"));
    let content: Vec<Rule> = wanted.map_or_else(Vec::new, |addresses| {
        let accept = |ip: &Ipv4Addr| Rule::new(chain, 0, format!("-d {ip} -j ACCEPT"));
        let reject = Rule::new(chain, 1, "-j REJECT");
        addresses.iter().map(accept).chain([reject]).collect()
    });
    let entries = state.rules.iter().filter(leads_here);
    let wrong = entries.filter(|rule| wanted.is_none() || **rule != entry);
    let mut changes: Vec<_> = wrong.cloned().map(Change::RemoveRule).collect();
    if wanted.is_some() && !state.chains.contains(chain) {
        changes.push(Change::AddChain(chain.to_owned()));
    }
    let missing = content.iter().filter(|rule| !state.rules.contains(rule));
    changes.extend(missing.cloned().map(Change::AddRule));
    let here = state.rules.iter().filter(|rule| rule.chain == chain);
    let stale = here.filter(|rule| !content.contains(rule));
    changes.extend(stale.cloned().map(Change::RemoveRule));
    match wanted {
        Some(_) if !state.rules.contains(&entry) => changes.push(Change::AddRule(entry)),
        None if state.chains.contains(chain) => {
            changes.push(Change::RemoveChain(chain.to_owned()));
        }
        _ => {}
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = "slappart0-whitelist";

    fn told(changes: &[Change]) -> String {
        changes.iter().map(|change| format!("{change}\n")).collect()
    }

    /// What there is after the changes.
    fn after(mut state: State, changes: &[Change]) -> State {
        for change in changes {
            match change.clone() {
                Change::AddChain(chain) => assert!(state.chains.insert(chain)),
                Change::AddRule(rule) => assert!(state.rules.insert(rule)),
                Change::RemoveRule(rule) => assert!(state.rules.remove(&rule)),
                Change::RemoveChain(chain) => assert!(state.chains.remove(&chain)),
            }
        }
        state
    }

    #[test]
    fn a_whitelist_comes_changes_and_goes() {
        let one = ["192.0.2.1".parse().unwrap()];
        let two = ["192.0.2.2".parse().unwrap()];
        let first = changes(&State::default(), CHAIN, 1001, Some(&one));
        insta::assert_snapshot!(told(&first), @r"
        --add-chain ipv4 filter slappart0-whitelist
        --add-rule ipv4 filter slappart0-whitelist 0 -d 192.0.2.1 -j ACCEPT
        --add-rule ipv4 filter slappart0-whitelist 1 -j REJECT
        --add-rule ipv4 filter OUTPUT 0 -m owner --uid-owner 1001 -j slappart0-whitelist
        ");
        let state = after(State::default(), &first);
        assert_eq!(changes(&state, CHAIN, 1001, Some(&one)), []);
        let second = changes(&state, CHAIN, 1001, Some(&two));
        insta::assert_snapshot!(told(&second), @r"
        --add-rule ipv4 filter slappart0-whitelist 0 -d 192.0.2.2 -j ACCEPT
        --remove-rule ipv4 filter slappart0-whitelist 0 -d 192.0.2.1 -j ACCEPT
        ");
        let state = after(state, &second);
        let last = changes(&state, CHAIN, 1001, None);
        insta::assert_snapshot!(told(&last), @r"
        --remove-rule ipv4 filter OUTPUT 0 -m owner --uid-owner 1001 -j slappart0-whitelist
        --remove-rule ipv4 filter slappart0-whitelist 0 -d 192.0.2.2 -j ACCEPT
        --remove-rule ipv4 filter slappart0-whitelist 1 -j REJECT
        --remove-chain ipv4 filter slappart0-whitelist
        ");
        let state = after(state, &last);
        assert!(state.rules.is_empty() && state.chains.is_empty());
    }

    #[test]
    fn the_user_that_had_the_partition_before_is_let_go() {
        let one = ["192.0.2.1".parse().unwrap()];
        let state = after(State::default(), &changes(&State::default(), CHAIN, 1, Some(&one)));
        insta::assert_snapshot!(told(&changes(&state, CHAIN, 2, Some(&one))), @r"
        --remove-rule ipv4 filter OUTPUT 0 -m owner --uid-owner 1 -j slappart0-whitelist
        --add-rule ipv4 filter OUTPUT 0 -m owner --uid-owner 2 -j slappart0-whitelist
        ");
    }

    #[test]
    fn only_ipv4_addresses_are_taken() {
        let entries =
            serde_json::json!(["1.2.3.4", "1.2.3.4", "::1", "1.2.3.4 -j ACCEPT", 5, null]);
        let mut warned = Vec::new();
        let found = addresses(entries.as_array().unwrap(), |word| warned.push(word.to_owned()));
        assert_eq!(found, ["1.2.3.4".parse::<Ipv4Addr>().unwrap()]);
        assert_eq!(warned, [r#""::1""#, r#""1.2.3.4 -j ACCEPT""#, "5", "null"]);
        assert!(chain_of(&"a".repeat(30).into()).is_err());
    }
}
