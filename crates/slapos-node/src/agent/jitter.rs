//! Times that are not all the same: thousands of nodes must not ask one Master at one moment.

use std::time::Duration;

/// Numbers that look random; the same seed gives the same ones.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that other agents do not have.
    pub(super) fn seed() -> u64 {
        let hex = slapos_sys::random::hex(8).unwrap_or_default();
        u64::from_str_radix(&hex, 16).unwrap_or_else(|_| u64::from(std::process::id()))
    }

    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Something from zero to `most`.
    pub(super) fn below(&mut self, most: Duration) -> Duration {
        let part = u32::try_from(self.next() >> 48).unwrap_or(0);
        most / 0xffff * part
    }

    /// A tenth more or less than `time`.
    pub(super) fn about(&mut self, time: Duration) -> Duration {
        time - time / 10 + self.below(time / 5)
    }
}

/// How long to wait after a number of failures in a row: twice as long each time.
pub(super) fn backoff(first: Duration, failures: u32, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_is_near_and_not_always_the_same() {
        let mut jitter = Jitter::new(7);
        let minute = Duration::from_secs(60);
        let times: Vec<_> = (0..1000).map(|_| jitter.about(minute)).collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!((54..55).contains(&least.as_secs()), "{least:?}");
        assert!((65..=66).contains(&most.as_secs()), "{most:?}");
        assert_eq!(jitter.below(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn failures_double_the_wait_up_to_the_most() {
        let second = Duration::from_secs(1);
        let wait = |failures| backoff(second, failures, second * 60).as_secs();
        assert_eq!([0, 1, 2, 5, 6, 31, 32, u32::MAX].map(wait), [1, 2, 4, 32, 60, 60, 60, 60]);
    }
}
