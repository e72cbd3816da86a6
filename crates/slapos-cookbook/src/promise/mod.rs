//! `slapos.cookbook:promise.plugin`: a check of the running instance, as the node's own promises
//! and the original's Python plugins are.
//!
//! Options:
//! - `output`: the file to write, usually `etc/plugin/<name>.py`;
//! - `module` (a Python module that has `RunPromise`) or `file` (a Python file that is one);
//! - `class`: name of the class, default `RunPromise`;
//! - `eggs`: lines, names of distributions that the promise needs: in an instance, those of its
//!   Software Release (`[buildout] eggs-directory`, `develop-eggs-directory`) are put on its path. What
//!   the Software Release does not have is left out: built-in checks need none;
//! - `mode`: octal, default 0644;
//! - `config-<name>`: parameters of the promise.
//!
//! With `module`, the first line of the file is `# slapos-promise: {"module": ..., "config":
//! {...}}`: the node runs the modules it knows natively by it, without Python.

use std::path::PathBuf;

use serde_json::json;
use slapos_eggs::EggError;
use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal};
use crate::python::{Packages, Python};

/// What the header line begins with.
const HEADER: &str = "# slapos-promise: ";

/// The recipe.
pub(crate) struct PromisePlugin {
    python: Python,
}

/// Where the class of the promise comes from.
enum Source {
    Module(String),
    File(PathBuf),
}

impl PromisePlugin {
    pub(crate) fn new(python: Python) -> Self {
        Self { python }
    }

    /// Where the distributions are that the promise needs, as far as the Software Release has them.
    fn eggs(&self, init: &mut PartInit<'_>) -> Result<Vec<String>, ProfileError> {
        let lines = init.get("eggs").unwrap_or_default().lines().map(str::trim);
        let wanted: Vec<_> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if wanted.is_empty() || !init.offline() || !has_eggs(init)? {
            return Ok(Vec::new());
        }
        let paths = match Packages::of_part(init)?.working_set(&self.python, &wanted) {
            Ok(set) => set.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            Err(EggError::NotFound { .. }) => Vec::new(),
            Err(error) => {
                return Err(init.error("eggs", &error.to_string(), error.help().as_deref()));
            }
        };
        init.add_input("its path", &paths.join("\n"));
        Ok(paths)
    }
}

/// Whether there are any; to find which costs a start of Python.
fn has_eggs(init: &mut PartInit<'_>) -> Result<bool, ProfileError> {
    for option in ["eggs-directory", "develop-eggs-directory"] {
        let directory = init.option("buildout", option)?;
        if std::fs::read_dir(common::path(init, &directory))
            .is_ok_and(|mut entries| entries.next().is_some())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Recipe for PromisePlugin {
    fn version(&self) -> u32 {
        2
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let output = common::path(init, &init.require("output")?);
        let mode = common::mode(init, "mode")?.unwrap_or(0o644);
        let class = init.get("class").unwrap_or("RunPromise").trim().to_owned();
        let source = match (init.get("module"), init.get("file")) {
            (Some(module), None) => Source::Module(module.trim().to_owned()),
            (None, Some(file)) => Source::File(common::path(init, file)),
            _ => {
                let message = "exactly one of `module` and `file` is needed";
                return Err(init.error("recipe", message, None));
            }
        };
        let names = match &source {
            Source::Module(module) => vec![("module", module), ("class", &class)],
            Source::File(_) => vec![("class", &class)],
        };
        if let Some((option, name)) = names.into_iter().find(|(_, name)| !is_dotted_name(name)) {
            let message = format!("`{name}` must be a name of Python");
            return Err(init.error(option, &message, None));
        }
        let config = config(init);
        let content = plugin(&source, &class, &config, &self.eggs(init)?);
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

fn plugin(source: &Source, class: &str, config: &[(String, Literal)], eggs: &[String]) -> String {
    let pairs = config.iter().map(|(name, value)| (name.as_str().into(), value.clone()));
    let dictionary = Literal::Dict(pairs.collect());
    let mut text = match source {
        Source::Module(module) => format!("{}\n", header(module, config)),
        Source::File(_) => String::new(),
    };
    text.push_str("# -*- coding: utf-8 -*-\n");
    if !eggs.is_empty() {
        // In this form others find the path without running the file; and what they have imported
        // must not stand in the way of what is on it.
        let eggs = Literal::List(eggs.iter().map(|path| path.as_str().into()).collect());
        text.push_str(&format!(
            "import sys\nsys.path[0:0] = {eggs}\n\n\
             for name in [name for name in sys.modules if 'slapos' in name]:\n    \
             del sys.modules[name]\n"
        ));
    }
    text.push_str(&format!("\nextra_config_dict = {dictionary}\n\n"));
    match source {
        Source::Module(module) if class == "RunPromise" => {
            text.push_str(&format!("from {module} import RunPromise\n"));
        }
        Source::Module(module) => {
            text.push_str(&format!("from {module} import {class} as RunPromise\n"));
        }
        Source::File(path) => {
            let path = Literal::from(&*path.to_string_lossy());
            text.push_str(&format!(
                "with open({path}, 'rb') as promise:\n    \
                 exec(compile(promise.read(), {path}, 'exec'))\n"
            ));
            if class != "RunPromise" {
                text.push_str(&format!("RunPromise = {class}\n"));
            }
        }
    }
    text
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
        let module = Source::Module("slapos.promise.plugin.check_url_available".to_owned());
        insta::assert_snapshot!(plugin(&module, "RunPromise", &config, &[]), @r#"
        # slapos-promise: {"module":"slapos.promise.plugin.check_url_available","config":{"url":"http://[::1]:80/","n":2}}
        # -*- coding: utf-8 -*-

        extra_config_dict = {'n': 2, 'url': 'http://[::1]:80/'}

        from slapos.promise.plugin.check_url_available import RunPromise
        "#);
    }

    #[test]
    fn a_file_and_eggs_are_for_python() {
        let file = Source::File("/p/it's.py".into());
        insta::assert_snapshot!(plugin(&file, "Check", &[], &["/soft/eggs/a.egg".to_owned()]), @r#"
        # -*- coding: utf-8 -*-
        import sys
        sys.path[0:0] = ['/soft/eggs/a.egg']

        for name in [name for name in sys.modules if 'slapos' in name]:
            del sys.modules[name]

        extra_config_dict = {}

        with open("/p/it's.py", 'rb') as promise:
            exec(compile(promise.read(), "/p/it's.py", 'exec'))
        RunPromise = Check
        "#);
    }
}
