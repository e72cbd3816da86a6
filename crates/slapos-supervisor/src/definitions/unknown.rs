//! Options that mean nothing to us. As with supervisor one that nobody knows keeps no program from running:
//! it is left out, and told of. Refused is what would leave a program other than its definition says:
//!
//! - what supervisor does with output beside writing it to a log (`NOT_DONE`), unless it is off;
//! - what begins as the options of limits do (`LIMITS`): a limit that is not understood would not be held.

use slapos_config::{Config, ConfigError};

const NOT_DONE: &[&str] = &[
    "stdout_capture_maxbytes",
    "stdout_events_enabled",
    "stdout_syslog",
    "stderr_capture_maxbytes",
    "stderr_events_enabled",
    "stderr_syslog",
];
const LIMITS: &[&str] = &["cpu_", "io_", "memory_", "rlimit_", "tasks_"];

/// Sections as they are read: what of them is left out is noted.
pub(super) type Remarks = Vec<String>;

/// Notes that the option `key` of `section` is left out, where one of the `known` would mean something.
///
/// # Errors
/// When that would change what the definition says.
pub(super) fn leave_out(
    config: &Config,
    section: &str,
    (key, value): (&str, &str),
    known: &[&str],
    remarks: &mut Remarks,
) -> Result<(), ConfigError> {
    if NOT_DONE.contains(&key) {
        return if is_off(value) { Ok(()) } else { Err(not_done(config, section, key)) };
    }
    let is_limit = LIMITS.iter().any(|start| key.starts_with(start));
    let what = if is_limit { "" } else { " is left out" };
    let known = known.join(", ");
    let message = format!("unknown option `{key}` in [{section}]{what}; known are {known}");
    let error = config.error(section, key, message);
    if is_limit {
        return Err(error);
    }
    let text = error.to_string();
    // The same section may define several processes.
    if !remarks.contains(&text) {
        remarks.push(text);
    }
    Ok(())
}

fn is_off(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    matches!(value.as_str(), "" | "false" | "no" | "off") || crate::limits::size(&value) == Some(0)
}

fn not_done(config: &Config, section: &str, key: &str) -> ConfigError {
    let message = format!(
        "`{key}` of [{section}] cannot be honoured: output goes to a log and nowhere else; remove it"
    );
    config.error(section, key, message)
}

#[cfg(test)]
mod tests {
    use super::super::parse::groups;
    use super::*;

    fn remarks(text: &str) -> Result<String, String> {
        let mut config = Config::parse_raw(text, "a.conf").unwrap();
        groups(&mut config)
            .map(|(_, remarks)| remarks.join("\n"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_nobody_knows_is_left_out_and_told_once() {
        let text = "[program:a]\ncommand=x\ncolour=red\nnumprocs=2\n\
                    process_name=a%(process_num)d\n";
        let told = remarks(text).unwrap();
        assert!(told.starts_with("a.conf:3: unknown option `colour` in [program:a] is left out; "));
        assert_eq!(told.lines().count(), 1, "{told}");
        let told = remarks("[group:g]\nprograms=\ncolour=1\n").unwrap();
        insta::assert_snapshot!(told, @"a.conf:3: unknown option `colour` in [group:g] is left out; known are programs, priority, cpu_max, cpu_weight, io_weight, memory_high, memory_max, tasks_max");
        let told = remarks("[eventlistener:l]\ncommand=x\nevents=TICK_5\ncolour=1\n").unwrap();
        insta::assert_snapshot!(told, @"a.conf:4: unknown option `colour` in [eventlistener:l] is left out; known are events, buffer_size, stderr_logfile, stderr_logfile_maxbytes, stderr_logfile_backups");
    }

    #[test]
    fn what_would_change_what_runs_is_refused() {
        let with = |line: &str| remarks(&format!("[program:a]\ncommand=x\n{line}\n"));
        insta::assert_snapshot!(with("stdout_syslog=true").unwrap_err(), @"a.conf:3: `stdout_syslog` of [program:a] cannot be honoured: output goes to a log and nowhere else; remove it");
        for off in ["stdout_syslog=off", "stderr_capture_maxbytes=0KB", "stdout_events_enabled=0"] {
            assert_eq!(with(off).unwrap(), "", "{off}");
        }
        assert!(
            with("memory_max=1G").unwrap_err().starts_with("a.conf:3: unknown option `memory_max`")
        );
        assert!(remarks("[group:g]\nprograms=\nmemory_mx=1G\n").is_err());
    }
}
