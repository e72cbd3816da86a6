//! What a program is started through: namespaces, and a process that keeps its output.

use std::path::PathBuf;

use slapos_engine::{PartInit, ProfileError};

use crate::common::{self, shell_quote};

/// Puts what a program prints into files.
const RELAY: &str = include_str!("relay.py");

/// Directories in memory: size, as `mount` takes it, and path.
pub(super) struct Tmpfs(Vec<(String, PathBuf)>);

impl Tmpfs {
    /// As the option `private-tmpfs` says.
    pub(super) fn read(init: &PartInit<'_>) -> Result<Option<Self>, ProfileError> {
        let text = init.get("private-tmpfs").unwrap_or_default();
        let mut found = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let pair = line.split_once(char::is_whitespace);
            let is_size = |size: &str| {
                let number = size.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', '%']);
                number.len() + 1 >= size.len() && number.parse::<u64>().is_ok()
            };
            let Some((size, path)) = pair.filter(|(size, _)| is_size(size)) else {
                let message = format!("`{line}` is not a size and a path");
                let help = Some("write, for example, `64m /dev/shm`");
                return Err(init.error_at_word("private-tmpfs", line, &message, help));
            };
            found.push((size.to_owned(), common::path(init, path)));
        }
        Ok((!found.is_empty()).then_some(Self(found)))
    }

    /// Lines that come before the program.
    pub(super) fn preparation(&self) -> String {
        let paths = self.0.iter().map(|(_, path)| shell_quote(&path.to_string_lossy()));
        let made = paths.map(|path| format!("[ -d {path} ] || mkdir {path}\n")).collect::<String>();
        // The program's own `PATH` may lead elsewhere.
        format!(
            "{made}user=$(id -u) group=$(id -g)\n\
             unshare=$(command -v unshare) && mount=$(command -v mount) || {{\n\
             \techo 'private-tmpfs needs unshare and mount, of util-linux' >&2\n\texit 1\n}}"
        )
    }

    /// What the program is started through: only root may mount, so the user is root in one
    /// namespace, and itself again in another one within. No process is added: each becomes the next.
    pub(super) fn launcher(&self) -> String {
        let mounts = self.0.iter().map(|(size, path)| {
            let path = shell_quote(&path.to_string_lossy());
            format!("\"$mount\" -t tmpfs -o size={size} tmpfs {path}\n")
        });
        let inner = format!(
            "user=$1 group=$2 unshare=$3 mount=$4\nshift 4\n{}\
             exec \"$unshare\" --user --map-user=\"$user\" --map-group=\"$group\" \"$@\"",
            mounts.collect::<String>()
        );
        let inner = shell_quote(&inner);
        format!(
            "\"$unshare\" --user --mount --map-root-user /bin/sh -ec {inner} \
             private-tmpfs \"$user\" \"$group\" \"$unshare\" \"$mount\""
        )
    }
}

/// Files that get what the program prints.
pub(super) struct Redirect {
    /// Upon this signal they are opened anew.
    pub(super) reopen: String,
    /// Then the program gets this one; empty for none.
    tell: String,
    /// Files of its output and errors; empty for none.
    files: [String; 2],
}

impl Redirect {
    /// As the options `redirect-*` and `sig-ign` say.
    pub(super) fn read(init: &PartInit<'_>) -> Result<Option<Self>, ProfileError> {
        let signal = |option: &str, default: &str| {
            let text = common::nonempty(init, option).unwrap_or_else(|| default.to_owned());
            let plain = text.strip_prefix("SIG").unwrap_or(&text).to_owned();
            let (name, more) = plain.split_once('+').unwrap_or((&plain, "0"));
            let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
            if is_name && more.parse::<u8>().is_ok() {
                return Ok(plain);
            }
            let message = format!("`{option}` must name a signal, not `{text}`");
            Err(init.error(option, &message, Some("write, for example, `USR1`")))
        };
        let files = ["redirect-stdout", "redirect-stderr"].map(|option| {
            let text = common::nonempty(init, option);
            text.map(|text| common::path(init, &text).to_string_lossy().into_owned())
        });
        let tell = signal("redirect-signal", "")?;
        match (files, tell) {
            ([None, None], tell) if tell.is_empty() => Ok(None),
            ([None, None], _) => {
                let message = "`redirect-signal` makes no sense where no output is redirected";
                let help = Some("set `redirect-stdout` or `redirect-stderr`");
                Err(init.error("redirect-signal", message, help))
            }
            (files, tell) => Ok(Some(Self {
                reopen: signal("sig-ign", "USR1")?,
                tell,
                files: files.map(Option::unwrap_or_default),
            })),
        }
    }

    /// Lines that come before the program.
    pub(super) fn preparation() -> String {
        "python=$(command -v python3) || {\n\
         \techo 'redirect-stdout and redirect-stderr need python3' >&2\n\texit 1\n}"
            .to_owned()
    }

    /// What the program is started through.
    pub(super) fn launcher(&self) -> String {
        let [out, err] = &self.files;
        let words = [RELAY, &self.reopen, &self.tell, out, err].map(shell_quote);
        format!("\"$python\" -I -c {}", words.join(" "))
    }
}
