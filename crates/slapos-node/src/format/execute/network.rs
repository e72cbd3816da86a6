//! Changes of the network, each one run of `ip`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{IoContext, NodeError};
use crate::format::plan::{FormatPlan, FormatStep, NetworkStep};
use crate::format::view::{NONLOCAL_BIND, interfaces, ip};

/// How long the kernel may take to ask other machines whether one of them has an address.
const PROBING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Carries out one step. What is there already, because another run was quicker, is no error.
pub(super) fn step(step: &NetworkStep) -> Result<(), NodeError> {
    match step {
        NetworkStep::CreateInterface { name, mode, owner } => {
            tolerant(&["tuntap", "add", "dev", name, "mode", mode, "user", owner])?;
            ip(&["link", "set", name, "up"]).map(drop)
        }
        NetworkStep::SetUp { name } => ip(&["link", "set", name, "up"]).map(drop),
        NetworkStep::AddAddress { interface, addr, len, routed_apart, .. } => {
            let address = format!("{addr}/{len}");
            let mut words = vec!["addr", "add", &address, "dev", interface];
            words.extend(routed_apart.then_some("noprefixroute"));
            tolerant(&words)
        }
        NetworkStep::RemoveRoute { destination, len, interface } => {
            let network = format!("{destination}/{len}");
            ip(&[family(*destination), "route", "del", &network, "dev", interface]).map(drop)
        }
        NetworkStep::AddRoute { destination, len, interface, via, local, .. } => {
            let network = format!("{destination}/{len}");
            let mut words = vec![family(*destination), "route", "add"];
            words.extend(local.then_some("local"));
            words.extend([network.as_str(), "dev", interface]);
            let via = via.map(|via| via.to_string());
            words.extend(via.iter().flat_map(|via| ["via", via.as_str()]));
            tolerant(&words)
        }
        NetworkStep::AllowNonlocalBind => {
            let path = Path::new(NONLOCAL_BIND);
            let file = std::fs::OpenOptions::new().write(true).open(path);
            file.and_then(|mut file| file.write_all(b"1")).context("set", path)
        }
    }
}

fn family(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "-4" } else { "-6" }
}

fn tolerant(words: &[&str]) -> Result<(), NodeError> {
    match ip(words) {
        Err(error) if is_there_already(&error.to_string()) => Ok(()),
        other => other.map(drop),
    }
}

fn is_there_already(said: &str) -> bool {
    ["File exists", "already assigned"].iter().any(|words| said.contains(words))
}

/// Of the addresses that `plan` added, those that another machine has: they are taken away again.
/// Waits until the kernel knows. Taps are routed by this machine alone, and are not asked about.
///
/// # Errors
/// When the network cannot be looked at any more, or an address not be removed.
pub(in crate::format) fn remove_duplicates(
    plan: &FormatPlan,
) -> Result<BTreeSet<IpAddr>, NodeError> {
    let added = plan.steps.iter().filter_map(|step| match step {
        FormatStep::Network(NetworkStep::AddAddress {
            interface, addr, len, routed_apart, ..
        }) if addr.is_ipv6() && !routed_apart => Some((interface.as_str(), *addr, *len)),
        _ => None,
    });
    let added: Vec<_> = added.collect();
    let mut duplicates = BTreeSet::new();
    if added.is_empty() {
        return Ok(duplicates);
    }
    let deadline = Instant::now() + PROBING;
    loop {
        let (waiting, found) = probe(&added)?;
        // Where nothing is plugged in the kernel never knows; the address is then as good as any.
        if waiting && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
            continue;
        }
        for (name, addr, len) in found {
            ip(&["addr", "del", &format!("{addr}/{len}"), "dev", name])?;
            duplicates.insert(addr);
        }
        return Ok(duplicates);
    }
}

/// An address on an interface, and the length of its network.
type Added<'a> = (&'a str, IpAddr, u8);

/// Whether the kernel still asks about one of the addresses, and which of them are another's.
fn probe<'a>(added: &[Added<'a>]) -> Result<(bool, Vec<Added<'a>>), NodeError> {
    let interfaces = interfaces()?;
    let (mut waiting, mut found) = (false, Vec::new());
    for (name, addr, len) in added {
        let on = interfaces.get(*name).into_iter().flat_map(|found| &found.addresses);
        for address in on.filter(|address| address.addr == *addr) {
            waiting |= address.tentative && !address.duplicate;
            if address.duplicate {
                found.push((*name, *addr, *len));
            }
        }
    }
    Ok((waiting, found))
}
