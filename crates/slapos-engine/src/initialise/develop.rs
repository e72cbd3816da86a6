//! `[buildout] develop`: source trees of Python that are used where they are. Each is a part of its
//! own that comes before all others and that no profile names: `develop[TREE]`, made by the recipe
//! that does the same for a section.
//!
//! As in Buildout, the words are paths or patterns seen from the buildout directory, and one that
//! leads nowhere is only told. Recipes themselves cannot come from such a tree: they are needed before
//! anything is made.

use std::path::{Path, PathBuf};

use slapos_profile::{ProfileError, Resolver};
use slapos_sys::pattern::fits;

use super::{Initialiser, value};

/// The recipe that makes a source tree usable where it is.
const RECIPE: &str = "zc.recipe.egg:develop";
/// Begins the name of such a part. No section of a profile has a bracket in its name.
pub(crate) const PREFIX: &str = "develop[";

/// Adds the parts and initialises them; `notices` gets what leads nowhere.
pub(super) fn parts(
    resolver: &mut Resolver<'_>,
    host: &mut Initialiser<'_>,
    notices: &mut Vec<String>,
) -> Result<(), ProfileError> {
    let words = value(resolver, "buildout", "develop").unwrap_or_default().to_owned();
    let directory = host.settings.directory.clone();
    for word in words.split_whitespace() {
        let trees = found(&directory, word);
        if trees.is_empty() {
            notices.push(format!("`develop` of [buildout]: there is nothing at `{word}`"));
        }
        for tree in trees {
            let shown = tree.strip_prefix(&directory).unwrap_or(&tree).display().to_string();
            let shown = if shown.is_empty() { ".".to_owned() } else { shown };
            let section = format!("{PREFIX}{shown}]");
            resolver.set(&section, "recipe", RECIPE);
            resolver.set(&section, "setup", tree.to_string_lossy());
            let made = resolver.section(host, &section);
            made.map_err(|error| {
                error.with_note(format!("`develop` of [buildout] names {shown}"))
            })?;
        }
    }
    Ok(())
}

/// What a word leads to, by name.
fn found(directory: &Path, word: &str) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    if word.starts_with('/') {
        found = vec![PathBuf::from("/")];
    }
    for step in word.split('/').filter(|step| !step.is_empty() && *step != ".") {
        found = match step.contains(['*', '?']) {
            true => found.iter().flat_map(|path| matching(path, step)).collect(),
            false => found.iter().map(|path| path.join(step)).collect(),
        };
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

fn matching(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let shown = names.filter(|name| !name.starts_with('.') || pattern.starts_with('.'));
    shown.filter(|name| fits(name, pattern)).map(|name| directory.join(name)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
    use super::*;

    #[test]
    fn words_are_paths_and_patterns_below_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["src/b", "src/a", "src/.hidden", "other"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let shown = |word: &str| -> Vec<String> {
            let all = found(dir.path(), word).into_iter();
            all.map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(shown("src/*"), ["src/a", "src/b"]);
        assert_eq!(shown("./other"), ["other"]);
        assert_eq!(shown("."), [""]);
        assert_eq!(shown("no/*"), Vec::<String>::new());
        assert_eq!(found(Path::new("/x"), dir.path().to_str().unwrap()), [dir.path()]);
    }
}
