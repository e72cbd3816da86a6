//! What the network lacks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{FormatPlan, FormatStep, NetworkStep};
use crate::config::NodeConfig;
use crate::format::observe::Observed;
use crate::format::view::{FoundRoute, NetworkView};
use crate::format::wanted::{NetworkWish, Wanted};

/// Adds the steps that make the network have what is wanted of it. Interfaces of others that have
/// the name of ours are left alone, with a warning.
pub(super) fn plan(
    config: &NodeConfig,
    wanted: &Wanted,
    network: &NetworkView,
    observed: &Observed,
    plan: &mut FormatPlan,
) {
    for wish in &wanted.network {
        match wish {
            NetworkWish::Interface { name, mode, owner, of } => {
                let available = config.format.alter_user || observed.users.contains_key(owner);
                let owner = if available { owner } else { "root" };
                interface(network, (name, mode, owner, of), plan);
            }
            NetworkWish::Address { interface, addr, .. } => {
                if network.on(interface, *addr).is_none() {
                    push(plan, add_address(wish));
                }
            }
            NetworkWish::Route { route, of } => add_route(network, route.clone(), of, plan),
            NetworkWish::NonlocalBind if !network.nonlocal_bind => {
                push(plan, Some(NetworkStep::AllowNonlocalBind));
            }
            NetworkWish::NonlocalBind => {}
        }
    }
    keep_steps_apart(plan);
}

fn add_address(wish: &NetworkWish) -> Option<NetworkStep> {
    let NetworkWish::Address { interface, addr, len, routed_apart, of } = wish.clone() else {
        return None;
    };
    Some(NetworkStep::AddAddress { interface, addr, len, routed_apart, of })
}

fn push(plan: &mut FormatPlan, step: Option<NetworkStep>) {
    plan.steps.extend(step.map(FormatStep::Network));
}

fn interface(
    network: &NetworkView,
    (name, mode, owner, of): (&str, &'static str, &str, &str),
    plan: &mut FormatPlan,
) {
    let Some(found) = network.interfaces.get(name) else {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        return push(plan, Some(NetworkStep::CreateInterface { name, mode, owner }));
    };
    let tuntap = found.tuntap.as_ref().filter(|tuntap| tuntap.mode == mode);
    let Some(tuntap) = tuntap else {
        plan.warnings
            .push(format!("{of}: interface {name} is no {mode} interface; it is left alone"));
        return;
    };
    let found_owner = tuntap.owner.as_deref().unwrap_or("everybody");
    if found_owner != owner {
        plan.warnings.push(format!(
            "{of}: {mode} interface {name} belongs to {found_owner}, not to {owner}; it is left alone"
        ));
    }
    if !found.up {
        push(plan, Some(NetworkStep::SetUp { name: name.to_owned() }));
    }
}

fn add_route(network: &NetworkView, route: FoundRoute, of: &str, plan: &mut FormatPlan) {
    if network.routes.contains(&route) {
        return;
    }
    let FoundRoute { destination, len, interface, via, local } = route;
    let same = |other: &&FoundRoute| {
        other.destination == destination && other.len == len && other.interface == interface
    };
    // The kernel would add the other way beside the former one.
    if !local && network.routes.iter().filter(|other| !other.local).any(|other| same(&other)) {
        let interface = interface.clone();
        push(plan, Some(NetworkStep::RemoveRoute { destination, len, interface }));
    }
    let of = of.to_owned();
    let step = NetworkStep::AddRoute { destination, len, interface, via, local, of };
    push(plan, Some(step));
}

/// Two partitions of a small network have one address: it is added once.
fn keep_steps_apart(plan: &mut FormatPlan) {
    let mut seen: BTreeSet<(String, IpAddr)> = BTreeSet::new();
    plan.steps.retain(|step| {
        let FormatStep::Network(NetworkStep::AddAddress { interface, addr, .. }) = step else {
            return true;
        };
        seen.insert((interface.clone(), *addr))
    });
}
