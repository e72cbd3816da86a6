//! `check_file_state` and `check_file_fresh`: a file is there, has something in it, or is new.

use std::path::Path;
use std::time::Duration;

use slapos_sys::clock::{Clock, SystemClock};

use super::super::state::{epoch, modified};
use super::options::Options;
use super::{Found, Surroundings, path_in};

pub(super) const STATE_OPTIONS: [&str; 7] = [
    "filename",
    "state",
    "url",
    "result-count",
    "failure-amount",
    "perdiodic-only",
    "report-anomaly",
];

pub(super) fn state(options: &Options<'_>, given: &Surroundings) -> Found {
    let filename = options.required("filename")?;
    let path = path_in(&given.directory, &filename);
    let state = options.text("state").unwrap_or_default();
    if state == "absent" {
        return match path.exists() {
            true => Err(format!("{filename} is there and should not be")),
            false => Ok(format!("{filename} is absent")),
        };
    }
    if !path.exists() {
        return Err(format!("{filename} is not there"));
    }
    let empty = is_empty(&path).map_err(|error| format!("cannot read {filename}: {error}"))?;
    match state.as_str() {
        "empty" if !empty => Err(match options.text("url") {
            Some(url) => format!("{filename} is not empty; see {}", url.trim()),
            None => format!("{filename} is not empty"),
        }),
        "not-empty" if empty => Err(format!("{filename} is empty")),
        _ => Ok(format!("{filename} is {}", if state.is_empty() { "there" } else { &state })),
    }
}

fn is_empty(path: &Path) -> std::io::Result<bool> {
    use std::io::Read;
    // Not by its length, which some systems' files do not have.
    Ok(slapos_sys::fs::open_ordinary(path)?.read(&mut [0; 1])? == 0)
}

pub(super) fn fresh(options: &Options<'_>, given: &Surroundings) -> Found {
    let filename = options.required("filename")?;
    options.required("max-age")?;
    let most: f64 = options.number("max-age", 0.0)?;
    let path = path_in(&given.directory, &filename);
    let changed = modified(&path).ok_or_else(|| format!("{filename} is not there"))?;
    let age = (epoch(SystemClock.now()) - changed).max(0.0);
    let shown = Duration::try_from_secs_f64(age).unwrap_or_default().as_secs();
    if age <= most {
        return Ok(format!("{filename} was changed {shown} s ago"));
    }
    Err(format!("{filename} was changed {shown} s ago, which is more than {most} s"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::super::testing::found_in;

    #[test]
    fn a_file_is_in_the_wanted_state_or_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("full"), "x").unwrap();
        std::fs::write(dir.path().join("empty"), "").unwrap();
        let is = |filename, state| {
            let config = [("filename", filename), ("state", state)];
            found_in(dir.path(), "check_file_state", &config).is_ok()
        };
        assert!(is("full", "not-empty") && is("empty", "empty") && is("none", "absent"));
        assert!(!is("full", "empty") && !is("empty", "not-empty") && !is("full", "absent"));
        assert!(!is("none", "empty") && !is("none", "not-empty"));
        let config = [("filename", "full"), ("state", "empty"), ("url", "http://x")];
        let message = found_in(dir.path(), "check_file_state", &config).unwrap_err();
        assert_eq!(message, "full is not empty; see http://x");
    }

    #[test]
    fn a_file_is_fresh_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(dir.path().join("beat")).unwrap();
        let fresh = |most| {
            found_in(dir.path(), "check_file_fresh", &[("filename", "beat"), ("max-age", most)])
        };
        assert!(fresh("3600").is_ok());
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        file.set_modified(long_ago).unwrap();
        assert!(fresh("3600").unwrap_err().ends_with("which is more than 3600 s"));
    }
}
