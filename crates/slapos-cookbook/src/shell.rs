//! `slapos.cookbook:shell`: an executable that starts a shell in the environment of an instance.
//!
//! Options:
//! - `wrapper`: the file to write, mode 0700;
//! - `shell`: the shell, also its `SHELL`; `home`: its `HOME`;
//! - `path`: lines, its `PATH`;
//! - `ps1`: its prompt as a JSON string, default `> `.

use std::collections::BTreeMap;

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common;
use crate::wrapper;

/// The recipe.
pub(crate) struct Shell;

impl Recipe for Shell {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("wrapper")?);
        let shell = init.require("shell")?;
        let prompt = match init.get("ps1").filter(|text| !text.is_empty()) {
            None => "> ".to_owned(),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                init.error("ps1", &format!("`ps1` must be a JSON string: {error}"), None)
            })?,
        };
        let environment = BTreeMap::from([
            ("HOME".to_owned(), init.require("home")?),
            ("PATH".to_owned(), init.require("path")?.replace('\n', ":")),
            ("PS1".to_owned(), prompt),
            ("SHELL".to_owned(), shell.clone()),
        ]);
        let script = wrapper::script(&[shell], &environment, "");
        Ok(Box::new(common::Files(vec![(path, script, 0o700)])))
    }
}
