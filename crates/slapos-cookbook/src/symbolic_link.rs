//! `slapos.cookbook:symbolic.link`: links to programs, all in one directory.
//!
//! Options:
//! - `target-directory`: where the links are made, each under the base name of what it points to;
//! - `link-binary`: white-space list of what they point to, which need not exist.
//!
//! A link of that name is replaced; anything else of that name is left alone and fails the part.

use std::path::{Path, PathBuf};

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common;

/// The recipe.
pub(crate) struct SymbolicLink;

impl Recipe for SymbolicLink {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let directory = common::path(init, &init.require("target-directory")?);
        let mut links: Vec<(PathBuf, PathBuf)> = Vec::new();
        for word in init.require("link-binary")?.split_whitespace() {
            let target = Path::new(word);
            let Some(name) = target.file_name().filter(|_| !word.ends_with('/')) else {
                let message = format!("`{word}` has no base name to give to a link");
                return Err(init.error_at_word("link-binary", word, &message, None));
            };
            let link = directory.join(name);
            links.retain(|(other, _)| *other != link);
            links.push((link, target.to_owned()));
        }
        Ok(Box::new(Links(links)))
    }
}

/// Links and what each points to.
struct Links(Vec<(PathBuf, PathBuf)>);

impl Links {
    fn make(&self) -> Result<(), PartError> {
        for (link, target) in &self.0 {
            make_link(link, target)?;
        }
        Ok(())
    }
}

/// Makes `link` point to `target`; what is there and no link is spared, with an error.
pub(crate) fn make_link(link: &Path, target: &Path) -> Result<(), PartError> {
    match link.symlink_metadata() {
        Ok(found) if !found.is_symlink() => {
            let message = format!("{} is already there and is not a link", link.display());
            return Err(PartError::new(message).with_help("remove it, or name another directory"));
        }
        Ok(_) if points_to(link, target) => return Ok(()),
        _ => {}
    }
    common::create_parent(link)?;
    slapos_sys::fs::symlink_atomic(target, link)
        .map_err(|error| PartError::io("link", link, &error))
}

fn points_to(link: &Path, target: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|found| found == target)
}

impl Part for Links {
    /// Paths are recorded one by one, when it is sure that each is a link.
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.make()?;
        Ok(self.0.iter().map(|(link, _)| link.clone()).collect())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.make()
    }

    fn needs_update(&self) -> Option<String> {
        let (link, _) = self.0.iter().find(|(link, target)| !points_to(link, target))?;
        Some(format!("{} points elsewhere", link.display()))
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
