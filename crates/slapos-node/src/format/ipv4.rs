//! The arithmetic of IPv4 addresses: of partitions, of tap and of tun interfaces.
//!
//! Pure. The original draws partitions' addresses by lot; here they follow from the computer's name,
//! so that a plan is the same each time it is made, and two computers on one network still differ.

use std::net::Ipv4Addr;

use crate::config::Ipv4Network;

/// The network that tun interfaces share: 172.16.0.0/12.
const TUN_NETWORK: u32 = 0xac10_0000;
const TUN_PREFIX: u8 = 12;

/// An IPv4 address and the length of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix4 {
    /// Any address of the network.
    pub(super) addr: Ipv4Addr,
    /// At most 32.
    pub(super) len: u8,
}

impl Prefix4 {
    /// The network's first address.
    pub(super) fn network(self) -> Ipv4Addr {
        (u32::from(self.addr) & mask(self.len)).into()
    }

    /// The mask, such as `255.255.0.0`.
    pub(super) fn netmask(self) -> Ipv4Addr {
        mask(self.len).into()
    }

    /// Whether `addr` is in this network.
    pub(super) fn contains(self, addr: Ipv4Addr) -> bool {
        Self { addr, len: self.len }.network() == self.network()
    }

    /// Whether the two networks have an address in common.
    pub(super) fn meets(self, other: Prefix4) -> bool {
        let wider = self.len.min(other.len);
        Self { len: wider, ..self }.contains(other.addr)
    }

    /// The addresses that tap interfaces can have when this is their gateway's: those of the
    /// network but its own and the gateway's.
    pub(super) fn others(self) -> impl Iterator<Item = Ipv4Addr> {
        let first = u32::from(self.network());
        let last = first | !mask(self.len);
        (first..=last).skip(1).map(Ipv4Addr::from).filter(move |addr| *addr != self.addr)
    }
}

/// The candidates for the address of partition number `index`, best first; `name` is the computer's.
pub(super) fn candidates(
    network: Ipv4Network,
    name: &str,
    index: u32,
) -> impl Iterator<Item = Ipv4Addr> + use<> {
    // The first address is the network's own, the last one its broadcast address.
    let spare = u32::from(network.size() > 2);
    let usable = u32::try_from(network.size() - 2 * u64::from(spare)).unwrap_or(u32::MAX);
    let start = hash(name.as_bytes()) % usable;
    let base = u32::from(network.base());
    (0..usable).map(move |step| {
        let offset = (u64::from(start) + u64::from(index) + u64::from(step)) % u64::from(usable);
        let offset = u32::try_from(offset).unwrap_or(0);
        Ipv4Addr::from(base + spare + offset)
    })
}

/// The first address of the tun interface of partition number `index` of `amount`, in the share of
/// the network that is its own. Of `kept`, the networks of others, none may meet it; where that
/// cannot be, because they were given when there were fewer, it is the one of the original.
pub(super) fn tun(index: u32, amount: u32, kept: &[Prefix4]) -> Option<Prefix4> {
    let bits = u8::try_from(u32::BITS - amount.max(1).saturating_sub(1).leading_zeros()).ok()?;
    let len = TUN_PREFIX + bits;
    let share = |number: u32| {
        let first = TUN_NETWORK | (number << (32 - u32::from(len)));
        Prefix4 { addr: (first + 1).into(), len }
    };
    if len > 31 || index >= amount {
        return None;
    }
    let shares = 1_u32 << bits;
    let free = |candidate: &Prefix4| !kept.iter().any(|other| candidate.meets(*other));
    let own = (0..shares).map(|step| share((index + step) % shares)).find(free);
    Some(own.unwrap_or_else(|| share(index)))
}

/// A number that follows from `bytes` alone (FNV-1a).
pub(super) fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The length of a mask such as `255.255.0.0`; `None` for what is no mask.
pub(super) fn len_of_netmask(netmask: &str) -> Option<u8> {
    let bits = u32::from(netmask.parse::<Ipv4Addr>().ok()?);
    let len = u8::try_from(bits.leading_ones()).ok()?;
    (mask(len) == bits).then_some(len)
}

fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(prefix: Option<Prefix4>) -> String {
        prefix.map(|prefix| format!("{}/{}", prefix.addr, prefix.netmask())).unwrap_or_default()
    }

    #[test]
    fn tun_interfaces_share_the_network_as_in_the_original() {
        assert_eq!(text(tun(0, 1, &[])), "172.16.0.1/255.240.0.0");
        assert_eq!(text(tun(1, 2, &[])), "172.24.0.1/255.248.0.0");
        assert_eq!(text(tun(9, 10, &[])), "172.25.0.1/255.255.0.0");
        assert_eq!(text(tun(0, 10, &[])), "172.16.0.1/255.255.0.0");
        assert_eq!(tun(10, 10, &[]), None);
    }

    #[test]
    fn a_tun_interface_that_comes_later_avoids_the_others() {
        let kept: Vec<_> = (0..3).filter_map(|index| tun(index, 3, &[])).collect();
        // Number 4 of 8 would be within number 2 of 4.
        assert_eq!(text(tun(4, 5, &kept)), "172.28.0.1/255.254.0.0");
        let all: Vec<_> = (0..4).filter_map(|index| tun(index, 4, &[])).collect();
        assert_eq!(tun(4, 5, &all), tun(4, 5, &[]));
    }

    #[test]
    fn tap_interfaces_get_what_the_gateway_leaves() {
        let gateway = Prefix4 { addr: [10, 1, 0, 1].into(), len: 30 };
        let others: Vec<_> = gateway.others().map(|addr| addr.to_string()).collect();
        assert_eq!(others, ["10.1.0.2", "10.1.0.3"]);
        assert_eq!(len_of_netmask("255.255.255.252"), Some(30));
        assert_eq!(len_of_netmask("255.0.255.0"), None);
    }

    #[test]
    fn two_computers_begin_at_different_places() {
        let network: Ipv4Network = "10.0.0.0/16".parse().unwrap();
        let first = |name: &str| candidates(network, name, 0).next().unwrap();
        assert_eq!(first("COMP-1"), first("COMP-1"));
        assert_ne!(first("COMP-1"), first("COMP-2"));
        let tiny: Ipv4Network = "10.0.0.4/30".parse().unwrap();
        let mut all: Vec<_> = candidates(tiny, "c", 1).map(|addr| addr.to_string()).collect();
        all.sort();
        assert_eq!(all, ["10.0.0.5", "10.0.0.6"]);
    }

    proptest! {
        #[test]
        fn partitions_never_share_an_address(name in ".{0,9}", len in 16_u8..=32, one in 0_u32..99, two in 0_u32..99) {
            let network: Ipv4Network = format!("10.1.2.3/{len}").parse().unwrap();
            let first = |index| candidates(network, &name, index).next().unwrap();
            prop_assert!(network.contains(first(one)));
            if network.size() > 200 {
                prop_assert_eq!(first(one) == first(two), one == two);
            }
        }

        #[test]
        fn shares_do_not_meet(amount in 1_u32..500, one in 0_u32..500, two in 0_u32..500) {
            if let (Some(first), Some(second)) = (tun(one, amount, &[]), tun(two, amount, &[])) {
                prop_assert_eq!(first.meets(second), one == two);
            }
        }
    }
}
