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
//!   line), `json` (the same, as JSON), `jsonkey` (the JSON in an option), `import` (a module of
//!   Python);
//! - `extensions`: import paths of extensions of Jinja2; `jinja2.ext.do` and
//!   `jinja2.ext.loopcontrols` are native as well;
//! - `import-list`, `import-delimiter`: see [`imports`];
//! - `once`: a path; if it exists nothing is rendered, and it is created after rendering;
//! - `update`: `true` renders at every run;
//! - `encoding`: only `utf-8`.
//!
//! Undefined names are errors, nothing is escaped, one final newline of the template is dropped.
//! What is [common](dialect) to Jinja2 and the native engine is rendered natively, everything else
//! by Jinja2 in the Python host: found by the profile's pins while a Software Release is built, and
//! among the eggs of the Software Release in an instance. Where there is no Jinja2 (an instance of a
//! Software Release without the part `slapos-cookbook`), the native engine does what it can.

mod builtins;
mod context;
mod convert;
mod dialect;
mod imports;
pub(crate) mod json;
mod methods;
mod real;
mod render;

use std::path::PathBuf;

use indexmap::IndexMap;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe, Turn};
use slapos_sources::Digest;

use crate::common::{self, Literal, source::TextFile};
use crate::python::{ForPart, Python};
use crate::template::{Origin, origin};

use context::Meaning;
use imports::Imports;

/// Extensions that are built in.
const EXTENSIONS: [&str; 4] =
    ["jinja2.ext.do", "jinja2.ext.loopcontrols", "jinja2.ext.with_", "jinja2.ext.autoescape"];

/// The recipe.
pub(crate) struct Jinja2 {
    python: Python,
}

impl Jinja2 {
    pub(crate) fn new(python: Python) -> Self {
        Self { python }
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
                Ok(Template::File(TextFile::of_part(init, option, self.python.fetcher())?))
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
        check_encoding(init)?;
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
        init.add_input("its context", &digest(&context).to_string());
        let extensions = init.get("extensions").unwrap_or_default();
        let extensions = extensions.split_whitespace().map(str::to_owned).collect();
        Ok(Box::new(Rendered {
            imports: Imports::of_part(init)?,
            outside: ForPart::of_part(&self.python, init)?,
            python: self.python.clone(),
            part: init.name().to_owned(),
            template,
            context,
            extensions,
            output,
            mode,
            once,
            always,
        }))
    }
}

/// A digest of all that the context means.
fn digest(context: &IndexMap<String, Meaning>) -> Digest {
    let text = |meaning: &Meaning| match meaning {
        Meaning::Value(value) => value.to_string(),
        Meaning::Module(name) => format!("import {name}"),
    };
    let pairs = context.iter().map(|(name, meaning)| (name.as_str().into(), text(meaning)));
    let pairs = pairs.map(|(name, text)| (name, Literal::Str(text))).collect();
    Digest::sha256_of(Literal::Dict(pairs).to_string().as_bytes())
}

fn check_encoding(init: &PartInit<'_>) -> Result<(), ProfileError> {
    match init.get("encoding").map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "utf-8" | "utf8" | "ascii") => Ok(()),
        Some(other) => {
            let message = format!("templates are UTF-8, not `{other}`");
            Err(init.error("encoding", &message, None))
        }
    }
}

struct Rendered {
    python: Python,
    outside: ForPart,
    part: String,
    template: Template,
    context: IndexMap<String, Meaning>,
    extensions: Vec<String>,
    imports: Imports,
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
            Template::File(file) => (file.name.clone(), file.read(self.python.fetcher(), cx)?),
        };
        match self.native_context() {
            Some(context) if dialect::is_common(&text, &self.extensions) => {
                native(&name, &text, &context, cx)
            }
            context => real::render(self, &name, &text, context, cx),
        }
    }

    /// The context, if the native engine can have all of it, and nothing else is asked for.
    fn native_context(&self) -> Option<IndexMap<String, Literal>> {
        let known = |name: &String| EXTENSIONS.contains(&name.as_str());
        if !self.imports.is_empty() || !self.extensions.iter().all(known) {
            return None;
        }
        let value = |(name, meaning): (&String, &Meaning)| match meaning {
            Meaning::Value(value) => Some((name.clone(), value.clone())),
            Meaning::Module(_) => None,
        };
        self.context.iter().map(value).collect()
    }

    fn write(&self, cx: &PartContext<'_>) -> Result<(), PartError> {
        let content = self.render(cx)?;
        let mode = common::rendered_mode(self.mode, &content);
        common::write_file(&self.output, content.as_bytes(), mode).map(drop)
    }
}

/// Renders with the native engine.
fn native(
    name: &str,
    text: &str,
    context: &IndexMap<String, Literal>,
    cx: &PartContext<'_>,
) -> Result<String, PartError> {
    render::render(name, text, context).map_err(|failure| {
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

    fn turn(&self) -> Turn {
        match &self.template {
            Template::File(file) if file.is_awaited => Turn::Alone,
            _ => Turn::Free,
        }
    }
}
