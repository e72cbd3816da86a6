//! `collective.recipe.template`: a text with `${section:option}` and `${option}` in it, written
//! to a file.
//!
//! Options:
//! - `input` (a file, or `inline:` and the text), `inline` (the text) or `url` (exactly one);
//!   blanks at the beginning of a text are left out;
//! - `output`: the file to write; its directories are created;
//! - `mode`: octal mode of the file; default that of the `input` file, or 0666 less the umask;
//! - `overwrite`: default true; false, and a file that is there is left alone, and stays when the
//!   part goes;
//! - `timeout`, in seconds: accepted and ignored; `input-encoding` and `output-encoding` must be
//!   `utf-8`, as they are by default.
//!
//! A name without `:` is an option of the part itself. References are substituted when the part is
//! initialised, so they make it depend on what they name.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::{Digest, Fetcher};

use crate::common::{self, source::TextFile};

/// Options that hold or name the text.
const ORIGINS: [&str; 3] = ["input", "inline", "url"];

/// The recipe.
pub(crate) struct CollectiveTemplate {
    fetcher: Arc<Fetcher>,
}

impl CollectiveTemplate {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher }
    }

    /// The text, its name for messages, and the mode of its file if it is one.
    fn read(&self, init: &mut PartInit<'_>) -> Result<(String, String, Option<u32>), ProfileError> {
        let option = origin(init)?;
        let value = init.require(option)?;
        let inline = match option {
            "inline" => Some(value.as_str()),
            "input" => value.strip_prefix("inline:"),
            _ => None,
        };
        if let Some(text) = inline {
            let name = format!("[{}] {option}", init.name());
            return Ok((text.trim_start().to_owned(), name, None));
        }
        let file = TextFile::of_part(init, option, &self.fetcher)?;
        let text = file.now(init, &self.fetcher)?;
        let path = common::path(init, &value);
        let mode = (option == "input").then(|| path.metadata().ok()).flatten();
        Ok((text, file.name, mode.map(|found| found.permissions().mode() & 0o7777)))
    }
}

/// The only one of the options that name the text.
fn origin(init: &PartInit<'_>) -> Result<&'static str, ProfileError> {
    let given: Vec<&str> = ORIGINS.into_iter().filter(|name| init.get(name).is_some()).collect();
    match given[..] {
        [one] => Ok(one),
        [] => {
            let message = "one of `input`, `inline` and `url` is needed";
            Err(init.error("recipe", message, None))
        }
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` exclude each other");
            Err(init.error(second, &message, None))
        }
    }
}

/// `text` with `${name}` written as `${section:name}`.
fn qualified(text: &str, section: &str) -> String {
    let mut pieces = text.split("${");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str("${");
        if piece.find('}').is_some_and(|end| end > 0 && !piece[..end].contains(':')) {
            out.push_str(section);
            out.push(':');
        }
        out.push_str(piece);
    }
    out
}

impl Recipe for CollectiveTemplate {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        for option in ["input-encoding", "output-encoding"] {
            let encoding = init.get(option).unwrap_or("utf-8").to_ascii_lowercase();
            if !matches!(encoding.trim(), "utf-8" | "utf8") {
                let message = format!("`{option}` can only be `utf-8`, not `{encoding}`");
                return Err(init.error(option, &message, None));
            }
        }
        let output = common::path(init, &init.require("output")?);
        let (text, name, input_mode) = self.read(init)?;
        let text = qualified(&text, init.name());
        let content = init.substitute_file(&text, &name)?;
        let mode = common::mode(init, "mode")?.or(input_mode);
        let overwrite = init.get("overwrite").is_none_or(common::is_true);
        init.add_input("the rendered text", &Digest::sha256_of(content.as_bytes()).to_string());
        Ok(Box::new(Rendered { output, mode, content, overwrite }))
    }
}

struct Rendered {
    output: PathBuf,
    mode: Option<u32>,
    content: String,
    overwrite: bool,
}

impl Rendered {
    fn write(&self) -> Result<(), PartError> {
        if !self.overwrite && self.output.is_file() {
            return Ok(());
        }
        let mode = self.mode.unwrap_or_else(|| common::rendered_mode(None, ""));
        common::write_file(&self.output, self.content.as_bytes(), mode).map(drop)
    }
}

impl Part for Rendered {
    fn claims(&self) -> Vec<PathBuf> {
        if self.overwrite { vec![self.output.clone()] } else { Vec::new() }
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        self.write().map(|()| self.claims())
    }

    fn update(&self, _cx: &PartContext<'_>) -> Result<(), PartError> {
        self.write()
    }

    fn needs_update(&self) -> Option<String> {
        let found = slapos_sys::fs::read(&self.output).ok();
        let is_right = match found {
            Some(found) => !self.overwrite || found == self.content.as_bytes(),
            None => false,
        };
        (!is_right).then(|| format!("{} is not as rendered", self.output.display()))
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_section_get_the_parts_own() {
        assert_eq!(qualified("a ${b} ${c:d} ${:e} ${} ${f", "s"), "a ${s:b} ${c:d} ${:e} ${} ${f");
        assert_eq!(qualified("$$ {x} é${y}", "s"), "$$ {x} é${s:y}");
    }
}
