//! How it is said that a generation was taken back, so that it can be read again from what the Master
//! was told: nothing else tells people who are not at the node.

/// Between the generation that failed and the one that is in place again.
const BACK: &str = " was taken back, generation ";
/// After the latter.
const AGAIN: &str = " restored";

/// That `failed` was taken back, and `number` is in place again.
pub(super) fn taken_back(failed: u32, number: u32) -> String {
    format!("generation {failed}{BACK}{number}{AGAIN}")
}

/// The generation that is in place and held, by the `message` of an instance's last report: the last
/// that was brought back, where one after the other was tried.
pub fn held_by(message: &str) -> Option<u32> {
    let (_, rest) = message.rsplit_once(BACK)?;
    let (number, _) = rest.split_once(AGAIN)?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_again() {
        assert_eq!(held_by(&format!("it failed; {}; but", taken_back(3, 2))), Some(2));
        let twice = format!("{}, {}", taken_back(3, 2), taken_back(3, 1));
        assert_eq!(held_by(&twice), Some(1));
        for other in ["", "it failed", "generation 1 was taken back", "generation x restored"] {
            assert_eq!(held_by(other), None, "{other}");
        }
    }
}
