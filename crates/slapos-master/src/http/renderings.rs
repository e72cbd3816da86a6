//! What is told about computers and their partitions, as it was written before and still is.
//!
//! A node asks for everything at each of its runs, an instance about itself, and almost always
//! nothing has changed. The document is then the same to the last byte, and working it out again
//! costs many times what looking up the computer's revision does.
//!
//! What was asked for lately is kept as written, the documents of many more computers in less room
//! ([`folding`]). What is told of a partition is in the document of its computer, and cut out of it.
//!
//! Invariant: a document is given out only if its [`Revision`] is the present one, as the database
//! says at that moment; so it does not matter which of several Masters made a change. What is kept
//! is bounded; without it everything is slower and nothing is different.

mod folding;
mod shelf;

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use slapos_slap::convert::partition_of_document;
use slapos_slap::{ComputerId, PartitionId};

use self::folding::Folding;
use self::shelf::{Kept, Shelf};
use crate::store::Revision;

/// What is kept as written takes no more than that together, in bytes: some hundred nodes.
const WRITTEN: usize = 8 << 20;

/// What is kept folded takes no more than that together, in bytes: more than 10,000 nodes.
const FOLDED: usize = 32 << 20;

/// What a document is about: a computer, or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    pub(super) computer: ComputerId,
    pub(super) partition: Option<PartitionId>,
}

/// See the module.
pub(crate) struct Renderings {
    written: Mutex<Shelf>,
    /// Of computers only: a partition alone has little to fold.
    folded: Mutex<Shelf>,
    folding: Folding,
}

impl Default for Renderings {
    fn default() -> Renderings {
        Renderings::within(WRITTEN, FOLDED)
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // Nothing that can panic is done under the lock.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Renderings {
    fn within(written: usize, folded: usize) -> Renderings {
        let shelf = |most| Mutex::new(Shelf::new(most));
        Renderings { written: shelf(written), folded: shelf(folded), folding: Folding::default() }
    }

    /// The document about something, if the one of that revision of the computer is kept.
    pub(super) fn get(&self, topic: &Topic, present: &Revision) -> Option<Bytes> {
        let written = lock(&self.written).get(topic, present);
        if written.is_some() {
            return written;
        }
        let document = match &topic.partition {
            None => {
                let folded = lock(&self.folded).get(topic, present)?;
                self.folding.unfold(&folded)?
            }
            Some(partition) => {
                let whole = Topic { computer: topic.computer.clone(), partition: None };
                let whole = self.get(&whole, present)?;
                let whole = std::str::from_utf8(&whole).ok()?;
                partition_of_document(whole, &topic.computer, partition)?.into()
            }
        };
        self.put(topic, present.clone(), &document);
        Some(document)
    }

    /// Keeps the document of that revision; others go when there is no more room.
    pub(super) fn put(&self, topic: &Topic, revision: Revision, document: &Bytes) {
        let gone = lock(&self.written).put((topic.clone(), revision, document.clone()));
        gone.into_iter().for_each(|kept| self.fold(kept));
    }

    /// Keeps in less room what was kept as written.
    fn fold(&self, (topic, revision, document): Kept) {
        if topic.partition.is_some() || lock(&self.folded).get(&topic, &revision).is_some() {
            return;
        }
        if let Some(folded) = self.folding.fold(&document) {
            lock(&self.folded).put((topic, revision, folded));
        }
    }
}

#[cfg(test)]
mod tests {
    use slapos_slap::convert::{computer_to_value, partition_to_value};
    use slapos_slap::marshal::dumps;
    use slapos_slap::{Computer, ComputerPartition, InstanceState};

    use super::*;

    fn topic(computer: &str) -> Topic {
        Topic { computer: computer.into(), partition: None }
    }

    /// A node of 10 partitions, all in use, none quite as another.
    fn node(number: usize) -> Computer {
        let id = ComputerId::new(format!("node{number}"));
        let partition = |index: usize| {
            let count = number * 10 + index;
            let time = (number * 7919 + index * 104_729) * 1_000_003 % 1_000_000_007;
            let name = PartitionId::new(format!("slappart{index}"));
            let mut partition = ComputerPartition::free(id.clone(), name);
            partition.requested_state = InstanceState::Started;
            partition.software = Some("https://example.com/software/bench/software.cfg".into());
            partition.software_type = "default".to_owned();
            partition.parameters = [("_".to_owned(), format!("{{\"size\": \"{count}\"}}"))].into();
            partition.connection =
                [("url".to_owned(), format!("http://[2001:db8::{time:x}]/"))].into();
            let interface = "interface".to_owned();
            partition.ip_list = vec![(interface, format!("10.0.0.{index}").parse().unwrap())];
            partition.timestamp = Some(format!("1795374015.{time:09}"));
            partition.instance_title = format!("instance {count}");
            partition.root_instance_title = format!("instance {count}");
            partition.access_status = Some("#access Instance correctly started".to_owned());
            partition
        };
        Computer { software: Vec::new(), partitions: (0..10).map(partition).collect(), id }
    }

    fn told(node: &Computer) -> Bytes {
        dumps(&computer_to_value(node)).unwrap().into()
    }

    #[test]
    fn only_the_present_revision_counts() {
        let renderings = Renderings::default();
        let computer = topic("c");
        let (first, second) = (Revision::of("era", 1), Revision::of("era", 2));
        assert_eq!(renderings.get(&computer, &first), None);
        renderings.put(&computer, first.clone(), &Bytes::from_static(b"one"));
        assert_eq!(renderings.get(&computer, &first).as_deref(), Some(&b"one"[..]));
        assert_eq!(renderings.get(&computer, &second), None);
        assert_eq!(renderings.get(&computer, &Revision::of("other era", 1)), None);
        let partition = Topic { partition: Some("p".into()), ..computer };
        assert_eq!(renderings.get(&partition, &first), None);
    }

    #[test]
    fn what_has_no_room_as_written_is_found_folded() {
        // As written there is room for two.
        let size = told(&node(0)).len();
        let renderings = Renderings::within(3 * size, 1 << 20);
        let revision = |number: usize, changes: i64| {
            Revision::of("era", i64::try_from(number).unwrap() + changes)
        };
        for changes in [0, 100] {
            for number in 0..20 {
                let node = node(number);
                renderings.put(&topic(node.id.as_str()), revision(number, changes), &told(&node));
            }
            for number in (0..20).chain((0..20).rev()) {
                let (node, present) = (node(number), revision(number, changes));
                let about = topic(node.id.as_str());
                assert_eq!(renderings.get(&about, &present), Some(told(&node)), "{number}");
                assert_eq!(renderings.get(&about, &revision(number, 50)), None);
                for partition in &node.partitions {
                    let alone = dumps(&partition_to_value(partition)).unwrap();
                    let about = Topic { partition: Some(partition.id.clone()), ..about.clone() };
                    assert_eq!(renderings.get(&about, &present), Some(alone.into()));
                    assert_eq!(renderings.get(&about, &revision(number, 50)), None);
                }
                let missing = Topic { partition: Some("slappart10".into()), ..about };
                assert_eq!(renderings.get(&missing, &present), None);
            }
        }
    }

    #[test]
    fn ten_thousand_nodes_have_room() {
        let folding = Folding::default();
        let cost = |number| {
            let mut shelf = Shelf::new(usize::MAX);
            let folded = folding.fold(&told(&node(number))).unwrap();
            shelf.put((topic("c"), Revision::of("era", 1), folded));
            shelf.bytes()
        };
        let all = (0..10_000).step_by(100).map(cost).sum::<usize>() * 100;
        assert!(all < FOLDED, "{all} bytes");
    }
}
