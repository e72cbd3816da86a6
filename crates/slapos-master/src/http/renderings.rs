//! What is told about computers and their partitions, as it was written before and still is.
//!
//! A node asks for everything at each of its runs, an instance about itself, and almost always
//! nothing has changed. The document is then the same to the last byte, and working it out again
//! costs many times what looking up the computer's revision does.
//!
//! Invariant: a document is given out only if its [`Revision`] is the present one, as the database
//! says at that moment; so it does not matter which of several Masters made a change. What is kept
//! is bounded; without it everything is slower and nothing is different.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use slapos_slap::{ComputerId, PartitionId};

use crate::store::Revision;

/// The documents that are kept take no more than that together, in bytes.
const MOST: usize = 32 << 20;

/// What a document is about: a computer, or one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    pub(super) computer: ComputerId,
    pub(super) partition: Option<PartitionId>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Renderings(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    documents: HashMap<Topic, (Revision, Bytes)>,
    /// In the order of their first arrival.
    arrivals: VecDeque<Topic>,
    bytes: usize,
}

impl Renderings {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document about something, if it is the one of that revision of the computer.
    pub(super) fn get(&self, topic: &Topic, present: &Revision) -> Option<Bytes> {
        let kept = self.lock();
        let (revision, document) = kept.documents.get(topic)?;
        (revision == present).then(|| document.clone())
    }

    /// Keeps the document of that revision; the oldest go when there is no more room.
    pub(super) fn put(&self, topic: &Topic, revision: Revision, document: &Bytes) {
        self.lock().put(topic, revision, document, MOST);
    }
}

/// What keeping a document takes, with its name twice and what stands around it.
fn cost(document: &Bytes) -> usize {
    const AROUND: usize = 512;
    document.len() + AROUND
}

impl Kept {
    fn put(&mut self, topic: &Topic, revision: Revision, document: &Bytes, most: usize) {
        if cost(document) > most {
            return;
        }
        self.bytes += cost(document);
        match self.documents.insert(topic.clone(), (revision, document.clone())) {
            Some((_, former)) => self.bytes -= cost(&former),
            None => self.arrivals.push_back(topic.clone()),
        }
        while self.bytes > most
            && let Some(oldest) = self.arrivals.pop_front()
        {
            let gone = self.documents.remove(&oldest);
            self.bytes -= gone.map_or(0, |(_, document)| cost(&document));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(computer: &str) -> Topic {
        Topic { computer: computer.into(), partition: None }
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
    fn what_is_kept_is_bounded() {
        const MOST: usize = 2000;
        let mut kept = Kept::default();
        let document = |length: usize| Bytes::from(vec![b'x'; length]);
        for number in 0..100_u8 {
            let computer = topic(&format!("c{}", number % 7));
            let length = usize::from(number) % 5 * 100;
            kept.put(&computer, Revision::of("era", number.into()), &document(length), MOST);
            let sum: usize = kept.documents.values().map(|(_, document)| cost(document)).sum();
            assert_eq!((kept.bytes, kept.arrivals.len()), (sum, kept.documents.len()));
            assert!(kept.bytes <= MOST && !kept.documents.is_empty());
        }
        kept.put(&topic("large"), Revision::of("era", 1), &document(MOST), MOST);
        assert!(!kept.documents.contains_key(&topic("large")));
    }
}
