//! `slapos.extension.strip`: takes the symbols out of the programs and shared libraries that a build
//! made.
//!
//! Options of `[buildout]`:
//! - `strip-binary`: the program that does it, a name or a path (default `strip`);
//! - `do-not-strip-path`: lines, paths of files that stay as they are, seen from the buildout
//!   directory.
//!
//! `file-binary` and `find-binary` of the original name programs that are not needed here.
//!
//! Looked at are the ordinary files below the buildout directory, but for `.slapos` and shared parts,
//! which are not this build's alone; links are not followed, so that eggs of the node's store stay as
//! they are. As in the original, a library is called `*.so`, `*.so.*` or `*.cmxs`, and a program is
//! what its owner may execute. Static libraries stay as they are: the original says otherwise, and does
//! the same.
//!
//! Invariants: a file is replaced by one rename; the names of one file stay names of one file; what
//! cannot be stripped stays as it is and is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use slapos_sys::fs;

use crate::command::CommandSpec;
use crate::context::PartContext;
use crate::error::PartError;
use crate::shared::SEAL;

/// The extension's name.
pub(crate) const EXTENSION: &str = "slapos.extension.strip";
/// Where a program that is named without a directory is looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Ends the name of what is going to replace a file.
const HALF_MADE: &str = ".slapos-strip";
/// Sections that say nothing to whoever runs the program.
const COMMENTS: [&str; 2] = ["--remove-section=.comment", "--remove-section=.note"];

/// What the profile says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strip {
    pub(crate) program: PathBuf,
    pub(crate) spared: BTreeSet<PathBuf>,
}

/// How a file is stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Library,
    Program,
}

/// A file under all its names.
struct Found {
    kind: Kind,
    names: Vec<PathBuf>,
}

/// The program `name`, which may be a path seen from `directory`; `None` if nobody has a program of
/// that name. What is named by a path may be made by the build itself.
pub(crate) fn program(name: &str, directory: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(directory.join(name));
    }
    PATH.split(':').map(|place| Path::new(place).join(name)).find(|path| path.is_file())
}

impl Strip {
    /// Strips everything below the buildout directory that is not stripped yet.
    pub(crate) fn run(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        if !self.program.is_file() {
            let message = format!("there is no program {}", self.program.display());
            return Err(PartError::new(message));
        }
        let (mut files, mut less) = (0_u32, 0);
        for found in self.find(cx)? {
            match replace(&self.program, &found, cx) {
                Ok(saved) => {
                    files += 1;
                    less += saved;
                }
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => {
                    let name = found.names.first().map(|name| name.display().to_string());
                    cx.warn(&format!("{} keeps its symbols: {error}", name.unwrap_or_default()));
                }
            }
        }
        if files > 0 {
            cx.progress(&format!("took the symbols out of {files} files: {} KiB less", less >> 10));
        }
        Ok(())
    }

    /// What is to be stripped, in the order of inodes, which is that of nothing else.
    fn find(&self, cx: &PartContext<'_>) -> Result<Vec<Found>, PartError> {
        let mut search = Search { strip: self, found: BTreeMap::new(), spared: BTreeSet::new() };
        let mut rest = vec![cx.directory().to_owned()];
        while let Some(directory) = rest.pop() {
            if cx.cancelled() {
                return Err(PartError::cancelled());
            }
            match std::fs::read_dir(&directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                Ok(entries) => {
                    let paths = entries.into_iter().map(|entry| entry.path());
                    let below: Vec<PathBuf> = paths.filter(|path| search.look_at(path)).collect();
                    rest.extend(below.into_iter().filter(|path| is_ours(path, cx.directory())));
                }
                Err(error) => cx.warn(&format!("cannot list {}: {error}", directory.display())),
            }
        }
        let Search { found, spared, .. } = search;
        Ok(found.into_iter().filter(|(key, _)| !spared.contains(key)).map(|(_, f)| f).collect())
    }
}

/// Files by device and inode, so that the names of one come together.
struct Search<'s> {
    strip: &'s Strip,
    found: BTreeMap<(u64, u64), Found>,
    spared: BTreeSet<(u64, u64)>,
}

impl Search<'_> {
    /// Takes note of a file; true for a directory.
    fn look_at(&mut self, path: &Path) -> bool {
        // What went away meanwhile need not be stripped.
        let Ok(meta) = path.symlink_metadata() else { return false };
        let key = (meta.dev(), meta.ino());
        if meta.is_dir() {
            return true;
        }
        if is_half_made(path) {
            // Of a run that was killed.
            let _ = fs::remove_tree(path);
        } else if self.strip.spared.contains(path) {
            self.spared.insert(key);
        } else if let Some(kind) = kind(path, &meta) {
            let found = self.found.entry(key).or_insert(Found { kind, names: Vec::new() });
            found.names.push(path.to_owned());
        }
        false
    }
}

/// Whether a directory belongs to this build alone.
fn is_ours(path: &Path, buildout: &Path) -> bool {
    path != buildout.join(".slapos") && !path.join(SEAL).exists()
}

fn is_half_made(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(HALF_MADE))
}

/// Where what replaces `path` is made.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{HALF_MADE}"))
}

/// Strips one file under all its names; returns how many bytes it lost.
fn replace(program: &Path, found: &Found, cx: &PartContext<'_>) -> Result<u64, PartError> {
    let Some((path, others)) = found.names.split_first() else {
        return Ok(0);
    };
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| PartError::io(&what, path, &error)
    };
    let before = path.symlink_metadata().map_err(failed("examine"))?;
    let new = beside(path);
    let mut spec = CommandSpec::new(program).env("PATH", PATH);
    for option in COMMENTS {
        spec = spec.arg(option);
    }
    if found.kind == Kind::Library {
        spec = spec.arg("--strip-unneeded");
    }
    let made = cx.run(&spec.arg("-o").arg(&new).arg(path)).and_then(|()| {
        let mode = before.permissions().mode() & 0o7777;
        let ready = fs::set_mode(&new, mode).and_then(|()| fs::open_ordinary(&new)?.sync_all());
        ready.and_then(|()| fs::rename(&new, path)).map_err(failed("replace"))
    });
    if made.is_err() {
        // The next run would do it.
        let _ = fs::remove_tree(&new);
    }
    made?;
    for other in others {
        let link = beside(other);
        std::fs::hard_link(path, &link)
            .and_then(|()| fs::rename(&link, other))
            .map_err(failed("give all its names to"))?;
    }
    let after = path.symlink_metadata().map_err(failed("examine"))?;
    Ok(before.len().saturating_sub(after.len()))
}

/// How a file is to be stripped, if it is.
fn kind(path: &Path, meta: &std::fs::Metadata) -> Option<Kind> {
    if !meta.is_file() {
        return None;
    }
    let name = path.file_name()?.to_string_lossy();
    let is_library = name.ends_with(".so") || name.contains(".so.") || name.ends_with(".cmxs");
    if !is_library && meta.permissions().mode() & 0o100 == 0 {
        return None;
    }
    let object = Object::read(path).ok()??;
    match is_library {
        true => (object == Object::Library).then_some(Kind::Library),
        false => Some(Kind::Program),
    }
}

/// What an ELF file with a symbol table is.
#[derive(Debug, PartialEq, Eq)]
enum Object {
    /// A program at a fixed place.
    Program,
    /// A library, or a program that may lie anywhere.
    Library,
}

impl Object {
    /// `None` for every other file, also for what is stripped already.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = fs::open_ordinary(path)?;
        let mut header = [0; 64];
        let length = file.by_ref().take(64).read(&mut header)?;
        let Some(header) = Header::parse(&header[..length]) else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(header.sections_at))?;
        let mut table = Vec::new();
        file.take(header.entry * header.count).read_to_end(&mut table)?;
        let entry = usize::try_from(header.entry).unwrap_or(usize::MAX);
        let has_symbols = table.chunks_exact(entry).any(|section| header.kind_of(section) == 2);
        Ok(match (header.kind, has_symbols) {
            (2, true) => Some(Self::Program),
            (3, true) => Some(Self::Library),
            _ => None,
        })
    }
}

/// What matters of the beginning of an ELF file.
struct Header {
    little: bool,
    kind: u64,
    sections_at: u64,
    entry: u64,
    count: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let wide = match bytes.get(..5)? {
            [0x7f, b'E', b'L', b'F', 1] => false,
            [0x7f, b'E', b'L', b'F', 2] => true,
            _ => return None,
        };
        let little = *bytes.get(5)? == 1;
        let number = |at: usize, size: usize| number(bytes.get(at..at + size)?, little);
        let header = Self {
            little,
            kind: number(16, 2)?,
            sections_at: if wide { number(40, 8)? } else { number(32, 4)? },
            entry: number(if wide { 58 } else { 46 }, 2)?,
            count: number(if wide { 60 } else { 48 }, 2)?,
        };
        (header.entry == if wide { 64 } else { 40 }).then_some(header)
    }

    fn kind_of(&self, section: &[u8]) -> u64 {
        section.get(4..8).and_then(|bytes| number(bytes, self.little)).unwrap_or(0)
    }
}

fn number(bytes: &[u8], little: bool) -> Option<u64> {
    let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
    match bytes.len() {
        0 => None,
        _ if little => Some(bytes.iter().rev().fold(0, add)),
        _ => Some(bytes.iter().fold(0, add)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    /// An ELF file of one section.
    fn elf(wide: bool, little: bool, kind: u16, section: u32) -> Vec<u8> {
        let mut bytes = vec![0; if wide { 128 } else { 104 }];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[4] = if wide { 2 } else { 1 };
        bytes[5] = if little { 1 } else { 2 };
        let mut put = |at: usize, size: usize, value: u64| {
            let all = value.to_le_bytes();
            for (index, byte) in all[..size].iter().enumerate() {
                let place = if little { at + index } else { at + size - 1 - index };
                bytes[place] = *byte;
            }
        };
        put(16, 2, u64::from(kind));
        put(if wide { 40 } else { 32 }, if wide { 8 } else { 4 }, 64);
        put(if wide { 58 } else { 46 }, 2, if wide { 64 } else { 40 });
        put(if wide { 60 } else { 48 }, 2, 1);
        put(68, 4, u64::from(section));
        bytes
    }

    #[test]
    fn symbols_are_seen_in_all_kinds_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Object::read(&path).unwrap()
        };
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(read(&elf(wide, little, 2, 2)), Some(Object::Program));
            assert_eq!(read(&elf(wide, little, 3, 2)), Some(Object::Library));
            assert_eq!(read(&elf(wide, little, 1, 2)), None, "a part of a program to be");
            assert_eq!(read(&elf(wide, little, 3, 11)), None, "it is stripped");
        }
        for nonsense in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &elf(true, true, 3, 2)[..63]] {
            assert_eq!(read(nonsense), None);
        }
    }
}
