//! `plone.recipe.command`: a shell command.
//!
//! Options:
//! - `command`: run by `/bin/sh` when the part is installed;
//! - `update-command`: run at every later run; default none;
//! - `location`: white-space list of paths that the command makes, removed with the part;
//! - `stop-on-error`: `yes`, `on` or `true` make a failing command fail the part; by default it
//!   is only a warning.
//!
//! Commands see a clean environment (`PATH`, `LANG`, `HOME` = the buildout directory) and
//! run in the buildout directory. Such a part runs after all earlier ones and before all later
//! ones, because what a command uses cannot be known.

use std::path::PathBuf;

use slapos_engine::{
    CommandSpec, Part, PartContext, PartError, PartInit, ProfileError, Recipe, Turn,
};

use crate::common::{self, environment};

/// The recipe.
pub(crate) struct Command;

impl Recipe for Command {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let command = init.require("command")?;
        let update = init.get("update-command").unwrap_or_default().to_owned();
        let stop_on_error = matches!(init.get("stop-on-error"), Some("yes" | "on" | "true"));
        let location = init.get("location").unwrap_or_default().to_owned();
        let paths = location.split_whitespace().map(|path| common::path(init, path)).collect();
        Ok(Box::new(Shell { command, update, stop_on_error, paths }))
    }
}

struct Shell {
    command: String,
    update: String,
    stop_on_error: bool,
    paths: Vec<PathBuf>,
}

impl Shell {
    fn run(&self, command: &str, cx: &PartContext<'_>) -> Result<(), PartError> {
        if command.trim().is_empty() {
            return Ok(());
        }
        let directory = cx.directory();
        let mut variables = environment::of_run(cx, directory, &directory.join("tmp"));
        variables.remove("TMPDIR");
        let spec = CommandSpec::new("/bin/sh").arg("-c").arg(command).envs(variables);
        match cx.run(&spec.shown_as(command)) {
            Err(error) if !self.stop_on_error && !error.is_cancelled() => {
                cx.warn(&format!("{error}, which `stop-on-error` does not mind"));
                Ok(())
            }
            result => result,
        }
    }
}

impl Part for Shell {
    fn claims(&self) -> Vec<PathBuf> {
        // What is there before the command was first run is not its work, and not to be cleaned
        // away should it be cut short.
        self.paths.iter().filter(|path| path.symlink_metadata().is_err()).cloned().collect()
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.run(&self.command, cx)?;
        Ok(self.paths.clone())
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.run(&self.update, cx)
    }

    fn needs_update(&self) -> Option<String> {
        (!self.update.trim().is_empty()).then(|| "it has an `update-command`".to_owned())
    }

    fn turn(&self) -> Turn {
        Turn::Alone
    }
}
