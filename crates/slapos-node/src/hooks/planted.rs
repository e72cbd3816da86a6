//! The files by which a partition asks something of a hook: `.slapos-*` in its directory.
//!
//! Invariant: they are read and written with the partition's own rights, so that nothing which the
//! partition could not reach itself is read or changed, whatever it planted in their place.

use std::io::ErrorKind;

use slapos_sys::{fs, user};

use super::scene::{Member, Scene};
use crate::error::{IoContext, NodeError};
use crate::listing::first_files;

/// More than any sensible request has, bytes.
const LONGEST: u64 = 64 << 10;
/// More entries than any sensible request has.
const MOST_ENTRIES: usize = 100;

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) enum Planted<T> {
    /// No such file.
    Absent,
    /// A file that is not understood; it has been told.
    Bad,
    /// What it says.
    Said(T),
}

/// The text of the file `name` in the partition of `member`.
///
/// # Errors
/// When the partition itself is missing or open to others.
pub(super) fn text(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    name: &str,
) -> Result<Planted<String>, NodeError> {
    let path = member.directory(scene).join(name);
    let owner = member.owner(scene)?;
    let read = user::as_files_of(&owner, || fs::read_untrusted(&path, LONGEST));
    match read.context("take the rights of the owner of", &path)? {
        Ok(text) => Ok(Planted::Said(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Planted::Absent),
        Err(error) => {
            scene.warn(member, &format!("{name} is ignored: {error}"));
            Ok(Planted::Bad)
        }
    }
}

/// The entries of the file `name`, which is to hold a list in JSON.
///
/// # Errors
/// As [`text`].
pub(super) fn list(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    name: &str,
) -> Result<Planted<Vec<serde_json::Value>>, NodeError> {
    let text = match text(scene, member, name)? {
        Planted::Said(text) => text,
        Planted::Absent => return Ok(Planted::Absent),
        Planted::Bad => return Ok(Planted::Bad),
    };
    let refuse = |why: String| {
        scene.warn(member, &format!("{name} is ignored: {why}"));
        Ok(Planted::Bad)
    };
    match serde_json::from_str::<Vec<serde_json::Value>>(&text) {
        Ok(entries) if entries.len() > MOST_ENTRIES => {
            refuse(format!("it has {} entries, and at most {MOST_ENTRIES} are read", entries.len()))
        }
        Ok(entries) => Ok(Planted::Said(entries)),
        Err(error) => refuse(format!("it is not a JSON list: {error}")),
    }
}

/// Replaces the file `name`, as the partition itself would.
///
/// # Errors
/// When it cannot be written.
pub(super) fn replace(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    name: &str,
    text: &str,
) -> Result<(), NodeError> {
    let path = member.directory(scene).join(name);
    let owner = member.owner(scene)?;
    let written = user::as_files_of(&owner, || fs::write_replace(&path, text.as_bytes(), 0o640));
    written.context("take the rights of the owner of", &path)?.context("write", &path)
}

/// The names of the ordinary files in the directory `name` below the partition, sorted; the first of
/// them, and a warning, where there are more than a list may have entries. None if there is no such
/// directory, or the partition's user cannot look into it.
///
/// # Errors
/// When the partition itself is missing or open to others.
pub(super) fn files(
    scene: &Scene<'_, '_>,
    member: &Member<'_>,
    name: &str,
) -> Result<Vec<String>, NodeError> {
    let path = member.directory(scene).join(name);
    let owner = member.owner(scene)?;
    let listed = user::as_files_of(&owner, || first_files(&path, MOST_ENTRIES));
    let listed = listed.context("take the rights of the owner of", &path)?.unwrap_or_default();
    if listed.more {
        let text = format!("{name} has more than {MOST_ENTRIES} files; the others are ignored");
        scene.warn(member, &text);
    }
    Ok(listed.names)
}
