//! Sources named by options, and bringing them with the engine's progress.
//!
//! Options, wherever a recipe takes a source:
//! - `url`: an absolute path, `file:`, `http(s):` or a registry scheme (`debian:`, `pypi:`,
//!   `crate:`, `npm:`);
//! - `md5sum`, `sha256sum`: hexadecimal digest of the bytes; if both are given, SHA-256 decides;
//! - `alternate-url`: lines `URL` or `URL#sha256=HEX`, asked in order when `url` fails.

use std::path::Path;

use slapos_engine::{PartContext, PartError, PartInit, ProfileError};
use slapos_sources::{
    Alternate, Digest, FetchError, Fetched, Fetcher, Progress, Source, SourceUrl,
};

/// The source that the options of a part name; nothing is asked yet.
pub(crate) fn of_part(init: &PartInit<'_>) -> Result<Source, ProfileError> {
    let url = init.require("url")?;
    let mut source = place(init, "url", &url)?;
    source.digest = digest(init)?.or(source.digest);
    let alternates = init.get("alternate-url").unwrap_or_default().to_owned();
    for line in alternates.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let alternate: Alternate =
            line.parse().map_err(|error: slapos_sources::SpellingError| {
                init.error("alternate-url", &error.to_string(), None)
            })?;
        source.alternates.push(alternate);
    }
    Ok(source)
}

/// The digest that the options of a part ask for.
pub(crate) fn digest(init: &PartInit<'_>) -> Result<Option<Digest>, ProfileError> {
    for (option, algorithm) in [("sha256sum", "sha256"), ("md5sum", "md5")] {
        let Some(text) = init.get(option).map(str::trim).filter(|text| !text.is_empty()) else {
            continue;
        };
        let parsed = format!("{algorithm}:{text}").parse::<Digest>();
        return match parsed {
            Ok(digest) => Ok(Some(digest)),
            Err(error) => Err(init.error(option, &error.to_string(), None)),
        };
    }
    Ok(None)
}

/// A place as an option names it, with its digest after `#` if it has one; a relative path is
/// below the buildout directory.
pub(crate) fn place(init: &PartInit<'_>, option: &str, text: &str) -> Result<Source, ProfileError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(init.error(option, &format!("`{option}` is empty"), None));
    }
    if !text.contains(':') {
        return Ok(Source::new(SourceUrl::File(init.buildout_directory().join(text))));
    }
    text.parse().map_err(|error: slapos_sources::SpellingError| {
        init.error(option, &error.to_string(), None)
    })
}

/// Declares the content of a local file that no digest fixes, so that a change of it is seen.
pub(crate) fn declare_local(init: &mut PartInit<'_>, source: &Source, fetcher: &Fetcher) {
    if let (SourceUrl::File(path), None) = (&source.primary, &source.digest)
        && !init.is_made_by_reference(path)
        && let Ok(bytes) = fetcher.config().local.read(path)
    {
        let digest = Digest::sha256_of(&bytes).to_string();
        init.add_input(&path.to_string_lossy(), &digest);
    }
}

/// Brings `source` while a part is installed.
pub(crate) fn fetch(
    fetcher: &Fetcher,
    source: &Source,
    cx: &PartContext<'_>,
) -> Result<Fetched, PartError> {
    fetcher.fetch(source, &Relay(cx)).map_err(|error| match error {
        FetchError::Cancelled => PartError::cancelled(),
        other => PartError::new(other.to_string()),
    })
}

/// A part's context as the watcher of a fetch or an extraction.
pub(crate) struct Relay<'a>(pub(crate) &'a PartContext<'a>);

impl Progress for Relay<'_> {
    fn text(&self, text: &str) {
        self.0.progress(text);
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// A text that a part is made from: where it is and, unless it is made by another part and
/// read later, what it says.
pub(crate) struct TextFile {
    pub(crate) name: String,
    source: Source,
    text: Option<String>,
}

impl TextFile {
    /// Reads the text that `url` names, now if it can be, and declares its content as an input.
    pub(crate) fn of_part(
        init: &mut PartInit<'_>,
        option: &str,
        fetcher: &Fetcher,
    ) -> Result<Self, ProfileError> {
        let url = init.require(option)?;
        let mut source = place(init, option, &url)?.allow_unverified();
        source.digest = digest(init)?.or(source.digest);
        let name = match &source.primary {
            SourceUrl::File(path) => path.display().to_string(),
            other => other.to_string(),
        };
        let later = matches!(&source.primary, SourceUrl::File(path)
            if init.is_made_by_reference(path));
        if later || source.digest.is_some() {
            return Ok(Self { name, source, text: None });
        }
        let text = read(fetcher, &source, &slapos_sources::Silent)
            .map_err(|message| init.error(option, &message, None))?;
        init.add_input(&name, &Digest::sha256_of(text.as_bytes()).to_string());
        Ok(Self { name, source, text: Some(text) })
    }

    /// The text, read before anything is installed.
    pub(crate) fn now(
        &self,
        init: &PartInit<'_>,
        fetcher: &Fetcher,
    ) -> Result<String, ProfileError> {
        match &self.text {
            Some(text) => Ok(text.clone()),
            None => read(fetcher, &self.source, &slapos_sources::Silent)
                .map_err(|message| init.error("url", &message, None)),
        }
    }

    /// The text, when the part is installed.
    pub(crate) fn read(
        &self,
        fetcher: &Fetcher,
        cx: &PartContext<'_>,
    ) -> Result<String, PartError> {
        match &self.text {
            Some(text) => Ok(text.clone()),
            None => read(fetcher, &self.source, &Relay(cx)).map_err(PartError::new),
        }
    }
}

/// Local files are read in place: a template need not go through the cache of downloads.
fn read(fetcher: &Fetcher, source: &Source, progress: &dyn Progress) -> Result<String, String> {
    let bytes = match &source.primary {
        SourceUrl::File(path) => {
            let bytes = fetcher.config().local.read(path).map_err(|error| cannot(path, &error))?;
            if let Some(wanted) = &source.digest {
                verify(path, &bytes, wanted)?;
            }
            bytes
        }
        _ => {
            let fetched = fetcher.fetch(source, progress).map_err(|error| error.to_string())?;
            std::fs::read(&fetched.path).map_err(|error| cannot(&fetched.path, &error))?
        }
    };
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", source.primary))
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

fn verify(path: &Path, bytes: &[u8], wanted: &Digest) -> Result<(), String> {
    let found = digest_like(wanted, bytes);
    if found == *wanted {
        return Ok(());
    }
    Err(format!("{} has the wrong checksum: it is {found}, and {wanted} is wanted", path.display()))
}

/// The digest of `bytes` by the algorithm of `like`.
fn digest_like(like: &Digest, bytes: &[u8]) -> Digest {
    use md5::Digest as _;
    match like {
        Digest::Md5(_) => Digest::Md5(md5::Md5::digest(bytes).into()),
        Digest::Sha512(_) => Digest::Sha512(sha2::Sha512::digest(bytes).into()),
        Digest::Sha256(_) => Digest::sha256_of(bytes),
    }
}
