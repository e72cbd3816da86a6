//! How processes and definitions look to callers: supervisor's fields and wording.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::core::now_seconds;
use super::process::Process;
use crate::spec::{Group, ProgramSpec};
use crate::state::{Moment, State};
use crate::xmlrpc::Value;

/// What `getProcessInfo` tells.
pub(crate) fn process(process: &Process, now: Moment) -> Value {
    let state = process.machine.state();
    let log = log_path(&process.spec);
    let (out, errors) = match process.spec.listener {
        None => (log.as_str(), ""),
        Some(_) => ("", log.as_str()),
    };
    Value::record([
        ("name", process.spec.process_name.as_str().into()),
        ("group", process.group.as_str().into()),
        ("start", process.started.into()),
        ("stop", process.stopped.into()),
        ("now", now_seconds().into()),
        ("state", state.code().into()),
        ("statename", state.name().into()),
        ("spawnerr", process.machine.error().into()),
        ("exitstatus", process.exit_status().into()),
        ("logfile", log.as_str().into()),
        ("stdout_logfile", out.into()),
        ("stderr_logfile", errors.into()),
        ("pid", i64::from(process.machine.pid().unwrap_or(0)).into()),
        ("description", description(process, state, now).into()),
    ])
}

fn description(process: &Process, state: State, now: Moment) -> String {
    let machine = &process.machine;
    match state {
        State::Running if process.pool.is_confused() => {
            format!("pid {}, talks no sense and is told nothing", machine.pid().unwrap_or(0))
        }
        State::Running => {
            let pid = machine.pid().unwrap_or(0);
            // By the clock that nobody sets.
            let up = now.saturating_sub(machine.running_since().unwrap_or(now));
            format!("pid {pid}, uptime {}", uptime(up.as_secs()))
        }
        State::Backoff => {
            let error = machine.error();
            let failures = machine.failures();
            let wait = machine.next_attempt().unwrap_or(now).saturating_sub(now);
            let seconds = wait.as_millis().div_ceil(1000);
            format!("{error}; failed {failures} times in a row, next attempt in {seconds} s")
        }
        State::Fatal => machine.error().to_owned(),
        State::Stopped | State::Exited if process.started == 0 => "Not started".to_owned(),
        State::Stopped | State::Exited => date(process.stopped),
        State::Starting | State::Stopping => String::new(),
    }
}

/// As Python prints a time span.
fn uptime(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        days => format!("{days} days, {clock}"),
    }
}

fn date(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = time.to_zoned(TimeZone::system());
    local.strftime("%b %d %I:%M %p").to_string()
}

fn log_path(spec: &ProgramSpec) -> String {
    let path = spec.stdout_logfile.as_ref();
    path.map_or(String::new(), |path| path.display().to_string())
}

/// What `getAllConfigInfo` tells of one program.
pub(crate) fn config(group: &Group, spec: &ProgramSpec, in_use: bool) -> Value {
    let codes: Vec<i32> = spec.exitcodes.clone();
    let directory = spec.directory.as_ref();
    Value::record([
        ("name", spec.process_name.as_str().into()),
        ("group", group.name.as_str().into()),
        ("inuse", in_use.into()),
        ("autostart", spec.autostart.into()),
        ("process_prio", spec.priority.into()),
        ("group_prio", group.priority.into()),
        (
            "command",
            shlex::try_join(spec.command.iter().map(String::as_str)).unwrap_or_default().into(),
        ),
        ("directory", directory.map_or(String::new(), |path| path.display().to_string()).into()),
        ("startsecs", i64::from(spec.startsecs).into()),
        ("startretries", i64::from(spec.startretries).into()),
        ("exitcodes", codes.into()),
        ("stopsignal", (spec.stopsignal.0 as i32).into()),
        ("stopwaitsecs", i64::from(spec.stopwaitsecs).into()),
        ("killasgroup", spec.killasgroup.into()),
        ("redirect_stderr", true.into()),
        ("stdout_logfile", log_path(spec).into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_python_prints_them() {
        assert_eq!(uptime(5), "0:00:05");
        assert_eq!(uptime(86_399), "23:59:59");
        assert_eq!(uptime(90_061), "1 day, 1:01:01");
        assert_eq!(uptime(200_000), "2 days, 7:33:20");
    }
}
