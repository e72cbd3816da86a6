//! `slapos.cookbook:logrotate` and `logrotate.d`: logrotate as a program with its configuration,
//! and the files it is to rotate.
//!
//! Options of `logrotate`, all needed:
//! - `conf`: the configuration to write, mode 0600; `logrotate-entries`: the directory it includes;
//! - `wrapper`: the executable to write, mode 0700; `logrotate-binary`: the program;
//! - `state-file`: where it remembers what it rotated;
//! - `gzip-binary`, `gunzip-binary`: how old logs are compressed.
//!
//! Options of `logrotate.d`:
//! - `logrotate-entries`, `name`: directory and name of the file to write, mode 0600;
//! - `log`: white-space list of the logs; `backup`: the directory for old ones;
//! - `pre`, `post`: shell text run before and after a rotation.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common;
use crate::wrapper;

/// The recipe `logrotate`.
pub(crate) struct Logrotate;

impl Recipe for Logrotate {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let conf = common::path(init, &init.require("conf")?);
        let path = common::path(init, &init.require("wrapper")?);
        let content = format!(
            "compresscmd {}\ncompressoptions -9\nuncompresscmd {}\ninclude {}",
            init.require("gzip-binary")?,
            init.require("gunzip-binary")?,
            init.require("logrotate-entries")?,
        );
        let words = [
            init.require("logrotate-binary")?,
            "-s".to_owned(),
            init.require("state-file")?,
            conf.to_string_lossy().into_owned(),
        ];
        let script = wrapper::script(&words, &Default::default(), "");
        Ok(Box::new(common::Files(vec![(path, script, 0o700), (conf, content, 0o600)])))
    }
}

/// The recipe `logrotate.d`.
pub(crate) struct LogrotateEntry;

impl Recipe for LogrotateEntry {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let directory = common::path(init, &init.require("logrotate-entries")?);
        let path = directory.join(init.require("name")?);
        let mut lines = vec![
            format!("{} {{", init.require("log")?),
            "daily\ndateext\nrotate 3650\ncompress\ndelaycompress\nnotifempty\nsharedscripts\ncreate"
                .to_owned(),
            format!("olddir {}", init.require("backup")?),
        ];
        for (option, keyword) in [("post", "postrotate"), ("pre", "prerotate")] {
            if let Some(text) = init.get(option) {
                lines.push(format!("{keyword}\n{text}\nendscript"));
            }
        }
        lines.push("}\n".to_owned());
        Ok(Box::new(common::Files(vec![(path, lines.join("\n"), 0o600)])))
    }
}
