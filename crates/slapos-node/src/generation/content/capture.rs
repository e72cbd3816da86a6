//! Looks at what is in place and keeps it as a generation.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use slapos_engine::Holdings;
use slapos_sys::fs;

use super::manifest::{Item, Manifest, VERSION};
use super::room::Room;
use crate::worker::Failure;

/// Configuration is small: a larger file is data, or can be had again from where it came.
const LARGEST_FILE: u64 = 16 << 20;
/// All that is kept of one generation together.
const LARGEST: u64 = 64 << 20;
/// A directory with more than this is a program or data, not configuration.
const MOST_ITEMS: usize = 4000;
/// Made by the node itself in each deployment.
const OWN: [&str; 2] = ["buildout.cfg", "software_release"];

/// Keeps what is in place in `partition` as generation `number`, unless its digest is `known`.
/// Returns its digest. Of former generations, those in `kept` stay.
///
/// # Errors
/// When a ledger, or something that parts made, cannot be read, or nothing can be written.
pub(crate) fn capture(
    partition: &Path,
    number: u32,
    known: Option<&str>,
    kept: &[u32],
) -> Result<String, Failure> {
    let room = Room::of(partition);
    let words = |error: io::Error| Failure::io("keep the generation in", partition, &error);
    room.create().map_err(words)?;
    let manifest = look(&room, |bytes| room.keep(bytes))?;
    let digest = manifest.digest().map_err(|error| words(error.into()))?;
    if known == Some(digest.as_str()) {
        return Ok(digest);
    }
    room.write(number, &manifest).map_err(words)?;
    let mut kept = kept.to_vec();
    kept.push(number);
    room.tidy(&kept).map_err(words)?;
    Ok(digest)
}

/// What is in place; `keep` is given each file's content and says its name.
pub(super) fn look(
    room: &Room,
    keep: impl Fn(&[u8]) -> io::Result<String>,
) -> Result<Manifest, Failure> {
    let holdings =
        Holdings::of(&room.partition).map_err(|error| Failure::new(error.to_string()))?;
    let look = Look { root: &room.partition, keep, left: Cell::new(LARGEST) };
    let (mut items, mut records) = (BTreeMap::new(), BTreeMap::new());
    let own = OWN.map(|name| room.partition.join(name));
    for path in own.iter().chain(&holdings.paths) {
        look.add(path, &mut items)?;
    }
    for path in &holdings.records {
        look.add(path, &mut records)?;
    }
    Ok(Manifest { version: VERSION, items, records })
}

struct Look<'a, K> {
    root: &'a Path,
    keep: K,
    /// Bytes that may still be kept.
    left: Cell<u64>,
}

type Items = BTreeMap<String, Item>;

impl<K: Fn(&[u8]) -> io::Result<String>> Look<'_, K> {
    /// Adds `path` and what is below it. What is not there is not added.
    fn add(&self, path: &Path, items: &mut Items) -> Result<(), Failure> {
        let words = |error: io::Error| Failure::io("look at", path, &error);
        let Some(name) = path.strip_prefix(self.root).ok().and_then(Path::to_str) else {
            return Ok(());
        };
        let mut below = Items::new();
        match self.walk(path, name, &mut below).map_err(words)? {
            Walk::Whole => items.append(&mut below),
            Walk::TooMuch => {
                items.insert(name.to_owned(), Item::Left);
            }
        }
        Ok(())
    }

    fn walk(&self, path: &Path, name: &str, items: &mut Items) -> io::Result<Walk> {
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Walk::Whole),
            Err(error) => return Err(error),
        };
        let mode = meta.permissions().mode() & 0o7777;
        let item = if meta.is_symlink() {
            match std::fs::read_link(path)?.into_os_string().into_string() {
                Ok(target) => Item::Link { target },
                Err(_) => Item::Left,
            }
        } else if meta.is_dir() {
            Item::Directory { mode }
        } else if meta.is_file() && meta.len() <= LARGEST_FILE.min(self.left.get()) {
            self.left.set(self.left.get() - meta.len());
            match fs::read(path) {
                Ok(bytes) => Item::File { mode, object: (self.keep)(&bytes)? },
                // Gone meanwhile, or closed even to its owner: it is not configuration.
                Err(error) if is_not_ours(&error) => Item::Left,
                Err(error) => return Err(error),
            }
        } else {
            Item::Left
        };
        let is_directory = matches!(item, Item::Directory { .. });
        items.insert(name.to_owned(), item);
        if items.len() > MOST_ITEMS {
            return Ok(Walk::TooMuch);
        }
        if is_directory { self.walk_into(path, name, items) } else { Ok(Walk::Whole) }
    }

    fn walk_into(&self, path: &Path, name: &str, items: &mut Items) -> io::Result<Walk> {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if is_not_ours(&error) => return Ok(Walk::TooMuch),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?.file_name();
            // What has no name in text is nothing that a part's profile could have named.
            let Some(inner) = entry.to_str() else { return Ok(Walk::TooMuch) };
            if let Walk::TooMuch =
                self.walk(&path.join(inner), &format!("{name}/{inner}"), items)?
            {
                return Ok(Walk::TooMuch);
            }
        }
        Ok(Walk::Whole)
    }
}

fn is_not_ours(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

enum Walk {
    Whole,
    /// More than configuration has.
    TooMuch,
}
