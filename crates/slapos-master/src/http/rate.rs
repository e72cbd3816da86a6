//! How often somebody may ask: token buckets, one for each caller, and for each address one for what
//! it asks as nobody and one for what it presents that is not valid.
//!
//! They protect the Master from programs that go wild and from whoever tries tokens; they are no
//! accounting, so that each Master has its own. The operator is not limited.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often: on the average for each second, and at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens of a full bucket.
    pub burst: f64,
}

/// Buckets that are remembered; beyond them the full ones are forgotten first.
const MOST: usize = 100_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn filled(self, rate: Rate, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed * rate.per_second).min(rate.burst)
    }
}

/// Buckets of one kind.
pub(super) struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Buckets<K> {
        Buckets { rate, buckets: Mutex::default() }
    }

    /// Whether there is a token.
    pub(super) fn has(&self, key: &K, now: Instant) -> bool {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get(key).is_none_or(|bucket| bucket.filled(self.rate, now) >= 1.0)
    }

    /// Takes one token, if there is one; else says after how many seconds there will be.
    pub(super) fn take(&self, key: K, now: Instant) -> Result<(), u64> {
        // Nothing that can panic is done under the lock.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { left: self.rate.burst, at: now };
        let left = buckets.get(&key).copied().unwrap_or(full).filled(self.rate, now);
        if left < 1.0 {
            return Err(seconds((1.0 - left) / self.rate.per_second));
        }
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            let rate = self.rate;
            buckets.retain(|_, bucket| bucket.filled(rate, now) < rate.burst);
            if buckets.len() >= MOST {
                // An attack from everywhere: nobody is remembered rather than memory used up.
                buckets.clear();
            }
        }
        buckets.insert(key, Bucket { left: left - 1.0, at: now });
        Ok(())
    }
}

/// Whole seconds, at least one and at most an hour.
fn seconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds.clamp(1.0, 3600.0).ceil())
        .map_or(3600, |wait| wait.as_secs())
}

/// Whose failures count together: an IPv4 address, or the /64 that one customer has of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets.iter_mut().skip(8).for_each(|octet| *octet = 0);
            IpAddr::V6(octets.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 3.0 };

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let buckets = Buckets::new(RATE);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(buckets.take("a", start), Ok(()));
        }
        assert_eq!(buckets.take("a", start), Err(1));
        assert!(!buckets.has(&"a", start) && buckets.has(&"b", start));
        assert_eq!(buckets.take("b", start), Ok(()), "others have their own");
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take("a", later), Ok(()));
        assert_eq!(buckets.take("a", later), Err(1));
        // A pause gives no more than a full bucket.
        let much_later = start + Duration::from_secs(1000);
        assert_eq!((0..10).filter(|_| buckets.take("a", much_later).is_ok()).count(), 3);
    }

    #[test]
    fn waiting_is_in_whole_seconds() {
        let slow = Buckets::new(Rate { per_second: 0.1, burst: 1.0 });
        let start = Instant::now();
        assert_eq!(slow.take(1, start), Ok(()));
        assert_eq!(slow.take(1, start), Err(10));
    }

    #[test]
    fn a_customer_of_ipv6_is_one() {
        let network = |text: &str| super::network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("10.1.2.3"), "10.1.2.3");
        assert_eq!(network("::ffff:10.1.2.3"), "10.1.2.3");
    }
}
