//! One number for several texts, in which it matters where each ends.

use sha2::{Digest as _, Sha256};

/// See the module.
pub(super) type Digest = [u8; 32];

/// The digest of these parts.
pub(super) fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Digest {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.finalize().into()
}
