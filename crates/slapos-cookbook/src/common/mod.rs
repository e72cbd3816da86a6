//! What several recipes do in the same way: booleans, modes, environments, files.

pub(crate) mod calendar;
pub(crate) mod draw;
pub(crate) mod environment;
pub(crate) mod literal;
pub(crate) mod percent;
pub(crate) mod source;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError};

pub(crate) use literal::Literal;

/// An option that is exactly `true` or `false`.
pub(crate) fn boolean(
    init: &PartInit<'_>,
    option: &str,
    default: bool,
) -> Result<bool, ProfileError> {
    match init.get(option) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(init.error(
            option,
            &format!("`{option}` must be `true` or `false`, not `{other}`"),
            None,
        )),
    }
}

/// Whether a text says yes, as the original reads most of its booleans.
pub(crate) fn is_true(text: &str) -> bool {
    ["y", "yes", "1", "true"].contains(&text.to_ascii_lowercase().as_str())
}

/// The text of a file that `option` names, unless there is none.
pub(crate) fn read_if_there(
    init: &PartInit<'_>,
    option: &str,
    path: &Path,
) -> Result<Option<String>, ProfileError> {
    match slapos_sys::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            Err(init.error(option, &message, None))
        }
    }
}

/// A part that only has options.
pub(crate) struct OptionsOnly;

impl Part for OptionsOnly {
    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        Ok(Vec::new())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

/// Whole small files, each with its content and mode, that are replaced in place.
pub(crate) struct Files(pub(crate) Vec<(PathBuf, String, u32)>);

impl Part for Files {
    fn claims(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(path, _, _)| path.clone()).collect()
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        for (path, content, mode) in &self.0 {
            write_file(path, content.as_bytes(), *mode)?;
        }
        Ok(self.claims())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

/// An option that holds a mode in octal digits.
pub(crate) fn mode(init: &PartInit<'_>, option: &str) -> Result<Option<u32>, ProfileError> {
    let Some(text) = init.get(option).map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => Err(init.error(
            option,
            &format!("`{option}` must be a file mode in octal digits, not `{text}`"),
            Some("write for example `mode = 0755`"),
        )),
    }
}

/// A path given by an option; a relative one is below the buildout directory.
pub(crate) fn path(init: &PartInit<'_>, text: &str) -> PathBuf {
    init.buildout_directory().join(text.trim())
}

/// The path that an option must give.
pub(crate) fn required_path(init: &PartInit<'_>, option: &str) -> Result<PathBuf, ProfileError> {
    Ok(path(init, &init.require(option)?))
}

/// The value of an option without blanks around it, unless nothing is left.
pub(crate) fn nonempty(init: &PartInit<'_>, option: &str) -> Option<String> {
    init.get(option).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Writes a whole file that an instance uses, creating its directory, unless it is there already
/// with this content and mode.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<bool, PartError> {
    create_parent(path)?;
    slapos_sys::fs::write_atomic_if_changed(path, content, mode)
        .map_err(|error| PartError::io("write", path, &error))
}

/// Creates the directory that is to hold `path`.
pub(crate) fn create_parent(path: &Path) -> Result<(), PartError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if parent.is_dir() {
        return Ok(());
    }
    slapos_sys::fs::create_dir_all(parent, 0o777)
        .map_err(|error| PartError::io("create", parent, &error))
}

/// Mode of a rendered file: `mode` if given, else 0777 for a script whose interpreter can be
/// executed and 0666 for anything else, less the umask.
pub(crate) fn rendered_mode(mode: Option<u32>, content: &str) -> u32 {
    mode.unwrap_or_else(|| if is_runnable(content) { 0o777 } else { 0o666 } & !umask())
}

fn is_runnable(content: &str) -> bool {
    let interpreter = content
        .strip_prefix("#!")
        .and_then(|rest| rest.lines().next())
        .and_then(|line| line.split_whitespace().next());
    interpreter.is_some_and(|interpreter| {
        let metadata = Path::new(interpreter).metadata();
        metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// The umask of this process; the kernel only tells it without changing it in `/proc`.
pub(crate) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

/// Options as a reader of typed values sees them.
pub(crate) fn typed(options: &IndexMap<String, String>) -> IndexMap<String, Literal> {
    options.iter().map(|(name, value)| (name.clone(), Literal::of_option(value))).collect()
}

/// `word` as one word of a POSIX shell, as Python's `shlex.quote` writes it.
pub(crate) fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r#"'"'"'"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_with_an_interpreter_are_executable_and_others_are_not() {
        assert_eq!(rendered_mode(None, "#!/bin/sh\n") | umask(), 0o777);
        assert_eq!(rendered_mode(None, "#!/no/such/thing\n") | umask(), 0o666 | umask());
        assert_eq!(rendered_mode(None, "text") & !umask(), 0o666 & !umask());
        assert_eq!(rendered_mode(Some(0o640), "#!/bin/sh\n"), 0o640);
    }

    #[test]
    fn words_are_quoted_only_when_they_must() {
        assert_eq!(shell_quote("/a/b-c"), "/a/b-c");
        assert_eq!(shell_quote("it's"), r#"'it'"'"'s'"#);
        assert_eq!(shell_quote(""), "''");
    }
}
