//! The `context` option: what a template may use, evaluated when the part is initialised.

use indexmap::IndexMap;
use slapos_engine::{PartInit, ProfileError};

use super::builtins;
use crate::common::{self, Literal};
use crate::slapconfiguration::of_json;

/// What a name of the context stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    /// A value.
    Value(Literal),
    /// A module of Python, by its name.
    Module(String),
}

/// All names that the `context` of a part defines.
pub(super) fn of_part(init: &mut PartInit<'_>) -> Result<IndexMap<String, Meaning>, ProfileError> {
    let mut context = IndexMap::new();
    let lines = init.get("context").unwrap_or_default().to_owned();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = entry(init, line)?;
        if builtins::NAMES.contains(&name.as_str()) {
            let message = format!("`{name}` in `context` is the name of a built-in function");
            return Err(init.error_at_word("context", line, &message, None));
        }
        if context.insert(name.clone(), value).is_some() {
            let message = format!("`context` defines `{name}` twice");
            return Err(init.error_at_word("context", line, &message, None));
        }
    }
    Ok(context)
}

fn entry(init: &mut PartInit<'_>, line: &str) -> Result<(String, Meaning), ProfileError> {
    let mut words = line.splitn(3, char::is_whitespace);
    let kind = words.next().unwrap_or_default();
    let rest = line[kind.len()..].trim_start();
    let (name, expression) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let expression = expression.trim();
    if name.is_empty() {
        let help = Some("write `type name expression`, for example `key url nginx:url`");
        let message = format!("`{line}` in `context` lacks a name");
        return Err(init.error_at_word("context", line, &message, help));
    }
    let value = match kind {
        "raw" => Literal::from(expression),
        "key" => option(init, "context", line, expression)?,
        "section" => {
            require_section(init, "context", line, expression)?;
            let pairs = common::typed(&init.section(expression)?).into_iter();
            Literal::Dict(pairs.map(|(name, value)| (Literal::Str(name), value)).collect())
        }
        "json" => json(init, line, expression)?,
        "jsonkey" => {
            let text = option(init, "context", line, expression)?.to_text();
            json(init, line, &text)?
        }
        "import" => return Ok((name.to_owned(), Meaning::Module(expression.to_owned()))),
        other => {
            let help = Some("known are key, raw, section, json, jsonkey and import");
            let message = format!("`{other}` is no type of a line of `context`");
            return Err(init.error_at_word("context", line, &message, help));
        }
    };
    Ok((name.to_owned(), Meaning::Value(value)))
}

/// The value of `section:option`, which is written in a line of the option `of`.
pub(super) fn option(
    init: &mut PartInit<'_>,
    of: &str,
    line: &str,
    reference: &str,
) -> Result<Literal, ProfileError> {
    let Some((section, option)) = reference.split_once(':') else {
        let message = format!("`{reference}` in `{of}` is not of the form section:option");
        return Err(init.error_at_word(of, line, &message, None));
    };
    let (section, option) = (section.trim(), option.trim());
    require_section(init, of, line, section)?;
    let own = init.name().to_owned();
    match init.try_option(section, option)? {
        Some(value) => Ok(Literal::of_option(&value)),
        None => {
            let known = init.section(if section.is_empty() { &own } else { section })?;
            let near = slapos_engine::closest(option, known.keys().map(String::as_str));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            let message = format!("there is no option `{option}` in [{section}]");
            Err(init.error_at_word(of, line, &message, help.as_deref()))
        }
    }
}

fn require_section(
    init: &PartInit<'_>,
    of: &str,
    line: &str,
    section: &str,
) -> Result<(), ProfileError> {
    if section.is_empty() || init.has_section(section) {
        return Ok(());
    }
    let message = format!("there is no section [{section}]");
    Err(init.error_at_word(of, line, &message, None))
}

fn json(init: &PartInit<'_>, line: &str, text: &str) -> Result<Literal, ProfileError> {
    serde_json::from_str(text).map(|json: serde_json::Value| of_json(&json)).map_err(|error| {
        let message = format!("this is no JSON: {error}");
        init.error_at_word("context", line, &message, None)
    })
}
