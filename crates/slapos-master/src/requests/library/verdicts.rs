//! What was judged before, so that the same parameters are judged by the same schema once.
//!
//! A verdict follows from the documents of a Software Release, the type and the parameters, and from
//! nothing else; so it is kept by the digest of these and never goes out of date. The table is bounded
//! in number and bytes: what was asked for longest ago goes first.

use std::collections::HashMap;

use slapos_slap::InstanceRequest;

use super::digest::{Digest, digest};
use super::kept::Bundle;
use crate::requests::schema::Verdict;

/// The most verdicts.
const MOST: usize = 1024;

/// The largest that is kept, in bytes. Most say nothing, because everything fits.
const LARGEST: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::requests) struct Verdicts {
    known: HashMap<Digest, (Verdict, u64)>,
    /// How often somebody asked.
    asked: u64,
}

impl Verdicts {
    /// What the verdict about a request depends on.
    pub(in crate::requests) fn subject(bundle: &Bundle, request: &InstanceRequest) -> Digest {
        let shared: &[u8] = if request.shared { b"shared" } else { b"own" };
        let of = [bundle.digest.as_slice(), request.software_type.as_bytes(), shared];
        let parameters = request.parameters.iter();
        let parameters = parameters.flat_map(|(key, text)| [key.as_bytes(), text.as_bytes()]);
        digest(of.into_iter().chain(parameters))
    }

    /// What was judged.
    pub(in crate::requests) fn of(&mut self, subject: &Digest) -> Option<Verdict> {
        self.asked += 1;
        let (verdict, used) = self.known.get_mut(subject)?;
        *used = self.asked;
        Some(verdict.clone())
    }

    /// Keeps what was judged.
    pub(in crate::requests) fn keep(&mut self, subject: Digest, verdict: &Verdict) {
        let errors = verdict.errors.iter();
        let size: usize = errors.map(|error| error.path.len() + error.message.len()).sum();
        if size + verdict.why.len() > LARGEST {
            return;
        }
        self.known.insert(subject, (verdict.clone(), self.asked));
        if self.known.len() > MOST {
            let oldest = self.known.iter().min_by_key(|(subject, (_, used))| (*used, **subject));
            if let Some(oldest) = oldest.map(|(subject, _)| *subject) {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::schema::SchemaError;

    fn subject(number: usize) -> Digest {
        digest([number.to_le_bytes().as_slice()])
    }

    #[test]
    fn verdicts_are_kept_within_bounds() {
        let mut verdicts = Verdicts::default();
        for number in 0..MOST + 5 {
            assert_eq!(verdicts.of(&subject(number)), None);
            verdicts.keep(subject(number), &Verdict::unreadable(number.to_string()));
            assert_eq!(verdicts.of(&subject(0)).unwrap().why, "0", "who is asked for stays");
        }
        assert_eq!(verdicts.known.len(), MOST);
        assert_eq!(verdicts.of(&subject(1)), None);
        let message = "x".repeat(LARGEST);
        let errors = vec![SchemaError { path: "$".to_owned(), message }];
        let large = Verdict { readable: true, why: String::new(), errors };
        verdicts.keep(subject(1), &large);
        assert_eq!(verdicts.of(&subject(1)), None, "too large");
    }
}
