//! `slapos.cookbook:cron` and `cron.d`: dcron as a service, and its entries.
//!
//! Options of `cron`, all needed:
//! - `binary`: the executable to write, mode 0700, which runs dcron in the foreground;
//! - `dcrond-binary`: the program;
//! - `cron-entries`, `crontabs`, `cronstamps`: its directories;
//! - `catcher`: the program that gets the output of jobs; `log-file`: its log.
//!
//! Options of `cron.d`:
//! - `cron-entries`, `name`: directory and name of the file to write;
//! - `frequency`: the five fields of a crontab, or, without it, `time`: a calendar specification
//!   of systemd (`hourly`, `Mon..`, `*-*-1 4:30`, ...; years and seconds are refused);
//! - `command`: what is run then.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, calendar};
use crate::wrapper;

/// The recipe `cron`.
pub(crate) struct Cron;

impl Recipe for Cron {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("binary")?);
        let program = init.require("dcrond-binary")?.trim().to_owned();
        let mut words = vec![program];
        for (flag, option) in [("-s", "cron-entries"), ("-c", "crontabs"), ("-t", "cronstamps")] {
            words.extend([flag.to_owned(), init.require(option)?]);
        }
        words.extend(["-f", "-l", "5"].map(str::to_owned));
        for (flag, option) in [("-M", "catcher"), ("-L", "log-file")] {
            words.extend([flag.to_owned(), init.require(option)?]);
        }
        let script = wrapper::script(&words, &Default::default(), "");
        Ok(Box::new(common::Files(vec![(path, script, 0o700)])))
    }
}

/// The recipe `cron.d`.
pub(crate) struct CronEntry;

impl Recipe for CronEntry {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let directory = common::path(init, &init.require("cron-entries")?);
        let path = directory.join(init.require("name")?);
        let when = match init.get("frequency") {
            Some(frequency) => frequency.to_owned(),
            None => {
                let time = init.require("time")?;
                calendar::crontab(&time).ok_or_else(|| {
                    let message = format!("`time` is no calendar specification: `{time}`");
                    let help = "write for example `daily`, `Mon-Fri 4:30` or `*-*-1 0:0`; years, \
                                seconds, and a day of the month together with one of the week \
                                are not possible";
                    init.error("time", &message, Some(help))
                })?
            }
        };
        let line = format!("{when} {}\n", init.require("command")?);
        let mode = common::rendered_mode(None, "");
        Ok(Box::new(common::Files(vec![(path, line, mode)])))
    }
}
