//! `slapos.cookbook:simplelogger`: an executable that adds its standard input to a log.
//!
//! Options:
//! - `wrapper`: the file to write, mode 0700;
//! - `log`: the log; each line gets the date and the time before it (`2026-11-23.12:55.1795000000:`),
//!   and a line of dashes ends the whole.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, shell_quote};

/// The recipe.
pub(crate) struct SimpleLogger;

impl Recipe for SimpleLogger {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("wrapper")?);
        let log = common::path(init, &init.require("log")?);
        let log = shell_quote(&log.to_string_lossy());
        let script = format!(
            "#!/bin/sh -e\n\
             # All is read before the time is taken; the dot keeps empty lines at the end.\n\
             lines=$(cat; echo .)\n\
             prefix=$(date '+%Y-%m-%d.%H:%M.%s:')\n\
             {{\n\
             \tprintf %s \"${{lines%.}}\" | sed \"s/^/$prefix /\"\n\
             \techo \"$prefix ------------------------\"\n\
             }} >> {log}\n"
        );
        Ok(Box::new(common::Files(vec![(path, script, 0o700)])))
    }
}
