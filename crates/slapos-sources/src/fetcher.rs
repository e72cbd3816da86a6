//! The fetcher: from a [`Source`] to a verified file in the cache.
//!
//! Order: the cache by digest; the primary place; the alternates; then Debian's source archive by
//! digest. Invariants: what has a digest is never handed out unverified; a file is downloaded by
//! one process at a time, the others wait and find it in the cache; every place that was asked is
//! in the error when none had it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slapos_sys::clock::{Clock, SystemClock};
use url::Url;

use crate::cache::Cache;
use crate::digest::Measured;
use crate::download::{Download, verify_file};
use crate::http::{Http, redacted};
use crate::registry::{DebianSettings, Found, PythonFile, PythonPlaces, Registries};
use crate::{
    Alternate, Attempt, Attempts, Digest, Failure, FetchError, LocalFiles, Patience, Progress,
    Source, SourceUrl,
};

/// How a [`Fetcher`] works. Start from [`FetcherConfig::new`] and change fields.
#[derive(Clone)]
pub struct FetcherConfig {
    /// Directory of the cache; made when missing.
    pub cache: PathBuf,
    /// Ask nobody: only the cache and files of this machine.
    pub offline: bool,
    /// How files of this machine are read.
    pub local: LocalFiles,
    /// Largest file accepted, in bytes.
    pub max_bytes: u64,
    /// Time-outs and retries.
    pub patience: Patience,
    /// After all places failed, look for the digest in Debian's source archive.
    pub by_hash: bool,
    /// How Debian's source archive is reached.
    pub debian: DebianSettings,
    /// Tells how old an index is.
    pub clock: Arc<dyn Clock>,
}

impl FetcherConfig {
    /// The usual settings, with the cache in `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            offline: false,
            local: LocalFiles::new(),
            max_bytes: 8 << 30,
            patience: Patience::default(),
            by_hash: true,
            debian: DebianSettings::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Brings bytes by name and digest. Share one between threads.
pub struct Fetcher {
    config: FetcherConfig,
    http: Http,
    registries: Registries,
}

/// A file that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file, in the cache and read-only. Do not change it; copy it.
    pub path: PathBuf,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Where it came from, for people; `None` when it was in the cache already.
    pub from: Option<String>,
}

impl Fetcher {
    /// A fetcher; nothing is touched or asked before the first fetch.
    pub fn new(config: FetcherConfig) -> Self {
        let http = Http::new(&config.patience);
        let registries = Registries::new(&config, http.clone());
        Self { config, http, registries }
    }

    /// What this fetcher was made with.
    pub fn config(&self) -> &FetcherConfig {
        &self.config
    }

    /// Brings the bytes of `source`, from wherever they are.
    ///
    /// # Errors
    /// [`FetchError::NoDigest`] before anything is asked, [`FetchError::Failed`] with every place
    /// that was asked, [`FetchError::Cache`] when the cache cannot be used.
    pub fn fetch(&self, source: &Source, progress: &dyn Progress) -> Result<Fetched, FetchError> {
        self.fetch_as(source, self.config.offline, progress)
    }

    /// As [`Self::fetch`]; with `offline`, nobody is asked, as if the fetcher were
    /// [offline](FetcherConfig::offline).
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_as(
        &self,
        source: &Source,
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<Fetched, FetchError> {
        let offline = offline || self.config.offline;
        require_digests(source)?;
        let cache = Cache::open(&self.config.cache)?;
        for digest in source.digests() {
            if let Some((path, measured)) = cache.find(&digest)? {
                return Ok(fetched(path, &measured, None));
            }
        }
        let mut run = Run { fetcher: self, cache: &cache, progress, offline, attempts: Vec::new() };
        if let Some(fetched) = run.all_places(source)? {
            return Ok(fetched);
        }
        Err(FetchError::Failed(Box::new(Attempts {
            source: shown(&source.primary),
            attempts: run.attempts,
            offline,
        })))
    }
}

impl Fetcher {
    /// All files of the Python project `project`, those of `places.links` first, each to be
    /// brought by [`Self::fetch`]. An index that does not know the project has none.
    ///
    /// # Errors
    /// [`Failure::Offline`] when the fetcher asks nobody and a place is not on this machine, and
    /// whatever a place answered.
    pub fn python_files(
        &self,
        project: &str,
        places: &PythonPlaces,
        progress: &dyn Progress,
    ) -> Result<Vec<PythonFile>, Failure> {
        if self.config.offline && !places.are_local() {
            return Err(Failure::Offline);
        }
        self.registries.python_files(project, places, progress)
    }
}

/// One fetch under way.
struct Run<'a> {
    fetcher: &'a Fetcher,
    cache: &'a Cache,
    progress: &'a dyn Progress,
    offline: bool,
    attempts: Vec<Attempt>,
}

impl Run<'_> {
    fn all_places(&mut self, source: &Source) -> Result<Option<Fetched>, FetchError> {
        let places = source.places();
        for place in &places {
            if let Some(fetched) = self.place(place)? {
                return Ok(Some(fetched));
            }
        }
        if !self.fetcher.config.by_hash {
            return Ok(None);
        }
        // A debian: place has been looked up by its digest already.
        let asked = |digest: &Digest| {
            places.iter().any(|place| {
                place.digest.as_ref() == Some(digest)
                    && matches!(place.url, SourceUrl::Debian { .. })
            })
        };
        for digest in source.digests().iter().filter(|digest| !asked(digest)) {
            if let Some(fetched) = self.by_hash(digest)? {
                return Ok(Some(fetched));
            }
        }
        Ok(None)
    }

    fn by_hash(&mut self, digest: &Digest) -> Result<Option<Fetched>, FetchError> {
        let name = format!("Debian's source archive, by {digest}");
        if self.offline {
            return self.failed(name, Failure::Offline);
        }
        let debian = &self.fetcher.registries.debian;
        match debian.by_digest(digest, self.progress) {
            Ok(found) => self.candidates(&name, &found, Some(digest)),
            Err(failure) => self.failed(name, failure),
        }
    }

    /// Asks one place; `None` (and an entry in `attempts`) when it does not have the bytes.
    fn place(&mut self, place: &Alternate) -> Result<Option<Fetched>, FetchError> {
        let name = shown(&place.url);
        let offline = self.offline;
        let found = match &place.url {
            SourceUrl::File(path) => Ok(vec![Found::File(path.clone())]),
            SourceUrl::Http(url) if offline && place.digest.is_none() => {
                if let Some((path, measured)) = self.cache.last_of_url(url.as_str())? {
                    return Ok(Some(fetched(path, &measured, None)));
                }
                Err(Failure::Offline)
            }
            _ if offline => Err(Failure::Offline),
            SourceUrl::Http(url) if url.scheme() == "ftp" => {
                Err(Failure::Transport("FTP is not spoken here".to_owned()))
            }
            SourceUrl::Http(url) => Ok(vec![Found::Url(url.clone())]),
            registry => {
                self.fetcher.registries.resolve(registry, place.digest.as_ref(), self.progress)
            }
        };
        match found {
            Ok(found) => self.candidates(&name, &found, place.digest.as_ref()),
            Err(failure) => self.failed(name, failure),
        }
    }

    fn candidates(
        &mut self,
        name: &str,
        candidates: &[Found],
        want: Option<&Digest>,
    ) -> Result<Option<Fetched>, FetchError> {
        for found in candidates {
            let place = match found.to_string() {
                same if same == name => same,
                address => format!("{name} ({address})"),
            };
            match self.obtain(found, want)? {
                Ok((path, measured)) => return Ok(Some(fetched(path, &measured, Some(place)))),
                Err(failure) => self.failed(place, failure)?,
            };
        }
        Ok(None)
    }

    fn failed(&mut self, place: String, failure: Failure) -> Result<Option<Fetched>, FetchError> {
        if matches!(failure, Failure::Cancelled) {
            return Err(FetchError::Cancelled);
        }
        tracing::debug!(place, %failure, "a source failed");
        self.attempts.push(Attempt { place, failure });
        Ok(None)
    }

    /// Downloads or copies, alone among all processes that want the same, and publishes.
    fn obtain(
        &self,
        found: &Found,
        want: Option<&Digest>,
    ) -> Result<Result<(PathBuf, Measured), Failure>, FetchError> {
        let key = want.map_or_else(
            || format!("url-{}", Digest::sha256_of(found.to_string().as_bytes()).hex()),
            |digest| format!("{}-{}", digest.algorithm(), digest.hex()),
        );
        let Some(_lock) = self.cache.lock(&key, self.progress)? else {
            return Err(FetchError::Cancelled);
        };
        if let Some(digest) = want
            && let Some(hit) = self.cache.find(digest)?
        {
            return Ok(Ok(hit));
        }
        let partial = self.cache.partial(&key);
        let measured = match self.bring(found, want, &partial) {
            Ok(measured) => measured,
            Err(failure) => return Ok(Err(failure)),
        };
        let path = self.cache.publish(&partial, &measured)?;
        if let (Found::Url(url), None) = (found, want) {
            self.cache.remember_url(url.as_str(), &measured.sha256)?;
        }
        Ok(Ok((path, measured)))
    }

    fn bring(
        &self,
        found: &Found,
        want: Option<&Digest>,
        partial: &Path,
    ) -> Result<Measured, Failure> {
        match found {
            Found::File(path) => self.copy(path, want, partial),
            Found::Url(url) => self.download(url, want, partial),
            Found::Apt(url) => {
                let result = self.download(url, want, partial);
                match result {
                    Err(Failure::Transport(_) | Failure::Status { .. }) => {
                        // apt may know a proxy or a password that we do not.
                        let debian = &self.fetcher.registries.debian;
                        debian.apt_download(url, partial, self.progress)?;
                        verified_or_removed(partial, want)
                    }
                    other => other,
                }
            }
        }
    }

    fn download(
        &self,
        url: &Url,
        want: Option<&Digest>,
        partial: &Path,
    ) -> Result<Measured, Failure> {
        let config = &self.fetcher.config;
        self.progress.text(&format!("downloading {}", redacted(url)));
        let download = Download {
            http: &self.fetcher.http,
            patience: &config.patience,
            url,
            partial,
            want,
            max_bytes: config.max_bytes,
            progress: self.progress,
        };
        let measured = download.run()?;
        download.forget_note();
        Ok(measured)
    }

    fn copy(&self, path: &Path, want: Option<&Digest>, to: &Path) -> Result<Measured, Failure> {
        let config = &self.fetcher.config;
        let mut from = config.local.open(path).map_err(Failure::file("read", path))?;
        let size = from.metadata().map_err(Failure::file("read", path))?.len();
        if size > config.max_bytes {
            return Err(Failure::TooLarge { limit: config.max_bytes });
        }
        let mut into = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(to)
            .map_err(Failure::file("write", to))?;
        if let Err(error) = io::copy(&mut from, &mut into) {
            let _ = std::fs::remove_file(to);
            return Err(Failure::from_write(error, to, Some(size)));
        }
        verified_or_removed(to, want)
    }
}

fn verified_or_removed(path: &Path, want: Option<&Digest>) -> Result<Measured, Failure> {
    verify_file(path, want).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

fn fetched(path: PathBuf, measured: &Measured, from: Option<String>) -> Fetched {
    Fetched { path, digest: measured.sha256, from }
}

/// A place as people may see it: without passwords.
fn shown(url: &SourceUrl) -> String {
    match url {
        SourceUrl::Http(url) => redacted(url),
        other => other.to_string(),
    }
}

fn require_digests(source: &Source) -> Result<(), FetchError> {
    for place in source.places() {
        let needed = match place.url {
            SourceUrl::File(_) => false,
            SourceUrl::Http(_) => !source.allow_unverified,
            _ => true,
        };
        if needed && place.digest.is_none() {
            return Err(FetchError::NoDigest { place: shown(&place.url) });
        }
    }
    Ok(())
}

// Builds share one fetcher between their threads.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Fetcher>();
};
