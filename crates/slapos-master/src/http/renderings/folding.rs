//! Documents in less room.
//!
//! Partitions resemble each other, and so do the words around what they have of their own: a document
//! takes a tenth of its room, and some ten microseconds until it can be read again.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use zstd::bulk::{Compressor, Decompressor};

/// How hard zstd tries: a third of the time of level 1, for a sixth more room.
const LEVEL: i32 = -1;

/// What folds and unfolds; as many at a time as ask.
#[derive(Default)]
pub(super) struct Folding(Mutex<Vec<Tools>>);

/// What zstd needs, which is dearer to make than to use.
struct Tools {
    folds: Compressor<'static>,
    unfolds: Decompressor<'static>,
}

impl Folding {
    /// A document in less room; `None` when the machine has no memory for the work.
    pub(super) fn fold(&self, document: &[u8]) -> Option<Bytes> {
        // Copied, because what it was written to is as large as the document.
        self.with(|tools| Ok(Bytes::copy_from_slice(&tools.folds.compress(document)?)))
    }

    /// What was folded, as it was.
    pub(super) fn unfold(&self, folded: &[u8]) -> Option<Bytes> {
        // It says how long it is.
        self.with(|tools| Ok(Bytes::from(tools.unfolds.decompress(folded, usize::MAX)?)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tools) -> io::Result<T>) -> Option<T> {
        let known = self.lock().pop();
        let mut tools = match known {
            Some(tools) => tools,
            None => {
                let (folds, unfolds) = (Compressor::new(LEVEL).ok()?, Decompressor::new().ok()?);
                Tools { folds, unfolds }
            }
        };
        let done = work(&mut tools);
        self.lock().push(tools);
        done.inspect_err(|error| tracing::warn!("a document was not kept: {error}")).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Tools>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_folded_unfolds_to_the_same(document in prop::collection::vec(any::<u8>(), 0..999)) {
            let folding = Folding::default();
            let folded = folding.fold(&document).unwrap();
            prop_assert_eq!(folding.unfold(&folded).unwrap(), document);
        }
    }
}
