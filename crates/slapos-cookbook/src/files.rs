//! The files of a profile: those of this machine, and those that it extends from elsewhere.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

use slapos_profile::{Environment, Files, Location, ReadError};
use slapos_sources::{Fetcher, Progress, Source, SourceUrl};

use crate::machine::this_machine;

/// Most bytes that are taken for a profile.
const LARGEST: u64 = 16 << 20;

/// Stops a download that is too large for a profile.
struct Bound(AtomicBool);

impl Progress for Bound {
    fn bytes(&self, done: u64, _total: Option<u64>) {
        if done > LARGEST {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads local files in place and brings the others through the fetcher. A profile elsewhere has
/// no checksum (its author changes it at will), so it is taken as it comes.
pub struct ProfileFiles<'f> {
    fetcher: &'f Fetcher,
    offline: bool,
    python: Option<(u32, u32, u32)>,
}

impl<'f> ProfileFiles<'f> {
    /// Reads through `fetcher`, and local files as it does.
    pub fn new(fetcher: &'f Fetcher) -> Self {
        Self { fetcher, offline: false, python: None }
    }

    /// The same; with `offline`, profiles elsewhere are those that were brought before.
    #[must_use]
    pub fn offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// The same, for conditions that speak of this version of Python.
    #[must_use]
    pub(crate) fn for_python(self, version: (u32, u32, u32)) -> Self {
        Self { python: Some(version), ..self }
    }

    fn download(&self, at: &Location) -> Result<std::path::PathBuf, ReadError> {
        let other = |error: String| ReadError::Other(error);
        let url: Result<SourceUrl, _> = at.to_string().parse();
        let url = url.map_err(|error: slapos_sources::SpellingError| other(error.to_string()))?;
        let source = Source::new(url).allow_unverified();
        let bound = Bound(AtomicBool::new(false));
        let fetched = self.fetcher.fetch_as(&source, self.offline, &bound);
        if bound.0.load(Ordering::Relaxed) {
            return Err(other(format!("it has more than {} MiB: no profile does", LARGEST >> 20)));
        }
        let fetched = fetched.map_err(|error| other(error.to_string()))?;
        Ok(fetched.path)
    }
}

impl Files for ProfileFiles<'_> {
    fn environment(&self) -> Environment {
        let machine = this_machine();
        Environment { python: self.python.unwrap_or(machine.python), ..machine }
    }

    fn read(&self, at: &Location) -> Result<String, ReadError> {
        let path = match at.as_path() {
            Some(path) => path.to_owned(),
            None => self.download(at)?,
        };
        let local = &self.fetcher.config().local;
        local.read_to_string(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ReadError::NotFound,
            ErrorKind::PermissionDenied => ReadError::Other(closed(&error)),
            _ => ReadError::Other(error.to_string()),
        })
    }
}

/// A clone made under a strict umask is readable by its owner alone.
fn closed(error: &std::io::Error) -> String {
    let user = slapos_sys::user::current().map_or_else(|_| "this user".to_owned(), |me| me.name);
    format!("{error}; {user} must be able to read the profile tree: `chmod -R a+rX` it")
}
