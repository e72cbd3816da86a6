//! How it is said that a generation was taken back, so that it can be read again from what the Master
//! was told: nothing else tells people who are not at the node.

use crate::history::{History, Verdict, Wanted};

/// Between what was taken back and the generation that is in place again.
const BACK: &str = " was taken back, generation ";
/// After the latter.
const AGAIN: &str = " restored";
/// Between what is said one after the other.
const BESIDE: &str = "; ";

/// That `failed` was taken back, and `number` is in place again.
pub(super) fn taken_back(failed: u32, number: u32) -> String {
    said(&format!("generation {failed}"), number)
}

fn said(what: &str, number: u32) -> String {
    format!("{what}{BACK}{number}{AGAIN}")
}

/// What is said of the generation `number` of `history`, if it takes the place of the one that is there
/// now while `wanted` is wanted; and what was wrong with that. Nothing if it is what is wanted.
pub(super) fn instead(history: &History, number: u32, wanted: Option<&Wanted>) -> Option<String> {
    if history.get(number).map(|generation| &generation.wanted) == wanted {
        return None;
    }
    let Some(other) = history.current().filter(|current| current.number != number) else {
        return Some(said("what is wanted", number));
    };
    let text = taken_back(other.number, number);
    Some(match &other.verdict {
        Verdict::Broken(why) => format!("{why}{BESIDE}{text}"),
        Verdict::Untried | Verdict::Kept => text,
    })
}

/// The part of a `message` that says what was taken back: the last, where one after the other was tried.
pub(crate) fn taken_back_by(message: &str) -> Option<&str> {
    let back = message.rfind(BACK)?;
    let start = message[..back].rfind(BESIDE).map_or(0, |at| at + BESIDE.len());
    let end = back + message[back..].find(AGAIN)? + AGAIN.len();
    message.get(start..end)
}

/// The generation that is in place and held, by the `message` of an instance's last report: the last
/// that was brought back, where one after the other was tried.
pub fn held_by(message: &str) -> Option<u32> {
    let (_, number) = taken_back_by(message)?.rsplit_once(BACK)?;
    number.strip_suffix(AGAIN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use slapos_slap::SoftwareUrl;

    use super::*;
    use crate::history::made;

    #[test]
    fn what_is_said_is_read_again() {
        let told = format!("it failed; {}; but", taken_back(3, 2));
        assert_eq!(held_by(&told), Some(2));
        assert_eq!(
            taken_back_by(&told),
            Some("generation 3 was taken back, generation 2 restored")
        );
        let twice = format!("{}, {}", taken_back(3, 2), taken_back(3, 1));
        assert_eq!(held_by(&twice), Some(1));
        for other in ["", "it failed", "generation 1 was taken back", "generation x restored"] {
            assert_eq!(held_by(other), None, "{other}");
        }
        assert_eq!(held_by(&format!("x{BACK}y{AGAIN}")), None);
    }

    #[test]
    fn what_is_wanted_takes_nothing_back() {
        let mut history = History::default();
        for digest in ["a", "b"] {
            let next = made(history.next_number(), digest);
            history.deployed(next, 5);
        }
        let wanted = made(2, "b").wanted;
        let words = |history: &History, number| instead(history, number, Some(&wanted));
        assert_eq!(words(&history, 2), None);
        let text = words(&history, 1).unwrap();
        assert_eq!(text, "generation 2 was taken back, generation 1 restored");
        history.judged(Verdict::Broken("it broke".into()));
        assert_eq!(words(&history, 1).unwrap(), format!("it broke; {text}"));
        history.restored(1);
        assert_eq!(words(&history, 2), None, "there and back");
        assert_eq!(held_by(&words(&history, 1).unwrap()), Some(1));
        let other = Wanted { software: SoftwareUrl::new("/t.cfg"), ..wanted };
        assert!(instead(&history, 2, Some(&other)).is_some());
    }
}
