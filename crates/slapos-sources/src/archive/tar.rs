//! Reading tar archives: ustar, GNU long names, and pax headers.
//!
//! The headers that describe the next entry are read here and not by the tar crate, because it
//! reads them into memory whatever their size.

use std::io::{self, Read};

use ::tar::{Archive, Entry, EntryType, PaxExtensions};

use super::Stop;
use super::meter::{Meter, Metered};
use super::tree::{Attributes, Tree, shown};

/// Largest pax header accepted: far more than names need.
const PAX_LIMIT: u64 = 1 << 20;

/// What extension headers said about the next entry.
#[derive(Default)]
struct Ahead {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Puts everything in the stream of a tar archive into `tree`.
pub(super) fn unpack(
    stream: Box<dyn Read>,
    tree: &mut Tree,
    meter: &Meter<'_>,
) -> Result<(), Stop> {
    let mut archive = Archive::new(meter.metered(stream));
    let result = unpack_entries(&mut archive, tree, meter);
    let mut rest = archive.into_inner();
    match result {
        Err(Stop::Full { .. }) => {
            // Unpack the rest to nowhere, to say how much room all of it takes.
            let _ = io::copy(&mut rest, &mut io::sink());
            Err(Stop::Full { needed: meter.unpacked() })
        }
        Ok(()) => check_end(&mut rest, meter),
        other => other,
    }
}

/// Reads to the end: the compression's checksum comes after the last entry. What other tools pad
/// archives with is not ours to judge.
fn check_end(rest: &mut impl Read, meter: &Meter<'_>) -> Result<(), Stop> {
    match io::copy(rest, &mut io::sink()) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(meter.explain(&error)),
        Err(error) => match meter.explain(&error) {
            Stop::Damaged(_) => Ok(()),
            stop => Err(stop),
        },
        Ok(_) => Ok(()),
    }
}

fn unpack_entries<R: Read>(
    archive: &mut Archive<Metered<'_, R>>,
    tree: &mut Tree,
    meter: &Meter<'_>,
) -> Result<(), Stop> {
    let entries = archive.entries().map_err(|error| meter.explain(&error))?;
    let mut ahead = Ahead::default();
    for entry in entries.raw(true) {
        let mut entry = entry.map_err(|error| first_error(tree, meter, &error))?;
        match entry.header().entry_type() {
            EntryType::GNULongName => ahead.path = Some(long_name(&mut entry, meter)?),
            EntryType::GNULongLink => ahead.link = Some(long_name(&mut entry, meter)?),
            EntryType::XHeader => read_pax(&mut entry, &mut ahead, meter)?,
            // Comments of git and the like.
            EntryType::XGlobalHeader => {}
            _ => put(&mut entry, std::mem::take(&mut ahead), tree, meter)?,
        }
    }
    Ok(())
}

/// A compressed file that is no tar archive fails at its first header.
fn first_error(tree: &Tree, meter: &Meter<'_>, error: &io::Error) -> Stop {
    let cut = error.kind() == io::ErrorKind::UnexpectedEof;
    match meter.explain(error) {
        Stop::Damaged(_) if tree.is_empty() && !cut => {
            Stop::Damaged("what is compressed in it is no tar archive".into())
        }
        stop => stop,
    }
}

fn put<R: Read>(
    entry: &mut Entry<'_, R>,
    ahead: Ahead,
    tree: &mut Tree,
    meter: &Meter<'_>,
) -> Result<(), Stop> {
    let header = entry.header().clone();
    let name = ahead.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = ahead
        .link
        .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
        .unwrap_or_default();
    let has =
        Attributes { mode: header.mode().unwrap_or(0o644), modified: header.mtime().unwrap_or(0) };
    if ahead.size.is_some_and(|size| size != entry.size()) {
        let reason = "has two different sizes (or more than 8 GiB)";
        return Err(Stop::hostile(shown(&name), reason));
    }
    match header.entry_type() {
        // Old archives mark directories by a slash at the end of the name only.
        EntryType::Regular if name.ends_with(b"/") => tree.add_directory(&name, has),
        EntryType::Regular | EntryType::Continuous => tree.add_file(&name, has, entry, meter),
        EntryType::Directory => tree.add_directory(&name, has),
        EntryType::Symlink => tree.add_symlink(&name, &link),
        EntryType::Link => tree.add_hard_link(&name, &link),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            Err(Stop::hostile(shown(&name), "is a device or pipe"))
        }
        other => {
            let kind = char::from(other.as_byte());
            let reason = format!("is of a kind that is not supported ({kind:?})");
            Err(Stop::hostile(shown(&name), reason))
        }
    }
}

fn long_name<R: Read>(entry: &mut Entry<'_, R>, meter: &Meter<'_>) -> Result<Vec<u8>, Stop> {
    let mut name = read_short(entry, meter)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn read_pax<R: Read>(
    entry: &mut Entry<'_, R>,
    ahead: &mut Ahead,
    meter: &Meter<'_>,
) -> Result<(), Stop> {
    let bytes = read_short(entry, meter)?;
    for record in PaxExtensions::new(&bytes) {
        let record = record.map_err(|error| meter.explain(&error))?;
        let value = record.value_bytes();
        match record.key_bytes() {
            b"path" => ahead.path = Some(value.to_owned()),
            b"linkpath" => ahead.link = Some(value.to_owned()),
            b"size" => ahead.size = record.value().ok().and_then(|text| text.parse().ok()),
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(Stop::Damaged("sparse files are not supported".into()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_short<R: Read>(entry: &mut Entry<'_, R>, meter: &Meter<'_>) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let size = entry.size();
    if size > PAX_LIMIT {
        return Err(Stop::TooLarge(format!("one of its headers has {size} bytes")));
    }
    entry.read_to_end(&mut bytes).map_err(|error| meter.explain(&error))?;
    if (bytes.len() as u64) < size {
        return Err(Stop::Damaged("it ends too early".into()));
    }
    Ok(bytes)
}
