//! `slapos.cookbook:equeue`: a service that runs what is put into its queue, with the program
//! `equeue`.
//!
//! Options:
//! - `wrapper`: the executable to write, mode 0700;
//! - `equeue-binary`: the program; `socket`: where it is spoken to; `database`: what it remembers;
//! - `log`: its log; `loglevel`: how much it logs;
//! - `lockfile`: keeps a second one away; must end with `.lock`;
//! - `takeover-triggered-file-path`: a file whose presence ends its work.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common;
use crate::wrapper;

/// The recipe.
pub(crate) struct Equeue;

impl Recipe for Equeue {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let lock = init.require("lockfile")?;
        let Some(lock) = lock.strip_suffix(".lock").map(str::to_owned) else {
            let message = format!("`lockfile` must end with `.lock`, and `{lock}` does not");
            return Err(init.error("lockfile", &message, Some("the program adds it to the name")));
        };
        let mut words = vec![init.require("equeue-binary")?];
        for (flag, value) in [
            ("--database", Some(init.require("database")?)),
            ("--logfile", Some(init.require("log")?)),
            ("--lockfile", Some(lock)),
            (
                "--takeover-triggered-file-path",
                init.get("takeover-triggered-file-path").map(str::to_owned),
            ),
            ("--loglevel", init.get("loglevel").map(str::to_owned)),
        ] {
            words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        words.push(init.require("socket")?);
        let script = wrapper::script(&words, &Default::default(), "");
        let path = common::path(init, &init.require("wrapper")?);
        Ok(Box::new(common::Files(vec![(path, script, 0o700)])))
    }
}
