//! `[eventlistener:...]` sections: programs that are told events.
//!
//! Each is a group of its own. Its standard output is for the daemon, so that only its errors have
//! a log: `stderr_logfile`.

use slapos_config::{Config, ConfigError};

use super::parse::{bytes, check_command, check_name, log_file, number, set};
use super::unknown::{Remarks, leave_out};
use crate::events::Listener;
use crate::limits::GroupLimits;
use crate::spec::{Group, ProgramSpec};

/// Listeners start before, and stop after, what they listen to.
const PRIORITY: i32 = -1;
const OWN_KEYS: &[&str] = &[
    "events",
    "buffer_size",
    "stderr_logfile",
    "stderr_logfile_maxbytes",
    "stderr_logfile_backups",
];
/// The only one that does not need supervisor's own Python code.
const RESULT_HANDLER: &str = "supervisor.dispatchers:default_handler";

/// The group of the listener that `section` defines.
pub(super) fn group(
    config: &Config,
    section: &str,
    name: &str,
    remarks: &mut Remarks,
) -> Result<Group, ConfigError> {
    check_name(config, section, "", name)?;
    let mut spec = ProgramSpec::new(name, Vec::new());
    spec.priority = PRIORITY;
    let events = config.get(section, "events").unwrap_or_default();
    let listener = Listener::new(events).map_err(|reason| {
        config.error(section, "events", format!("the `events` of [{section}]: {reason}"))
    })?;
    let buffer_size = listener.buffer_size;
    let listener = spec.listener.insert(listener);
    listener.buffer_size = match config.get(section, "buffer_size") {
        None => buffer_size,
        Some(value) => number(config, section, "buffer_size", value)?,
    };
    for (key, value) in config.items(section) {
        option(config, section, &mut spec, (key, value), remarks)?;
    }
    check_command(config, section, &spec)?;
    Ok(Group {
        name: name.to_owned(),
        priority: spec.priority,
        limits: GroupLimits::default(),
        programs: vec![spec],
    })
}

fn option(
    config: &Config,
    section: &str,
    spec: &mut ProgramSpec,
    (key, value): (&str, &str),
    remarks: &mut Remarks,
) -> Result<(), ConfigError> {
    let wrong = |message: &str| Err(config.error(section, key, message));
    match key {
        "events" | "buffer_size" => Ok(()),
        "result_handler" if value == RESULT_HANDLER => Ok(()),
        "result_handler" => wrong("other handlers of results are Python: remove `result_handler`"),
        "stderr_logfile" => {
            spec.stdout_logfile =
                log_file(value).map_err(|message| config.error(section, key, message))?;
            Ok(())
        }
        "stderr_logfile_maxbytes" => {
            spec.stdout_logfile_maxbytes = bytes(config, section, key, value)?;
            Ok(())
        }
        "stderr_logfile_backups" => {
            spec.stdout_logfile_backups = number(config, section, key, value)?;
            Ok(())
        }
        "stdout_logfile" if matches!(log_file(value), Ok(None)) => Ok(()),
        "stdout_logfile"
        | "redirect_stderr"
        | "stdout_logfile_maxbytes"
        | "stdout_logfile_backups" => {
            wrong("a listener's output is for the supervisor; its errors go to `stderr_logfile`")
        }
        "serverurl" => Ok(()),
        _ => match set(config, section, spec, key, value)? {
            true => Ok(()),
            false => leave_out(config, section, (key, value), OWN_KEYS, remarks),
        },
    }
}
