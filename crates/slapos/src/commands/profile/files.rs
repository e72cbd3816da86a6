//! The files of a profile that somebody wants to look at.

use std::cell::OnceCell;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use slapos_cookbook::{ProfileFiles, this_machine};
use slapos_profile::{Environment, Files, Location, ReadError};
use slapos_sources::{Fetcher, FetcherConfig, LocalFiles};

/// More than nearly all profiles have, bytes.
const SMALL: usize = 16 << 10;
/// More than any profile has, bytes.
const LARGEST: u64 = 256 << 20;

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
            return self.text(path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => ReadError::NotFound,
                _ => ReadError::Other(error.to_string()),
            });
        }
        let fetcher = self.fetcher.get_or_init(|| Fetcher::new(FetcherConfig::new(cache())));
        ProfileFiles::new(fetcher).read(at)
    }
}

impl Reader {
    /// As `LocalFiles::read_to_string`, in few system calls: a profile has hundreds of small files.
    fn text(&self, path: &Path) -> std::io::Result<String> {
        let mut bytes = Vec::with_capacity(SMALL);
        let file = self.local.open(path)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(ErrorKind::FileTooLarge.into());
        }
        String::from_utf8(bytes).map_err(|error| {
            let message = format!("it is not UTF-8: {}", error.utf8_error());
            std::io::Error::new(ErrorKind::InvalidData, message)
        })
    }
}

/// Where downloads are kept.
fn cache() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".cache"));
    let base = absolute("XDG_CACHE_HOME").or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("slapos")
}
