//! `slapos.cookbook:mkdirectory` and `slapos.recipe.build:mkdirectory`: directories that exist.
//!
//! Options: every option except `recipe`, `mode` and those that begin with `_` or `-` is a path to
//! create, with its parents. `mode` is the octal mode of the directories (default 0777), less the
//! umask; parents that are created have 0777. The cookbook's directories are those of an instance; both are kept when
//! the part goes, because what others put into them is theirs.

use std::path::PathBuf;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common;

/// The recipe.
pub(crate) struct MkDirectory;

impl Recipe for MkDirectory {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let mode = common::mode(init, "mode")?.unwrap_or(0o777);
        let is_path =
            |name: &str| name != "recipe" && name != "mode" && !name.starts_with(['_', '-', '<']);
        let mut directories = Vec::new();
        for (name, value) in init.options() {
            if !is_path(&name) || value.trim().is_empty() {
                continue;
            }
            let path = common::path(init, &value);
            // What refers to the option gets a path that means the same everywhere.
            init.set(&name, &path.to_string_lossy());
            directories.push(path);
        }
        Ok(Box::new(Directories { directories, mode }))
    }
}

struct Directories {
    directories: Vec<PathBuf>,
    mode: u32,
}

impl Directories {
    fn create(&self) -> Result<(), PartError> {
        for path in &self.directories {
            common::create_parent(path)?;
            slapos_sys::fs::create_dir_all(path, self.mode)
                .map_err(|error| PartError::io("create", path, &error))?;
        }
        Ok(())
    }
}

impl Part for Directories {
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.create().map(|()| Vec::new())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.create()
    }

    fn needs_update(&self) -> Option<String> {
        let missing = self.directories.iter().find(|path| !path.is_dir())?;
        Some(format!("{} is missing", missing.display()))
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
