//! Registries asked by name, through the machine's own clients.
//!
//! No registry's host name is known here. Each client (apt, pip, cargo, npm) is asked where its
//! registry or mirror is, and the file is then downloaded like any other, or, where the client
//! alone can reach it, by the client. Invariant: no client is ever asked to build or to run
//! anything of a package.

mod apt_sources;
mod client;
mod crates;
mod debian;
mod debian_index;
mod npm;
mod pypi;

use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

use url::Url;

pub use debian::DebianSettings;

use crate::fetcher::FetcherConfig;
use crate::http::{Http, redacted};
use crate::{Digest, Failure, Progress, Source, SourceUrl};

/// Where a registry says that a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// On the web.
    Url(Url),
    /// On this machine.
    File(PathBuf),
    /// On a mirror of Debian, which apt can download from too.
    Apt(Url),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) | Self::Apt(url) => f.write_str(&redacted(url)),
            Self::File(path) => SourceUrl::File(path.clone()).fmt(f),
        }
    }
}

/// All registries.
pub(crate) struct Registries {
    pub(crate) debian: debian::Debian,
    http: Http,
    python: OnceLock<pypi::Indexes>,
}

/// Where to look for the files of Python projects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PythonPlaces {
    /// The index: an address, or the path of a directory; `None` for the one that pip is
    /// configured for on this machine, with the directories of its `find-links`.
    pub index: Option<String>,
    /// Pages with links to files, and directories that hold files.
    pub links: Vec<String>,
}

impl PythonPlaces {
    /// Whether all of them are on this machine.
    pub fn are_local(&self) -> bool {
        let local = |text: &String| text.starts_with('/') || text.starts_with("file://");
        self.index.as_ref().is_some_and(local) && self.links.iter().all(local)
    }
}

/// A file of a Python project: a source distribution, a wheel, or anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonFile {
    /// Its name, which says project, version and kind.
    pub name: String,
    /// Where it is, with the digest that the index gives.
    pub source: Source,
    /// Versions of Python it is for, as written.
    pub requires_python: Option<String>,
    /// Its maker has withdrawn it.
    pub yanked: bool,
}

impl Registries {
    pub(crate) fn new(config: &FetcherConfig, http: Http) -> Self {
        Self { debian: debian::Debian::new(config), http, python: OnceLock::new() }
    }

    /// All files of a Python project.
    pub(crate) fn python_files(
        &self,
        project: &str,
        places: &PythonPlaces,
        progress: &dyn Progress,
    ) -> Result<Vec<PythonFile>, Failure> {
        pypi::files(&self.http, &self.python, project, places, progress)
    }

    /// The places that may hold the file of a registry, best first, at least one.
    pub(crate) fn resolve(
        &self,
        url: &SourceUrl,
        digest: Option<&Digest>,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>, Failure> {
        match url {
            SourceUrl::Http(url) => Ok(vec![Found::Url(url.clone())]),
            SourceUrl::File(path) => Ok(vec![Found::File(path.clone())]),
            SourceUrl::Debian { package, version, file } => {
                self.debian.by_name([package, version, file], digest, progress)
            }
            SourceUrl::Pypi { name, file, .. } => pypi::resolve(&self.http, name, file, progress),
            SourceUrl::Crate { name, version } => crates::resolve(name, version, progress),
            SourceUrl::Npm { name, version } => npm::resolve(&self.http, name, version, progress),
        }
    }
}
