//! Parts that several builds share: one directory per identity, whole or not there.
//!
//! `<shared>/<part>/<hash>/` is built in place, because what is compiled knows its own path. While
//! it is built its neighbour `<hash>.lock` is held and it holds `.building`. The last thing
//! written is `.buildout-shared.json`, the text that the hash is of; a directory without it is
//! rubble, and whoever holds the lock ends the processes that may still write in it and removes
//! it. A whole one is read-only and never changes; its content is read-only before it is whole.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use md5::{Digest as _, Md5};
use serde::Serialize as _;
use slapos_sys::{fs, lock::FileLock};

use crate::context::PartContext;
use crate::error::PartError;
use crate::identity::{BASE_LOCATION, hex, without_base};
use crate::stragglers::Place;

/// File that marks a whole shared part, and says what it was made of.
pub(crate) const SEAL: &str = ".buildout-shared.json";
/// File that is there, for people to see, while a shared part is built.
const BUILDING: &str = ".building";
/// How often a build that another one is at is looked at again.
const POLL: Duration = Duration::from_millis(100);

/// A part's place among the shared ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedPart {
    pub(crate) location: PathBuf,
    signature: String,
}

impl SharedPart {
    /// Looks for a whole part in all `lists`; if there is none, the place where it is to be built:
    /// in the first list that can be written. `None` when none can.
    pub(crate) fn find(lists: &[PathBuf], part: &str, signature: String) -> Option<Self> {
        let relative = Path::new(part).join(hex(&Md5::digest(signature.as_bytes())));
        let built = lists.iter().map(|list| list.join(&relative)).find(|dir| is_sealed(dir));
        let location = built.or_else(|| {
            lists.iter().find(|list| can_be_written(list)).map(|list| list.join(&relative))
        })?;
        Some(Self { location, signature })
    }

    pub(crate) fn is_built(&self) -> bool {
        is_sealed(&self.location)
    }

    /// Calls `build` with the place empty and locked, unless a whole part is there or another
    /// build makes it first. Returns whether it was built here.
    pub(crate) fn build(
        &self,
        cx: &PartContext<'_>,
        build: impl FnOnce() -> Result<(), PartError>,
    ) -> Result<bool, PartError> {
        if self.is_built() {
            self.finish_seal();
            return Ok(false);
        }
        self.make_room(cx)?;
        let _lock = self.lock(cx)?;
        if self.is_built() {
            self.finish_seal();
            return Ok(false);
        }
        self.prepare(cx)?;
        build()?;
        self.seal()?;
        Ok(true)
    }

    /// Makes the directories that the place lies in. The list is held before anything is in it.
    fn make_room(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let parent = self.location.parent().unwrap_or(Path::new("/"));
        let list = parent.parent().unwrap_or(parent);
        for directory in [list, parent] {
            fs::create_dir_all(directory, 0o755)
                .map_err(|error| PartError::io("create", directory, &error))?;
            cx.hold(list);
        }
        Ok(())
    }

    fn lock(&self, cx: &PartContext<'_>) -> Result<FileLock, PartError> {
        let path = lock_path(&self.location);
        let mut said = false;
        loop {
            match FileLock::try_acquire(&path) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) if cx.cancelled() => return Err(PartError::cancelled()),
                Ok(None) => {
                    if !said {
                        cx.progress("waiting for another build that makes the same shared part");
                        said = true;
                    }
                    std::thread::sleep(POLL);
                }
                Err(error) => return Err(PartError::io("lock", &path, &error)),
            }
        }
    }

    fn prepare(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        cx.end_stragglers(&Place::shared(&self.location))?;
        let io = |what, error: &std::io::Error| PartError::io(what, &self.location, error);
        fs::remove_tree(&self.location).map_err(|error| io("remove the unfinished", &error))?;
        fs::create_dir_all(&self.location, 0o755).map_err(|error| io("create", &error))?;
        let marker = self.location.join(BUILDING);
        let pid = format!("{}\n", std::process::id());
        fs::write_replace(&marker, pid.as_bytes(), 0o644)
            .map_err(|error| PartError::io("write", &marker, &error))
    }

    pub(crate) fn seal(&self) -> Result<(), PartError> {
        let marker = self.location.join(BUILDING);
        fs::remove_tree(&marker).map_err(|error| PartError::io("remove", &marker, &error))?;
        // The top stays writable for the seal; nothing else does.
        make_content_read_only(&self.location)
            .map_err(|error| PartError::io("make read-only", &self.location, &error))?;
        let seal = self.location.join(SEAL);
        // The seal must not reach the disk before what it vouches for.
        fs::sync_filesystem(&self.location)
            .map_err(|error| PartError::io("bring to disk", &self.location, &error))?;
        fs::write_atomic(&seal, self.signature.as_bytes(), 0o444)
            .map_err(|error| PartError::io("write", &seal, &error))?;
        fs::make_read_only(&self.location)
            .map_err(|error| PartError::io("make read-only", &self.location, &error))
    }

    /// Makes a whole part read-only whose builder was killed just before it did. Best effort: it
    /// may belong to another user, whose next run does it.
    fn finish_seal(&self) {
        let writable = |meta: std::fs::Metadata| meta.permissions().mode() & 0o222 != 0;
        if self.location.metadata().is_ok_and(writable) {
            let _ = fs::make_read_only(&self.location);
        }
    }
}

fn make_content_read_only(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        fs::make_read_only(&entry?.path())?;
    }
    Ok(())
}

/// What a build of the part at `location` holds.
pub(crate) fn lock_path(location: &Path) -> PathBuf {
    location.with_extension("lock")
}

fn is_sealed(location: &Path) -> bool {
    location.join(SEAL).is_file()
}

/// Asks, and changes nothing: a list that does not exist is made when something is built in it, if
/// the nearest directory above it can be written.
pub(crate) fn can_be_written(list: &Path) -> bool {
    let existing = list.ancestors().find(|path| path.symlink_metadata().is_ok());
    existing.is_some_and(|path| path.is_dir() && fs::may_change_entries(path))
}

/// The text that a shared part's hash is of: its options as JSON with sorted keys, the place of
/// the profile written as the reference to it, and the signature of what it refers to among them.
pub(crate) fn signature(options: &IndexMap<String, String>, references: &str) -> String {
    let base = options.get(BASE_LOCATION);
    let mut sorted: std::collections::BTreeMap<&str, String> = options
        .iter()
        .filter(|(name, _)| *name != BASE_LOCATION)
        .map(|(name, value)| (name.as_str(), without_base(value, base)))
        .collect();
    sorted.insert("__buildout_signature__", references.to_owned());
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"  ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A map of strings always has a JSON form, and a vector takes everything.
    let _ = sorted.serialize(&mut serializer);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn the_signature_is_sorted_json_without_the_profiles_place() {
        let text = signature(
            &options(&[("url", "/p/é.tar"), ("recipe", "r"), (BASE_LOCATION, "/p")]),
            "r-1 zlib:00",
        );
        insta::assert_snapshot!(text, @r#"
        {
          "__buildout_signature__": "r-1 zlib:00",
          "recipe": "r",
          "url": "${:_profile_base_location_}/é.tar"
        }
        "#);
    }

    #[test]
    fn a_built_part_is_found_in_any_list_and_rubble_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let lists = [dir.path().join("a"), dir.path().join("b")];
        let place = |lists: &[PathBuf]| SharedPart::find(lists, "zlib", "{}".into()).unwrap();
        let second = place(&lists[1..]);
        std::fs::create_dir_all(&second.location).unwrap();
        assert!(place(&lists).location.starts_with(&lists[0]));
        std::fs::write(second.location.join(SEAL), "{}").unwrap();
        assert_eq!(place(&lists).location, second.location);
    }
}
