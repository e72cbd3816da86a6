//! `bootstrap` and `init`: a directory in which `bin/buildout` works.

use std::path::PathBuf;

use slapos_profile::inspect::Values;
use slapos_sys::fs;

use crate::arguments::Invocation;
use crate::error::Error;
use crate::session::Session;
use crate::surroundings::Surroundings;

/// A profile without parts.
const EMPTY: &str = "[buildout]\nparts =\n";

/// Makes the directories of the buildout that `invocation` names, and in its `bin-directory` a
/// link called `buildout` to this program. Returns what was done, line by line.
///
/// # Errors
/// Those of [`Session::load`], and what the operating system refuses.
pub fn bootstrap(invocation: &Invocation, around: &Surroundings) -> Result<Vec<String>, Error> {
    let session = Session::load(invocation, around)?;
    let values = Values::new(session.profile());
    let directory =
        |option| -> PathBuf { session.directory().join(values.text("buildout", option)) };
    let mut told = Vec::new();
    let bin = directory("bin-directory");
    for directory in [&bin, &directory("parts-directory")] {
        if !directory.is_dir() {
            fs::create_dir_all(directory, 0o755)
                .map_err(|error| Error::io("create", directory, error))?;
            told.push(format!("Creating directory '{}'.", directory.display()));
        }
    }
    let link = bin.join("buildout");
    fs::symlink_atomic(&around.program, &link)
        .map_err(|error| Error::io("make the link", &link, error))?;
    told.push(format!("Generated script '{}'.", link.display()));
    Ok(told)
}

/// Writes a profile without parts where `invocation` names one, and bootstraps.
///
/// # Errors
/// [`Error::Usage`] when something is there already; those of [`bootstrap`].
pub fn init(invocation: &Invocation, around: &Surroundings) -> Result<Vec<String>, Error> {
    let path = around.directory.join(&invocation.profile);
    if invocation.profile.contains("://") {
        let message = format!("{} is a URL: nothing can be written there", invocation.profile);
        return Err(Error::usage(message, "name a file with -c"));
    }
    let written = fs::write_once(&path, EMPTY.as_bytes(), 0o644);
    if !written.map_err(|error| Error::io("write", &path, error))? {
        let message = format!("{} exists already", path.display());
        return Err(Error::usage(message, "use `bootstrap`, or another name with -c"));
    }
    let mut told = vec![format!("Creating '{}'.", path.display())];
    told.extend(bootstrap(invocation, around)?);
    Ok(told)
}
