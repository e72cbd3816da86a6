//! Sections to groups.

use std::path::PathBuf;
use std::str::FromStr;

use indexmap::{IndexMap, IndexSet};
use slapos_config::{Config, ConfigError};

use super::processes;
use super::unknown::{Remarks, leave_out};
use crate::limits::GroupLimits;
use crate::spec::{AutoRestart, Group, ProgramSpec};

/// The groups that `config`, whose values are as in the file, defines, and what of it was left out; a
/// program that no group names is a group of its own.
pub(super) fn groups(config: &mut Config) -> Result<(Vec<Group>, Remarks), ConfigError> {
    let mut remarks = Remarks::new();
    let sections: Vec<String> = config.sections().map(str::to_owned).collect();
    let mut programs: IndexSet<&str> = IndexSet::new();
    let mut headers = Vec::new();
    let mut listeners = Vec::new();
    for section in &sections {
        match section.split_once(':') {
            Some(("program", name)) => drop(programs.insert(name)),
            Some(("group", name)) => headers.push((section, name)),
            Some(("eventlistener", name)) => {
                processes::fill(config, section, processes::Which::only(name))?;
                listeners.push(super::listen::group(config, section, name, &mut remarks)?);
            }
            _ => {
                let message = format!(
                    "[{section}] is none of [program:NAME], [group:NAME] and [eventlistener:NAME]"
                );
                return Err(config.error(section, "", message));
            }
        }
    }
    let mut groups = Vec::new();
    for (section, name) in headers {
        groups.push(group(config, section, name, &mut programs, &mut remarks)?);
    }
    for name in programs {
        groups.push(alone(config, name, &mut remarks)?);
    }
    groups.extend(listeners);
    Ok((groups, remarks))
}

/// The group of a program that none names.
fn alone(config: &mut Config, name: &str, remarks: &mut Remarks) -> Result<Group, ConfigError> {
    let section = format!("program:{name}");
    check_name(config, &section, "", name)?;
    let mut group = empty(name);
    for spec in processes::of(config, name, name, remarks)? {
        group.priority = spec.priority;
        add_member(config, &section, &mut group, spec)?;
    }
    Ok(group)
}

fn empty(name: &str) -> Group {
    let limits = GroupLimits::default();
    Group { name: name.to_owned(), priority: 999, limits, programs: Vec::new() }
}

fn group(
    config: &mut Config,
    section: &str,
    name: &str,
    programs: &mut IndexSet<&str>,
    remarks: &mut Remarks,
) -> Result<Group, ConfigError> {
    check_name(config, section, "", name)?;
    processes::fill(config, section, processes::Which::none(name))?;
    let mut group = empty(name);
    let options = config.items(section).map(|(key, value)| (key.to_owned(), value.to_owned()));
    for (key, value) in options.collect::<Vec<_>>() {
        match key.as_str() {
            "priority" => group.priority = number(config, section, &key, &value)?,
            "programs" => {
                for member in value.split(',').map(str::trim).filter(|m| !m.is_empty()) {
                    if !programs.shift_remove(member) {
                        let message = format!(
                            "there is no [program:{member}] in this file, or another group has it"
                        );
                        return Err(config.error(section, &key, message));
                    }
                    for spec in processes::of(config, member, name, remarks)? {
                        add_member(config, section, &mut group, spec)?;
                    }
                }
            }
            _ if GroupLimits::is_name(&key) => {
                let set = group.limits.set(&key, &value);
                set.map_err(|message| config.error(section, &key, message))?;
            }
            _ => leave_out(config, section, (&key, &value), GROUP_KEYS, remarks)?,
        }
    }
    group.programs.sort_by_key(|spec| spec.priority);
    Ok(group)
}

const GROUP_KEYS: &[&str] = &[
    "programs",
    "priority",
    "cpu_max",
    "cpu_weight",
    "io_weight",
    "memory_high",
    "memory_max",
    "tasks_max",
];

fn add_member(
    config: &Config,
    section: &str,
    group: &mut Group,
    spec: ProgramSpec,
) -> Result<(), ConfigError> {
    let name = &spec.process_name;
    if group.programs.iter().any(|p| p.process_name == *name) {
        let message = format!("two processes of this group have the process_name `{name}`");
        return Err(config.error(section, "programs", message));
    }
    group.programs.push(spec);
    Ok(())
}

/// The process that `section` defines, all of whose values are expanded.
pub(super) fn program(
    config: &Config,
    section: &str,
    name: &str,
    remarks: &mut Remarks,
) -> Result<ProgramSpec, ConfigError> {
    let mut spec = ProgramSpec::new(name, Vec::new());
    for (key, value) in config.items(section) {
        let known = set(config, section, &mut spec, key, value)?;
        if !known && !IGNORED.contains(&key) && !processes::KEYS.contains(&key) {
            leave_out(config, section, (key, value), KEYS, remarks)?;
        }
    }
    check_command(config, section, &spec)?;
    check_name(config, section, "process_name", &spec.process_name)?;
    check_error_log(config, section, &spec)?;
    Ok(spec)
}

pub(super) fn check_command(
    config: &Config,
    section: &str,
    spec: &ProgramSpec,
) -> Result<(), ConfigError> {
    if spec.command.is_empty() {
        return Err(config.error(section, "command", format!("[{section}] needs a `command`")));
    }
    Ok(())
}

/// Supervisor has these for a log of errors alone, which is checked by `check_error_log`, and for
/// its own address, which programs of ours are not told.
const IGNORED: &[&str] =
    &["stderr_logfile", "stderr_logfile_maxbytes", "stderr_logfile_backups", "serverurl"];

const KEYS: &[&str] = &[
    "command",
    "process_name",
    "numprocs",
    "numprocs_start",
    "directory",
    "user",
    "group",
    "environment",
    "autostart",
    "autorestart",
    "startsecs",
    "startretries",
    "exitcodes",
    "stopsignal",
    "stopwaitsecs",
    "stopasgroup",
    "killasgroup",
    "redirect_stderr",
    "stdout_logfile",
    "stdout_logfile_maxbytes",
    "stdout_logfile_backups",
    "umask",
    "priority",
    "rlimit_RESOURCE",
];

/// Sets the option `key`; false if it is none of a program's.
pub(super) fn set(
    config: &Config,
    section: &str,
    spec: &mut ProgramSpec,
    key: &str,
    value: &str,
) -> Result<bool, ConfigError> {
    let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
    match key {
        "command" => spec.command = command(config, section, value)?,
        "process_name" => spec.process_name = value.to_owned(),
        "directory" => spec.directory = text().map(Into::into),
        "user" => spec.user = text(),
        "group" => spec.group = text(),
        "environment" => {
            let pairs = environment(value);
            spec.environment = pairs.map_err(|message| config.error(section, key, message))?;
        }
        "autostart" => spec.autostart = boolean(config, section, key, value)?,
        "autorestart" => spec.autorestart = auto_restart(config, section, key, value)?,
        "startsecs" => spec.startsecs = number(config, section, key, value)?,
        "startretries" => spec.startretries = number(config, section, key, value)?,
        "exitcodes" => {
            let codes = value.split(',').map(str::trim).filter(|c| !c.is_empty());
            let codes = codes.map(|code| number(config, section, key, code));
            spec.exitcodes = codes.collect::<Result<_, _>>()?;
        }
        "stopsignal" => {
            let signal = value.parse();
            spec.stopsignal =
                signal.map_err(|message: String| config.error(section, key, message))?;
        }
        "stopwaitsecs" => spec.stopwaitsecs = number(config, section, key, value)?,
        "stopasgroup" => spec.stopasgroup = boolean(config, section, key, value)?,
        "killasgroup" => spec.killasgroup = boolean(config, section, key, value)?,
        "redirect_stderr" => joined_errors(config, section, key, value)?,
        "stdout_logfile" => {
            let log = log_file(value);
            spec.stdout_logfile = log.map_err(|message| config.error(section, key, message))?;
        }
        "stdout_logfile_maxbytes" => {
            spec.stdout_logfile_maxbytes = bytes(config, section, key, value)?;
        }
        "stdout_logfile_backups" => {
            spec.stdout_logfile_backups = number(config, section, key, value)?;
        }
        "umask" => spec.umask = umask(config, section, key, value)?,
        "priority" => spec.priority = number(config, section, key, value)?,
        _ => return limit(config, section, spec, key, value),
    }
    Ok(true)
}

/// Sets a limit of resources; false if `key` is none.
fn limit(
    config: &Config,
    section: &str,
    spec: &mut ProgramSpec,
    key: &str,
    value: &str,
) -> Result<bool, ConfigError> {
    let Some(name) = key.strip_prefix("rlimit_") else {
        return Ok(false);
    };
    let set = spec.limits.set(name, value);
    set.map_err(|message| config.error(section, key, message))?;
    Ok(true)
}

fn command(config: &Config, section: &str, value: &str) -> Result<Vec<String>, ConfigError> {
    shlex::split(value).filter(|words| !words.is_empty()).ok_or_else(|| {
        let message = "the command is empty or has an unclosed quote";
        config.error(section, "command", message)
    })
}

fn joined_errors(
    config: &Config,
    section: &str,
    key: &str,
    value: &str,
) -> Result<(), ConfigError> {
    if boolean(config, section, key, value)? {
        return Ok(());
    }
    let message = "standard error always goes to stdout_logfile: write `redirect_stderr=true`";
    Err(config.error(section, key, message))
}

fn check_error_log(config: &Config, section: &str, spec: &ProgramSpec) -> Result<(), ConfigError> {
    let key = "stderr_logfile";
    match config.get(section, key).and_then(|value| log_file(value).ok().flatten()) {
        Some(path) if Some(&path) != spec.stdout_logfile.as_ref() => {
            let message = "standard error always goes to stdout_logfile: remove `stderr_logfile`";
            Err(config.error(section, key, message))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_name(
    config: &Config,
    section: &str,
    key: &str,
    name: &str,
) -> Result<(), ConfigError> {
    if super::is_name(name) {
        return Ok(());
    }
    let message = format!("`{name}` cannot be a name: no spaces and none of `,` `:` `/` `]` `*`");
    Err(config.error(section, key, message))
}

/// The log that `value` names, `None` for none.
pub(super) fn log_file(value: &str) -> Result<Option<PathBuf>, String> {
    match value.to_ascii_lowercase().as_str() {
        "" | "none" => Ok(None),
        "auto" => Err("name a file that the program's user can write, or NONE: AUTO would be a \
                       file that nobody finds"
            .to_owned()),
        "syslog" => Err("programs write their logs themselves, to files: syslog is none; pipe \
                         the program's output to `logger`"
            .to_owned()),
        _ if !value.starts_with('/') => Err(format!("`{value}` is not an absolute path")),
        _ => Ok(Some(value.into())),
    }
}

pub(super) fn number<T: FromStr>(
    config: &Config,
    section: &str,
    key: &str,
    value: &str,
) -> Result<T, ConfigError> {
    value.trim().parse().map_err(|_| {
        let message = format!("`{key}` must be a whole number in range, got `{value}`");
        config.error(section, key, message)
    })
}

fn boolean(config: &Config, section: &str, key: &str, value: &str) -> Result<bool, ConfigError> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => {
            Err(config.error(section, key, format!("`{key}` must be true or false, got `{value}`")))
        }
    }
}

fn auto_restart(
    config: &Config,
    section: &str,
    key: &str,
    value: &str,
) -> Result<AutoRestart, ConfigError> {
    if value.trim().eq_ignore_ascii_case("unexpected") {
        return Ok(AutoRestart::Unexpected);
    }
    match boolean(config, section, key, value) {
        Ok(true) => Ok(AutoRestart::Always),
        Ok(false) => Ok(AutoRestart::Never),
        Err(_) => Err(config.error(
            section,
            key,
            format!("`{key}` must be true, false or unexpected, got `{value}`"),
        )),
    }
}

/// A size with an optional unit: `KB`, `MB`, `GB`, powers of 1024.
pub(super) fn bytes(
    config: &Config,
    section: &str,
    key: &str,
    value: &str,
) -> Result<u64, ConfigError> {
    crate::limits::size(value).ok_or_else(|| {
        let message = format!("`{key}` must be a size like 100KB or 50MB, got `{value}`");
        config.error(section, key, message)
    })
}

fn umask(config: &Config, section: &str, key: &str, value: &str) -> Result<u32, ConfigError> {
    let mask = u32::from_str_radix(value.trim(), 8).ok();
    mask.filter(|mask| *mask <= 0o777).ok_or_else(|| {
        let message = format!("`{key}` must be octal, at most 777, got `{value}`");
        config.error(section, key, message)
    })
}

/// `A="x y",B='z',C=plain`. Within quotes everything but the quote stands for itself; quoted and
/// plain pieces that touch are joined, so that a value can hold both kinds of quote.
pub(super) fn environment(text: &str) -> Result<IndexMap<String, String>, String> {
    let mut pairs = IndexMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return Err(format!("expected NAME=\"value\" in `environment`, got `{rest}`"));
        };
        let name = name.trim();
        if name.is_empty() || name.contains([',', '"', '\'', ' ']) {
            return Err(format!("`{name}` is not the name of a variable"));
        }
        let (value, left) = environment_value(after.trim_start())
            .map_err(|quote| format!("the value of `{name}` lacks its closing {quote}"))?;
        pairs.insert(name.to_owned(), value);
        rest = left;
    }
    Ok(pairs)
}

/// Takes one value and the comma after it; the error is the quote that is not closed.
fn environment_value(text: &str) -> Result<(String, &str), char> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        match rest.chars().next() {
            None => return Ok((value, rest)),
            Some(',') => return Ok((value, rest[1..].trim_start())),
            Some(quote @ ('"' | '\'')) => {
                let end = rest[1..].find(quote).ok_or(quote)? + 1;
                value.push_str(&rest[1..end]);
                rest = &rest[end + 1..];
            }
            Some(c) if c.is_whitespace() => rest = rest.trim_start(),
            Some(c) => {
                value.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
}
