//! `slapos.cookbook:copyfilelist`: copies of files, all in one directory.
//!
//! Options:
//! - `target-directory`: where the copies are made, each under its base name;
//! - `file-list`: white-space list of what is copied, content and mode.
//!
//! A copy that differs from its original is made again at the next run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common;

/// The recipe.
pub(crate) struct CopyFileList;

impl Recipe for CopyFileList {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let directory = common::path(init, &init.require("target-directory")?);
        let mut copies = Vec::new();
        for word in init.require("file-list")?.split_whitespace() {
            let original = common::path(init, word);
            let Some(name) = original.file_name().filter(|_| !word.ends_with('/')) else {
                let message = format!("`{word}` is no file that could be copied");
                return Err(init.error_at_word("file-list", word, &message, None));
            };
            copies.push((original.clone(), directory.join(name)));
        }
        Ok(Box::new(Copies(copies)))
    }
}

/// Originals and their copies.
struct Copies(Vec<(PathBuf, PathBuf)>);

impl Copies {
    fn make(&self) -> Result<Vec<PathBuf>, PartError> {
        for (original, copy) in &self.0 {
            let io = |error: std::io::Error| PartError::io("copy", original, &error);
            let (content, mode) = read(original).map_err(io)?;
            common::write_file(copy, &content, mode)?;
        }
        Ok(self.claims())
    }
}

fn read(path: &Path) -> std::io::Result<(Vec<u8>, u32)> {
    let mode = path.metadata()?.permissions().mode() & 0o7777;
    Ok((slapos_sys::fs::read(path)?, mode))
}

impl Part for Copies {
    fn claims(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(_, copy)| copy.clone()).collect()
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.make()
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.make().map(drop)
    }

    fn needs_update(&self) -> Option<String> {
        let differs = |original: &Path, copy: &Path| match (read(original), read(copy)) {
            (Ok(original), Ok(copy)) => original != copy,
            _ => true,
        };
        let (_, copy) = self.0.iter().find(|(original, copy)| differs(original, copy))?;
        Some(format!("{} is not as its original", copy.display()))
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
