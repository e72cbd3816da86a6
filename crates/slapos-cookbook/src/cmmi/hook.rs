//! Hooks of a compilation: functions in Python files, called between its steps.
//!
//! An option `URL[#DIGEST]:FUNCTION` names the file and the function, which gets the options of the
//! part, the buildout, and the environment of the steps to come; what it changes there holds for
//! them. Changes to the environment of other parts are not taken over: parts with hooks are
//! compiled beside others.

use std::collections::BTreeMap;
use std::path::Path;

use slapos_engine::{PartContext, PartError, PartInit, ProfileError};
use slapos_python::Call;
use slapos_sources::{Source, SourceUrl};

use crate::common::source;
use crate::python::{ForPart, Python};

/// Options that name a hook.
const OPTIONS: [&str; 3] = ["pre-configure-hook", "pre-make-hook", "post-make-hook"];

/// One function.
pub(super) struct Hook {
    pub(super) option: &'static str,
    source: Source,
    /// The file as the profile names it, which tracebacks show.
    name: String,
    function: String,
    /// The run whose sections the function sees.
    run: u64,
    python: Python,
    outside: ForPart,
}

/// The hooks that a part names; their files count among what it is made from.
pub(super) fn of_part(init: &mut PartInit<'_>, python: &Python) -> Result<Vec<Hook>, ProfileError> {
    let mut hooks = Vec::new();
    for option in OPTIONS {
        let text = init.get(option).map(str::trim).filter(|text| !text.is_empty());
        let Some(text) = text.map(str::to_owned) else {
            continue;
        };
        let named = text.rsplit_once(':').filter(|(_, function)| is_name(function.trim()));
        let Some((url, function)) = named else {
            let message = format!("`{option}` does not name a function of a file");
            let help = Some("write `PATH[#md5]:FUNCTION`");
            return Err(init.error(option, &message, help));
        };
        let source = source::file(init, option, url.trim())?;
        source::declare_local(init, &source, python.fetcher());
        let function = function.trim().to_owned();
        let name = named_as(&source.primary);
        let outside = ForPart::of_part(python, init)?;
        let (run, python) = (init.run_number(), python.clone());
        hooks.push(Hook { option, source, name, function, run, python, outside });
    }
    if !hooks.is_empty() {
        init.keep_sections();
    }
    Ok(hooks)
}

/// What a file is called in messages.
fn named_as(place: &SourceUrl) -> String {
    match place {
        SourceUrl::File(path) => path.display().to_string(),
        SourceUrl::Http(url) => {
            // A password stays out of what is shown.
            let mut url = url.clone();
            let _ = url.set_password(None);
            let _ = url.set_username("");
            url.to_string()
        }
        other => other.to_string(),
    }
}

fn is_name(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    starts_well && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl Hook {
    /// Calls the function in `directory`; `environ` is what it leaves of it.
    pub(super) fn call(
        &self,
        cx: &PartContext<'_>,
        directory: &Path,
        environ: &mut BTreeMap<String, String>,
    ) -> Result<(), PartError> {
        cx.progress(self.option);
        let file = source::fetch(self.python.fetcher(), &self.source, cx)?.path;
        let call = Call::Hook {
            run: self.run,
            part: cx.part().to_owned(),
            file: file.to_string_lossy().into_owned(),
            name: self.name.clone(),
            function: self.function.clone(),
            environ: environ.clone(),
            directory: directory.to_string_lossy().into_owned(),
        };
        let left = self.python.host().run(cx, &self.outside, &call)?;
        *environ = serde_json::from_value(left).map_err(|error| {
            PartError::new(format!("`{}` left an environment that is none: {error}", self.option))
        })?;
        Ok(())
    }
}
