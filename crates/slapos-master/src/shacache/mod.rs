//! What the network cache keeps: contents by their SHA-512 (`cache`), and by key what is known of
//! them (`dir`): entries that somebody signed, which are passed on as they are.
//!
//! Invariants: a content is under the name of its digest or not there at all; names come from
//! [`Digest`] and [`Key`] only, which name no other directory.

mod arrivals;
mod upstream;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha512};
use slapos_sys::fs::{self, Draft};

use arrivals::Arrivals;
pub(crate) use arrivals::{Arriving, Found, Outlook};
pub(crate) use upstream::{Failure, Upstream};

/// The largest text of a key's entries, in bytes.
const MAX_ENTRIES: u64 = 16 << 20;

/// Where a network cache keeps things, and where it takes from what it does not have.
#[derive(Debug, Clone)]
pub struct ShacacheConfig {
    /// The directory of contents; made when it does not exist.
    pub content: PathBuf,
    /// The directory of entries; made when it does not exist.
    pub metadata: PathBuf,
    /// The URL of another cache's contents.
    pub upstream_cache: Option<String>,
    /// The URL of another cache's entries.
    pub upstream_dir: Option<String>,
    /// Whether whoever reaches the Master may read from it.
    pub anonymous_download: bool,
    /// Whether several Masters have the same directories, on a file system that they share.
    pub shared: bool,
    /// The largest content, in bytes.
    pub largest: u64,
}

/// The digest of a content: SHA-512 as 128 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest(String);

impl Digest {
    /// `None` for what is none.
    pub(crate) fn parse(text: &str) -> Option<Digest> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 128 && text.bytes().all(hex)).then(|| Digest(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What entries are kept under: `file-urlmd5:...`, `pypi:name=version`, the MD5 of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    /// `None` for what could not be the name of an ordinary file.
    pub(crate) fn parse(text: &str) -> Option<Key> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":=._+-~!@,()[]".contains(&byte);
        let fits = (1..=200).contains(&text.len()) && !text.starts_with('.');
        (fits && text.bytes().all(plain)).then(|| Key(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The cache on this machine's disk.
#[derive(Debug, Clone)]
pub(crate) struct Shacache {
    pub(crate) config: ShacacheConfig,
    /// What is on its way in.
    arrivals: Arc<Arrivals>,
}

impl Shacache {
    /// Makes the directories, and tidies up what a killed Master was writing.
    pub(crate) fn open(config: ShacacheConfig) -> io::Result<Shacache> {
        for directory in [&config.content, &config.metadata] {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
            };
            fs::create_dir_all(directory, 0o755).map_err(named)?;
            fs::remove_unnamed(directory).map_err(named)?;
        }
        Ok(Shacache { config, arrivals: Arc::default() })
    }

    /// A content, if it is here.
    pub(crate) fn content(&self, digest: &Digest) -> io::Result<Option<File>> {
        there(File::open(self.config.content.join(digest.as_str())))
    }

    /// Takes in a new content.
    pub(crate) fn incoming(&self) -> io::Result<Incoming> {
        let draft = Draft::in_dir(&self.config.content)?;
        let most = self.config.largest;
        Ok(Incoming { draft, hasher: Sha512::new(), room: most, most })
    }

    /// The entries of a key as they were stored, if there are any.
    pub(crate) fn entries(&self, key: &Key) -> io::Result<Option<String>> {
        there(fs::read_to_string_limited(&self.entries_of(key), MAX_ENTRIES))
    }

    /// Replaces the entries of a key; none at all forgets it.
    pub(crate) fn set_entries(&self, key: &Key, entries: &[Json]) -> io::Result<()> {
        let path = self.entries_of(key);
        if entries.is_empty() {
            return there(std::fs::remove_file(path)).map(drop);
        }
        fs::write_atomic(&path, Json::from(entries.to_vec()).to_string().as_bytes(), 0o644)
    }

    /// The keys that have entries, sorted.
    pub(crate) fn keys(&self) -> io::Result<Vec<Key>> {
        let names = std::fs::read_dir(&self.config.metadata)?;
        let names = names.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        let mut keys: Vec<_> =
            names.into_iter().flatten().filter_map(|name| Key::parse(&name)).collect();
        keys.sort_by(|one, two| one.0.cmp(&two.0));
        Ok(keys)
    }

    /// The entries of a key whose content is here; `None` when all are.
    pub(crate) fn kept_entries(&self, key: &Key) -> io::Result<Option<Vec<Json>>> {
        let text = self.entries(key)?.unwrap_or_default();
        let entries = match serde_json::from_str(&text) {
            Ok(Json::Array(entries)) => entries,
            _ => return Ok(Some(Vec::new())),
        };
        let here =
            |entry: &&Json| digest_of(entry).is_some_and(|digest| self.path(&digest).is_file());
        let kept: Vec<_> = entries.iter().filter(here).cloned().collect();
        Ok((kept.len() != entries.len()).then_some(kept))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.config.content.join(digest.as_str())
    }

    fn entries_of(&self, key: &Key) -> PathBuf {
        self.config.metadata.join(key.as_str())
    }
}

/// Which content an entry is about.
fn digest_of(entry: &Json) -> Option<Digest> {
    let Json::Array(pair) = entry else { return None };
    let [information, _signature] = pair.as_slice() else { return None };
    let information: Json = serde_json::from_str(information.as_str()?).ok()?;
    Digest::parse(information.get("sha512")?.as_str()?)
}

/// Whether a JSON value is an entry: a text, and its signature, which may be empty.
pub(crate) fn is_entry(json: &Json) -> bool {
    json.as_array().is_some_and(|pair| pair.len() == 2 && pair.iter().all(Json::is_string))
}

fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A content on its way in.
pub(crate) struct Incoming {
    draft: Draft,
    hasher: Sha512,
    room: u64,
    most: u64,
}

/// Why a content was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is larger than the configuration allows.
    #[error("Content too large: this cache keeps at most {0} bytes of one")]
    TooLarge(u64),
    /// It is not what it was said to be.
    #[error("Checksum mismatch")]
    Mismatch,
    /// The disk refuses it, or it did not come.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Incoming {
    /// The next piece.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<(), Refused> {
        let left = self.room.checked_sub(piece.len() as u64);
        self.room = left.ok_or(Refused::TooLarge(self.most))?;
        self.hasher.update(piece);
        Ok(self.draft.write_all(piece)?)
    }

    /// Keeps it under its digest, which has to be the wanted one.
    pub(crate) fn finish(self, wanted: Option<&Digest>) -> Result<Digest, Refused> {
        let hex: String = self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if wanted.is_some_and(|wanted| wanted.as_str() != hex) {
            return Err(Refused::Mismatch);
        }
        self.draft.finish(&hex, 0o644)?;
        Ok(Digest(hex))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cache() -> (tempfile::TempDir, Shacache) {
        let directory = tempfile::tempdir().unwrap();
        let config = ShacacheConfig {
            content: directory.path().join("a/content"),
            metadata: directory.path().join("dir"),
            upstream_cache: None,
            upstream_dir: None,
            anonymous_download: false,
            shared: false,
            largest: 10,
        };
        (directory, Shacache::open(config).unwrap())
    }

    fn put(cache: &Shacache, content: &[u8], wanted: Option<&Digest>) -> Result<Digest, Refused> {
        let mut incoming = cache.incoming().unwrap();
        content.chunks(4).try_for_each(|piece| incoming.take(piece))?;
        incoming.finish(wanted)
    }

    #[test]
    fn contents_are_under_their_digest_or_not_there() {
        let (_directory, cache) = cache();
        let digest = put(&cache, b"hello", None).unwrap();
        assert!(digest.as_str().starts_with("9b71d224bd62f378"));
        assert!(cache.content(&digest).unwrap().is_some());
        assert!(put(&cache, b"hello", Some(&digest)).is_ok());
        assert!(matches!(put(&cache, b"other", Some(&digest)), Err(Refused::Mismatch)));
        assert!(matches!(put(&cache, b"eleven byte", None), Err(Refused::TooLarge(10))));
        assert_eq!(std::fs::read_dir(&cache.config.content).unwrap().count(), 1);
    }

    #[test]
    fn no_name_leaves_the_directories() {
        for good in ["file-urlmd5:0a", "pypi:slapos.core=1.0", "d41d8cd98f00b204e9800998ecf8427e"] {
            assert!(Key::parse(good).is_some(), "{good}");
        }
        let long = "a".repeat(201);
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", ".slapos-x.tmp", "a\0", "é", &long] {
            assert_eq!(Key::parse(bad), None, "{bad:?}");
        }
        let digest = "0123456789abcdef".repeat(8);
        assert!(Digest::parse(&digest).is_some());
        for bad in ["", "..", &digest[1..], &digest.to_uppercase(), &digest.replace('0', "/")] {
            assert_eq!(Digest::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn entries_go_with_their_contents() {
        let (_directory, cache) = cache();
        let digest = put(&cache, b"hello", None).unwrap();
        let entry = |digest: &str| json!([json!({"sha512": digest}).to_string(), "signature"]);
        let (kept, lost) = (entry(digest.as_str()), entry(&"0".repeat(128)));
        let key = Key::parse("pypi:a=1").unwrap();
        assert_eq!(cache.entries(&key).unwrap(), None);
        cache.set_entries(&key, &[kept.clone(), lost]).unwrap();
        assert_eq!(cache.kept_entries(&key).unwrap(), Some(vec![kept.clone()]));
        cache.set_entries(&key, std::slice::from_ref(&kept)).unwrap();
        assert_eq!(cache.kept_entries(&key).unwrap(), None);
        assert_eq!(cache.keys().unwrap(), std::slice::from_ref(&key));
        assert_eq!(cache.entries(&key).unwrap(), Some(json!([kept]).to_string()));
        cache.set_entries(&key, &[]).unwrap();
        assert!(cache.keys().unwrap().is_empty());
    }
}
