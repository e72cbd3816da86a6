//! `slapos.cookbook:generic.mysql.wrap_update_mysql`: an executable that brings the tables of a
//! MySQL or MariaDB server up to date, and ends when that is done.
//!
//! Options:
//! - `output`: the executable to write, mode 0700; in `etc/run` it runs once after each start;
//! - `binary`: the program `mysql_upgrade`; `mysql`: the client; `mysql_tzinfo_to_sql`, beside the
//!   client, reads the time zones;
//! - `init-script`: SQL to run after the upgrade.
//!
//! The time zones are those of the machine, `/usr/share/zoneinfo`, if it has them; the original
//! takes those of the Python package pytz.

use std::path::Path;

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, required_path, shell_quote};

/// What the executable does, after the lines that set its variables.
const UPDATE: &str = include_str!("mysql_update/update.sh");

/// The recipe.
pub(crate) struct UpdateMysql;

impl Recipe for UpdateMysql {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let mysql = required_path(init, "mysql")?;
        let tzinfo = mysql.with_file_name("mysql_tzinfo_to_sql");
        let mut text = "#!/bin/sh\n".to_owned();
        for (name, path) in [
            ("upgrade", required_path(init, "binary")?.as_path()),
            ("mysql", &mysql),
            ("tzinfo", &tzinfo),
            ("script", &required_path(init, "init-script")?),
            ("zoneinfo", Path::new("/usr/share/zoneinfo")),
        ] {
            text.push_str(&format!("{name}={}\n", shell_quote(&path.to_string_lossy())));
        }
        text.push_str(UPDATE);
        Ok(Box::new(common::Files(vec![(required_path(init, "output")?, text, 0o700)])))
    }
}
