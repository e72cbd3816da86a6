//! A profile tree that the operator named and the worker must read, wherever it is.
//!
//! A clone below a closed home directory cannot be reached by the user that builds. The node,
//! which was asked to use it, opens the tree's top directory and passes the descriptor; the
//! worker reads beneath it and nowhere else. Permissions inside the tree still count.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crate::error::{IoContext, NodeError};

/// An open profile tree.
pub struct Tree {
    prefix: PathBuf,
    directory: File,
}

impl Tree {
    /// The tree that holds the profile at `profile`: the nearest directory above it that has
    /// `component`, `stack` or `software` in it, else the profile's own directory.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn of(profile: &Path) -> Result<Self, NodeError> {
        let own = profile.parent().unwrap_or(Path::new("/"));
        let is_top = |dir: &&Path| {
            ["component", "stack", "software"].iter().filter(|n| dir.join(n).is_dir()).count() >= 2
        };
        let prefix = own.ancestors().find(is_top).unwrap_or(own).to_owned();
        let directory = File::open(&prefix).context("open the profile tree", &prefix)?;
        Ok(Self { prefix, directory })
    }

    /// Its path.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}
