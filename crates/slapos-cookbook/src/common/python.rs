//! What recipes that use the Python host have in common: how the host is started, and what it has
//! others do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use slapos_engine::{PartContext, PartError, PartInit, ProfileError};
use slapos_python::{HostConfig, Outside, Wanted};
use slapos_sources::archive::{self, Limits, Strip};
use slapos_sources::{Digest, Fetcher, Silent, Source, SourceUrl};

use super::{boolean, environment};

/// Variables by which a node's user says how networks are reached; Python's own clients read them.
const NETWORK: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
];

/// How the host is started: with the interpreter at `python`, or the machine's.
pub(crate) fn host_config(python: Option<PathBuf>) -> HostConfig {
    HostConfig { python, environment: host_environment }
}

/// The environment that recipes in Python find: that of all commands, and the way to the network.
fn host_environment(directory: &Path) -> BTreeMap<String, String> {
    let mut variables = environment::base(directory, Path::new("/tmp"));
    variables.remove("TMPDIR");
    // Python takes text for what the locale says; profiles and recipes are written in UTF-8.
    variables.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    for name in NETWORK {
        if let Ok(value) = std::env::var(name) {
            variables.insert(name.to_owned(), value);
        }
    }
    variables
}

/// What the host has others do for one part.
pub(crate) struct ForPart<'f> {
    fetcher: &'f Fetcher,
    /// The part takes what the network answers where it names no digest.
    allow_unverified: bool,
}

impl<'f> ForPart<'f> {
    /// For a part that may say `allow-unverified = true`.
    pub(crate) fn new(fetcher: &'f Fetcher, allow_unverified: bool) -> Self {
        Self { fetcher, allow_unverified }
    }

    /// As [`Self::new`], as the part's option says.
    pub(crate) fn of_part(fetcher: &'f Fetcher, init: &PartInit<'_>) -> Result<Self, ProfileError> {
        Ok(Self::new(fetcher, boolean(init, "allow-unverified", false)?))
    }

    fn source(&self, wanted: &Wanted) -> Result<Source, String> {
        let spelling = |error: slapos_sources::SpellingError| error.to_string();
        let mut source = match wanted.url.contains(':') {
            true => wanted.url.parse::<Source>().map_err(spelling)?,
            false => Source::new(SourceUrl::File(PathBuf::from(&wanted.url))),
        };
        if let Some(digest) = wanted.md5sum.as_deref().filter(|text| !text.is_empty()) {
            let digest = digest.parse::<Digest>().map_err(|error| error.to_string())?;
            source = source.with_digest(digest);
        }
        if let Some(alternate) = wanted.alternate.as_deref().filter(|text| !text.is_empty()) {
            source.alternates.push(alternate.parse().map_err(spelling)?);
        }
        let is_local = matches!(source.primary, SourceUrl::File(_));
        if source.digest.is_some() || is_local {
            return Ok(source);
        }
        match self.allow_unverified {
            true => Ok(source.allow_unverified()),
            false => Err(format!(
                "{} is downloaded without a checksum: give the MD5 sum, or the part \
                 `allow-unverified = true`",
                wanted.url
            )),
        }
    }
}

impl Outside for ForPart<'_> {
    fn download(&self, wanted: &Wanted) -> Result<PathBuf, String> {
        let source = self.source(wanted)?;
        let fetched = self.fetcher.fetch_as(&source, wanted.offline, &Silent);
        fetched.map(|fetched| fetched.path).map_err(|error| error.to_string())
    }

    fn unpack(&self, file: &Path, into: &Path, strip: Option<bool>) -> Result<(), String> {
        let strip = match strip {
            None => Strip::Auto,
            Some(true) => Strip::Always,
            Some(false) => Strip::Never,
        };
        archive::extract(file, into, &Limits::default(), strip, &Silent)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn distributions(&self, _request: &Value) -> Result<Value, String> {
        Err("Python distributions cannot be asked for here".to_owned())
    }
}

/// Path of the part's log, emptied, and the tag of its processes, as a call carries them.
pub(crate) fn traces(
    cx: &PartContext<'_>,
) -> Result<(Option<String>, Option<(String, String)>), PartError> {
    cx.open_log_file()?;
    let (name, value) = cx.tag();
    let log = cx.log_path().to_string_lossy().into_owned();
    Ok((Some(log), Some((name.to_owned(), value))))
}
