//! The content-addressed cache: `sha256/HEX` holds bytes, `md5/HEX` and `sha512/HEX` hold the
//! SHA-256 of the bytes they name, `partial/KEY` holds what a download has so far.
//!
//! Invariant: nothing gets a name under `sha256/` before it was measured to be just that; and it
//! is measured again before it is handed out, so that a damaged disk cannot damage a build.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use slapos_sys::lock::FileLock;

use crate::digest::{Measured, measure};
use crate::{Digest, FetchError, LocalFiles, Progress};

/// A cache below one directory; made on first use.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache below `root`.
    pub(crate) fn open(root: &Path) -> Result<Self, FetchError> {
        for part in ["sha256", "sha512", "md5", "partial", "lock", "url"] {
            let dir = root.join(part);
            slapos_sys::fs::create_dir_all(&dir, 0o755).map_err(failed("create", &dir))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Where the bytes of `digest` are, verified, if they are here. What is damaged is removed.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<(PathBuf, Measured)>, FetchError> {
        let Some(sha256) = self.sha256_of(digest)? else {
            return Ok(None);
        };
        let path = self.object(&sha256);
        let file = match LocalFiles::new().open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let measured = measure(file, Some(digest)).map_err(failed("read", &path))?;
        if measured.sha256 == sha256 && measured.asked == *digest {
            return Ok(Some((path, measured)));
        }
        tracing::warn!(path = %path.display(), "removing a damaged file from the download cache");
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        Ok(None)
    }

    /// Gives the measured file `partial` its final name.
    pub(crate) fn publish(&self, partial: &Path, what: &Measured) -> Result<PathBuf, FetchError> {
        let path = self.object(&what.sha256);
        slapos_sys::fs::set_mode(partial, 0o444).map_err(failed("publish", partial))?;
        sync(partial).map_err(failed("sync", partial))?;
        slapos_sys::fs::rename(partial, &path).map_err(failed("publish", &path))?;
        if what.asked != what.sha256 {
            let pointer = self.pointer(&what.asked);
            slapos_sys::fs::write_atomic(&pointer, what.sha256.hex().as_bytes(), 0o644)
                .map_err(failed("write", &pointer))?;
        }
        Ok(path)
    }

    /// Remembers what `url` held last, for sources without a digest.
    pub(crate) fn remember_url(&self, url: &str, sha256: &Digest) -> Result<(), FetchError> {
        let path = self.url_pointer(url);
        slapos_sys::fs::write_atomic(&path, sha256.hex().as_bytes(), 0o644)
            .map_err(failed("write", &path))
    }

    /// What `url` held last, if it is still here.
    pub(crate) fn last_of_url(&self, url: &str) -> Result<Option<(PathBuf, Measured)>, FetchError> {
        match read_pointer(&self.url_pointer(url))? {
            Some(sha256) => self.find(&sha256),
            None => Ok(None),
        }
    }

    /// Waits until no other process works on `key`; `None` when the watcher gave up waiting.
    pub(crate) fn lock(
        &self,
        key: &str,
        progress: &dyn Progress,
    ) -> Result<Option<FileLock>, FetchError> {
        let path = self.root.join("lock").join(key);
        let mut told = false;
        loop {
            let lock = FileLock::try_acquire(&path).map_err(failed("lock", &path))?;
            if lock.is_some() || progress.cancelled() {
                return Ok(lock);
            }
            if !told {
                progress.text("waiting for another process that fetches the same file");
                told = true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where a download with this key collects what has arrived.
    pub(crate) fn partial(&self, key: &str) -> PathBuf {
        self.root.join("partial").join(key)
    }

    fn object(&self, sha256: &Digest) -> PathBuf {
        self.root.join("sha256").join(sha256.hex())
    }

    fn pointer(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.algorithm()).join(digest.hex())
    }

    fn url_pointer(&self, url: &str) -> PathBuf {
        self.root.join("url").join(Digest::sha256_of(url.as_bytes()).hex())
    }

    fn sha256_of(&self, digest: &Digest) -> Result<Option<Digest>, FetchError> {
        match digest {
            Digest::Sha256(_) => Ok(Some(*digest)),
            other => read_pointer(&self.pointer(other)),
        }
    }
}

fn read_pointer(path: &Path) -> Result<Option<Digest>, FetchError> {
    match slapos_sys::fs::read_to_string_limited(path, 1024) {
        // A pointer that is damaged is as good as none: it is written again.
        Ok(text) => Ok(text.parse().ok().filter(|d| matches!(d, Digest::Sha256(_)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).open(path)?.sync_all()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |error| FetchError::Cache { action, path, error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    fn put(cache: &Cache, bytes: &[u8], want: &Digest) -> PathBuf {
        let partial = cache.partial("p");
        fs::write(&partial, bytes).unwrap();
        let measured = measure(bytes, Some(want)).unwrap();
        cache.publish(&partial, &measured).unwrap()
    }

    #[test]
    fn finds_by_either_digest() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let md5: Digest = "900150983cd24fb0d6963f7d28e17f72".parse().unwrap();
        assert!(cache.find(&md5).unwrap().is_none());
        let path = put(&cache, b"abc", &md5);
        assert_eq!(cache.find(&md5).unwrap().unwrap().0, path);
        let sha256 = Digest::sha256_of(b"abc");
        assert_eq!(cache.find(&sha256).unwrap().unwrap().0, path);
    }

    #[test]
    fn a_damaged_object_is_removed_and_not_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let sha256 = Digest::sha256_of(b"abc");
        let path = put(&cache, b"abc", &sha256);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "abd").unwrap();
        assert!(cache.find(&sha256).unwrap().is_none());
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_pointer_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let md5 = Digest::Md5([7; 16]);
        fs::write(dir.path().join("md5").join(md5.hex()), "../../etc/passwd").unwrap();
        assert!(cache.find(&md5).unwrap().is_none());
    }
}
