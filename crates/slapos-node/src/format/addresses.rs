//! Which addresses, ranges and interfaces each partition has where the network is ours to alter.
//!
//! Pure. What a partition had it keeps as long as it can be had; else it gets what its number says
//! ([`super::ipv6`]), and only where that is taken something else, which follows from the computer's
//! name and is therefore the same each time it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use slapos_slap::{Address, Ipv6Range, PartitionDescription, TapDescription};

use super::interfaces;
use super::ipv4;
use super::ipv6::{self, Prefix, RangeOf};
use super::view::{FoundRoute, NetworkView};
use super::wanted::{NetworkWish, Survey, Wanted, single, too_few};
use crate::config::NodeConfig;
use crate::error::NodeError;

/// How many others are tried where what is a partition's own is taken, as in the original.
const TRIES: u32 = 10;
/// The shift with which others may be tried: with fewer bits they could be another partition's.
const ROOMY_SHIFT: u8 = 16;

/// Gives addresses to the partitions of one computer.
pub(super) struct Assigner<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) survey: &'a Survey,
    /// The interface with IPv6.
    interface: &'a str,
    /// Its addresses.
    prefixes: Vec<Prefix>,
    /// Given addresses, and to which partition.
    given: BTreeMap<IpAddr, usize>,
    /// Given ranges.
    ranges: BTreeSet<(Ipv6Addr, u8)>,
}

impl<'a> Assigner<'a> {
    /// # Errors
    /// When no interface is named, or it has no address to derive others from.
    pub(super) fn new(config: &'a NodeConfig, survey: &'a Survey) -> Result<Self, NodeError> {
        let interface = config.format.network.interface_with_ipv6().ok_or_else(|| {
            NodeError::user("`alter_network = true` needs an interface to put addresses on")
                .hint("name it in `interface_name` of [slapformat]")
        })?;
        let prefixes = survey.network.global_prefixes(interface);
        if !survey.network.interfaces.contains_key(interface) {
            return Err(NodeError::user(format!("there is no network interface {interface}"))
                .hint("name another in `interface_name` or `ipv6_interface` of [slapformat]"));
        }
        if prefixes.is_empty() {
            return Err(NodeError::user(format!(
                "no IPv6 address was found on {interface} that those of partitions could be derived from"
            ))
            .hint("give it a global one (re6st does), name another interface in `ipv6_interface`, or set `alter_network = false` in [slapformat]"));
        }
        let mut own = Self {
            config,
            survey,
            interface,
            prefixes,
            given: BTreeMap::new(),
            ranges: BTreeSet::new(),
        };
        own.reserve_what_is_kept();
        Ok(own)
    }

    /// Fills in addresses, ranges and interfaces, and what the network is to have for them.
    pub(super) fn assign(mut self, wanted: &mut Wanted) -> Result<(), NodeError> {
        let known = self.survey.known.computer.as_ref();
        let own = self.own_address();
        wanted.description.address = own.addr.to_string();
        wanted.description.netmask = own.netmask();
        if self.config.format.network.partition_has_ipv6_range {
            wanted.network.push(NetworkWish::NonlocalBind);
        }
        let before: Vec<_> =
            known.map(|known| known.partitions.iter().collect()).unwrap_or_default();
        for index in 0..wanted.description.partitions.len() {
            let before = before.get(index).copied();
            self.assign_partition(index, before, wanted)?;
        }
        Ok(())
    }

    /// The computer's own address: the one from before as long as it is there, because those of
    /// partitions, which are in the same network, may be lower.
    fn own_address(&self) -> Prefix {
        let known = self.survey.known.computer.as_ref();
        let before: Option<Ipv6Addr> = known.and_then(|known| known.address.parse().ok());
        let there = self.prefixes.iter().find(|prefix| Some(prefix.addr) == before);
        let others = self.prefixes.iter().filter(|own| !self.given.contains_key(&own.addr.into()));
        let others: Vec<_> = others.copied().collect();
        let found = there.copied().or_else(|| ipv6::base(&others, before));
        found.unwrap_or_else(|| self.base(before))
    }

    fn assign_partition(
        &mut self,
        index: usize,
        before: Option<&PartitionDescription>,
        wanted: &mut Wanted,
    ) -> Result<(), NodeError> {
        let mut partition = wanted.description.partitions[index].clone();
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        interfaces::assign(self, number, before, &mut partition, wanted)?;
        partition.addresses = vec![
            self.ipv4(number, before, &partition, wanted)?,
            self.ipv6(number, before, &partition, wanted)?,
        ];
        if self.config.format.network.partition_has_ipv6_range {
            partition.ipv6_range = Some(self.own_range(number, before, &partition, wanted)?);
        }
        wanted.description.partitions[index] = partition;
        Ok(())
    }

    /// The prefix that addresses are derived from.
    pub(super) fn base(&self, preferred: Option<Ipv6Addr>) -> Prefix {
        let none = Prefix { addr: Ipv6Addr::LOCALHOST, len: 128 };
        ipv6::base(&self.prefixes, preferred).unwrap_or(none)
    }

    /// Whether the computer's networks have `addr`: else it came from another provider.
    pub(super) fn is_ours(&self, addr: Ipv6Addr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(addr))
    }

    pub(super) fn view(&self) -> &'a NetworkView {
        &self.survey.network
    }

    /// What partitions have already is nobody else's, whatever their order.
    fn reserve_what_is_kept(&mut self) {
        let survey = self.survey;
        for (index, partition) in
            survey.known.computer.iter().flat_map(|known| known.partitions.iter().enumerate())
        {
            for address in &partition.addresses {
                self.given.entry(address.addr).or_insert(index);
            }
            let tap =
                super::wanted::prefix_of(&partition.tap.ipv6_addr, &partition.tap.ipv6_netmask);
            let range = partition.ipv6_range.as_ref().and_then(range_prefix);
            self.ranges.extend([tap, range].into_iter().flatten().map(key));
        }
    }

    fn ipv4(
        &mut self,
        index: u32,
        before: Option<&PartitionDescription>,
        partition: &PartitionDescription,
        wanted: &mut Wanted,
    ) -> Result<Address, NodeError> {
        let network = self.config.format.ipv4_local_network;
        let interface = self.config.format.network.interface_name.as_deref();
        let kept = before.and_then(|before| {
            before.addresses.iter().map(|address| address.addr).find(IpAddr::is_ipv4)
        });
        // Those of loopback are from before an interface was named.
        let kept = kept.filter(|addr| network.is_loopback() || !addr.is_loopback());
        let addr = self.choose_ipv4(interface.unwrap_or_default(), kept, index)?;
        self.given.insert(addr, index as usize);
        warn_of_change(kept, addr, partition, wanted);
        if !addr.is_loopback() {
            let interface = interface.ok_or_else(|| {
                NodeError::user(format!("no interface is named for the addresses of {network}"))
                    .hint("name it in `interface_name` of [slapformat]")
            })?;
            let of = partition.reference.to_string();
            let interface = interface.to_owned();
            let (len, routed_apart) = (32, false);
            wanted.network.push(NetworkWish::Address { interface, addr, len, routed_apart, of });
        }
        Ok(single(addr))
    }

    /// The address from before, or one of the local network.
    fn choose_ipv4(
        &self,
        interface: &str,
        kept: Option<IpAddr>,
        index: u32,
    ) -> Result<IpAddr, NodeError> {
        let network = self.config.format.ipv4_local_network;
        let usable = |addr: &IpAddr| self.is_free(interface, *addr, index);
        let found = match kept.filter(usable) {
            Some(addr) => Some(addr),
            None if network.is_loopback() => network.host(index).map(IpAddr::V4),
            None => ipv4::candidates(network, self.config.computer_id.as_str(), index)
                .map(IpAddr::V4)
                .find(usable),
        };
        found.ok_or_else(|| too_few(self.config, index))
    }

    fn ipv6(
        &mut self,
        index: u32,
        before: Option<&PartitionDescription>,
        partition: &PartitionDescription,
        wanted: &mut Wanted,
    ) -> Result<Address, NodeError> {
        let kept = before.and_then(|before| {
            before.addresses.iter().find_map(|address| match address.addr {
                IpAddr::V6(addr) if ipv6::is_global_scope(addr) => Some(addr),
                _ => None,
            })
        });
        let base = self.base(kept);
        let prefix = match kept.and_then(|addr| self.kept_address(addr, base, index)) {
            Some(prefix) => prefix,
            None => Prefix { addr: self.new_address(base, index, partition)?, len: base.len },
        };
        let addr = IpAddr::V6(prefix.addr);
        self.given.entry(addr).or_insert(index as usize);
        warn_of_change(kept.map(IpAddr::V6), addr, partition, wanted);
        wanted.network.push(NetworkWish::Address {
            interface: self.interface.to_owned(),
            addr,
            len: prefix.len,
            routed_apart: false,
            of: partition.reference.to_string(),
        });
        Ok(Address { addr, netmask: prefix.netmask() })
    }

    /// The address from before, if it can be had; as long as it is on the interface, with the
    /// mask that it has there.
    fn kept_address(&self, addr: Ipv6Addr, base: Prefix, index: u32) -> Option<Prefix> {
        if !self.is_free(self.interface, addr.into(), index) {
            return None;
        }
        match self.view().on(self.interface, addr.into()) {
            Some(found) => Some(Prefix { addr, len: found.len }),
            None => base.contains(addr).then_some(Prefix { addr, len: base.len }),
        }
    }

    fn new_address(
        &self,
        base: Prefix,
        index: u32,
        partition: &PartitionDescription,
    ) -> Result<Ipv6Addr, NodeError> {
        let own = base.partition_address(index);
        // In a small network several partitions have one address.
        let shared = base.len > 126 || u64::from(index) + 2 >= 1 << (128 - base.len).min(33);
        let taken = |addr: Ipv6Addr| !self.is_free(self.interface, addr.into(), index);
        if !taken(own) || (shared && !self.is_somewhere_else(self.interface, own.into())) {
            return Ok(own);
        }
        self.others(index, "address")
            .map(|number| base.other_address(number))
            .find(|addr| !taken(*addr))
            .ok_or_else(|| all_taken(self.config, partition, &own.to_string()))
    }

    /// The range of the partition itself, which this machine takes for its own as a whole.
    fn own_range(
        &mut self,
        index: u32,
        before: Option<&PartitionDescription>,
        partition: &PartitionDescription,
        wanted: &mut Wanted,
    ) -> Result<Ipv6Range, NodeError> {
        let kept = before.and_then(|before| before.ipv6_range.as_ref()).and_then(range_prefix);
        let prefix = match kept.filter(|range| self.is_ours(range.addr)) {
            Some(prefix) => prefix,
            None => self.new_range(RangeOf::Partition, index, partition)?,
        };
        let route = FoundRoute {
            destination: prefix.network().into(),
            len: prefix.len,
            interface: "lo".to_owned(),
            via: None,
            local: true,
        };
        wanted.network.push(NetworkWish::Route { route, of: partition.reference.to_string() });
        Ok(Ipv6Range {
            addr: prefix.addr.to_string(),
            netmask: prefix.netmask(),
            network: prefix.to_string(),
            prefixlen: prefix.len,
        })
    }

    /// A range that nobody has; it is given from then on.
    pub(super) fn new_range(
        &mut self,
        of: RangeOf,
        index: u32,
        partition: &PartitionDescription,
    ) -> Result<Prefix, NodeError> {
        let base = self.base(None);
        let too_small = |error: ipv6::TooSmall| {
            NodeError::user(format!(
                "{base} on {} is too small for ranges of partitions: they would be /{}",
                self.interface, error.len
            ))
            .hint("lower `ipv6_prefixshift`, or set `partition_has_ipv6_range`, `tap_ipv6` and `tun_ipv6` to false in [slapformat]")
        };
        let shift = self.config.format.network.ipv6_prefixshift;
        let own = base.range(of, index, shift).map_err(too_small)?;
        let mut found = (!self.ranges.contains(&key(own))).then_some(own);
        if found.is_none() {
            for number in self.others(index, of.word()) {
                let other = base.other_range(of, number).map_err(too_small)?;
                if !self.ranges.contains(&key(other)) {
                    found = Some(other);
                    break;
                }
            }
        }
        let range = found.ok_or_else(|| all_taken(self.config, partition, &own.to_string()))?;
        self.ranges.insert(key(range));
        Ok(range)
    }

    /// What may be tried instead of a partition's own, between 1 and 65,000.
    fn others(&self, index: u32, what: &str) -> impl Iterator<Item = u16> + use<> {
        let name = format!("{} {what} {index}", self.config.computer_id);
        let roomy = self.config.format.network.ipv6_prefixshift == ROOMY_SHIFT;
        let tries = if roomy { TRIES } else { 0 };
        (0..tries).map(move |attempt| {
            let number = ipv4::hash(format!("{name} {attempt}").as_bytes()) % 65_000 + 1;
            u16::try_from(number).unwrap_or(1)
        })
    }

    /// Whether partition number `index` can have `addr` on `interface`.
    fn is_free(&self, interface: &str, addr: IpAddr, index: u32) -> bool {
        let other = self.given.get(&addr).is_some_and(|owner| *owner != index as usize);
        !other && !self.is_somewhere_else(interface, addr)
    }

    /// Whether another machine or another interface has the address.
    pub(super) fn is_somewhere_else(&self, interface: &str, addr: IpAddr) -> bool {
        self.survey.refused.contains(&addr) || self.view().elsewhere(interface, addr).is_some()
    }
}

impl RangeOf {
    fn word(self) -> &'static str {
        match self {
            Self::Partition => "range",
            Self::Tap => "tap",
            Self::Tun => "tun",
        }
    }
}

/// Who wrote down what a partition had must know that it has something else.
fn warn_of_change(
    before: Option<IpAddr>,
    now: IpAddr,
    partition: &PartitionDescription,
    wanted: &mut Wanted,
) {
    if let Some(before) = before.filter(|before| *before != now) {
        let reference = &partition.reference;
        let text = format!("{reference} had {before}, which it cannot have here; it gets {now}");
        wanted.warnings.push(text);
    }
}

/// Ranges are equal when their networks are, wherever in it their address is.
fn key(range: Prefix) -> (Ipv6Addr, u8) {
    (range.network(), range.len)
}

fn range_prefix(range: &Ipv6Range) -> Option<Prefix> {
    let addr = range.addr.parse().ok()?;
    (range.prefixlen <= 128).then_some(Prefix { addr, len: range.prefixlen })
}

fn all_taken(config: &NodeConfig, partition: &PartitionDescription, own: &str) -> NodeError {
    let shift = config.format.network.ipv6_prefixshift;
    let error = NodeError::user(format!("{own}, meant for {}, is taken", partition.reference));
    match shift {
        ROOMY_SHIFT => error.hint("the others that were tried are taken too: give back what uses them"),
        _ => error.hint(format!("with `ipv6_prefixshift = {shift}` there are no others to try: give back what uses it, or set it to {ROOMY_SHIFT}")),
    }
}

/// The addresses that a tap or tun interface has, none yet.
pub(super) fn nameless(name: String) -> TapDescription {
    TapDescription { name, ..TapDescription::default() }
}
