//! The home of builds: a directory of their own for what they leave behind.

use std::path::{Path, PathBuf};

use slapos_engine::PartError;
use slapos_sys::fs;

/// A directory that is removed when dropped.
pub(super) struct Home(PathBuf);

impl Home {
    /// A new one below `directory`, which is made; `None` where it cannot be written, as in an
    /// instance that uses the eggs of its software.
    pub(super) fn in_directory(directory: &Path) -> Result<Option<Self>, PartError> {
        let made = fs::create_dir_all(directory, 0o755);
        if made.is_err() || !fs::may_change_entries(directory) {
            return Ok(None);
        }
        let made = fs::temp_dir_in(directory, ".home-")
            .map_err(|error| PartError::io("create in", directory, &error))?;
        Ok(Some(Self(made.keep())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_tree(&self.0);
    }
}
