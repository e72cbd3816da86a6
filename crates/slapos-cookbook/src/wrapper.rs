//! `slapos.cookbook:wrapper`: an executable that starts a program; in `etc/service` or `etc/run`
//! it is a service.
//!
//! Options:
//! - `command-line`: program and arguments, quoted as for a shell, which does not interpret them;
//! - `wrapper-path`: the file to write, mode 0700;
//! - `environment`: lines `NAME = value` set for the program;
//! - `sig-ign`: names of signals the program is to ignore (`HUP`);
//! - `hash-files`: files whose content becomes part of the wrapper's name (`<path>-<md5>`), so
//!   that a supervisor sees another service when one changes; `hash-existing-files`: the same,
//!   for files that are there before;
//! - `wait-for-files`, `pidfile`, `private-tmpfs`, `reserve-cpu`, `redirect-*` need Python and are
//!   refused.
//!
//! The result is a `/bin/sh` script that ends in `exec`, and passes its own arguments on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::Digest;

use crate::common::environment::Environment;
use crate::common::{self, shell_quote};

/// Column from which the script is folded.
const FOLD: usize = 40;
/// Options that the original implements in Python.
const PYTHON_ONLY: [&str; 7] = [
    "wait-for-files",
    "pidfile",
    "private-tmpfs",
    "reserve-cpu",
    "redirect-stdin",
    "redirect-stdout",
    "redirect-stderr",
];

/// The recipe.
pub(crate) struct Wrapper;

impl Recipe for Wrapper {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        common::refuse_python(init, &PYTHON_ONLY)?;
        let command_line = init.require("command-line")?;
        let words = shlex::split(&command_line).filter(|words| !words.is_empty());
        let Some(words) = words else {
            let message = "`command-line` is empty or has a quote without its partner";
            return Err(init.error("command-line", message, None));
        };
        let environment = init.get("environment").unwrap_or_default().to_owned();
        let environment = Environment::parse(&environment)
            .map_err(|message| init.error("environment", &message, None))?;
        let path = common::path(init, &init.require("wrapper-path")?);
        let ignored = init.get("sig-ign").unwrap_or_default().to_owned();
        let hashed = hashed_files(init);
        for file in &hashed {
            if !init.is_made_by_reference(file)
                && let Ok(content) = slapos_sys::fs::read(file)
            {
                let digest = Digest::sha256_of(&content).to_string();
                init.add_input(&file.to_string_lossy(), &digest);
            }
        }
        Ok(Box::new(Script {
            text: script(&words, environment.variables(), &ignored),
            path,
            hashed,
        }))
    }
}

fn hashed_files(init: &PartInit<'_>) -> Vec<PathBuf> {
    let options = ["hash-files", "hash-existing-files"];
    let files = options.iter().filter_map(|option| init.get(option));
    files.flat_map(str::split_whitespace).map(|file| common::path(init, file)).collect()
}

/// The script that starts `words` with the variables of `environment`, signals `ignored`.
pub(crate) fn script(
    words: &[String],
    environment: &BTreeMap<String, String>,
    ignored: &str,
) -> String {
    let mut lines = vec!["#!/bin/sh -e".to_owned()];
    if !ignored.trim().is_empty() {
        // A POSIX shell knows signals by their names without `SIG` only.
        let names = ignored.split_whitespace().map(|name| name.strip_prefix("SIG").unwrap_or(name));
        lines.push(format!("trap '' {}", names.collect::<Vec<_>>().join(" ")));
    }
    for (name, value) in environment {
        lines.push(format!("export {name}={}", shell_quote(value)));
    }
    let mut line = "exec".to_owned();
    let words = words.iter().map(|word| shell_quote(word)).chain(["\"$@\"".to_owned()]);
    for word in words {
        if line.chars().count() < FOLD {
            line = format!("{line} {word}");
        } else {
            lines.push(format!("{line} \\"));
            line = format!("\t{word}");
        }
    }
    lines.push(line);
    lines.join("\n") + "\n"
}

struct Script {
    text: String,
    path: PathBuf,
    hashed: Vec<PathBuf>,
}

impl Script {
    /// The wrapper's path: with the digest of the hashed files, each taken with its size.
    fn final_path(&self) -> Result<PathBuf, PartError> {
        if self.hashed.is_empty() {
            return Ok(self.path.clone());
        }
        let mut hash = Md5::new();
        for file in &self.hashed {
            let content =
                slapos_sys::fs::read(file).map_err(|error| PartError::io("read", file, &error))?;
            hash.update(format!("{}\n", content.len()));
            hash.update(&content);
        }
        let digest = Digest::Md5(hash.finalize().into()).hex();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.path.parent().unwrap_or(Path::new("/")).join(format!("{name}-{digest}")))
    }
}

impl Part for Script {
    fn claims(&self) -> Vec<PathBuf> {
        if self.hashed.is_empty() { vec![self.path.clone()] } else { Vec::new() }
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let path = self.final_path()?;
        cx.record_path(&path)?;
        common::write_file(&path, self.text.as_bytes(), 0o700)?;
        Ok(vec![path])
    }

    fn is_trivial(&self) -> bool {
        self.hashed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_folded_and_quoted() {
        let words: Vec<String> =
            ["/opt/some/where/sbin/nginx", "-c", "/srv/etc/nginx.conf", "-g", "daemon off;"]
                .map(str::to_owned)
                .to_vec();
        let environment = Environment::parse("B = it's\nA=1").unwrap();
        insta::assert_snapshot!(script(&words, environment.variables(), "SIGHUP SIGUSR1"), @r#"
        #!/bin/sh -e
        trap '' HUP USR1
        export A=1
        export B='it'"'"'s'
        exec /opt/some/where/sbin/nginx -c /srv/etc/nginx.conf \
        	-g 'daemon off;' "$@"
        "#);
    }
}
