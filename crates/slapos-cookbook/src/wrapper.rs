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
//! - `wait-for-files`: white-space list of files that must be there before the program starts;
//! - `pidfile`: gets the program's process id; when the process that it names already is this
//!   program with these arguments, the wrapper says so and ends with status 1;
//! - `private-tmpfs`, `reserve-cpu` and `redirect-*` are refused.
//!
//! The result is a `/bin/sh` script that ends in `exec`, and passes its own arguments on. It looks
//! for files every second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::Digest;

use crate::common::environment::Environment;
use crate::common::{self, shell_quote};

/// Column from which the script is folded.
const FOLD: usize = 40;
/// Options of the original that need more than a shell.
const REFUSED: [&str; 5] =
    ["private-tmpfs", "reserve-cpu", "redirect-signal", "redirect-stdout", "redirect-stderr"];

/// The recipe.
pub(crate) struct Wrapper;

impl Recipe for Wrapper {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let set = |option: &&&str| init.get(option).is_some_and(|text| !text.trim().is_empty());
        if let Some(option) = REFUSED.iter().find(set) {
            let message = format!("`{option}` is not possible in this version");
            return Err(init.error(option, &message, None));
        }
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
        let mut before = Vec::new();
        let pidfile = common::nonempty(init, "pidfile");
        before.extend(pidfile.map(|path| only_one(&common::path(init, &path), &words)));
        let awaited = init.get("wait-for-files").unwrap_or_default().split_whitespace();
        let awaited: Vec<PathBuf> = awaited.map(|path| common::path(init, path)).collect();
        before.extend(wait_for(&awaited));
        Ok(Box::new(Script {
            text: script_after(&before, &words, environment.variables(), &ignored),
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

/// Lines that wait until all of `files` are there; none if there are none.
pub(crate) fn wait_for(files: &[PathBuf]) -> Option<String> {
    let there = files.iter().map(|file| format!("[ -e {} ]", shell_quote(&file.to_string_lossy())));
    let there: Vec<String> = there.collect();
    let loops = || format!("until {}; do\n\tsleep 1\ndone", there.join(" && "));
    (!there.is_empty()).then(loops)
}

/// Lines that write the process id, unless the process whose id is written there is `words`.
fn only_one(pidfile: &Path, words: &[String]) -> String {
    let pidfile = shell_quote(&pidfile.to_string_lossy());
    let wanted = shell_quote(&format!("\n{}\n", words.join("\n")));
    format!(
        "pid=\n[ ! -e {pidfile} ] || read -r pid < {pidfile} || :\n\
         case $pid in\n\
         '' | *[!0-9]*) ;;\n\
         *)\n\
         \trunning=$(tr '\\0' '\\n' 2> /dev/null < /proc/$pid/cmdline) || running=\n\
         \tcase \"\n$running\n\" in\n\
         \t*{wanted}*)\n\
         \t\techo \"Already running with pid $pid.\" >&2\n\
         \t\texit 1\n\
         \tesac\n\
         esac\n\
         printf %s $$ > {pidfile}"
    )
}

/// The script that starts `words` with the variables of `environment`, signals `ignored`.
pub(crate) fn script(
    words: &[String],
    environment: &BTreeMap<String, String>,
    ignored: &str,
) -> String {
    script_after(&[], words, environment, ignored)
}

/// The same, with the lines `before` ahead of the variables and the program.
pub(crate) fn script_after(
    before: &[String],
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
    lines.extend_from_slice(before);
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
