//! `slapos.cookbook:readline`: the first line of a file as an option.
//!
//! Options:
//! - `storage-path`: the file, read when the part is initialised;
//! - `when-absent`: what is said when there is no such file.
//!
//! Sets `readline`, with the end of the line if the file has one; without file and `when-absent`
//! to a typed `None`, and the part fails.

use std::path::PathBuf;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal};

/// The recipe.
pub(crate) struct ReadLine;

impl Recipe for ReadLine {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("storage-path")?);
        let text = common::read_if_there(init, "storage-path", &path)?;
        let first = text.map(|text| text.split_inclusive('\n').next().unwrap_or("").to_owned());
        let line = first.or_else(|| init.get("when-absent").map(str::to_owned));
        let value = line.as_deref().map_or(Literal::None, Literal::from);
        init.set("readline", &value.to_option());
        Ok(Box::new(Line { path, is_known: line.is_some() }))
    }
}

struct Line {
    path: PathBuf,
    is_known: bool,
}

impl Part for Line {
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        match self.is_known {
            true => Ok(Vec::new()),
            false => {
                let message = format!("there is no file {} to read a line of", self.path.display());
                Err(PartError::new(message).with_help("give `when-absent`, or make the file first"))
            }
        }
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
