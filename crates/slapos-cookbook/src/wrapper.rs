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
//! - `private-tmpfs`: lines `SIZE PATH`, directories in memory that only the program and its children
//!   see; needs `unshare` and `mount` of util-linux, and a kernel that lets users have namespaces;
//! - `reserve-cpu`: `true` (`yes`, `1`) asks for a processor of its own by writing the process id to
//!   `~/.slapos-cpu-exclusive`, where the node looks;
//! - `redirect-stdout`, `redirect-stderr`: files that get what the program prints, perhaps the same;
//!   upon the signal `sig-ign` (`USR1`) to the wrapper they are opened anew, and then the program gets
//!   `redirect-signal`, if there is one. This takes a process that stays: Python, of the standard
//!   library only, by the `python3` in the `PATH` when the service starts.
//!
//! The result is a `/bin/sh` script that ends in `exec`, and passes its own arguments on. It looks
//! for files every second.

mod through;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::Digest;

use through::{Redirect, Tmpfs};

use crate::common::environment::Environment;
use crate::common::{self, shell_quote};

/// Column from which the script is folded.
const FOLD: usize = 40;

/// The recipe.
pub(crate) struct Wrapper;

impl Recipe for Wrapper {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
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
        let redirect = Redirect::read(init)?;
        let ignored = init.get("sig-ign").unwrap_or_default().to_owned();
        let ignored = redirect.as_ref().map_or(ignored, |redirect| redirect.reopen.clone());
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
        if init.get("reserve-cpu").is_some_and(common::is_true) {
            before.push(reserve_cpu(init.buildout_directory()));
        }
        before.extend(wait_for(&awaited));
        let tmpfs = Tmpfs::read(init)?;
        before.extend(redirect.as_ref().map(|_| Redirect::preparation()));
        before.extend(tmpfs.as_ref().map(Tmpfs::preparation));
        let launchers = [redirect.map(|r| r.launcher()), tmpfs.map(|tmpfs| tmpfs.launcher())];
        let through = launchers.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let variables = environment.variables();
        Ok(Box::new(Script {
            text: script_through(&before, &through, &words, variables, &ignored),
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

/// A line that asks for a processor; services have the partition as their home.
fn reserve_cpu(home: &Path) -> String {
    let home = shell_quote(&home.to_string_lossy());
    format!("home=${{HOME:-{home}}}\necho $$ >> \"$home/.slapos-cpu-exclusive\"")
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
    script_through(before, "", words, environment, ignored)
}

/// The same, with the program started through another one: `through`, as a shell reads it.
fn script_through(
    before: &[String],
    through: &str,
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
    let mut line = ["exec", through].join(" ").trim_end().to_owned();
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
