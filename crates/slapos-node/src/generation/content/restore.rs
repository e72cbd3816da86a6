//! Puts a generation in place again.
//!
//! First what it consists of, then away with what only the present one has, then the records. Killed
//! anywhere, doing it again does the rest: the present records name what has to go until all of it
//! is gone.
//!
//! Files that parts recorded are configuration, and become what they were. In directories that parts
//! recorded, services may have written too: there, only what is still as the parts left it is
//! changed or taken away.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use slapos_engine::Holdings;
use slapos_sources::Digest;
use slapos_sys::fs;

use super::capture::look;
use super::manifest::{Item, Manifest};
use super::room::Room;
use crate::worker::Failure;

/// Puts generation `number` in place in `partition`. `in_place` is the generation that is there now,
/// as far as that is known: without it, what is in directories stays, and only what is missing there
/// is put back.
///
/// Says why it cannot be, if it is not whole any more; nothing was changed then.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn restore(
    partition: &Path,
    number: u32,
    in_place: Option<u32>,
) -> Result<Option<String>, Failure> {
    let room = Room::of(partition);
    let manifest = match whole(&room, number) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let present = look(&room, |bytes| Ok(Digest::sha256_of(bytes).hex()))?;
    let held = Holdings::of(partition).map_err(|error| Failure::new(error.to_string()))?;
    let ground = Ground {
        recorded: held
            .paths
            .iter()
            .filter_map(|path| path.strip_prefix(partition).ok()?.to_str())
            .collect(),
        made: in_place
            .and_then(|number| room.read(number).ok())
            .map(|made| made.items)
            .unwrap_or_default(),
        present: &present.items,
    };
    let doing = |error| Failure::io("bring back a generation in", partition, &error);
    for (name, item) in manifest.items.iter().filter(|(name, _)| !ground.is_anothers(name)) {
        put(&room, name, item).map_err(doing)?;
    }
    let goes = |name: &str| !ground.is_anothers(name);
    remove_others(partition, &present.items, &manifest.items, goes).map_err(doing)?;
    close_directories(partition, &manifest.items).map_err(doing)?;
    for (name, item) in &manifest.records {
        put(&room, name, item).map_err(doing)?;
    }
    remove_others(partition, &present.records, &manifest.records, |_| true).map_err(doing)?;
    // What a deployment that was cut short had put there is in place again.
    fs::remove_tree(&partition.join(".slapos/aside")).map_err(doing)?;
    Ok(None)
}

/// The manifest of generation `number`, if all that it names is there.
fn whole(room: &Room, number: u32) -> io::Result<Manifest> {
    let manifest = room.read(number)?;
    for object in manifest.objects() {
        room.bytes(object)?;
    }
    Ok(manifest)
}

/// What tells whose a file is.
struct Ground<'a> {
    /// What parts recorded by name.
    recorded: BTreeSet<&'a str>,
    /// What the parts of the generation in place had left.
    made: Items,
    present: &'a Items,
}

impl Ground<'_> {
    /// Whether `name` lies in a directory of a part, and is not what the part left there.
    fn is_anothers(&self, name: &str) -> bool {
        let inside = ancestors(name).any(|around| self.recorded.contains(around));
        let present = self.present.get(name);
        inside && present.is_some() && self.made.get(name) != present
    }
}

fn put(room: &Room, name: &str, item: &Item) -> io::Result<()> {
    let path = room.partition.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent, 0o750)?;
    }
    match item {
        Item::File { mode, object } => {
            make_way(&path, false)?;
            fs::write_replace_if_changed(&path, &room.bytes(object)?, *mode).map(drop)
        }
        Item::Link { target } => {
            make_way(&path, false)?;
            fs::symlink_atomic(Path::new(target), &path)
        }
        Item::Directory { mode } => {
            make_way(&path, true)?;
            fs::create_dir_all(&path, 0o750)?;
            // Written into before it may become read-only.
            set_mode(&path, *mode | 0o700)
        }
        Item::Left => Ok(()),
    }
}

/// Gives directories their own modes, what is inside before what is around it.
fn close_directories(partition: &Path, items: &Items) -> io::Result<()> {
    for (name, item) in items.iter().rev() {
        if let Item::Directory { mode } = item {
            set_mode(&partition.join(name), *mode)?;
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let now = path.symlink_metadata()?.permissions().mode() & 0o7777;
    if now == mode { Ok(()) } else { fs::set_mode(path, mode) }
}

/// Removes what is at `path` when it is a directory and must not be one, or the other way round.
fn make_way(path: &Path, directory: bool) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() != directory => fs::remove_tree(path),
        _ => Ok(()),
    }
}

type Items = std::collections::BTreeMap<String, Item>;

/// Removes what `present` has and `wanted` has not, as far as it `goes`, what is inside before what
/// is around it. A directory in which something stays does, too.
fn remove_others(
    partition: &Path,
    present: &Items,
    wanted: &Items,
    goes: impl Fn(&str) -> bool,
) -> io::Result<()> {
    let parents: BTreeSet<_> = wanted.keys().flat_map(|name| ancestors(name)).collect();
    for (name, item) in present.iter().rev() {
        let inside_left = ancestors(name).any(|around| wanted.get(around) == Some(&Item::Left));
        let stays = wanted.contains_key(name) || parents.contains(name.as_str()) || inside_left;
        if stays || !goes(name) {
            continue;
        }
        let path = partition.join(name);
        match item {
            Item::Directory { .. } => remove_empty(&path)?,
            _ => fs::remove_tree(&path)?,
        }
    }
    Ok(())
}

fn remove_empty(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

/// The directories around `name`, from the inside.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.rsplit_once('/').map(|(around, _)| around), |name| {
        name.rsplit_once('/').map(|(around, _)| around)
    })
}
