//! Starting one process of a service. Runs on a thread of its own, because what the program's
//! user controls (his directory, his log) may make it wait.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use slapos_sys::process::{Command, Piped};
use slapos_sys::user::{self, Identity};

use super::control::Place;
use super::listener::Pipes;
use super::logs::{self, Log};
use super::table::{SPAWN, TAG};
use crate::spec::ProgramSpec;

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) spec: Arc<ProgramSpec>,
    /// The value of [`TAG`].
    pub(crate) tag: String,
    /// The value of [`SPAWN`].
    pub(crate) spawn: String,
    /// The limits of open files (soft, hard) that the daemon itself was started with.
    pub(crate) open_files: (u64, u64),
    /// Its control group, or why it has none though it needs one.
    pub(crate) place: Result<Option<Place>, String>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start: u64,
    /// Becomes readable when the process ends.
    pub(crate) pidfd: OwnedFd,
    /// Of a listener: how to speak to it.
    pub(crate) pipes: Option<Pipes>,
}

/// Starts the process; the error is a text for people.
pub(crate) fn launch(job: &Job) -> Result<Launched, String> {
    let identity = identity(&job.spec)?;
    let identity = identity.as_ref();
    let started = start(job, identity);
    started.or_else(|why| match put_log_aside(&job.spec, identity) {
        true => start(job, identity),
        false => Err(why),
    })
}

fn start(job: &Job, identity: Option<&Identity>) -> Result<Launched, String> {
    let spec = &job.spec;
    let mut command = command(job, identity)?;
    let listens = spec.listener.is_some();
    let piped = Piped { input: listens, output: listens, errors: false };
    let mut child = command.spawn_apart(piped).map_err(|error| diagnose(spec, identity, &error))?;
    let pid = child.id();
    // Nobody reaps it before this is known, so that pid and start time are surely its own.
    let pidfd = slapos_sys::process::pidfd_open(pid).map_err(|error| {
        let _ = slapos_sys::process::kill_group(pid, slapos_sys::process::Signal::SIGKILL);
        format!("cannot watch process {pid}: {error}")
    })?;
    let start = slapos_sys::process::start_time(pid).unwrap_or(0);
    let pipes = child.input.take().zip(child.output.take());
    let pipes = pipes.map(|(input, output)| Pipes { input, output });
    Ok(Launched { pid, start, pidfd, pipes })
}

fn command(job: &Job, identity: Option<&Identity>) -> Result<Command, String> {
    let spec = &job.spec;
    let (program, args) =
        spec.command.split_first().ok_or_else(|| "the command is empty".to_owned())?;
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(&spec.environment)
        .env(TAG, &job.tag)
        .env(SPAWN, &job.spawn)
        .current_dir(spec.directory.as_deref().unwrap_or("/".as_ref()))
        .umask(spec.umask)
        .open_files(job.open_files.0, job.open_files.1)
        .new_session();
    for (resource, limit) in spec.limits.resources() {
        command.limit(resource, limit, limit);
    }
    if let Some(place) = job.place.clone()? {
        let group = place.make()?;
        command.control_group(&group).map_err(|error| error.to_string())?;
    }
    if let Some(identity) = identity {
        command.user(identity);
    }
    if let Some(log) = &spec.stdout_logfile {
        let logged = match spec.listener {
            Some(_) => command.append_errors_to(log),
            None => command.append_output_to(log),
        };
        logged.map_err(|error| format!("log file {}: {error}", log.display()))?;
    }
    Ok(command)
}

/// The user that the definition names, with the group it names; `None` for the daemon's own.
pub(crate) fn identity(spec: &ProgramSpec) -> Result<Option<Identity>, String> {
    let mut identity = match &spec.user {
        Some(name) => user_named(name)?,
        None if spec.group.is_some() => user::current().map_err(|error| error.to_string())?,
        None => return Ok(None),
    };
    if let Some(name) = &spec.group {
        let gid = group_named(name)?;
        identity.gid = gid;
        if !identity.groups.contains(&gid) {
            identity.groups.push(gid);
        }
    }
    let own = nix::unistd::geteuid().as_raw();
    if own != 0 && own != identity.uid {
        let name = identity.name;
        return Err(format!("cannot become user {name}: the supervisor does not run as root"));
    }
    Ok(Some(identity))
}

/// The user of that name or number.
pub(crate) fn user_named(name: &str) -> Result<Identity, String> {
    let found = match name.parse() {
        Ok(uid) => user::by_uid(uid).map(Some),
        Err(_) => user::by_name(name),
    };
    match found {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(format!("there is no user `{name}`")),
        Err(error) => Err(format!("cannot look up user `{name}`: {error}")),
    }
}

fn group_named(name: &str) -> Result<u32, String> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    match user::group_id(name) {
        Ok(Some(gid)) => Ok(gid),
        Ok(None) => Err(format!("there is no group `{name}`")),
        Err(error) => Err(format!("cannot look up group `{name}`: {error}")),
    }
}

/// Makes room for the log if what is there is closed to the program's user; whether it did.
fn put_log_aside(spec: &ProgramSpec, identity: Option<&Identity>) -> bool {
    let (Some(identity), Some(log)) = (identity, Log::of(spec)) else {
        return false;
    };
    user::as_files_of(identity, || logs::put_aside(&log)).unwrap_or(false)
}

/// The kernel says only what went wrong, not with which file: look again at each.
fn diagnose(spec: &ProgramSpec, identity: Option<&Identity>, error: &io::Error) -> String {
    let look = || {
        if let Some(directory) = &spec.directory
            && let Err(error) = std::fs::metadata(directory)
        {
            return Some(format!("directory {}: {error}", directory.display()));
        }
        let log = spec.stdout_logfile.as_ref()?;
        let opened = logs::check_appendable(log).err();
        opened.map(|error| format!("log file {}: {error}", log.display()))
    };
    let found = match identity {
        Some(identity) => user::as_files_of(identity, look).ok().flatten(),
        None => look(),
    };
    let program = spec.command.first().map_or("", String::as_str);
    found.unwrap_or_else(|| format!("cannot start {program}: {error}"))
}
