//! Which hashes of shared parts, and paths of eggs, occur in what is installed below a directory.
//!
//! Looked at are records (in `.slapos`, and `.installed.cfg`), seals, profiles (`*.cfg`), programs (in
//! `bin`, `sbin`, and below `etc`) and the targets of links: what names shared parts there is what
//! would break without them. Data and libraries are not read, only walked over; links are not
//! followed to other directories.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use slapos_sys::fs;

/// What ends the path of an egg.
const EGG: &[u8] = b".egg";
/// Longest path that is recognised, bytes.
const LONGEST: usize = 4096;
/// How much of a file is looked at at once, bytes.
const PIECE: usize = 64 << 10;
/// Hexadecimal digits of a hash.
const DIGITS: usize = 32;

/// Hashes and paths that are looked for, and where each was first seen.
pub(super) struct Search {
    wanted: HashSet<Vec<u8>>,
    /// Paths of eggs.
    eggs: HashSet<Vec<u8>>,
    found: HashMap<String, PathBuf>,
}

/// What could not be looked at, and why.
pub(super) type Unreadable = (PathBuf, io::Error);

impl Search {
    pub(super) fn new<'a>(hashes: impl IntoIterator<Item = &'a String>) -> Self {
        let all = hashes.into_iter().map(|hash| hash.as_bytes().to_vec());
        let (eggs, wanted) = all.partition(|text: &Vec<u8>| text.starts_with(b"/"));
        Self { wanted, eggs, found: HashMap::new() }
    }

    /// Hash, or path of an egg → the file or link that names it.
    pub(super) fn found(self) -> HashMap<String, PathBuf> {
        self.found
    }

    /// Looks at everything below `root`, but for the directory `except`. What goes away meanwhile
    /// was not needed.
    pub(super) fn below(&mut self, root: &Path, except: &Path) -> Result<(), Unreadable> {
        let mut rest = vec![root.to_owned()];
        while let Some(directory) = rest.pop() {
            let told = |error| (directory.clone(), error);
            let Some(entries) = present(std::fs::read_dir(&directory)).map_err(told)? else {
                continue;
            };
            for entry in entries {
                let entry = entry.map_err(told)?;
                let path = entry.path();
                let kind = entry.file_type().map_err(told)?;
                if kind.is_dir() {
                    if path != except {
                        rest.push(path);
                    }
                } else if kind.is_symlink() {
                    self.link(&path).map_err(|error| (path, error))?;
                } else if kind.is_file() && tells(&path) {
                    self.file(&path).map_err(|error| (path, error))?;
                }
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path) -> io::Result<()> {
        let Some(target) = present(std::fs::read_link(path))? else {
            return Ok(());
        };
        self.text(target.as_os_str().as_bytes(), path);
        // A program that is a link to a script says what the script says.
        match tells(path) && path.is_file() {
            true => self.file(path),
            false => Ok(()),
        }
    }

    /// Looks at one file, whatever its size.
    pub(super) fn file(&mut self, path: &Path) -> io::Result<()> {
        let Some(mut file) = present(fs::open_ordinary(path))? else {
            return Ok(());
        };
        let mut piece = vec![0; PIECE];
        let mut kept = 0;
        loop {
            let read = match file.read(&mut piece[kept..]) {
                Ok(0) => return Ok(()),
                Ok(read) => kept + read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.text(&piece[..read], path);
            // A hash or a path may go over the border.
            let overlap = if self.eggs.is_empty() { DIGITS - 1 } else { LONGEST };
            let start = read.saturating_sub(overlap);
            piece.copy_within(start..read, 0);
            kept = read - start;
        }
    }

    /// Looks for paths of eggs.
    fn paths(&mut self, text: &[u8], at: &Path) {
        if self.eggs.is_empty() {
            return;
        }
        let inside = |byte: &u8| !byte.is_ascii_whitespace() && !b"\"'`:;,=<>()[]{}".contains(byte);
        for end in (EGG.len()..=text.len()).filter(|end| text[..*end].ends_with(EGG)) {
            let first = end.saturating_sub(LONGEST);
            let start = text[first..end].iter().rposition(|byte| !inside(byte));
            let path = &text[start.map_or(first, |at| first + at + 1)..end];
            if let Some(path) = self.eggs.take(path) {
                self.found.insert(String::from_utf8_lossy(&path).into_owned(), at.to_owned());
            }
        }
    }

    fn text(&mut self, text: &[u8], at: &Path) {
        self.paths(text, at);
        let mut run = 0;
        for (index, byte) in text.iter().enumerate() {
            let digit = byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            run = if digit { run + 1 } else { 0 };
            if run < DIGITS {
                continue;
            }
            let hash = &text[index + 1 - DIGITS..=index];
            if let Some(hash) = self.wanted.take(hash) {
                self.found.insert(String::from_utf8_lossy(&hash).into_owned(), at.to_owned());
            }
        }
    }
}

/// Whether a file can name a shared part that would be missed.
fn tells(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let within = |directory: &str| {
        let parent = path.parent().and_then(Path::file_name);
        parent == Some(OsStr::new(directory))
    };
    let hidden = name.starts_with(b".");
    (hidden && (name.ends_with(b"signature") || name == b".buildout-shared.json"))
        || name.ends_with(b".cfg")
        || within("bin")
        || within("sbin")
        || within(".slapos")
        || path.components().any(|step| step.as_os_str() == "etc")
}

/// `None` for what is not there any more.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    fn hash(n: u32) -> String {
        format!("{n:032x}")
    }

    fn found(root: &Path) -> Vec<String> {
        let hashes: Vec<String> = (0..20).map(hash).collect();
        let mut search = Search::new(&hashes);
        search.below(root, &root.join("cache")).unwrap();
        let mut found: Vec<String> = search.found().into_keys().collect();
        found.sort();
        found
    }

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn records_programs_and_links_name_parts_and_data_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "1/.installed.cfg", &format!("[a]\nlocation = /s/a/{}\n", hash(1)));
        write(root, "1/.slapos/installed-x.json", &format!("\"{}\"", hash(2)));
        write(root, "1/bin/run", &format!("#!/s/python/{}/bin/python\n", hash(3)));
        write(root, "1/etc/run/x", &hash(4));
        write(root, "1/srv/data", &hash(5));
        write(root, "1/parts/script", &format!("exec /s/a/{}/x\n", hash(6)));
        write(root, "cache/bin/x", &hash(7));
        std::os::unix::fs::symlink(format!("/s/b/{}", hash(8)), root.join("1/link")).unwrap();
        std::os::unix::fs::symlink(root.join("1/parts/script"), root.join("1/bin/s")).unwrap();
        let expected: Vec<String> = [1, 2, 3, 4, 6, 8].map(hash).into();
        assert_eq!(found(root), expected);
    }

    #[test]
    fn a_hash_is_seen_wherever_it_stands_in_a_large_file() {
        let dir = tempfile::tempdir().unwrap();
        for at in [0, PIECE - 31, PIECE - 1, PIECE, 2 * PIECE - 40] {
            let text = format!("{}{}", "-".repeat(at), hash(9));
            write(dir.path(), "bin/x", &text);
            assert_eq!(found(dir.path()), [hash(9)], "at {at}");
            // Also where other digits surround it.
            write(dir.path(), "bin/x", &format!("{}{}c", "a".repeat(at), hash(9)));
            assert_eq!(found(dir.path()), [hash(9)], "at {at}");
        }
    }

    #[test]
    fn eggs_are_found_by_links_and_by_paths() {
        let dir = tempfile::tempdir().unwrap();
        let egg = |n: u32| format!("/s/python/abi/{n}-1.0-py3.11.egg");
        std::fs::create_dir_all(dir.path().join("eggs")).unwrap();
        std::os::unix::fs::symlink(egg(1), dir.path().join("eggs/1.egg")).unwrap();
        write(dir.path(), "bin/x", &format!("sys.path[:0] = ['{}']\n{}x", egg(2), egg(3)));
        write(dir.path(), "bin/long", &format!("{} {}", "-".repeat(PIECE - 9), egg(4)));
        write(dir.path(), "data", &egg(5));
        let wanted: Vec<String> = (1..6).map(egg).collect();
        let mut search = Search::new(&wanted);
        search.below(dir.path(), Path::new("")).unwrap();
        let mut found: Vec<String> = search.found().into_keys().collect();
        found.sort();
        assert_eq!(found, [1, 2, 3, 4].map(egg));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "bin/x", &hash(1));
        let pipe = dir.path().join("bin/pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(found(dir.path()), [hash(1)]);
    }
}
