//! The option `import-list`: templates that a template may import.
//!
//! Lines `rawfile|file|rawfolder|folder NAME PLACE`: the place is a path, for `file` and `folder`
//! the one in `section:option`. A file is imported by its name, what is in a folder by the
//! folder's name, `import-delimiter` (`/`) and its path there.

use std::path::PathBuf;

use indexmap::IndexMap;
use slapos_engine::{PartError, PartInit, ProfileError};
use slapos_sources::Digest;

use super::context;
use crate::common;

/// What separates a folder's name from a file's, unless the part says otherwise.
const DELIMITER: &str = "/";

/// Templates by the names they are imported under.
#[derive(Debug, Clone, Default)]
pub(super) struct Imports {
    files: IndexMap<String, PathBuf>,
    folders: IndexMap<String, PathBuf>,
    pub(super) delimiter: String,
}

impl Imports {
    /// As the options of a part say.
    pub(super) fn of_part(init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let delimiter = init.get("import-delimiter").unwrap_or(DELIMITER).to_owned();
        let mut imports = Self { delimiter, ..Self::default() };
        let lines = init.get("import-list").unwrap_or_default().to_owned();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            imports.add(init, line)?;
        }
        Ok(imports)
    }

    fn add(&mut self, init: &mut PartInit<'_>, line: &str) -> Result<(), ProfileError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[kind, name, place] = words.as_slice() else {
            let message = format!("`{line}` in `import-list` is not of the form `type name place`");
            return Err(init.error_at_word("import-list", line, &message, None));
        };
        let place = match kind {
            "rawfile" | "rawfolder" => place.to_owned(),
            "file" | "folder" => context::option(init, "import-list", line, place)?.to_text(),
            other => {
                let help = Some("known are rawfile, file, rawfolder and folder");
                let message = format!("`{other}` is no type of a line of `import-list`");
                return Err(init.error_at_word("import-list", line, &message, help));
            }
        };
        let path = common::path(init, &place);
        let is_file = kind.ends_with("file");
        let known = if is_file { &mut self.files } else { &mut self.folders };
        if known.insert(name.to_owned(), path.clone()).is_some() {
            let message = format!("`import-list` defines `{name}` twice");
            return Err(init.error_at_word("import-list", line, &message, None));
        }
        // What another part makes is accounted for by that part.
        if is_file
            && !init.is_made_by_reference(&path)
            && let Ok(content) = slapos_sys::fs::read(&path)
        {
            init.add_input(&path.to_string_lossy(), &Digest::sha256_of(&content).to_string());
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// The texts of the files.
    pub(super) fn texts(&self) -> Result<IndexMap<String, String>, PartError> {
        let read = |(name, path): (&String, &PathBuf)| {
            let text = slapos_sys::fs::read_to_string(path);
            let text = text.map_err(|error| PartError::io("read the template", path, &error))?;
            Ok((name.clone(), text))
        };
        self.files.iter().map(read).collect()
    }

    /// Folders, as the host takes them.
    pub(super) fn folders(&self) -> IndexMap<String, String> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        self.folders.iter().map(|(name, path)| (name.clone(), text(path))).collect()
    }
}
