//! `slapos.recipe.template`: a text with `${section:option}` in it, written to a file.
//!
//! Options:
//! - `url` or `inline` (exactly one): the file or URL of the text, or the text itself;
//! - `output`: the file to write; its directories are created;
//! - `mode`: octal mode of the file; default 0666, or 0777 for a script (`#!`) whose interpreter
//!   can be executed, both less the umask;
//! - `md5sum`, `sha256sum`: digest that the content of `url` must have; needed over the network,
//!   unless `allow-unverified` is `true`.
//!
//! References are substituted when the part is initialised, so they make it depend on what they
//! name; `$$` stands for `$`. An identical file is left alone.

use std::path::PathBuf;
use std::sync::Arc;

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::{Digest, Fetcher};

use crate::common::{self, source::TextFile};

/// The recipe.
pub(crate) struct Template {
    fetcher: Arc<Fetcher>,
}

impl Template {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher }
    }
}

/// Refuses both or none of `url` and `inline` (under whichever of their names), and tells which
/// of the names is used.
pub(crate) fn origin<'o>(
    init: &PartInit<'_>,
    urls: &[&'o str],
    inline: &'o str,
) -> Result<Origin<'o>, ProfileError> {
    let url = urls.iter().find(|option| init.get(option).is_some());
    match (url, init.get(inline)) {
        (Some(url), None) => Ok(Origin::Url(url)),
        (None, Some(_)) => {
            if let Some(digest) = ["md5sum", "sha256sum"].iter().find(|o| init.get(o).is_some()) {
                let message = format!("`{digest}` makes no sense with `{inline}`");
                return Err(init.error(digest, &message, None));
            }
            Ok(Origin::Inline(inline))
        }
        (Some(url), Some(_)) => Err(init.error(
            url,
            &format!("part `{}` has both `{url}` and `{inline}`: give one of them", init.name()),
            None,
        )),
        (None, None) => Err(init.error(
            "recipe",
            &format!("part `{}` has neither `url` nor `{inline}`: give one of them", init.name()),
            None,
        )),
    }
}

/// Which option holds, or names, the text of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin<'o> {
    /// An option that names a file or URL.
    Url(&'o str),
    /// An option that is the text.
    Inline(&'o str),
}

impl Recipe for Template {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let output = common::path(init, &init.require("output")?);
        let mode = common::mode(init, "mode")?;
        let content = match origin(init, &["url"], "inline")? {
            Origin::Inline(option) => init.require(option)?,
            Origin::Url(option) => {
                let file = TextFile::of_part(init, option, &self.fetcher)?;
                let text = file.now(init, &self.fetcher)?;
                init.substitute_file(&text, &file.name)?.replace("$$", "$")
            }
        };
        init.add_input("the rendered text", &Digest::sha256_of(content.as_bytes()).to_string());
        Ok(Box::new(Rendered { output, mode, content }))
    }
}

/// A file whose content is known.
struct Rendered {
    output: PathBuf,
    mode: Option<u32>,
    content: String,
}

impl Part for Rendered {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.output.clone()]
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        let mode = common::rendered_mode(self.mode, &self.content);
        common::write_file(&self.output, self.content.as_bytes(), mode)?;
        Ok(self.claims())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
