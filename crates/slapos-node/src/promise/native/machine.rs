//! Checks of the machine: a command, a process, an interface, its load and its free space.

use std::time::Instant;

use slapos_sys::fs;
use slapos_sys::process::{Command, alive, start_time};

use super::super::execute::{self, Ended};
use super::options::Options;
use super::{Found, Surroundings, path_in};
use crate::program::Patience;
use crate::size::parse_size;

/// What the original tolerates of load for each processor.
const USUAL_LOAD: f64 = 2.2;
/// More than a file with a number has, bytes.
const SMALL: u64 = 4096;

pub(super) fn command(options: &Options<'_>, given: &Surroundings) -> Found {
    let line = options.required("command")?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]);
    let deadline = Instant::now() + given.limit;
    let patience = Patience { deadline, cancellation: &given.cancellation };
    match execute::run(&mut shell, &given.directory, patience) {
        Ok(Ended::Itself(Ok(_))) => Ok(format!("`{line}` succeeded")),
        Ok(Ended::Itself(Err(output))) => Err(format!("`{line}` failed: {output}")),
        Ok(Ended::Late) => Err(format!("`{line}` did not end in time")),
        Err(error) => Err(format!("`{line}` cannot be run: {error}")),
    }
}

pub(super) fn process(options: &Options<'_>, given: &Surroundings) -> Found {
    let file = options.required("pid-file")?;
    let text = fs::read_to_string_limited(&path_in(&given.directory, &file), SMALL);
    let text = text.map_err(|error| format!("cannot read {file}: {error}"))?;
    let pid = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let pid: u32 = pid.ok_or_else(|| format!("{file} has no process id in it"))?;
    match start_time(pid).is_some_and(|start| alive(pid, start)) {
        true => Ok(format!("process {pid} of {file} runs")),
        false => Err(format!("process {pid} of {file} does not run")),
    }
}

pub(super) fn interface(options: &Options<'_>, _: &Surroundings) -> Found {
    let name = options.required("ifname")?;
    if options.text("testing").is_some_and(|text| text == "True") {
        return Ok("nothing was looked at, as `config-testing` says".to_owned());
    }
    if name.contains('/') || name == ".." {
        return Err(format!("`{name}` is no name of an interface"));
    }
    let path = std::path::Path::new("/sys/class/net").join(&name).join("operstate");
    let state = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
    if state.trim() == "up" { Ok(format!("{name} is up")) } else { Err(format!("{name} is down")) }
}

pub(super) fn load(options: &Options<'_>, _: &Surroundings) -> Found {
    let wanted: f64 = options.number("cpu-load-threshold", USUAL_LOAD)?;
    let threshold = if wanted == 0.0 { USUAL_LOAD } else { wanted };
    let read = |path: &str| {
        let text = fs::read_to_string_lossy(path.as_ref(), 1 << 20);
        text.map_err(|error| format!("cannot read {path}: {error}"))
    };
    too_high(&read("/proc/loadavg")?, &read("/proc/stat")?, threshold)
}

/// The load of the last quarter of an hour counts, for each processor.
fn too_high(loads: &str, stat: &str, threshold: f64) -> Found {
    let is_processor = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let processors = stat.lines().filter(is_processor).count().max(1);
    let words: Vec<_> = loads.split_whitespace().take(3).collect();
    let long: Option<f64> = words.get(2).and_then(|word| word.parse().ok());
    let long = long.ok_or("the system does not tell its load")?;
    let most = threshold * f64::from(u32::try_from(processors).unwrap_or(u32::MAX));
    match long > most {
        true => Err(format!(
            "the load is {}, more than {most:.1} for a quarter of an hour",
            words.join(" ")
        )),
        false => Ok(format!("the load is {}", words.join(" "))),
    }
}

pub(super) fn free_space(options: &Options<'_>, given: &Surroundings) -> Found {
    let wanted = options.required("min-free")?;
    let least = parse_size(&wanted)
        .ok_or_else(|| format!("`config-min-free` must be a size such as 500M, not `{wanted}`"))?;
    let path = options.text("path").unwrap_or_else(|| ".".to_owned());
    let path = path_in(&given.directory, &path);
    let free = fs::free_space(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let told = format!("{} MiB are free at {}", free >> 20, path.display());
    if free >= least { Ok(told) } else { Err(format!("{told}, less than {wanted}")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::super::testing::{found, found_in};
    use super::*;

    #[test]
    fn a_command_succeeds_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = |line| found_in(dir.path(), "check_command_execute", &[("command", line)]);
        assert_eq!(run("true").unwrap(), "`true` succeeded");
        assert_eq!(run("echo no; exit 1").unwrap_err(), "`echo no; exit 1` failed: no");
    }

    #[test]
    fn a_process_runs_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let check = || found_in(dir.path(), "check_process_up", &[("pid-file", "pid")]);
        assert!(check().unwrap_err().starts_with("cannot read pid"));
        std::fs::write(dir.path().join("pid"), format!("{}\n", std::process::id())).unwrap();
        assert!(check().is_ok());
        std::fs::write(dir.path().join("pid"), "4194999\n").unwrap();
        assert_eq!(check().unwrap_err(), "process 4194999 of pid does not run");
    }

    #[test]
    fn load_counts_for_each_processor() {
        let stat = "cpu  1 2\ncpu0 1\ncpu1 1\nintr 5\n";
        assert!(too_high("9.0 9.0 4.3 1/2 3", stat, 2.2).is_ok());
        assert_eq!(
            too_high("9.0 9.0 4.5 1/2 3", stat, 2.2).unwrap_err(),
            "the load is 9.0 9.0 4.5, more than 4.4 for a quarter of an hour"
        );
    }

    #[test]
    fn space_is_free_or_not() {
        assert!(found("check_free_space", &[("min-free", "1")]).is_ok());
        let message = found("check_free_space", &[("min-free", "1000000G")]).unwrap_err();
        assert!(message.ends_with("MiB are free at /., less than 1000000G"), "{message}");
        let message = found("check_free_space", &[("min-free", "much")]).unwrap_err();
        assert_eq!(message, "`config-min-free` must be a size such as 500M, not `much`");
    }

    #[test]
    fn an_interface_is_there_or_not() {
        assert!(found("check_interface_up", &[("ifname", "none0")]).is_err());
        assert!(found("check_interface_up", &[("ifname", "../x")]).is_err());
        assert!(found("check_interface_up", &[("ifname", "x"), ("testing", "True")]).is_ok());
    }
}
