//! Sources named by options, and bringing them with the engine's progress.
//!
//! Options, wherever a recipe takes a source:
//! - `url`: an absolute path, `file:`, `http(s):` or a registry scheme (`debian:`, `pypi:`,
//!   `crate:`, `npm:`);
//! - `md5sum`, `sha256sum`: hexadecimal digest of the bytes; if both are given, SHA-256 decides;
//! - `alternate-url`: lines `URL` or `URL#sha256=HEX`, asked in order when `url` fails;
//! - `allow-unverified`: `true` takes whatever `http(s)` answers where there is no digest; never
//!   for a shared part. Otherwise what comes over the network needs a digest.
//!
//! When the run is offline (`[buildout] offline = true`), only the download cache and files of
//! this machine are used.

use std::io::Read as _;
use std::path::Path;

use slapos_engine::{PartContext, PartError, PartInit, ProfileError};
use slapos_sources::{
    Alternate, Digest, FetchError, Fetched, Fetcher, Progress, Source, SourceUrl,
};

use crate::common;

/// The source that the options of a part name, with a digest wherever it needs one; nothing is
/// asked yet.
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
    verifiable(init, "url", source)
}

/// The patches that an option names, separated by white space: each `url`, `url#md5` or
/// `url#sha256=...`.
pub(crate) fn patches(init: &mut PartInit<'_>, option: &str) -> Result<Vec<Source>, ProfileError> {
    let list = init.get(option).unwrap_or_default().to_owned();
    let mut patches = Vec::new();
    for text in list.split_whitespace() {
        patches.push(file(init, option, text)?);
    }
    Ok(patches)
}

/// A file that `option` names as `url` or `url#digest`.
pub(crate) fn file(init: &PartInit<'_>, option: &str, text: &str) -> Result<Source, ProfileError> {
    let (url, digest) = match text.rsplit_once('#') {
        Some((url, digest)) => (url, Some(digest)),
        None => (text, None),
    };
    let mut source = place(init, option, url)?;
    if let Some(text) = digest.filter(|text| !text.is_empty()) {
        let parsed = text.parse::<Digest>();
        let parsed = parsed.map_err(|error| init.error(option, &error.to_string(), None))?;
        source = source.with_digest(parsed);
    }
    verifiable(init, option, source)
}

/// `source`, named by `option`, unless its bytes would come over the network with nothing to
/// verify them by, and the part does not allow that.
pub(crate) fn verifiable(
    init: &PartInit<'_>,
    option: &str,
    source: Source,
) -> Result<Source, ProfileError> {
    let is_fixed = |url: &SourceUrl, digest: Option<&Digest>| {
        digest.or(source.digest.as_ref()).is_some() || matches!(url, SourceUrl::File(_))
    };
    let (option, place) = if !is_fixed(&source.primary, None) {
        (option, &source.primary)
    } else {
        let mut others = source.alternates.iter();
        match others.find(|other| !is_fixed(&other.url, other.digest.as_ref())) {
            Some(other) => ("alternate-url", &other.url),
            None => return Ok(source),
        }
    };
    let allowed = common::boolean(init, "allow-unverified", false)?;
    let shared = init.get("shared") == Some("true");
    if allowed && !shared && matches!(place, SourceUrl::Http(_)) {
        return Ok(source.allow_unverified());
    }
    let message = "what comes over the network needs a digest, so that it can be verified";
    let or_else = match place {
        SourceUrl::Http(_) if shared => "; a shared part cannot do without",
        SourceUrl::Http(_) => ", or `allow-unverified = true` to take whatever the server sends",
        _ => "",
    };
    let help = match option {
        option if option.ends_with("patches") || option == "alternate-url" => {
            format!("add `#sha256=HEX` to the URL{or_else}")
        }
        _ => format!("add `sha256sum = HEX` or `md5sum = HEX`{or_else}"),
    };
    Err(init.error_at_word(option, &place.to_string(), message, Some(&help)))
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

/// Declares the content of local files that no digest fixes, so that a change of it is seen. To be
/// called before [`PartInit::shared_location`], whose hash covers what was declared.
pub(crate) fn declare_local(init: &mut PartInit<'_>, source: &Source, fetcher: &Fetcher) {
    let others = source.alternates.iter().map(|other| (&other.url, other.digest));
    for (url, digest) in std::iter::once((&source.primary, None)).chain(others) {
        if let (SourceUrl::File(path), None) = (url, digest.or(source.digest))
            && !init.is_made_by_reference(path)
            && let Ok(digest) = fetcher.config().local.open(path).and_then(sha256_of)
        {
            init.add_input(&path.to_string_lossy(), &digest.to_string());
        }
    }
}

/// The digest of a file that may be too large for memory.
fn sha256_of(mut file: std::fs::File) -> std::io::Result<Digest> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::Sha256(hash.finalize().into())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Brings `source` while a part is installed.
pub(crate) fn fetch(
    fetcher: &Fetcher,
    source: &Source,
    cx: &PartContext<'_>,
) -> Result<Fetched, PartError> {
    fetcher.fetch_as(source, cx.offline(), &Relay(cx)).map_err(|error| match error {
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
    /// It is not there yet, and nothing says who makes it.
    pub(crate) is_awaited: bool,
}

impl TextFile {
    /// Reads the text that `url` names, now if it can be, and declares its content as an input.
    pub(crate) fn of_part(
        init: &mut PartInit<'_>,
        option: &str,
        fetcher: &Fetcher,
    ) -> Result<Self, ProfileError> {
        let url = init.require(option)?;
        let mut source = place(init, option, &url)?;
        source.digest = digest(init)?.or(source.digest);
        let source = verifiable(init, option, source)?;
        let name = match &source.primary {
            SourceUrl::File(path) => path.display().to_string(),
            other => other.to_string(),
        };
        let is_made = matches!(&source.primary, SourceUrl::File(path)
            if init.is_made_by_reference(path));
        // A part before this one may make it, and Buildout's order is all that says so.
        let is_awaited = matches!(&source.primary, SourceUrl::File(path)
            if !is_made && path.starts_with(init.buildout_directory()) && !path.exists());
        if is_made || is_awaited || source.digest.is_some() {
            return Ok(Self { name, source, text: None, is_awaited });
        }
        let text = read(fetcher, &source, init.offline(), &slapos_sources::Silent)
            .map_err(|message| init.error(option, &message, None))?;
        init.add_input(&name, &Digest::sha256_of(text.as_bytes()).to_string());
        Ok(Self { name, source, text: Some(text), is_awaited: false })
    }

    /// The text, read before anything is installed.
    pub(crate) fn now(
        &self,
        init: &PartInit<'_>,
        fetcher: &Fetcher,
    ) -> Result<String, ProfileError> {
        match &self.text {
            Some(text) => Ok(text.clone()),
            None => read(fetcher, &self.source, init.offline(), &slapos_sources::Silent)
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
            None => read(fetcher, &self.source, cx.offline(), &Relay(cx)).map_err(PartError::new),
        }
    }
}

/// Local files are read in place: a template need not go through the cache of downloads.
fn read(
    fetcher: &Fetcher,
    source: &Source,
    offline: bool,
    progress: &dyn Progress,
) -> Result<String, String> {
    let bytes = match &source.primary {
        SourceUrl::File(path) => {
            let bytes = fetcher.config().local.read(path).map_err(|error| cannot(path, &error))?;
            if let Some(wanted) = &source.digest {
                verify(path, &bytes, wanted)?;
            }
            bytes
        }
        _ => {
            let fetched = fetcher.fetch_as(source, offline, progress);
            let fetched = fetched.map_err(|error| error.to_string())?;
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
