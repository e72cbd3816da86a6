//! The files of a profile that somebody wants to look at.

use std::cell::OnceCell;
use std::io::ErrorKind;
use std::path::PathBuf;

use slapos_cookbook::{ProfileFiles, this_machine};
use slapos_profile::{Environment, Files, Location, ReadError};
use slapos_sources::{Fetcher, FetcherConfig, LocalFiles};

/// Reads files in place. What is elsewhere comes through a cache of the user's; nothing of that is
/// set up before the first URL.
#[derive(Default)]
pub(super) struct Reader {
    local: LocalFiles,
    fetcher: OnceCell<Fetcher>,
}

impl Files for Reader {
    fn environment(&self) -> Environment {
        this_machine()
    }

    fn read(&self, at: &Location) -> Result<String, ReadError> {
        if let Some(path) = at.as_path() {
            return self.local.read_to_string(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => ReadError::NotFound,
                _ => ReadError::Other(error.to_string()),
            });
        }
        let fetcher = self.fetcher.get_or_init(|| Fetcher::new(FetcherConfig::new(cache())));
        ProfileFiles::new(fetcher).read(at)
    }
}

/// Where downloads are kept.
fn cache() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".cache"));
    let base = absolute("XDG_CACHE_HOME").or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("slapos")
}
