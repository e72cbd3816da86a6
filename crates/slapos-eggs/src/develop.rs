//! Source trees used where they are: their metadata and extensions are made in place, and a file
//! `<name>.egg-link` on the shelf of such things leads to them.

use std::path::{Path, PathBuf};

use slapos_sys::fs;

use crate::build::{BuildExt, InPlace};
use crate::eggs::{Eggs, Settings};
use crate::install::BuildSite;
use crate::name::in_file_name;
use crate::{EggError, Work};

impl Eggs {
    /// Makes the source tree `setup` (its directory, or a file in it) usable where it is; returns
    /// the link that is to lead to it. The tree is written to: compiled modules, `*.egg-info`.
    ///
    /// # Errors
    /// See [`EggError`]; trees that setuptools does not build are refused.
    pub fn develop(
        &self,
        settings: &Settings,
        setup: &Path,
        build_ext: &BuildExt,
        setup_eggs: &[String],
        work: &dyn Work,
    ) -> Result<EggLink, EggError> {
        let source = if setup.is_dir() { setup } else { setup.parent().unwrap_or(setup) };
        if !["setup.py", "setup.cfg", "pyproject.toml"].iter().any(|f| source.join(f).is_file()) {
            let reason = "it has neither setup.py nor pyproject.toml";
            return Err(EggError::build(format!("develop {}", source.display()), reason));
        }
        let shelf = settings.shelves.develop.as_ref().unwrap_or(&settings.shelves.eggs);
        fs::create_dir_all(shelf, 0o755).map_err(EggError::io("create", shelf))?;
        let scratch =
            fs::temp_dir_in(shelf, ".making-").map_err(EggError::io("create in", shelf))?;
        let site = BuildSite { eggs: self, settings, work };
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (tree, system) = site.prepare(&name, source, scratch.path(), build_ext, setup_eggs)?;
        if !system.is_setuptools() {
            let reason = format!(
                "it is built by {}, and only what setuptools builds can be used in place",
                system.backend
            );
            return Err(EggError::build(format!("develop {}", source.display()), reason));
        }
        let made = tree.in_place(work)?;
        keep_scripts(&made)?;
        Ok(EggLink {
            path: shelf.join(format!("{}.egg-link", in_file_name(&made.name))),
            text: format!("{}\n{}", made.location.display(), way_back(&made.location, source)),
        })
    }
}

/// The file that leads to a source tree in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EggLink {
    /// Where it belongs.
    pub path: PathBuf,
    text: String,
}

impl EggLink {
    /// Writes it.
    ///
    /// # Errors
    /// When the file system does not let it.
    pub fn write(&self) -> Result<(), EggError> {
        fs::write_replace(&self.path, self.text.as_bytes(), 0o644)
            .map_err(EggError::io("write", &self.path))
    }
}

/// From where the packages are to where the tree begins, as setuptools writes it.
fn way_back(location: &Path, source: &Path) -> String {
    let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    match location.strip_prefix(&source) {
        Ok(below) if below.components().next().is_some() => {
            "../".repeat(below.components().count())
        }
        _ => ".".to_owned(),
    }
}

/// Scripts of the old kind are put into the metadata, where those of wheels are.
fn keep_scripts(made: &InPlace) -> Result<(), EggError> {
    let directory = made.info.join("scripts");
    fs::remove_tree(&directory).map_err(EggError::io("remove", &directory))?;
    for script in &made.scripts {
        fs::create_dir_all(&directory, 0o755).map_err(EggError::io("create", &directory))?;
        let bytes = fs::read(script).map_err(EggError::io("read", script))?;
        let copy = directory.join(script.file_name().unwrap_or_default());
        fs::write_replace(&copy, &bytes, 0o755).map_err(EggError::io("write", &copy))?;
    }
    Ok(())
}
