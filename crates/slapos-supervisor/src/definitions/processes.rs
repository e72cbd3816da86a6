//! The processes of one section: `numprocs` of them, each with its own number in its values.

use slapos_config::{Config, ConfigError};

use super::expand::Names;
use super::parse::{environment, number, program};
use super::unknown::Remarks;
use crate::spec::ProgramSpec;

/// More are a slip.
const MOST: u32 = 1000;

/// The options that say how many there are.
pub(super) const KEYS: &[&str] = &["numprocs", "numprocs_start"];

/// Which process a section's values are for.
#[derive(Clone, Copy)]
pub(super) struct Which<'a> {
    name: &'a str,
    group: &'a str,
    number: Option<(u32, u32)>,
}

impl<'a> Which<'a> {
    /// The one of a section that has no more, and is a group of its own.
    pub(super) fn only(name: &'a str) -> Self {
        Self { name, group: name, number: Some((0, 1)) }
    }

    /// None: the section is that of a group.
    pub(super) fn none(name: &'a str) -> Self {
        Self { name, group: name, number: None }
    }
}

/// The processes of `[program:name]` as members of `group`.
pub(super) fn of(
    config: &mut Config,
    name: &str,
    group: &str,
    remarks: &mut Remarks,
) -> Result<Vec<ProgramSpec>, ConfigError> {
    let section = format!("program:{name}");
    let first = count(config, &section, name, "numprocs_start", 0)?;
    let all = count(config, &section, name, "numprocs", 1)?;
    if !(1..=MOST).contains(&all) {
        let message = format!("`numprocs` must be from 1 to {MOST}, got {all}");
        return Err(config.error(&section, "numprocs", message));
    }
    let told = config.raw(&section, "process_name").unwrap_or_default();
    if all > 1 && !told.contains("%(process_num)") {
        let message = "`numprocs` needs a `process_name` with the number, such as \
                       `%(program_name)s_%(process_num)02d`";
        return Err(config.error(&section, "numprocs", message));
    }
    let mut processes = Vec::new();
    for at in first..first.saturating_add(all) {
        fill(config, &section, Which { name, group, number: Some((at, all)) })?;
        processes.push(program(config, &section, name, remarks)?);
    }
    Ok(processes)
}

fn count(
    config: &Config,
    section: &str,
    name: &str,
    option: &str,
    usual: u32,
) -> Result<u32, ConfigError> {
    let Some(text) = config.raw(section, option) else { return Ok(usual) };
    let text = Names::of(config.name(), name).expand(option, text);
    let text = text.map_err(|message| config.error(section, option, message))?;
    number(config, section, option, &text)
}

/// Gives the options of `section` the values that they have for one process.
pub(super) fn fill(
    config: &mut Config,
    section: &str,
    which: Which<'_>,
) -> Result<(), ConfigError> {
    const VARIABLES: &str = "environment";
    let file = config.name().to_owned();
    let mut names = Names::of(&file, which.name);
    names.group = which.group;
    names.number = which.number;
    if let Some(text) = config.raw(section, VARIABLES) {
        let variables = names.expand(VARIABLES, text).and_then(|text| environment(&text));
        names.variables = variables.map_err(|message| config.error(section, VARIABLES, message))?;
    }
    config.expand(section, |option, text| names.expand(option, text))
}
