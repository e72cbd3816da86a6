//! The files of a directory that others fill, with an end to what is looked at and kept.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Entries that are looked at, whatever they are.
const MOST_SEEN: usize = 1 << 20;

/// Names of files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// They, sorted.
    pub(crate) names: Vec<String>,
    /// Whether others were left out.
    pub(crate) more: bool,
}

/// The first `most` ordinary files in `directory` by name, hidden ones left out. Nothing is said of
/// the order in which a directory gives its entries, so that it must not decide.
pub(crate) fn first_files(directory: &Path, most: usize) -> io::Result<Listing> {
    let mut names = BTreeSet::new();
    let mut more = false;
    for (number, entry) in std::fs::read_dir(directory)?.enumerate() {
        if number >= MOST_SEEN {
            more = true;
            break;
        }
        let Ok(entry) = entry else { continue };
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || !entry.path().is_file() {
            continue;
        }
        names.insert(name);
        if names.len() > most {
            names.pop_last();
            more = true;
        }
    }
    Ok(Listing { names: names.into_iter().collect(), more })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    #[test]
    fn the_first_by_name_are_listed_whatever_lies_between() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..20 {
            std::fs::write(dir.path().join(format!(".hidden{number}")), "").unwrap();
            std::fs::create_dir(dir.path().join(format!("a{number}"))).unwrap();
        }
        for name in ["d", "b", "c"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let listing = |most| first_files(dir.path(), most).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listing(3), Listing { names: names(&["b", "c", "d"]), more: false });
        assert_eq!(listing(2), Listing { names: names(&["b", "c"]), more: true });
    }
}
