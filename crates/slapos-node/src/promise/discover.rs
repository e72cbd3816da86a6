//! Which promises a partition has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Starts the line by which a promise says that a built-in check does the same as its code.
pub(super) const HEADER: &str = "# slapos-promise:";

/// How a promise is checked.
#[derive(Debug)]
pub(super) enum Check {
    /// By a check that this program has.
    Native(Header),
    /// By executing the file.
    Executable,
    /// It cannot be checked, for this reason.
    Impossible(String),
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

impl Header {
    /// A configured value as text; `None` if it is absent or empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let text = match self.config.get(key)? {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }
}

/// A promise as found.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) path: PathBuf,
    pub(super) check: Check,
}

/// The promises of the partition at `directory`, by name.
pub(super) fn discover(directory: &Path) -> std::io::Result<Vec<Promise>> {
    let mut found = list(&directory.join("etc/plugin"), plugin)?;
    found.extend(list(&directory.join("etc/promise"), executable)?);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn list(
    directory: &Path,
    look: fn(&Path) -> std::io::Result<Option<Check>>,
) -> std::io::Result<Vec<Promise>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let hidden = name.starts_with('.');
        if hidden || !std::fs::metadata(&path).is_ok_and(|meta| meta.is_file()) {
            continue;
        }
        if let Some(check) = look(&path)? {
            let title = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name).to_owned();
            found.push(Promise { name: name.to_owned(), title, check, path });
        }
    }
    Ok(found)
}

fn plugin(path: &Path) -> std::io::Result<Option<Check>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if path.extension().is_none_or(|extension| extension != "py") || name.starts_with("__init__") {
        return Ok(None);
    }
    Ok(Some(header(path)?.unwrap_or_else(|| {
        Check::Impossible(format!(
            "{name} is a Python promise without a `{HEADER}` line; this version has no Python host to run it"
        ))
    })))
}

fn executable(path: &Path) -> std::io::Result<Option<Check>> {
    if let Some(check) = header(path)? {
        return Ok(Some(check));
    }
    if std::fs::metadata(path)?.permissions().mode() & 0o111 == 0 {
        return Ok(Some(Check::Impossible("the file is not executable".into())));
    }
    Ok(Some(Check::Executable))
}

/// The check that one of the first two lines names, if any.
fn header(path: &Path) -> std::io::Result<Option<Check>> {
    const LONGEST: u64 = 64 << 10;
    let mut start = BufReader::new(slapos_sys::fs::open_ordinary(path)?.take(LONGEST));
    for _ in 0..2 {
        let mut line = Vec::new();
        start.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line);
        let Some(json) = line.strip_prefix(HEADER) else {
            continue;
        };
        return Ok(Some(match serde_json::from_str(json) {
            Ok(header) => Check::Native(header),
            Err(error) => Check::Impossible(format!("its `{HEADER}` line is wrong: {error}")),
        }));
    }
    Ok(None)
}
