//! What nodes are told about their computers, as it was written before and still is.
//!
//! A node asks for everything at each of its runs, and almost always nothing has changed. The
//! document is then the same to the last byte, and working it out again costs a hundred times what
//! looking up the computer's revision does.
//!
//! Invariant: a document is given out only if its [`Revision`] is the present one, as the database
//! says at that moment; so it does not matter which of several Masters made a change. What is kept
//! is bounded; without it everything is slower and nothing is different.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use slapos_slap::ComputerId;

use crate::store::Revision;

/// The documents that are kept take no more than that together, in bytes.
const MOST: usize = 32 << 20;

/// See the module.
#[derive(Default)]
pub(crate) struct Renderings(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    documents: HashMap<ComputerId, (Revision, Bytes)>,
    /// In the order of their first arrival.
    arrivals: VecDeque<ComputerId>,
    bytes: usize,
}

impl Renderings {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document about a computer, if it is the one of that revision.
    pub(super) fn get(&self, computer: &ComputerId, present: &Revision) -> Option<Bytes> {
        let kept = self.lock();
        let (revision, document) = kept.documents.get(computer)?;
        (revision == present).then(|| document.clone())
    }

    /// Keeps the document of that revision; the oldest go when there is no more room.
    pub(super) fn put(&self, computer: &ComputerId, revision: Revision, document: &Bytes) {
        self.lock().put(computer, revision, document, MOST);
    }
}

impl Kept {
    fn put(&mut self, computer: &ComputerId, revision: Revision, document: &Bytes, most: usize) {
        if document.len() > most {
            return;
        }
        self.bytes += document.len();
        match self.documents.insert(computer.clone(), (revision, document.clone())) {
            Some((_, former)) => self.bytes -= former.len(),
            None => self.arrivals.push_back(computer.clone()),
        }
        while self.bytes > most
            && let Some(oldest) = self.arrivals.pop_front()
        {
            let gone = self.documents.remove(&oldest);
            self.bytes -= gone.map_or(0, |(_, document)| document.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_present_revision_counts() {
        let renderings = Renderings::default();
        let computer = ComputerId::new("c");
        let (first, second) = (Revision::of("era", 1), Revision::of("era", 2));
        assert_eq!(renderings.get(&computer, &first), None);
        renderings.put(&computer, first.clone(), &Bytes::from_static(b"one"));
        assert_eq!(renderings.get(&computer, &first).as_deref(), Some(&b"one"[..]));
        assert_eq!(renderings.get(&computer, &second), None);
        assert_eq!(renderings.get(&computer, &Revision::of("other era", 1)), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        let document = |length: usize| Bytes::from(vec![b'x'; length]);
        for number in 0..100_u8 {
            let computer = ComputerId::new(format!("c{}", number % 7));
            let length = usize::from(number) % 5;
            kept.put(&computer, Revision::of("era", number.into()), &document(length), 10);
            let sum: usize = kept.documents.values().map(|(_, document)| document.len()).sum();
            assert_eq!((kept.bytes, kept.arrivals.len()), (sum, kept.documents.len()));
            assert!(kept.bytes <= 10);
        }
        kept.put(&"large".into(), Revision::of("era", 1), &document(11), 10);
        assert!(!kept.documents.contains_key(&ComputerId::new("large")));
    }
}
