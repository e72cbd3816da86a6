//! The generations of one partition, as the node knows them: pure.

mod asked;
mod store;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use slapos_slap::{ComputerPartition, InstanceState, SoftwareUrl};
use slapos_sources::Digest;
use slapos_sys::clock::Timestamp;

pub use asked::Asked;
pub(crate) use asked::{Again, Requests, again, titles};
pub(crate) use store::Histories;

/// What the Master wanted, as far as it makes one deployment another one. Its timestamp does not: a
/// bang asks for the same once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The Software Release.
    pub software: SoftwareUrl,
    /// Names the build of it.
    pub software_stamp: String,
    /// Names what was asked for: its type, parameters, addresses and shared instances.
    pub wish: String,
    /// Started or stopped.
    pub state: InstanceState,
}

impl Wanted {
    /// What `partition` is to be, with the build of its Software Release that `stamp` names; `None`
    /// for a free partition.
    pub fn of(partition: &ComputerPartition, stamp: &str) -> Option<Self> {
        Some(Self {
            software: partition.software.clone()?,
            software_stamp: stamp.to_owned(),
            wish: wish_of(partition),
            state: partition.requested_state,
        })
    }
}

/// A hash of what was asked of the instance in `partition`: its type, its parameters, its addresses
/// and the shared instances in it.
pub(crate) fn wish_of(partition: &ComputerPartition) -> String {
    let parameters: BTreeMap<_, _> = partition.parameters.iter().collect();
    let wish = serde_json::json!([
        partition.software_type,
        parameters,
        partition.ip_list,
        partition.slave_instance_list,
    ]);
    Digest::sha256_of(wish.to_string().as_bytes()).hex()
}

/// What came of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its promises were not asked: it was made stopped, or the run ended before.
    Untried,
    /// Its promises were kept.
    Kept,
    /// Its promises were not kept, with what the first broken one said.
    Broken(String),
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Its number, from 1; never used again in this partition.
    pub number: u32,
    /// When it was made.
    pub made: Timestamp,
    /// Why the instance was processed.
    pub reason: String,
    /// What it was made from.
    pub wanted: Wanted,
    /// Names its content: hash of all that was captured.
    pub digest: String,
    /// What it published; `None` if an earlier version of this program made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<IndexMap<String, String>>,
    /// What it published for each of the shared instances in it, by their references.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, IndexMap<String, String>>,
    /// What it asked of other instances; `None` if an earlier version of this program made it, or it asked
    /// for more than is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<Asked>>,
    /// What came of it.
    pub verdict: Verdict,
}

/// All that are kept, oldest first, and which one is in place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Those that are kept.
    pub generations: Vec<Generation>,
    /// The number of the one in place; none before the first.
    pub current: Option<u32>,
    /// The one that is being brought back; if no run is at it, one was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restoring: Option<u32>,
    /// For as long as exactly this is wanted, what was brought back stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Wanted>,
    /// The highest number ever given.
    #[serde(default)]
    last: u32,
}

impl History {
    /// The number of the next generation.
    pub fn next_number(&self) -> u32 {
        self.last + 1
    }

    /// The generation `number`, if it is kept.
    pub fn get(&self, number: u32) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    /// The generation in place.
    pub fn current(&self) -> Option<&Generation> {
        self.get(self.current?)
    }

    /// Records that `generation` is in place. One whose content is that of the current one is the
    /// current one, made again: it keeps its number. At most `most` are kept: the oldest go, but
    /// never the one that would be gone back to.
    pub fn deployed(&mut self, generation: Generation, most: usize) {
        self.held = None;
        self.restoring = None;
        self.last = self.last.max(generation.number);
        let same = |current: &&mut Generation| current.digest == generation.digest;
        let current = self.current;
        let in_place = self.generations.iter_mut().find(|known| Some(known.number) == current);
        if let Some(known) = in_place.filter(same) {
            known.wanted = generation.wanted;
            known.connection = generation.connection;
            known.shared = generation.shared;
            known.requests = generation.requests;
        } else {
            self.current = Some(generation.number);
            self.generations.push(generation);
            self.trim(most);
        }
        asked::lighten(&mut self.generations);
    }

    fn trim(&mut self, most: usize) {
        let keep = [self.current, self.fallback().map(|generation| generation.number)];
        let excess = self.generations.len().saturating_sub(most.max(2));
        let mut left = excess;
        self.generations.retain(|generation| {
            let goes = left > 0 && !keep.contains(&Some(generation.number));
            left -= usize::from(goes);
            !goes
        });
    }

    /// Records what came of the generation in place.
    pub fn judged(&mut self, verdict: Verdict) {
        let current = self.current;
        let in_place = self.generations.iter_mut().find(|known| Some(known.number) == current);
        if let Some(known) = in_place {
            known.verdict = verdict;
        }
    }

    /// What would be gone back to: the newest before the current one that kept its promises.
    pub fn fallback(&self) -> Option<&Generation> {
        let current = self.current?;
        let before = self.generations.iter().rev().filter(|known| known.number < current);
        before.into_iter().find(|known| known.verdict == Verdict::Kept)
    }

    /// Records that generation `number` is about to be brought back, and for which wish it stays.
    pub fn begin_restoring(&mut self, number: u32, held: Option<Wanted>) {
        self.restoring = Some(number);
        self.held = held;
    }

    /// Records that generation `number` cannot be brought back, because of `why`: another one may be.
    pub fn lost(&mut self, number: u32, why: &str) {
        self.restoring = None;
        self.held = None;
        if let Some(known) = self.generations.iter_mut().find(|known| known.number == number) {
            known.verdict = Verdict::Broken(format!("it is not whole any more: {why}"));
        }
    }

    /// Records that the generation `number` is in place again.
    pub fn restored(&mut self, number: u32) {
        self.current = Some(number);
        self.restoring = None;
    }

    /// Whether what is in place was brought back and is to stay while `wanted` is wanted.
    pub fn holds(&self, wanted: Option<&Wanted>) -> bool {
        self.held.is_some() && self.held.as_ref() == wanted
    }
}

/// For tests: a generation that nobody has judged.
#[cfg(test)]
pub(crate) fn made(number: u32, digest: &str) -> Generation {
    Generation {
        number,
        made: Timestamp::default(),
        reason: "it is new".into(),
        wanted: Wanted {
            software: SoftwareUrl::new("/s.cfg"),
            software_stamp: "b1".into(),
            wish: number.to_string(),
            state: InstanceState::Started,
        },
        digest: digest.into(),
        connection: None,
        shared: BTreeMap::new(),
        requests: None,
        verdict: Verdict::Untried,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(digests: &[&str]) -> History {
        let mut history = History::default();
        for digest in digests {
            let next = made(history.next_number(), digest);
            history.deployed(next, 3);
            history.judged(Verdict::Kept);
        }
        history
    }

    fn numbers(history: &History) -> Vec<u32> {
        history.generations.iter().map(|generation| generation.number).collect()
    }

    #[test]
    fn a_bang_is_no_other_wish() {
        let mut partition = ComputerPartition::free("c".into(), "p".into());
        partition.software = Some(SoftwareUrl::new("/s.cfg"));
        let before = Wanted::of(&partition, "b1");
        partition.timestamp = Some("2".into());
        assert_eq!(Wanted::of(&partition, "b1"), before);
        partition.parameters.insert("a".into(), "1".into());
        assert_ne!(Wanted::of(&partition, "b1"), before);
        assert_ne!(Wanted::of(&partition, "b2"), Wanted::of(&partition, "b1"));
    }

    #[test]
    fn the_same_content_is_the_same_generation() {
        let mut history = history(&["a", "b", "b"]);
        assert_eq!(numbers(&history), [1, 2]);
        assert_eq!(history.current().unwrap().wanted.wish, "3");
        history.deployed(made(history.next_number(), "a"), 3);
        assert_eq!(numbers(&history), [1, 2, 4], "numbers are not used again");
    }

    #[test]
    fn one_goes_back_to_what_kept_its_promises() {
        let mut history = history(&["a", "b"]);
        history.judged(Verdict::Broken("x".into()));
        assert_eq!(history.fallback().unwrap().number, 1);
        history.deployed(made(3, "c"), 3);
        assert_eq!(history.fallback().unwrap().number, 1, "not to the one that broke them");
        history.begin_restoring(1, Some(made(3, "c").wanted));
        assert_eq!(history.current, Some(3), "until it is done");
        history.restored(1);
        assert!(history.holds(Some(&made(3, "c").wanted)));
        assert!(!history.holds(Some(&made(4, "c").wanted)));
        assert!(!history.holds(None));
        assert_eq!(history.fallback(), None);
    }

    #[test]
    fn the_oldest_go_but_not_what_one_would_go_back_to() {
        let mut history = history(&["a", "b"]);
        history.judged(Verdict::Broken("x".into()));
        for digest in ["c", "d", "e"] {
            let next = made(history.next_number(), digest);
            history.deployed(next, 3);
            history.judged(Verdict::Broken("x".into()));
        }
        assert_eq!(numbers(&history), [1, 4, 5]);
    }
}
