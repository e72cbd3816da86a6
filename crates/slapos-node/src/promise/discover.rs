//! Which promises a partition has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Starts the line by which a promise says that a built-in check does the same as its code.
const HEADER: &str = "# slapos-promise:";

/// What a promise is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of Python in `etc/plugin`.
    Plugin,
    /// A program in `etc/promise`.
    Executable,
}

/// What follows [`HEADER`], as JSON.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Header {
    /// The Python module that would do it.
    pub(super) module: String,
    /// Its configuration.
    #[serde(default)]
    pub(super) config: BTreeMap<String, serde_json::Value>,
}

/// A promise as found.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) path: PathBuf,
    pub(super) source: Source,
    pub(super) header: Option<Header>,
}

/// The promises of a partition, plugins first, by name; and what looks like one and is none.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) promises: Vec<Promise>,
    pub(super) warnings: Vec<String>,
}

/// Looks for the promises of the partition at `directory`.
pub(super) fn discover(directory: &Path) -> std::io::Result<Found> {
    let mut found = Found::default();
    list(&directory.join("etc/plugin"), Source::Plugin, &mut found)?;
    list(&directory.join("etc/promise"), Source::Executable, &mut found)?;
    Ok(found)
}

fn list(directory: &Path, source: Source, found: &mut Found) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let file = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file);
        let Some(meta) = file.filter(|_| !name.starts_with('.')) else { continue };
        let fits = match source {
            Source::Plugin => name.ends_with(".py") && !name.starts_with("__init__"),
            Source::Executable => {
                let executable = meta.permissions().mode() & 0o111 != 0;
                if !executable {
                    let warning = format!("{} is no promise: it is not executable", path.display());
                    found.warnings.push(warning);
                }
                executable
            }
        };
        if fits {
            let name = name.to_owned();
            let title = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(&name).to_owned();
            let header = header(&path);
            found.promises.push(Promise { name, title, path, source, header });
        }
    }
    Ok(())
}

/// What one of the first two lines says, if it is a header. What cannot be read will say so when it
/// is run.
fn header(path: &Path) -> Option<Header> {
    const LONGEST: u64 = 64 << 10;
    let mut start = BufReader::new(slapos_sys::fs::open_ordinary(path).ok()?.take(LONGEST));
    for _ in 0..2 {
        let mut line = Vec::new();
        start.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(&line);
        if let Some(json) = line.strip_prefix(HEADER) {
            return serde_json::from_str(json).ok();
        }
    }
    None
}
