//! Documents by what they are about, in no more room than they were given.
//!
//! Invariant: `bytes` is what all documents cost together, and never more than `most`.

use std::collections::HashMap;

use axum::body::Bytes;

use super::Topic;
use crate::store::Revision;

/// A document with what it is about, and of which revision.
pub(super) type Kept = (Topic, Revision, Bytes);

/// See the module.
pub(super) struct Shelf {
    /// In bytes.
    most: usize,
    documents: HashMap<Topic, (Revision, Bytes)>,
    /// What all of them are about, in no order.
    topics: Vec<Topic>,
    bytes: usize,
    dice: u64,
}

/// What keeping a document takes, with its name twice and what stands around it.
fn cost(document: &Bytes) -> usize {
    const AROUND: usize = 512;
    document.len() + AROUND
}

impl Shelf {
    /// An empty one, for so many bytes.
    pub(super) fn new(most: usize) -> Shelf {
        Shelf { most, documents: HashMap::new(), topics: Vec::new(), bytes: 0, dice: 0 }
    }

    /// The document about something, if it is of that revision of the computer.
    pub(super) fn get(&self, topic: &Topic, present: &Revision) -> Option<Bytes> {
        let (revision, document) = self.documents.get(topic)?;
        (revision == present).then(|| document.clone())
    }

    /// Keeps a document in the place of a former one about the same. Gives what had to go, which is
    /// itself where it is too large.
    pub(super) fn put(&mut self, kept: Kept) -> Vec<Kept> {
        let (topic, revision, document) = kept;
        let cost_of_it = cost(&document);
        if cost_of_it > self.most {
            return vec![(topic, revision, document)];
        }
        let mut gone = Vec::new();
        while self.bytes - self.cost_about(&topic) + cost_of_it > self.most
            && let Some(one) = self.take_any()
        {
            gone.push(one);
        }
        self.bytes = self.bytes - self.cost_about(&topic) + cost_of_it;
        if self.documents.insert(topic.clone(), (revision, document)).is_none() {
            self.topics.push(topic);
        }
        gone
    }

    /// What all that is kept costs.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn cost_about(&self, topic: &Topic) -> usize {
        self.documents.get(topic).map_or(0, |(_, document)| cost(document))
    }

    /// Takes one out, by lot: nodes ask one after the other, again and again, so that what came first
    /// is what is asked for next. By lot, the part that has room is found.
    fn take_any(&mut self) -> Option<Kept> {
        // Good enough for that (Knuth's MMIX).
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = usize::try_from(self.dice >> 33).unwrap_or_default();
        let topic = self.topics.swap_remove(number.checked_rem(self.topics.len())?);
        let (revision, document) = self.documents.remove(&topic)?;
        self.bytes -= cost(&document);
        Some((topic, revision, document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    fn kept(computer: String, number: i64, length: usize) -> Kept {
        let topic = Topic { computer: computer.into(), partition: None };
        (topic, Revision::of("era", number), document(length))
    }

    #[test]
    fn what_is_kept_is_bounded() {
        const MOST: usize = 2000;
        let mut shelf = Shelf::new(MOST);
        for number in 0..100_u8 {
            let length = usize::from(number) % 5 * 100;
            let one = kept(format!("c{}", number % 7), number.into(), length);
            let former = shelf.documents.clone();
            let gone = shelf.put(one.clone());
            assert_eq!(shelf.get(&one.0, &one.1), Some(one.2));
            let sum: usize = shelf.documents.values().map(|(_, document)| cost(document)).sum();
            assert_eq!((shelf.bytes, shelf.topics.len()), (sum, shelf.documents.len()));
            assert!(shelf.bytes <= MOST);
            // What is not there any more is given back, as it was.
            for (topic, (revision, document)) in former {
                let is_gone = gone.contains(&(topic.clone(), revision, document));
                assert!(is_gone || topic == one.0 || shelf.documents.contains_key(&topic));
            }
        }
        let large = kept("large".to_owned(), 1, MOST);
        assert_eq!(shelf.put(large.clone()), [large]);
    }

    #[test]
    fn what_is_asked_for_round_and_round_is_found_in_part() {
        const NODES: usize = 400;
        let nodes: Vec<Kept> = (0..NODES).map(|node| kept(format!("c{node}"), 1, 100)).collect();
        // Three quarters have room.
        let mut shelf = Shelf::new(cost(&document(100)) * NODES * 3 / 4);
        let mut found = 0;
        for _ in 0..20 {
            for node in &nodes {
                match shelf.get(&node.0, &node.1) {
                    Some(_) => found += 1,
                    None => drop(shelf.put(node.clone())),
                }
            }
        }
        assert!(found > 20 * NODES / 3, "{found} of {}", 20 * NODES);
    }
}
