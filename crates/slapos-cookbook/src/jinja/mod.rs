//! `slapos.recipe.template:jinja2`: a Jinja2 template, rendered to a file.
//!
//! Options:
//! - `url` or `inline` (exactly one; old names: `template`, whose text may begin with `inline:`):
//!   the file or URL of the template, or the template itself;
//! - `output` (old name `rendered`): the file to write; its directories are created;
//! - `mode`: octal mode of the file; default 0666, or 0777 for a script (`#!`) whose interpreter
//!   can be executed, both less the umask;
//! - `md5sum`, `sha256sum`: digest that the content of `url` must have; needed over the network,
//!   unless `allow-unverified` is `true`;
//! - `context`: lines `type name expression` that define what the template may use:
//!   `key` (an option, `section:option`), `section` (all options of one), `raw` (the rest of the
//!   line), `json` (the same, as JSON), `jsonkey` (the JSON in an option). `import` needs Python;
//! - `extensions`: `jinja2.ext.do` and `jinja2.ext.loopcontrols` are always there, others refused;
//! - `once`: a path; if it exists nothing is rendered, and it is created after rendering;
//! - `update`: `true` renders at every run;
//! - `encoding`: only `utf-8`; `import-list` needs Python.
//!
//! Undefined names are errors, nothing is escaped, one final newline of the template is dropped.
//! Not Jinja2 but its native likeness: lists and mappings cannot be changed, `%` does not format.

mod builtins;
mod context;
mod convert;
pub(crate) mod json;
mod methods;
mod render;

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};
use slapos_sources::{Digest, Fetcher};

use crate::common::{self, Literal, source::TextFile};
use crate::template::{Origin, origin};

/// Extensions that are built in.
const EXTENSIONS: [&str; 4] =
    ["jinja2.ext.do", "jinja2.ext.loopcontrols", "jinja2.ext.with_", "jinja2.ext.autoescape"];

/// The recipe.
pub(crate) struct Jinja2 {
    fetcher: Arc<Fetcher>,
}

impl Jinja2 {
    pub(crate) fn new(fetcher: Arc<Fetcher>) -> Self {
        Self { fetcher }
    }

    fn template(&self, init: &mut PartInit<'_>) -> Result<Template, ProfileError> {
        if let Some(text) = init.get("template").and_then(|text| text.strip_prefix("inline:")) {
            let text = text.strip_prefix('\n').unwrap_or(text).to_owned();
            return Ok(Template::Inline { option: "template", text });
        }
        match origin(init, &["url", "template"], "inline")? {
            Origin::Inline(option) => {
                Ok(Template::Inline { option: "inline", text: init.require(option)? })
            }
            Origin::Url(option) => {
                Ok(Template::File(TextFile::of_part(init, option, &self.fetcher)?))
            }
        }
    }
}

/// Where the text of a template is.
enum Template {
    Inline { option: &'static str, text: String },
    File(TextFile),
}

impl Recipe for Jinja2 {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        common::refuse_python(init, &["import-list"])?;
        check_names(init)?;
        let output = match init.get("output").or(init.get("rendered")).map(str::to_owned) {
            Some(output) => common::path(init, &output),
            None => common::path(init, &init.require("output")?),
        };
        let mode = common::mode(init, "mode")?;
        let once = init.get("once").map(str::to_owned).filter(|path| !path.trim().is_empty());
        let once = once.map(|path| common::path(init, &path));
        let always = common::boolean(init, "update", false)?;
        let template = self.template(init)?;
        let context = context::of_part(init)?;
        // Another part's options may reach the context without being options of this one.
        let known = Literal::Dict(
            context.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect(),
        );
        init.add_input("its context", &Digest::sha256_of(known.to_string().as_bytes()).to_string());
        let fetcher = self.fetcher.clone();
        let part = init.name().to_owned();
        Ok(Box::new(Rendered { fetcher, part, template, context, output, mode, once, always }))
    }
}

fn check_names(init: &PartInit<'_>) -> Result<(), ProfileError> {
    let extensions = init.get("extensions").unwrap_or_default();
    if let Some(unknown) = extensions.split_whitespace().find(|name| !EXTENSIONS.contains(name)) {
        let message = format!(
            "the Jinja2 extension `{unknown}` needs the Python host, which this version does not \
             have"
        );
        return Err(init.error("extensions", &message, None));
    }
    match init.get("encoding").map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "utf-8" | "utf8" | "ascii") => Ok(()),
        Some(other) => {
            let message = format!("templates are UTF-8, not `{other}`");
            Err(init.error("encoding", &message, None))
        }
    }
}

struct Rendered {
    fetcher: Arc<Fetcher>,
    part: String,
    template: Template,
    context: IndexMap<String, Literal>,
    output: PathBuf,
    mode: Option<u32>,
    once: Option<PathBuf>,
    always: bool,
}

impl Rendered {
    fn render(&self, cx: &PartContext<'_>) -> Result<String, PartError> {
        let (name, text) = match &self.template {
            Template::Inline { option, text } => {
                (format!("option `{option}` of [{}]", self.part), text.clone())
            }
            Template::File(file) => (file.name.clone(), file.read(&self.fetcher, cx)?),
        };
        render::render(&name, &text, &self.context).map_err(|failure| {
            // The end of the log is shown with the error.
            for line in &failure.excerpt {
                let _ = cx.log(line);
            }
            let error = PartError::new(failure.message);
            match failure.help {
                Some(help) => error.with_help(help),
                None => error,
            }
        })
    }

    fn write(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let content = self.render(cx)?;
        let mode = common::rendered_mode(self.mode, &content);
        common::write_file(&self.output, content.as_bytes(), mode).map(drop)
    }
}

impl Part for Rendered {
    fn claims(&self) -> Vec<PathBuf> {
        if self.once.is_some() { Vec::new() } else { vec![self.output.clone()] }
    }

    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        if self.once.as_ref().is_some_and(|once| once.exists()) {
            return Ok(Vec::new());
        }
        self.write(cx)?;
        if let Some(once) = &self.once {
            common::write_file(once, b"", 0o600)?;
        }
        Ok(self.claims())
    }

    fn update(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        self.install(cx).map(drop)
    }

    fn needs_update(&self) -> Option<String> {
        self.always.then(|| "it says `update = true`".to_owned())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
