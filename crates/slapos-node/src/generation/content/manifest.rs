//! What one generation consists of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use slapos_sources::Digest;

/// Version of the file's form that this program writes.
pub(super) const VERSION: u32 = 1;

/// Path relative to the partition → what is there, in the order in which it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u32,
    pub(super) items: BTreeMap<String, Item>,
    /// The ledgers and what is beside them: put in place last, because they say what is there.
    pub(super) records: BTreeMap<String, Item>,
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Item {
    /// An ordinary file.
    File {
        /// Permission bits.
        mode: u32,
        /// SHA-256 of its content, in hexadecimal.
        object: String,
    },
    /// A symbolic link.
    Link {
        /// Where to.
        target: String,
    },
    /// A directory that a part made; what it holds is listed beside it.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// Not captured: too large, or no file, link or directory. It is left alone.
    Left,
}

impl Manifest {
    /// Names the whole content.
    pub(super) fn digest(&self) -> Result<String, serde_json::Error> {
        Ok(Digest::sha256_of(&serde_json::to_vec(self)?).hex())
    }

    /// What it needs of the objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = &String> {
        let items = self.items.values().chain(self.records.values());
        items.filter_map(|item| match item {
            Item::File { object, .. } => Some(object),
            _ => None,
        })
    }
}
