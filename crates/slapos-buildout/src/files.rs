//! The files of a profile, brought as `offline` and `newest` say.

use std::path::Path;

use slapos_cookbook::{ProfileFiles, this_machine};
use slapos_profile::{Environment, Files, Location, ReadError, plain_sections};
use slapos_sources::{Fetcher, LocalFiles};

/// What decides how files come, as far as it can be known before the first one has come: from the
/// defaults of the user, the profile itself and the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Early {
    pub(crate) offline: bool,
    pub(crate) newest: bool,
    /// `[buildout] socket-timeout`, seconds.
    pub(crate) timeout: Option<u64>,
    /// `[buildout] download-cache`, as written.
    pub(crate) download_cache: Option<String>,
    /// `[buildout] extends-cache`, as written.
    pub(crate) extends_cache: Option<String>,
}

impl Default for Early {
    fn default() -> Self {
        Self {
            offline: false,
            newest: true,
            timeout: None,
            download_cache: None,
            extends_cache: None,
        }
    }
}

impl Early {
    /// Takes in an option of `[buildout]`.
    pub(crate) fn set(&mut self, option: &str, value: &str) {
        let value = value.trim();
        let text = || Some(value.to_owned()).filter(|text| !text.is_empty());
        match option {
            "offline" => self.offline = value == "true",
            "newest" => self.newest = value != "false",
            "socket-timeout" => self.timeout = value.parse().ok().filter(|seconds| *seconds > 0),
            "download-cache" => self.download_cache = text(),
            "extends-cache" => self.extends_cache = text(),
            _ => {}
        }
    }

    /// Takes in what a file says, if it can be read; if it cannot, loading it will say why.
    pub(crate) fn read(&mut self, path: &Path) {
        let Ok(text) = LocalFiles::new().read_to_string(path) else { return };
        let sections = plain_sections(&path.to_string_lossy(), &text).unwrap_or_default();
        for (option, value) in sections.get("buildout").into_iter().flatten() {
            self.set(option, value);
        }
    }
}

/// Reads local files in place; what is elsewhere is asked for as `offline` and `newest` say.
pub(crate) struct Extended<'f> {
    pub(crate) fetcher: &'f Fetcher,
    pub(crate) offline: bool,
    pub(crate) newest: bool,
    /// The Python that conditions speak of; `None` for the usual one.
    pub(crate) python: Option<(u32, u32, u32)>,
}

impl Files for Extended<'_> {
    fn environment(&self) -> Environment {
        let machine = this_machine();
        Environment { python: self.python.unwrap_or(machine.python), ..machine }
    }

    fn read(&self, at: &Location) -> Result<String, ReadError> {
        let ask = |offline| ProfileFiles::new(self.fetcher).offline(offline).read(at);
        match (at.is_url(), self.offline, self.newest) {
            (false, ..) | (_, true, _) => ask(self.offline),
            // What was brought before is as good as anything, or better than nothing.
            (true, false, false) => ask(true).or_else(|_| ask(false)),
            (true, false, true) => ask(false).or_else(|error| ask(true).map_err(|_| error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let mut early = Early::default();
        for (option, value) in [
            ("offline", "true"),
            ("socket-timeout", "soon"),
            ("newest", "false"),
            ("extends-cache", "/x"),
            ("offline", "false"),
            ("extends-cache", ""),
        ] {
            early.set(option, value);
        }
        assert_eq!(early, Early { newest: false, ..Early::default() });
    }
}
