//! Uploads that are due. One is noted before the Software Release is built, and the note goes once it is
//! uploaded: so it is not lost where a run is killed in between, or the cache is away, and a later run
//! takes it up.

use std::path::Path;

use serde::{Deserialize, Serialize};
use slapos_slap::SoftwareUrl;
use slapos_sys::clock::{SignedDuration, Timestamp};

use crate::error::NodeError;
use crate::node::Node;
use crate::shelf::{Kept, Shelf};
use crate::upload::{self, Came};

/// What failed is tried again after that long at the earliest: to pack it may take hours.
const WAIT: SignedDuration = SignedDuration::from_hours(1);

/// What was tried so often is given up.
const MOST_TRIES: u32 = 24;

/// The note of one Software Release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Due {
    /// How often it was tried.
    tries: u32,
    /// When it is to be tried again.
    next: Option<Timestamp>,
}

impl Kept for Due {
    const NAME: &'static str = "note of an upload";
    const LONGEST: u64 = 4096;
}

impl Due {
    /// What is noted before a try at `now`: it counts even where the run is killed.
    fn tried(&self, now: Timestamp) -> Due {
        Due { tries: self.tries.saturating_add(1), next: now.checked_add(WAIT).ok() }
    }

    fn is_at(&self, now: Timestamp) -> bool {
        self.next.is_none_or(|next| now >= next)
    }
}

/// Notes before a build that an upload will be due, if that is wanted. Returns whether none was before.
pub(super) fn note(node: &Node<'_>, url: &SoftwareUrl, name: &str) -> bool {
    if !upload::is_wanted(node, url) {
        return false;
    }
    let (shelf, key) = (shelf(node), url.md5_hex());
    match shelf.load(&key) {
        Ok(Some(_)) => false,
        Ok(None) => {
            told(node, name, shelf.store(&key, &Due::default()));
            true
        }
        Err(error) => {
            told(node, name, Err(error));
            false
        }
    }
}

/// Uploads what was just built.
pub(super) fn bring(node: &Node<'_>, url: &SoftwareUrl, directory: &Path, name: &str) {
    attempt(node, url, directory, name, &Due::default());
}

/// Uploads what a former run could not, if it is time to.
pub(super) fn take_up(node: &Node<'_>, url: &SoftwareUrl, directory: &Path, name: &str) {
    if !upload::is_wanted(node, url) {
        return;
    }
    match shelf(node).load(&url.md5_hex()) {
        Ok(Some(due)) if due.is_at(node.clock.now()) => attempt(node, url, directory, name, &due),
        Ok(_) => {}
        Err(error) => told(node, name, Err(error)),
    }
}

/// Nothing is due any more of what is in the directory `key` of the software root.
pub(super) fn forget(node: &Node<'_>, key: &str, name: &str) {
    told(node, name, shelf(node).forget(key));
}

fn attempt(node: &Node<'_>, url: &SoftwareUrl, directory: &Path, name: &str, due: &Due) {
    let key = url.md5_hex();
    let due = due.tried(node.clock.now());
    if upload::is_wanted(node, url) {
        told(node, name, shelf(node).store(&key, &due));
    }
    match upload::upload(node, url, directory, name) {
        Came::Away if due.tries < MOST_TRIES => {}
        Came::Away | Came::ToAnEnd => forget(node, &key, name),
    }
}

fn shelf<'a>(node: &'a Node<'_>) -> Shelf<'a, Due> {
    Shelf::new(node.config.instance_root.join("var/slapgrid/uploads"), node.reporter)
}

/// An upload serves others: that one cannot be noted harms nothing here.
fn told(node: &Node<'_>, name: &str, noted: Result<(), NodeError>) {
    if let Err(error) = noted {
        node.reporter.warn(name, &format!("whether it is to be uploaded: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_not_tried_again_at_once() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let due = Due::default();
        assert!(due.is_at(now));
        let due = due.tried(now);
        assert!(due.tries == 1 && !due.is_at(now));
        let later = now + WAIT;
        assert!(due.is_at(later));
        assert_eq!(due.tried(later).tries, 2);
    }
}
