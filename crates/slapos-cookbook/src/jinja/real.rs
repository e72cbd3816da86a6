//! Rendering by Jinja2 itself, in the Python host.

use indexmap::IndexMap;
use slapos_eggs::EggError;
use slapos_engine::{PartContext, PartError};
use slapos_python::{Call, HostError, RaisedKind, Rendering};

use super::context::Meaning;
use super::{Rendered, native};
use crate::common::Literal;

/// What templates may use besides their context and Python itself.
const DISTRIBUTIONS: [&str; 2] = ["jinja2", "six"];
/// What brings the modules that instance profiles import, where it is there.
const COOKBOOK: &str = "slapos.cookbook";

/// Renders `text`, which people know as `name`. Without Jinja2 the native engine is asked, if it can
/// have the whole context.
pub(super) fn render(
    part: &Rendered,
    name: &str,
    text: &str,
    native_context: Option<IndexMap<String, Literal>>,
    cx: &PartContext<'_>,
) -> Result<String, PartError> {
    let path = match distributions(part, cx) {
        Ok(path) => path,
        Err(why) => {
            let missing = |error: PartError| error.with_help(help(&why));
            return match native_context {
                Some(context) => native(name, text, &context, cx).map_err(missing),
                None => Err(missing(PartError::new(format!("the template needs Jinja2: {why}")))),
            };
        }
    };
    let rendering = Rendering {
        path,
        name: name.to_owned(),
        text: text.to_owned(),
        context: part.context.iter().map(|(name, meaning)| (name.clone(), sent(meaning))).collect(),
        imports: part.imports.texts()?,
        folders: part.imports.folders(),
        delimiter: part.imports.delimiter.clone(),
        extensions: part.extensions.clone(),
    };
    let call = Call::Render(Box::new(rendering));
    let rendered = part.python.host().run(cx, &part.outside, &call).map_err(explain)?;
    let rendered = rendered.as_str().map(str::to_owned);
    rendered.ok_or_else(|| PartError::new("the Python host rendered no text"))
}

fn sent(meaning: &Meaning) -> (String, String) {
    match meaning {
        Meaning::Value(value) => ("value".to_owned(), value.to_option()),
        Meaning::Module(name) => ("import".to_owned(), name.clone()),
    }
}

/// Where Jinja2 and what it needs are.
fn distributions(part: &Rendered, cx: &PartContext<'_>) -> Result<Vec<String>, EggError> {
    let own = DISTRIBUTIONS.map(str::to_owned);
    let mut wanted = own.to_vec();
    if cx.offline() {
        wanted.insert(0, COOKBOOK.to_owned());
    }
    let set = match part.outside.packages().own_working_set(&part.python, &wanted) {
        Err(EggError::NotFound { .. }) if wanted.len() > own.len() => {
            part.outside.packages().own_working_set(&part.python, &own)?
        }
        found => found?,
    };
    Ok(set.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect())
}

fn help(why: &EggError) -> String {
    format!(
        "Jinja2 itself may do it, but it is not there ({why}): add the part `slapos-cookbook` to \
         the Software Release, or a `zc.recipe.egg` part with `eggs = jinja2`"
    )
}

fn explain(error: HostError) -> PartError {
    match error {
        HostError::Raised(raised) if raised.kind == RaisedKind::Import => {
            let help = "add the distribution that has this module to the eggs of the Software \
                        Release";
            PartError::from(HostError::Raised(raised)).with_help(help)
        }
        other => other.into(),
    }
}
