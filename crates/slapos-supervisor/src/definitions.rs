//! The definitions of programs on disk: `etc/supervisord.conf.d/*.conf`.
//!
//! They are written in supervisor's own syntax, so that its users can read them. What would have a service
//! run other than its definition says is an error that names file and line; an option that nobody knows is
//! a remark (`unknown`).

mod expand;
mod listen;
mod parse;
mod processes;
mod unknown;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_config::{Config, ConfigError};

use crate::limits::GroupLimits;
use crate::spec::{Group, ProgramSpec};

pub use write::{remove_group, write_group, write_limited_group, write_listener};

/// Why definitions cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The directory cannot be listed.
    #[error("cannot list the program definitions in {}: {source}", directory.display())]
    List {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read or is wrong at a line.
    #[error("{source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The groups that it seems to be about, as far as its section headers can be read.
        groups: Vec<String>,
        /// What is wrong.
        source: ConfigError,
    },
    /// Two files define one group.
    #[error("{file}: group `{group}` is already defined in {first}; keep one of the two")]
    Duplicate {
        /// The later file.
        file: String,
        /// The group.
        group: String,
        /// The file that defines it already.
        first: String,
    },
}

/// Everything that is defined, and what could not be read.
#[derive(Debug, Default)]
pub struct Definitions {
    /// The groups by name, sorted by priority, then in the order of the files' names.
    pub groups: IndexMap<String, Group>,
    /// Files that were left out, with the reason; what they define is unknown, not absent.
    pub errors: Vec<DefinitionError>,
    /// What of the others was left out, in sentences that name file and line.
    pub remarks: Vec<String>,
}

impl Definitions {
    /// What makes it impossible to say what `group` is defined as, or that it is not: its own file
    /// `<group>.conf` is wrong; or no file defines it, and one that is wrong seems to.
    pub fn errors_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a DefinitionError> {
        let known = self.groups.contains_key(group);
        self.errors.iter().filter(move |error| match error {
            DefinitionError::List { .. } => true,
            DefinitionError::File { path, groups, .. } => {
                is_own_file(path, group) || (!known && groups.iter().any(|name| name == group))
            }
            // The group's own file wins.
            DefinitionError::Duplicate { .. } => false,
        })
    }
}

/// True for the file that [`write_group`] writes for `group`.
fn is_own_file(path: &Path, group: &str) -> bool {
    path.file_stem().is_some_and(|stem| stem == group)
}

/// Reads all definitions in `directory` (files `*.conf`, in the order of their names). A file that
/// is wrong is reported in `errors` and does not hide the others; an absent directory is empty.
/// Of two files that define one group, its own (`<group>.conf`) counts, else the first.
pub fn read_dir(directory: &Path) -> Definitions {
    let mut read = Definitions::default();
    let mut origin: IndexMap<String, PathBuf> = IndexMap::new();
    let files = match conf_files(directory) {
        Ok(files) => files,
        Err(source) => {
            let directory = directory.to_owned();
            read.errors.push(DefinitionError::List { directory, source });
            return read;
        }
    };
    for path in files {
        match Config::read_raw(&path).and_then(|mut config| parse::groups(&mut config)) {
            Err(source) => {
                let groups = groups_named_in(&path);
                read.errors.push(DefinitionError::File { path, groups, source });
            }
            Ok((groups, remarks)) => {
                read.remarks.extend(remarks);
                add_groups(&mut read, &mut origin, &path, groups);
            }
        }
    }
    read.groups.sort_by(|_, a, _, b| a.priority.cmp(&b.priority));
    read
}

fn add_groups(
    read: &mut Definitions,
    origin: &mut IndexMap<String, PathBuf>,
    file: &Path,
    groups: Vec<Group>,
) {
    for group in groups {
        if let Some(first) = origin.get(&group.name) {
            let own = is_own_file(file, &group.name);
            let (later, first) =
                if own { (first.as_path(), file) } else { (file, first.as_path()) };
            read.errors.push(DefinitionError::Duplicate {
                file: later.display().to_string(),
                group: group.name.clone(),
                first: first.display().to_string(),
            });
            if !own {
                continue;
            }
        }
        origin.insert(group.name.clone(), file.to_owned());
        read.groups.insert(group.name.clone(), group);
    }
}

/// The groups that the section headers of a wrong file name.
fn groups_named_in(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let header = |line: &str| {
        let section = line.trim().strip_prefix('[')?.split(']').next()?;
        let (kind, name) = section.split_once(':')?;
        let defines = ["group", "program", "eventlistener"].contains(&kind);
        defines.then(|| name.trim().to_owned())
    };
    text.lines().filter_map(header).collect()
}

/// Parses definitions; `name` is the file's name, for messages.
///
/// # Errors
/// For the first line that is wrong.
pub fn parse(text: &str, name: &str) -> Result<Vec<Group>, ConfigError> {
    parse::groups(&mut Config::parse_raw(text, name)?).map(|(groups, _)| groups)
}

/// The text of a file that defines `group` with these programs; [`parse`] gives them back.
///
/// # Errors
/// `InvalidInput` for what the syntax cannot say (line breaks, names with ` `, `,`, `:`, `/`) and
/// for what [`parse`] would refuse or read differently, such as two programs of one name.
pub fn render(group: &str, programs: &[ProgramSpec]) -> io::Result<String> {
    write::render(group, &GroupLimits::default(), programs)
}

fn conf_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|ext| ext == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// True for a name that can stand for a group or process: it is not empty and holds nothing that
/// separates names in the configuration or on `supervisorctl`'s command line.
pub fn is_name(name: &str) -> bool {
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ':' | '/' | ']' | '*');
    !name.is_empty() && name != "all" && !name.chars().any(odd)
}

#[cfg(test)]
mod tests;
