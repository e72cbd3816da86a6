//! Profiles for the language: read from this machine or the network.

use std::path::PathBuf;
use std::sync::Arc;

use slapos_profile::{Files, Location, ReadError};
use slapos_sources::{Fetcher, LocalFiles, Silent, Source, SourceUrl};

/// Reads local profiles through [`LocalFiles`] and remote ones through the [`Fetcher`].
///
/// A remote profile has no checksum (its author changes it at will), so it is taken as it comes.
pub(super) struct ProfileFiles {
    pub(super) local: LocalFiles,
    pub(super) fetcher: Arc<Fetcher>,
}

impl Files for ProfileFiles {
    fn read(&self, at: &Location) -> Result<String, ReadError> {
        let path = match at.as_path() {
            Some(path) => path.to_owned(),
            None => self.download(at)?,
        };
        self.local.read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::NotFound,
            _ => ReadError::Other(error.to_string()),
        })
    }
}

impl ProfileFiles {
    fn download(&self, at: &Location) -> Result<PathBuf, ReadError> {
        let url: SourceUrl =
            at.to_string().parse().map_err(|error| ReadError::Other(format!("{error}")))?;
        let source = Source::new(url).allow_unverified();
        let fetched = self.fetcher.fetch(&source, &Silent);
        fetched.map(|fetched| fetched.path).map_err(|error| ReadError::Other(error.to_string()))
    }
}
