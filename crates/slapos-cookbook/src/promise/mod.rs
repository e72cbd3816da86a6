//! `slapos.cookbook:promise.plugin`: a check of the running instance, as the node's own promises
//! and the original's Python plugins are.
//!
//! Options:
//! - `output`: the file to write, usually `etc/plugin/<name>.py`;
//! - `module` (a Python module that has `RunPromise`) or `file` (a Python file that is one);
//! - `class`: name of the class, default `RunPromise`;
//! - `eggs`: lines, names of distributions for the original; written into the file only;
//! - `mode`: octal, default 0644;
//! - `config-<name>`: parameters of the promise.
//!
//! The first line of the file is `# slapos-promise: {"module": ..., "config": {...}}`: the node
//! runs the modules it knows natively by it, without Python.

use std::path::PathBuf;

use serde_json::json;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal};

/// What the header line begins with.
const HEADER: &str = "# slapos-promise: ";

/// The recipe.
pub(crate) struct PromisePlugin;

impl Recipe for PromisePlugin {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let output = common::path(init, &init.require("output")?);
        let mode = common::mode(init, "mode")?.unwrap_or(0o644);
        let class = init.get("class").unwrap_or("RunPromise").trim().to_owned();
        let module = match (init.get("module"), init.get("file")) {
            (Some(module), None) => module.trim().to_owned(),
            (None, Some(_)) => {
                let message = "`file` needs the Python host, which this version does not have";
                let help = Some("name a native promise with `module = slapos.promise.plugin....`");
                return Err(init.error("file", message, help));
            }
            _ => {
                let message = "exactly one of `module` and `file` is needed";
                return Err(init.error("recipe", message, None));
            }
        };
        if !is_dotted_name(&module) || !is_dotted_name(&class) {
            let message = format!("`{module}` and `{class}` must be names of Python");
            return Err(init.error("module", &message, None));
        }
        let config = config(init);
        let content = plugin(&module, &class, &config);
        Ok(Box::new(Script { path: output, content, mode }))
    }
}

fn is_dotted_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

/// The `config-*` options, by name; text unless typed.
fn config(init: &PartInit<'_>) -> Vec<(String, Literal)> {
    let options = common::typed(&init.options());
    let mut config: Vec<(String, Literal)> = options
        .into_iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("config-")?.to_owned(), value)))
        .collect();
    config.sort_by(|(a, _), (b, _)| a.cmp(b));
    config
}

/// The header that the node reads: module and parameters as one line of JSON.
pub(crate) fn header(module: &str, config: &[(String, Literal)]) -> String {
    let config: serde_json::Map<String, serde_json::Value> = config
        .iter()
        .map(|(name, value)| (name.clone(), crate::jinja::json::value(value)))
        .collect();
    format!("{HEADER}{}", json!({ "module": module, "config": config }))
}

fn plugin(module: &str, class: &str, config: &[(String, Literal)]) -> String {
    let pairs = config.iter().map(|(name, value)| (name.as_str().into(), value.clone()));
    let dictionary = Literal::Dict(pairs.collect());
    let import = if class == "RunPromise" {
        format!("from {module} import RunPromise")
    } else {
        format!("from {module} import {class} as RunPromise")
    };
    format!(
        "{}\n# -*- coding: utf-8 -*-\n\nextra_config_dict = {dictionary}\n\n{import}\n",
        header(module, config)
    )
}

/// A file that checks something.
pub(crate) struct Script {
    pub(crate) path: PathBuf,
    pub(crate) content: String,
    pub(crate) mode: u32,
}

impl Part for Script {
    fn claims(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn install(&self, _cx: &PartContext<'_>) -> Result<Vec<PathBuf>, PartError> {
        common::write_file(&self.path, self.content.as_bytes(), self.mode)?;
        Ok(self.claims())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_the_header_and_the_originals_form() {
        let config =
            [("url".to_owned(), "http://[::1]:80/".into()), ("n".to_owned(), Literal::Int(2))];
        insta::assert_snapshot!(plugin("slapos.promise.plugin.check_url_available", "RunPromise", &config), @r#"
        # slapos-promise: {"module":"slapos.promise.plugin.check_url_available","config":{"url":"http://[::1]:80/","n":2}}
        # -*- coding: utf-8 -*-

        extra_config_dict = {'n': 2, 'url': 'http://[::1]:80/'}

        from slapos.promise.plugin.check_url_available import RunPromise
        "#);
    }
}
