//! `slapos.cookbook:dropbear.add_authorized_key`: who may log in by SSH.
//!
//! Options:
//! - `home`: the directory whose `.ssh/authorized_keys`, mode 0600, is written;
//! - `key`: the whole content of that file.

use std::path::PathBuf;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common;

/// The recipe.
pub(crate) struct AddAuthorizedKey;

impl Recipe for AddAuthorizedKey {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let directory = common::path(init, &init.require("home")?).join(".ssh");
        Ok(Box::new(Keys { directory, key: init.require("key")? }))
    }
}

struct Keys {
    directory: PathBuf,
    key: String,
}

impl Part for Keys {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.directory.join("authorized_keys")]
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        // A server of SSH does not believe keys that others could have written.
        slapos_sys::fs::create_dir_all(&self.directory, 0o700)
            .map_err(|error| PartError::io("create", &self.directory, &error))?;
        let file = self.directory.join("authorized_keys");
        common::write_file(&file, self.key.as_bytes(), 0o600)?;
        Ok(vec![file])
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
