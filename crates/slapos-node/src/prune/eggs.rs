//! Eggs in the store of this node, `<list>/python`: what there is, and taking it away.
//!
//! They are pruned like shared parts, and named by where they lie. An egg is needed if a link leads to
//! it, as from the directory `eggs` of a Software Release, or a program or record names its path. What
//! is only kept to build other eggs is never named, and goes: it comes again when it is needed.
//!
//! Invariant: eggs are made, and links to them, while the list is held; they go while it is held alone.

use std::io;
use std::path::{Path, PathBuf};

use slapos_engine::{StoredPart, StoredState};
use slapos_sys::fs;

/// Where the store is, below the list of shared parts.
const STORE: &str = "python";
/// What is only there to build others, below the directory of a binary interface.
const BUILD: &str = ".build";
/// Begins the name of an egg that is on its way out.
const PRUNED: &str = ".pruned-";

/// Whether this is an egg, or several.
pub(super) fn is_egg(part: &StoredPart) -> bool {
    part.hash.starts_with('/')
}

/// All that is in the store of `list`; nothing if there is none.
pub(super) fn list(list: &Path) -> io::Result<Vec<StoredPart>> {
    let mut found = Vec::new();
    for interface in directories(&list.join(STORE))? {
        for path in directories(&interface)? {
            let name = name_of(&path);
            if name == BUILD {
                found.extend(directories(&path)?.into_iter().map(|path| stored(path, "to build")));
            } else if is_wanted(&name) {
                found.push(stored(path, &name));
            } else if is_hash(&name) {
                let compiled = directories(&path)?.into_iter();
                let eggs = compiled.filter(|path| is_wanted(&name_of(path)));
                found.extend(eggs.map(|path| {
                    let name = name_of(&path);
                    stored(path, &name)
                }));
            }
        }
    }
    found.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(found)
}

/// Takes it away under another name.
pub(super) fn put_aside(part: &mut StoredPart) -> io::Result<()> {
    if part.state == StoredState::Pruned {
        return Ok(());
    }
    let aside = part.location.with_file_name(format!("{PRUNED}{}", name_of(&part.location)));
    fs::remove_tree(&aside)?;
    fs::rename(&part.location, &aside)?;
    part.location = aside;
    part.state = StoredState::Pruned;
    Ok(())
}

fn stored(location: PathBuf, name: &str) -> StoredPart {
    let is_aside = name_of(&location).starts_with(PRUNED);
    let state = if is_aside { StoredState::Pruned } else { StoredState::Whole };
    let hash = location.to_string_lossy().into_owned();
    StoredPart { name: format!("egg {name}"), hash, location, state }
}

fn is_wanted(name: &str) -> bool {
    name.ends_with(".egg")
}

/// A directory of what was compiled alike.
fn is_hash(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The directories in a directory; links are none.
fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eggs_are_found_with_what_builds_them_and_what_is_half_gone() {
        let dir = tempfile::tempdir().unwrap();
        let places = [
            "python/cpython-311/a-1.0-py3.11.egg",
            "python/cpython-311/0123456789ab/b-1.0-py3.11.egg",
            "python/cpython-311/0123456789ab/.pruned-c-1.0-py3.11.egg",
            "python/cpython-311/.build/0123456789ab/setuptools-1-py3.11.egg",
            "python/cpython-311/.locks",
            "python/cpython-311/.making-x",
            "python/00112233445566778899aabbccddeeff/bin",
            "zlib/00112233445566778899aabbccddeeff",
        ];
        for place in places {
            std::fs::create_dir_all(dir.path().join(place)).unwrap();
        }
        let shown = |part: &StoredPart| {
            let place = part.location.strip_prefix(dir.path()).unwrap().display().to_string();
            format!("{:?} {}: {place}", part.state, part.name)
        };
        let mut found = list(dir.path()).unwrap();
        insta::assert_snapshot!(found.iter().map(shown).collect::<Vec<_>>().join("\n"), @r"
        Whole egg to build: python/cpython-311/.build/0123456789ab
        Pruned egg .pruned-c-1.0-py3.11.egg: python/cpython-311/0123456789ab/.pruned-c-1.0-py3.11.egg
        Whole egg b-1.0-py3.11.egg: python/cpython-311/0123456789ab/b-1.0-py3.11.egg
        Whole egg a-1.0-py3.11.egg: python/cpython-311/a-1.0-py3.11.egg
        ");
        found.iter_mut().for_each(|part| put_aside(part).unwrap());
        assert!(list(dir.path()).unwrap().iter().all(|part| part.state == StoredState::Pruned));
    }
}
