//! The tap and tun interface of a partition: who may open it, its addresses, its routes.
//!
//! Pure, as [`super::addresses`], of which this is a part. A tap interface belongs to whom the
//! partition runs (a virtual machine), which has the first addresses of its range; the host keeps
//! the last one and routes the range through that machine.

use std::net::{IpAddr, Ipv4Addr};

use slapos_slap::{PartitionDescription, TapDescription};

use super::addresses::{Assigner, nameless};
use super::ipv4::{self, Prefix4};
use super::ipv6::{Prefix, RangeOf};
use super::view::FoundRoute;
use super::wanted::{NetworkWish, Wanted, prefix_of};
use crate::error::NodeError;

/// What is told of a tap's range is this much smaller than the computer's, whatever
/// `ipv6_prefixshift` is (as in the original), unless that makes it larger than the range.
const TOLD_SHIFT: u8 = 16;

/// Gives `partition`, number `index`, its interfaces.
///
/// # Errors
/// When there is no address left for one.
pub(super) fn assign(
    own: &mut Assigner<'_>,
    index: u32,
    before: Option<&PartitionDescription>,
    partition: &mut PartitionDescription,
    wanted: &mut Wanted,
) -> Result<(), NodeError> {
    let network = &own.config.format.network;
    let name = || format!("{}{index}", network.tap_base_name);
    let kept = before.map(|before| before.tap.clone()).filter(|tap| !tap.name.is_empty());
    partition.tap = kept.unwrap_or_else(|| nameless(name()));
    check_length(&partition.tap.name)?;
    if network.create_tap.unwrap_or(true) {
        push_interface(partition, "tap", &partition.tap.name, wanted);
        tap_ipv4(own, partition, wanted)?;
        tap_ipv6(own, index, partition, wanted)?;
    }
    let kept = before.and_then(|before| before.tun.clone());
    if kept.is_some() || network.create_tun == Some(true) {
        let tun = kept.unwrap_or_else(|| nameless(format!("slaptun{index}")));
        push_interface(partition, "tun", &tun.name, wanted);
        partition.tun = Some(tun_addresses(own, index, tun, partition, wanted)?);
    }
    Ok(())
}

fn check_length(name: &str) -> Result<(), NodeError> {
    if name.len() <= 15 {
        return Ok(());
    }
    Err(NodeError::user(format!(
        "the kernel takes no interface of the name {name}: it is too long"
    ))
    .hint("shorten `tap_base_name` in [slapformat]"))
}

fn push_interface(
    partition: &PartitionDescription,
    mode: &'static str,
    name: &str,
    wanted: &mut Wanted,
) {
    wanted.network.push(NetworkWish::Interface {
        name: name.to_owned(),
        mode,
        owner: partition.user.name.clone(),
        of: partition.reference.to_string(),
    });
}

/// An address out of the network of `tap_gateway_interface`, whose host is then the gateway.
fn tap_ipv4(
    own: &mut Assigner<'_>,
    partition: &mut PartitionDescription,
    wanted: &mut Wanted,
) -> Result<(), NodeError> {
    let tap = &mut partition.tap;
    let kept: Option<Ipv4Addr> = tap.ipv4_addr.parse().ok();
    for text in
        [&mut tap.ipv4_addr, &mut tap.ipv4_netmask, &mut tap.ipv4_gateway, &mut tap.ipv4_network]
    {
        text.clear();
    }
    let Some(interface) = &own.config.format.network.tap_gateway_interface else { return Ok(()) };
    let gateway = own.view().first_ipv4(interface).ok_or_else(|| {
        NodeError::user(format!("there is no IPv4 address on {interface} to be a gateway")).hint(
            "give it one, or name another interface in `tap_gateway_interface` of [slapformat]",
        )
    })?;
    let kept = kept.filter(|addr| gateway.contains(*addr) && *addr != gateway.addr);
    let addr = match kept {
        Some(addr) => addr,
        None => next_tap_address(own, gateway, wanted).ok_or_else(|| {
            NodeError::user(format!("the network of {interface} has too few addresses for taps"))
                .hint("widen it, or name another interface in `tap_gateway_interface` of [slapformat]")
        })?,
    };
    tap.ipv4_addr = addr.to_string();
    tap.ipv4_netmask = gateway.netmask().to_string();
    tap.ipv4_gateway = gateway.addr.to_string();
    tap.ipv4_network = gateway.network().to_string();
    let interface = tap.name.clone();
    push_route(partition, addr.into(), 32, &interface, None, wanted);
    Ok(())
}

/// The first address that no tap has or had.
fn next_tap_address(own: &Assigner<'_>, gateway: Prefix4, wanted: &Wanted) -> Option<Ipv4Addr> {
    let known = own.survey.known.computer.iter().flat_map(|known| &known.partitions);
    let taken: std::collections::BTreeSet<Ipv4Addr> = known
        .chain(&wanted.description.partitions)
        .filter_map(|partition| partition.tap.ipv4_addr.parse().ok())
        .collect();
    gateway.others().find(|addr| !taken.contains(addr))
}

/// A range of which the tap has the last address and whoever uses the tap the others.
fn tap_ipv6(
    own: &mut Assigner<'_>,
    index: u32,
    partition: &mut PartitionDescription,
    wanted: &mut Wanted,
) -> Result<(), NodeError> {
    if !own.config.format.network.tap_ipv6 {
        forget_ipv6(&mut partition.tap);
        return Ok(());
    }
    let prefix = match kept_range(own, &partition.tap) {
        Some(prefix) => prefix,
        None => own.new_range(RangeOf::Tap, index, partition)?,
    };
    let shift = own.config.format.network.ipv6_prefixshift.max(TOLD_SHIFT);
    let told_len = own.base(None).len.saturating_add(shift).min(128);
    let told = Prefix { addr: prefix.addr, len: told_len };
    let gateway = told.first_host();
    let tap = &mut partition.tap;
    tap.ipv6_addr = prefix.addr.to_string();
    tap.ipv6_netmask = prefix.netmask();
    tap.ipv6_gateway = gateway.to_string();
    tap.ipv6_network = format!("{gateway}/{told_len}");
    let interface = tap.name.clone();
    push_address(partition, &interface, (prefix.addr.into(), prefix.len), true, wanted);
    let gateway = IpAddr::V6(gateway);
    push_route(partition, gateway, 128, &interface, None, wanted);
    push_route(partition, told.network().into(), told_len, &interface, Some(gateway), wanted);
    Ok(())
}

fn forget_ipv6(tap: &mut TapDescription) {
    (tap.ipv6_addr, tap.ipv6_netmask) = Default::default();
    (tap.ipv6_gateway, tap.ipv6_network) = Default::default();
}

/// The range from before, if it is still of a network of this computer and nobody else has it. Very
/// old ones are one address only.
fn kept_range(own: &Assigner<'_>, tap: &TapDescription) -> Option<Prefix> {
    let kept = prefix_of(&tap.ipv6_addr, &tap.ipv6_netmask)?;
    let shift = own.config.format.network.ipv6_prefixshift;
    let there = own.view().on(&tap.name, kept.addr.into()).is_some_and(|on| on.len == kept.len);
    let fits = there || kept.len == 128 || kept.len == own.base(None).len.saturating_add(shift);
    let free = own.is_ours(kept.addr) && !own.is_somewhere_else(&tap.name, kept.addr.into());
    (fits && free).then_some(kept)
}

fn tun_addresses(
    own: &mut Assigner<'_>,
    index: u32,
    mut tun: TapDescription,
    partition: &PartitionDescription,
    wanted: &mut Wanted,
) -> Result<TapDescription, NodeError> {
    let v4 = match tun_prefix(&tun) {
        Some(kept) => kept,
        None => new_tun_prefix(own, index, wanted)?,
    };
    tun.ipv4_addr = v4.addr.to_string();
    tun.ipv4_netmask = v4.netmask().to_string();
    tun.ipv4_network = format!("{}/{}", v4.addr, v4.netmask());
    push_address(partition, &tun.name, (v4.addr.into(), v4.len), false, wanted);
    let kept = prefix_of(&tun.ipv6_addr, &tun.ipv6_netmask).filter(|kept| own.is_ours(kept.addr));
    let v6 = match kept {
        Some(kept) => Some(kept),
        None if own.config.format.network.tun_ipv6 => {
            Some(own.new_range(RangeOf::Tun, index, partition)?)
        }
        None => None,
    };
    forget_ipv6(&mut tun);
    if let Some(v6) = v6 {
        let addr = v6.first_host();
        tun.ipv6_addr = addr.to_string();
        tun.ipv6_netmask = v6.netmask();
        tun.ipv6_network = format!("{addr}/{}", v6.len);
        push_address(partition, &tun.name, (addr.into(), v6.len), false, wanted);
    }
    Ok(tun)
}

fn new_tun_prefix(own: &Assigner<'_>, index: u32, wanted: &Wanted) -> Result<Prefix4, NodeError> {
    let amount = own.config.format.partition_amount;
    let known = own.survey.known.computer.iter().flat_map(|known| &known.partitions);
    let partitions = known.chain(&wanted.description.partitions);
    let kept: Vec<_> = partitions.filter_map(|p| tun_prefix(p.tun.as_ref()?)).collect();
    ipv4::tun(index, amount, &kept).ok_or_else(|| {
        NodeError::user(format!("172.16.0.0/12 cannot be divided among {amount} tun interfaces"))
            .hint("lower partition_amount, or set `create_tun = false` in [slapformat]")
    })
}

fn tun_prefix(tun: &TapDescription) -> Option<Prefix4> {
    let len = ipv4::len_of_netmask(&tun.ipv4_netmask)?;
    Some(Prefix4 { addr: tun.ipv4_addr.parse().ok()?, len })
}

fn push_address(
    partition: &PartitionDescription,
    interface: &str,
    (addr, len): (IpAddr, u8),
    routed_apart: bool,
    wanted: &mut Wanted,
) {
    wanted.network.push(NetworkWish::Address {
        interface: interface.to_owned(),
        addr,
        len,
        routed_apart,
        of: partition.reference.to_string(),
    });
}

fn push_route(
    partition: &PartitionDescription,
    destination: IpAddr,
    len: u8,
    interface: &str,
    via: Option<IpAddr>,
    wanted: &mut Wanted,
) {
    let interface = interface.to_owned();
    let route = FoundRoute { destination, len, interface, via, local: false };
    wanted.network.push(NetworkWish::Route { route, of: partition.reference.to_string() });
}
