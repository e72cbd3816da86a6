//! Which Python runs the plugins of a partition.
//!
//! 1. The Software Release's own: what this program recorded when it built it, else what the original
//!    looks at, the interpreter that starts its `bin/buildout`. Plugins name the directories of their
//!    eggs themselves; if `slapos.core` is among them, its code is what runs.
//! 2. Else the machine's `python3`, without its installed packages, until a plugin imports something
//!    that is found nowhere else.
//!
//! In both, what plugins import of `slapos.grid.promise` and `zope.interface` and nobody brings is
//! ours (see `promise/*.py` in this crate).

use std::path::{Path, PathBuf};

use slapos_cookbook::machine_python;
use slapos_sys::fs;

use crate::python::recorded;

/// More than the first lines of a script need, bytes.
const LONGEST: u64 = 64 << 10;

/// An interpreter, and how it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    pub(super) path: PathBuf,
    /// Comes from the Software Release, with packages that belong to it.
    pub(super) own: bool,
}

/// The interpreter for an instance of the Software Release in `software`; `None` if there is no
/// Python at all.
pub(super) fn interpreter(software: Option<&Path>) -> Option<Interpreter> {
    let own = software.and_then(|software| recorded(software).or_else(|| starts(software)));
    match own {
        Some(path) => Some(Interpreter { path, own: true }),
        None => machine_python().map(|path| Interpreter { path, own: false }),
    }
}

/// What starts `bin/buildout`.
fn starts(software: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string_lossy(&software.join("bin/buildout"), LONGEST).ok()?;
    named(&text).filter(|path| path.is_absolute() && path.is_file())
}

/// The interpreter that a script names in its first line, or, if that is the shell, has executed in
/// its second.
fn named(script: &str) -> Option<PathBuf> {
    let mut lines = script.lines();
    let first = lines.next()?.strip_prefix("#!")?.split_whitespace().next()?;
    if first != "/bin/sh" {
        return Some(first.into());
    }
    let words = lines.next()?.trim().strip_prefix("exec ")?.trim_start();
    let quote = words.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) => words[1..].split(quote).next().map(PathBuf::from),
        None => words.split_whitespace().next().map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_in_the_first_or_the_second_line() {
        assert_eq!(named("#!/x/bin/python3.12 -S\n"), Some("/x/bin/python3.12".into()));
        assert_eq!(named("#!/bin/sh\nexec /x/python \"$0\" \"$@\"\n"), Some("/x/python".into()));
        assert_eq!(named("#!/bin/sh\nexec '/a b/python' x\n"), Some("/a b/python".into()));
        assert_eq!(named("#!/bin/sh\necho\n"), None);
        assert_eq!(named("import sys\n"), None);
    }

    #[test]
    fn a_software_release_brings_its_own_or_the_machine_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap(), 0o755).unwrap();
            fs::write_atomic(&path, text.as_bytes(), 0o755).unwrap();
        };
        let found = || interpreter(Some(dir.path())).unwrap();
        let machine = interpreter(None);
        assert_eq!(machine.as_ref(), Some(&found()));
        write("bin/buildout", "#!/no/such/python\n");
        assert_eq!(machine, Some(found()), "what is not there is not taken");
        write("bin/buildout", "#!/bin/cat\n");
        assert_eq!(found(), Interpreter { path: "/bin/cat".into(), own: true });
        write(".slapos/python", "/soft/bin/python3\n");
        assert_eq!(found(), Interpreter { path: "/soft/bin/python3".into(), own: true });
    }
}
