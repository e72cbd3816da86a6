//! Puts a generation in place again.
//!
//! First what it consists of, then away with what only the present one has, then the records. Killed
//! anywhere, doing it again does the rest: the present records name what has to go until all of it
//! is gone.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use slapos_sys::fs;

use super::capture::look;
use super::manifest::Item;
use super::room::Room;
use crate::worker::Failure;

/// Puts generation `number` in place in `partition`.
///
/// # Errors
/// When it is not whole (nothing was changed then), or a file cannot be written.
pub(crate) fn restore(partition: &Path, number: u32) -> Result<(), Failure> {
    let room = Room::of(partition);
    let manifest = room.read(number).map_err(|error| unusable(number, &error))?;
    for object in manifest.objects() {
        room.bytes(object).map_err(|error| unusable(number, &error))?;
    }
    let present = look(&room, |_| Ok(String::new()))?;
    let doing = |error| Failure::io("bring back a generation in", partition, &error);
    for (name, item) in &manifest.items {
        put(&room, name, item).map_err(doing)?;
    }
    remove_others(partition, &present.items, &manifest.items).map_err(doing)?;
    close_directories(partition, &manifest.items).map_err(doing)?;
    for (name, item) in &manifest.records {
        put(&room, name, item).map_err(doing)?;
    }
    remove_others(partition, &present.records, &manifest.records).map_err(doing)?;
    // What a deployment that was cut short had put there is in place again.
    fs::remove_tree(&partition.join(".slapos/aside")).map_err(doing)
}

fn unusable(number: u32, error: &io::Error) -> Failure {
    Failure::new(format!("generation {number} cannot be used: {error}"))
        .hint("`slapos node generations PARTITION` lists the others; nothing was changed")
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

/// Removes what `present` has and `wanted` has not, what is inside before what is around it.
fn remove_others(partition: &Path, present: &Items, wanted: &Items) -> io::Result<()> {
    let parents: BTreeSet<_> = wanted.keys().flat_map(|name| ancestors(name)).collect();
    for (name, _) in present.iter().rev() {
        let inside_left = ancestors(name).any(|around| wanted.get(around) == Some(&Item::Left));
        if wanted.contains_key(name) || parents.contains(name.as_str()) || inside_left {
            continue;
        }
        fs::remove_tree(&partition.join(name))?;
    }
    Ok(())
}

/// The directories around `name`, from the inside.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.rsplit_once('/').map(|(around, _)| around), |name| {
        name.rsplit_once('/').map(|(around, _)| around)
    })
}
