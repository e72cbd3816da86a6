//! The environment of builds and commands: a small clean base, and the `environment` option.
//!
//! `environment` is either lines `NAME = value`, or the name of a section whose options are the
//! variables. Values are formatted with `%(NAME)s` from the base environment, so that
//! `PATH = /x/bin:%(PATH)s` puts a directory first.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use slapos_engine::{PartContext, PartError, PartInit, ProfileError};
use slapos_python::Variables;

use super::percent;

/// Where programs are looked for when a profile says nothing.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables that a profile asks for, not formatted yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// The section that they are the options of, as they were when it was initialised.
    section: Option<String>,
}

impl Environment {
    /// Reads the option `environment` of a part.
    pub(crate) fn of_part(init: &mut PartInit<'_>) -> Result<Self, ProfileError> {
        let Some(text) = init.get("environment").map(|text| text.trim().to_owned()) else {
            return Ok(Self::default());
        };
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.contains('=') {
            return Self::parse(&text).map_err(|message| init.error("environment", &message, None));
        }
        let options = init.section(&text)?;
        Ok(Self { variables: of_options(options), section: Some(text) })
    }

    /// The same, as the Python host wants it.
    pub(crate) fn for_host(self) -> Variables {
        match self.section {
            Some(section) => Variables::Section(section),
            None => Variables::Given(self.variables),
        }
    }

    /// Reads lines `NAME = value`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut variables = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once('=') else {
                return Err(format!("`{line}` in `environment` is not of the form NAME = value"));
            };
            let name = name.trim().to_owned();
            if variables.insert(name.clone(), value.trim().to_owned()).is_some() {
                return Err(format!("`environment` sets `{name}` twice"));
            }
        }
        Ok(Self { variables, section: None })
    }

    /// The whole environment of a command: `base` and the variables, formatted with `base`. Those
    /// of a section are as earlier parts have left them.
    pub(crate) fn over(
        &self,
        cx: &PartContext<'_>,
        base: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, PartError> {
        let live = self.section.as_ref().and_then(|section| cx.section(section)).map(of_options);
        Self::formatted(live.as_ref().unwrap_or(&self.variables), base)
    }

    fn formatted(
        variables: &BTreeMap<String, String>,
        base: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, PartError> {
        let mut all = base.clone();
        for (name, value) in variables {
            let formatted = percent::format(value, |name| base.get(name).map(String::as_str))
                .map_err(|error| {
                    PartError::new(format!("variable `{name}` of `environment`: {error}"))
                        .with_help("only variables of the base environment can be referred to")
                })?;
            all.insert(name.clone(), formatted);
        }
        Ok(all)
    }

    /// The variables as they are written.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }
}

/// The variables in the options of a section.
fn of_options(options: IndexMap<String, String>) -> BTreeMap<String, String> {
    let hidden = |name: &String| name == "recipe" || name.starts_with(['_', '<']);
    options.into_iter().filter(|(name, _)| !hidden(name)).collect()
}

/// The environment that a part's commands start from: the clean one, as earlier parts of the run
/// have changed it.
pub(crate) fn of_run(
    cx: &PartContext<'_>,
    home: &Path,
    temporary: &Path,
) -> BTreeMap<String, String> {
    let mut variables = base(home, temporary);
    cx.apply_variables(&mut variables);
    variables
}

/// The clean environment every command starts from: `HOME` and `TMPDIR` are the part's own.
pub(crate) fn base(home: &Path, temporary: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), text(home)),
        ("TMPDIR".to_owned(), text(temporary)),
        ("LANG".to_owned(), "C".to_owned()),
        ("LC_ALL".to_owned(), "C".to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_refer_to_the_base_and_lines_are_checked() {
        let environment = Environment::parse("PATH = /x/bin:%(PATH)s\nCFLAGS=-O2 -DX=1").unwrap();
        let all = Environment::formatted(
            environment.variables(),
            &base(Path::new("/h"), Path::new("/t")),
        );
        let all = all.unwrap();
        assert_eq!(all["PATH"], "/x/bin:/usr/local/bin:/usr/bin:/bin");
        assert_eq!(all["CFLAGS"], "-O2 -DX=1");
        assert_eq!(all["HOME"], "/h");
        assert!(Environment::parse("A=1\nA=2").unwrap_err().contains("twice"));
        assert!(Environment::parse("A=1\nB").unwrap_err().contains("`B`"));
        let wrong = Environment::parse("A=%(B)s").unwrap();
        let error = Environment::formatted(wrong.variables(), &BTreeMap::new()).unwrap_err();
        insta::assert_snapshot!(error, @"variable `A` of `environment`: `%(B)s` has no value");
    }
}
