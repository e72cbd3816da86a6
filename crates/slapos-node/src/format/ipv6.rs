//! The arithmetic of IPv6 addresses and ranges, bit for bit the original's: a node that takes over
//! from it gives its partitions the same ones.
//!
//! Pure. Of a computer with the prefix `P/len`, partition number `i` has the address `P::(i + 2)`
//! and, within the `shift` bits after the prefix, three ranges in three quarters of their values:
//! its own, that of its tap and that of its tun interface. The first quarter is left to the machine.

use std::fmt;
use std::net::Ipv6Addr;

/// An address and how many of its first bits its network shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    /// Any address of the network.
    pub(super) addr: Ipv6Addr,
    /// At most 128.
    pub(super) len: u8,
}

/// What a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeOf {
    /// The partition itself.
    Partition,
    /// Its tap interface, which has the last address of the range.
    Tap,
    /// Its tun interface.
    Tun,
}

/// The computer's network is too small to be divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSmall {
    /// The length that ranges would have.
    pub(super) len: u32,
}

impl Prefix {
    /// The network's first address.
    pub(super) fn network(self) -> Ipv6Addr {
        (u128::from(self.addr) & mask(self.len)).into()
    }

    /// The address after the network's first one: the gateway of a range.
    pub(super) fn first_host(self) -> Ipv6Addr {
        (u128::from(self.network()) | 1).into()
    }

    /// Whether `addr` is in this network.
    pub(super) fn contains(self, addr: Ipv6Addr) -> bool {
        Self { addr, len: self.len }.network() == self.network()
    }

    /// The mask as text, such as `ffff:ffff::`.
    pub(super) fn netmask(self) -> String {
        Ipv6Addr::from(mask(self.len)).to_string()
    }

    /// The address of partition number `index`: the third one of the network for the first, because
    /// the first two are taken. Where there are not that many, it starts again.
    pub(super) fn partition_address(self, index: u32) -> Ipv6Addr {
        let hosts = !mask(self.len);
        let wanted = u128::from(index) + 2;
        let host = match hosts {
            _ if wanted <= hosts => wanted,
            0 | 1 => wanted & hosts,
            _ => u128::from(index) % (hosts - 1) + 2,
        };
        (u128::from(self.network()) | host).into()
    }

    /// The range of partition number `index`: for a tap its last address, else its first.
    ///
    /// # Errors
    /// When a range would hold no two addresses, or `shift` bits cannot number that many.
    pub(super) fn range(self, of: RangeOf, index: u32, shift: u8) -> Result<Prefix, TooSmall> {
        let quarter = match of {
            RangeOf::Partition => 1_u128,
            RangeOf::Tap => 2,
            RangeOf::Tun => 3,
        };
        let len = u32::from(self.len) + u32::from(shift);
        let number = (quarter << shift.saturating_sub(2)) + u128::from(index) + 1;
        if len >= 128 || shift < 2 || number >> shift != 0 {
            return Err(TooSmall { len });
        }
        Ok(self.numbered(number, of, shift))
    }

    /// One of the ranges that take the place of a partition's own when that is taken: `number` is
    /// between 1 and 65,000, and ranges are 16 bits smaller then.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub(super) fn other_range(self, of: RangeOf, number: u16) -> Result<Prefix, TooSmall> {
        let len = u32::from(self.len) + 16;
        if len >= 128 {
            return Err(TooSmall { len });
        }
        Ok(self.numbered(u128::from(number), of, 16))
    }

    /// One of the addresses that take the place of a partition's own when that is taken.
    pub(super) fn other_address(self, number: u16) -> Ipv6Addr {
        let low = u128::from(number) & !mask(self.len);
        let kept = !0xffff_u128 | mask(self.len);
        ((u128::from(self.addr) & kept) | low).into()
    }

    fn numbered(self, number: u128, of: RangeOf, shift: u8) -> Prefix {
        let len = self.len + shift;
        let first = u128::from(self.network()) | (number << (128 - u32::from(len)));
        let addr = if of == RangeOf::Tap { first | !mask(len) } else { first };
        Prefix { addr: addr.into(), len }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// A number with its first `len` bits set.
fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0)
}

/// How many bits a mask such as `ffff:ffff::` has; some write `ffff:ffff::/32`. `None` for what is
/// no mask.
pub(super) fn len_of_netmask(netmask: &str) -> Option<u8> {
    if let Some((_, len)) = netmask.split_once('/') {
        return len.parse().ok().filter(|len| *len <= 128);
    }
    let bits = u128::from(netmask.parse::<Ipv6Addr>().ok()?);
    let len = u8::try_from(bits.leading_ones()).ok()?;
    (mask(len) == bits).then_some(len)
}

/// Whether partitions can be reached under addresses like this one: neither reserved nor of one
/// machine or one link only. Unique local addresses can be.
pub(super) fn is_global_scope(addr: Ipv6Addr) -> bool {
    let first = addr.segments()[0];
    let global_unicast = first >> 13 == 0b001;
    let unique_local = first >> 9 == 0b111_1110;
    let site_local = first >> 6 == 0b11_1111_1011;
    global_unicast || unique_local || site_local
}

/// The prefix that a computer's partitions get their addresses from: the lowest of `addresses`
/// whose network has `preferred`, if one has; else the one with the largest network.
pub(super) fn base(addresses: &[Prefix], preferred: Option<Ipv6Addr>) -> Option<Prefix> {
    let near = preferred.and_then(|preferred| {
        addresses.iter().filter(|address| address.contains(preferred)).min_by_key(|a| a.addr)
    });
    near.or_else(|| addresses.iter().min_by_key(|address| (address.len, address.addr))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        let (addr, len) = text.split_once('/').unwrap();
        Prefix { addr: addr.parse().unwrap(), len: len.parse().unwrap() }
    }

    #[test]
    fn addresses_and_ranges_as_the_original_gives_them() {
        let base = prefix("2001:db8:1:2::1/64");
        assert_eq!(base.partition_address(0).to_string(), "2001:db8:1:2::2");
        assert_eq!(base.partition_address(254).to_string(), "2001:db8:1:2::100");
        let range = |of, index, shift| base.range(of, index, shift).unwrap().to_string();
        assert_eq!(range(RangeOf::Partition, 0, 16), "2001:db8:1:2:4001::/80");
        assert_eq!(range(RangeOf::Partition, 9, 16), "2001:db8:1:2:400a::/80");
        assert_eq!(range(RangeOf::Tap, 0, 16), "2001:db8:1:2:8001:ffff:ffff:ffff/80");
        assert_eq!(range(RangeOf::Tun, 0, 16), "2001:db8:1:2:c001::/80");
        assert_eq!(range(RangeOf::Partition, 0, 8), "2001:db8:1:2:4100::/72");
        let tap = base.range(RangeOf::Tap, 0, 16).unwrap();
        assert_eq!(tap.first_host().to_string(), "2001:db8:1:2:8001::1");
        assert_eq!(tap.netmask(), "ffff:ffff:ffff:ffff:ffff::");
    }

    /// Network, partition, shift; then what the original's own functions give for them: address,
    /// range, tap and tun. `-` where it refuses.
    #[test]
    fn the_original_gives_the_same() {
        for line in include_str!("ipv6_vectors.txt").lines() {
            let words: Vec<_> = line.split(' ').collect();
            let (base, index) = (prefix(words[0]), words[1].parse().unwrap());
            let shift = words[2].parse().unwrap();
            assert_eq!(base.partition_address(index).to_string(), words[3], "{line}");
            let kinds = [RangeOf::Partition, RangeOf::Tap, RangeOf::Tun];
            for (of, expected) in kinds.into_iter().zip(&words[4..]) {
                let range = base.range(of, index, shift).map(|range| range.to_string());
                assert_eq!(range.unwrap_or_else(|_| "-".to_owned()), *expected, "{line}");
            }
        }
    }

    #[test]
    fn small_networks_start_again_and_the_smallest_have_what_there_is() {
        let at = |text: &str, index| prefix(text).partition_address(index).to_string();
        // Two bits: of the addresses 0 to 3 the first two are taken.
        let round = [0, 1, 2, 3].map(|index| at("2001:db8::/126", index));
        assert_eq!(round, ["2001:db8::2", "2001:db8::3", "2001:db8::2", "2001:db8::3"]);
        assert_eq!([0, 1].map(|index| at("fd00::/127", index)), ["fd00::", "fd00::1"]);
        assert_eq!(at("2001:db8::7/128", 5), "2001:db8::7");
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let small = prefix("2001:db8::/112").range(RangeOf::Tap, 0, 16);
        assert_eq!(small, Err(TooSmall { len: 128 }));
        assert!(prefix("2001:db8::/111").range(RangeOf::Tap, 0, 16).is_ok());
        // Four ranges in four bits: the fourth would be numbered 16.
        let tun = |index| prefix("2001:db8::/64").range(RangeOf::Tun, index, 4);
        assert!(tun(2).is_ok() && tun(3).is_err());
        assert!(prefix("2001:db8::/112").other_range(RangeOf::Tun, 1).is_err());
    }

    #[test]
    fn masks() {
        for (text, len) in [("ffff:ffff::", 32), ("::", 0), ("ffff::/64", 64)] {
            assert_eq!(len_of_netmask(text), Some(len));
        }
        for wrong in ["ff00:ff::", "255.0.0.0", "", "ffff::/129"] {
            assert_eq!(len_of_netmask(wrong), None);
        }
        assert_eq!(len_of_netmask(&prefix("::/128").netmask()), Some(128));
    }

    #[test]
    fn scopes() {
        let global = |text: &str| is_global_scope(text.parse().unwrap());
        assert!(global("2001:db8::1") && global("3fff::1") && global("fd00::1"));
        for text in ["::1", "fe80::1", "ff02::1", "4000::1", "::ffff:10.0.0.1", "64:ff9b::1"] {
            assert!(!global(text), "{text}");
        }
    }

    #[test]
    fn the_base_is_near_the_former_address_or_else_the_largest() {
        let all = [prefix("2001:db8:2::2/64"), prefix("2001:db8:2::1/64"), prefix("fd00::1/48")];
        assert_eq!(base(&all, None), Some(all[2]));
        assert_eq!(base(&all, Some("2001:db8:2::99".parse().unwrap())), Some(all[1]));
        assert_eq!(base(&all, Some("2001:db8:9::99".parse().unwrap())), Some(all[2]));
        assert_eq!(base(&[], None), None);
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        (any::<u128>(), 0_u8..=128).prop_map(|(addr, len)| Prefix { addr: addr.into(), len })
    }

    proptest! {
        #[test]
        fn what_is_given_is_within_the_prefix(base in any_prefix(), index in 0_u32..10_000, number in 1_u16..=65_000) {
            prop_assert!(base.contains(base.partition_address(index)));
            prop_assert!(base.contains(base.other_address(number)));
            prop_assert!(base.contains(base.network()));
            prop_assert_eq!(len_of_netmask(&base.netmask()), Some(base.len));
            for of in [RangeOf::Partition, RangeOf::Tap, RangeOf::Tun] {
                if let Ok(range) = base.range(of, index, 16) {
                    prop_assert_eq!(range.len, base.len + 16);
                    prop_assert!(base.contains(range.addr) && base.contains(range.first_host()));
                }
            }
        }

        #[test]
        fn no_two_ranges_meet(base in any_prefix(), shift in 2_u8..=32, one in 0_u32..64, two in 0_u32..64) {
            let kinds = [RangeOf::Partition, RangeOf::Tap, RangeOf::Tun];
            let ranges = |index| kinds.map(|of| base.range(of, index, shift));
            if (1_u64 << shift) < 4 * 64 {
                return Ok(());
            }
            for (a, first) in ranges(one).into_iter().enumerate() {
                for (b, second) in ranges(two).into_iter().enumerate() {
                    if let (Ok(first), Ok(second)) = (first, second) {
                        let same = a == b && one == two;
                        prop_assert_eq!(first.network() == second.network(), same);
                    }
                }
            }
        }

        #[test]
        fn the_third_address_follows_the_second_where_there_is_room(base in any_prefix(), index in 0_u32..10_000) {
            let address = u128::from(base.partition_address(index)) - u128::from(base.network());
            if base.len <= 112 {
                prop_assert_eq!(address, u128::from(index) + 2);
            } else if base.len <= 126 {
                prop_assert!(address >= 2);
            }
        }
    }
}
