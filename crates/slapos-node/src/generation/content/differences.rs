//! What two generations do not have in common, as people read it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use similar::TextDiff;
use slapos_sources::Digest;
use slapos_sys::fs;

use super::capture::look;
use super::manifest::{Item, Manifest};
use super::room::Room;
use crate::worker::Failure;

/// Bytes of differences that are shown.
const LONGEST: usize = 1 << 20;
/// Lines around a change.
const CONTEXT: usize = 3;

/// The differences from generation `from` to generation `to` (what is in place now, if none) of
/// `partition`, in the unified format; empty if there are none.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn differences(partition: &Path, from: u32, to: Option<u32>) -> Result<String, Failure> {
    let room = Room::of(partition);
    let read = |number: u32| {
        room.read(number).map_err(|error| {
            Failure::new(format!("generation {number} cannot be read: {error}"))
                .hint("`slapos node generations PARTITION` lists those that are kept")
        })
    };
    let old = Part {
        manifest: read(from)?,
        room: &room,
        title: format!("generation {from}"),
        in_place: false,
    };
    let new = match to {
        Some(number) => Part {
            manifest: read(number)?,
            room: &room,
            title: format!("generation {number}"),
            in_place: false,
        },
        None => {
            let manifest = look(&room, |bytes| Ok(Digest::sha256_of(bytes).hex()))?;
            Part { manifest, room: &room, title: "now".to_owned(), in_place: true }
        }
    };
    let mut text = String::new();
    let names: BTreeSet<_> = old.manifest.items.keys().chain(new.manifest.items.keys()).collect();
    for name in names {
        compare(&mut text, name, &old, &new);
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push_str("\n... and more\n");
            break;
        }
    }
    Ok(text)
}

struct Part<'a> {
    manifest: Manifest,
    room: &'a Room,
    title: String,
    /// Its files are those of the partition, not kept ones.
    in_place: bool,
}

impl Part<'_> {
    /// What is called `name`, in one line; none if nothing is.
    fn nature(&self, name: &str) -> Option<String> {
        Some(match self.manifest.items.get(name)? {
            Item::File { mode, .. } => format!("file of mode {mode:04o}"),
            Item::Link { target } => format!("link to {target}"),
            Item::Directory { mode } => format!("directory of mode {mode:04o}"),
            Item::Left => "something too large to be kept".to_owned(),
        })
    }

    /// The lines of the file called `name`: none where there is no file, an error where it has none.
    fn text(&self, name: &str) -> Result<String, ()> {
        match self.manifest.items.get(name) {
            Some(Item::File { object, .. }) => {
                let bytes = match self.in_place {
                    true => fs::read(&self.room.partition.join(name)),
                    false => self.room.bytes(object),
                };
                String::from_utf8(bytes.map_err(drop)?).map_err(drop)
            }
            _ => Ok(String::new()),
        }
    }
}

fn compare(into: &mut String, name: &str, old: &Part<'_>, new: &Part<'_>) {
    if old.manifest.items.get(name) == new.manifest.items.get(name) {
        return;
    }
    let (before, after) = (old.nature(name), new.nature(name));
    if before != after {
        let word = |nature: Option<String>| nature.unwrap_or_else(|| "nothing".to_owned());
        let _ = writeln!(into, "{name}: {} -> {}", word(before), word(after));
    }
    match (old.text(name), new.text(name)) {
        (Ok(before), Ok(after)) => {
            let diff = TextDiff::from_lines(&before, &after);
            let (a, b) = (format!("{name} ({})", old.title), format!("{name} ({})", new.title));
            let _ = write!(into, "{}", diff.unified_diff().context_radius(CONTEXT).header(&a, &b));
        }
        _ => {
            let _ = writeln!(into, "{name}: its bytes differ, and are no text");
        }
    }
}
