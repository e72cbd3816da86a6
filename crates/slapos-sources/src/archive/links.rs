//! Where the links of a tree lead, found without touching the disk.
//!
//! The tree was made by us in a fresh directory, so what we put there is all there is: a map of
//! the symbolic links tells exactly what the kernel would do.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path.
const MOST_LINKS: u32 = 40;

/// Symbolic links by their path in the tree, with what they hold.
pub(super) type Links = HashMap<PathBuf, PathBuf>;

/// Checks that following the link at `path` never leaves `root` (a directory of the tree).
///
/// A link to something that is not there may stay: builds make such files later.
pub(super) fn check(links: &Links, root: &Path, path: &Path) -> Result<(), String> {
    let relative =
        path.strip_prefix(root).map_err(|_| "is outside of the top directory".to_owned())?;
    let mut todo: Vec<OsString> = Vec::new();
    push(&mut todo, relative)?;
    let mut here = root.to_owned();
    let mut followed = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            if here == root {
                return Err("is a link that leads out of the tree".into());
            }
            here.pop();
            continue;
        }
        let next = here.join(&name);
        let Some(target) = links.get(&next) else {
            here = next;
            continue;
        };
        followed += 1;
        if followed > MOST_LINKS {
            return Err("is a link that leads through too many others".into());
        }
        push(&mut todo, target)?;
    }
    Ok(())
}

/// Puts the components of `path` on the stack, the first on top.
fn push(todo: &mut Vec<OsString>, path: &Path) -> Result<(), String> {
    if path.as_os_str().as_bytes().starts_with(b"/") {
        return Err("is a link to an absolute path".into());
    }
    let components = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    todo.extend(components);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(links: &[(&str, &str)], root: &str) -> Vec<bool> {
        let map: Links = links.iter().map(|(path, target)| (path.into(), target.into())).collect();
        links
            .iter()
            .map(|(path, _)| check(&map, Path::new(root), Path::new(path)).is_ok())
            .collect()
    }

    #[test]
    fn links_inside_may_stay() {
        let links = [
            ("lib/libz.so", "libz.so.1"),
            ("a/b/up", "../../lib/libz.so"),
            ("self", "."),
            ("later", "made/by/the/build"),
        ];
        assert_eq!(verdict(&links, ""), [true; 4]);
    }

    #[test]
    fn links_outside_are_found_whatever_they_lead_through() {
        assert_eq!(verdict(&[("a", "..")], ""), [false]);
        assert_eq!(verdict(&[("a", "/etc")], ""), [false]);
        assert_eq!(verdict(&[("d/a", "../../x")], ""), [false]);
        // `x/l` is the root, so `x/l/..` is above it, though the text looks harmless.
        assert_eq!(verdict(&[("x/l", ".."), ("m", "x/l/../etc")], ""), [true, false]);
        assert_eq!(verdict(&[("a", "b"), ("b", "a")], ""), [false, false]);
    }

    #[test]
    fn the_root_may_be_a_directory_of_the_tree() {
        let links = [("top/a", "../top/b"), ("top/c", "d")];
        assert_eq!(verdict(&links, ""), [true, true]);
        assert_eq!(verdict(&links, "top"), [false, true]);
    }
}
