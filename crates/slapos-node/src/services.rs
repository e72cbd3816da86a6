//! The services of a partition, as the supervisor is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use slapos_slap::PartitionId;
use slapos_supervisor::state::State;
use slapos_supervisor::{
    AutoRestart, Client, ClientError, Listener, Paths, ProcessInfo, ProgramSpec, Update,
    definitions, ensure_running, remove_group, write_configuration, write_limited_group,
    write_listener,
};
use slapos_sys::process;
use slapos_sys::user::Identity;

use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::watchdog;
use crate::worker::Service;

/// As in the original, and larger: its 100 KB held minutes of a busy service.
const LOG_BYTES: u64 = 10 << 20;
const LOG_BACKUPS: u32 = 3;
/// Seconds a service has to end when asked.
const STOP_SECONDS: u32 = 60;
/// More services of a partition are not started: each costs the supervisor, which all partitions share,
/// a process and a descriptor.
const MOST_SERVICES: usize = 1000;
/// So many ends of services wait for a watchdog that does not run.
const WATCHDOG_BUFFER: u32 = 1000;
/// How long to wait for services to end, which they must within [`STOP_SECONDS`].
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// How long to wait for a supervisor that others start, such as the original's: a busy machine takes its time
/// for a program in Python.
const OTHERS_LIMIT: Duration = Duration::from_secs(20);

/// The supervisor's client; starts the daemon when it does not run, unless that is forbidden.
///
/// # Errors
/// When it can be neither reached nor started.
pub fn supervisor(node: &Node<'_>) -> Result<Client, NodeError> {
    if !node.config.grid.forbid_supervisord_automatic_launch {
        return start_supervisor(node);
    }
    let connect = |paths: &Paths| {
        await_others(node, paths).map_err(|error| {
            NodeError::user(format!("the supervisor does not answer: {error}")).hint(
                "start it with `slapos node supervisord`: \
                 forbid_supervisord_automatic_launch is set in slapos.cfg",
            )
        })
    };
    reach(node, connect)
}

/// Whoever starts it may just have done so.
fn await_others(node: &Node<'_>, paths: &Paths) -> Result<Client, ClientError> {
    const POLL: Duration = Duration::from_millis(50);
    let begun = Instant::now();
    let mut said = false;
    loop {
        match Client::connect(paths) {
            Err(ClientError::Unreachable { .. }) if begun.elapsed() < OTHERS_LIMIT => {}
            connected => return connected,
        }
        if !std::mem::replace(&mut said, true) {
            let text = "waits for the supervisor, which others start";
            node.reporter.note("supervisor", text);
        }
        thread::sleep(POLL);
    }
}

/// The same, for who asks for the daemon itself: it is started in any case.
///
/// # Errors
/// When it cannot be started.
pub fn start_supervisor(node: &Node<'_>) -> Result<Client, NodeError> {
    let exe = own_program()?;
    let cfg = node.config.file.display().to_string();
    let root = node.config.instance_root.display().to_string();
    let arguments = ["node", "supervisord", "--nodaemon", "--cfg", &cfg, "--instance-root", &root];
    reach(node, |paths| {
        ensure_running(paths, &exe, &arguments)
            .map_err(|error| NodeError::user(format!("the supervisor cannot be started: {error}")))
    })
}

/// Whichever way it is started, it has a watchdog.
fn reach(
    node: &Node<'_>,
    connect: impl FnOnce(&Paths) -> Result<Client, NodeError>,
) -> Result<Client, NodeError> {
    describe(node)?;
    let paths = node.supervisor_paths();
    let conf = paths.conf_dir();
    let changed =
        write_listener(&conf, &watchdog_program(node)?).context("define the watchdog in", &conf)?;
    let client = connect(&paths)?;
    if changed {
        update(&client, watchdog::PROGRAM)?;
    }
    Ok(client)
}

/// Has services run as they are defined, and none that is not: also what a killed run defined or
/// took away without having the supervisor follow. Returns whether that may have started any.
///
/// # Errors
/// When the supervisor can be neither reached nor started.
pub(crate) fn as_defined(node: &Node<'_>) -> Result<bool, NodeError> {
    let ran = Client::connect(&node.supervisor_paths()).is_ok();
    let client = supervisor(node)?;
    match client.update(None, STOP_LIMIT) {
        Ok(update) => Ok(!ran || !update.is_empty()),
        Err(error) => {
            // Such as a wrong definition of somebody else: instances are processed all the same.
            let text = format!("not all services are as they are defined: {error}");
            node.reporter.warn("supervisor", &text);
            Ok(true)
        }
    }
}

/// Named by its path, because the supervisor may be the original's, whose own program is another.
/// It comes back however often it ends, and what it is told waits for it.
fn watchdog_program(node: &Node<'_>) -> Result<ProgramSpec, NodeError> {
    let cfg = node.config.file.display().to_string();
    let words = [own_program()?.display().to_string(), "node".into(), "watchdog".into()];
    let words = words.into_iter().chain(["--cfg".into(), cfg]);
    let mut program = ProgramSpec::new(watchdog::PROGRAM, words.collect());
    program.autorestart = AutoRestart::Always;
    program.startsecs = 0;
    program.priority = -1;
    program.stdout_logfile = Some(node.config.instance_root.join("var/log/watchdog.log"));
    program.stdout_logfile_maxbytes = LOG_BYTES;
    program.stdout_logfile_backups = LOG_BACKUPS;
    program.environment.insert("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into());
    program.listener = Listener::new(watchdog::EVENTS)
        .ok()
        .map(|listener| Listener { buffer_size: WATCHDOG_BUFFER, ..listener });
    Ok(program)
}

/// Where this program lies.
fn own_program() -> Result<PathBuf, NodeError> {
    process::executable().context("find", Path::new("/proc/self/exe"))
}

/// Writes the file in which other programs look for the supervisor. Also before one is needed: one
/// that others start cannot come up without it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn describe(node: &Node<'_>) -> Result<(), NodeError> {
    let paths = node.supervisor_paths();
    write_configuration(&paths).map(drop).context("write", &paths.configuration())
}

/// Defines `services` as the group of `partition`. Returns whether the definition changed. A service
/// that cannot be defined, such as one of an odd name, is left out with a warning, and so are those
/// beyond [`MOST_SERVICES`], of which [`are_few_enough`] tells.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn define(
    node: &Node<'_>,
    partition: &PartitionId,
    directory: &Path,
    user: &Identity,
    services: &[Service],
) -> Result<bool, NodeError> {
    let (programs, warnings) = programs(partition, directory, user, services);
    warnings.iter().for_each(|text| node.reporter.warn(partition.as_str(), text));
    define_group(node, partition, partition, programs)
}

/// The programs that `services` are to the supervisor, and what is left out of them, and why.
fn programs(
    partition: &PartitionId,
    directory: &Path,
    user: &Identity,
    services: &[Service],
) -> (Vec<ProgramSpec>, Vec<String>) {
    let (mut programs, mut warnings) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    for service in services.iter().take(MOST_SERVICES) {
        let mut program = program(partition, directory, user, service);
        if service.watched && names.contains(&program.program) {
            // Beside one of `etc/run` of the same name.
            let name = format!("{partition}_{}", program.process_name);
            call(&mut program, name, directory);
        }
        match definable(partition, &program, &names) {
            Ok(()) => {
                names.insert(program.program.clone());
                programs.push(program);
            }
            Err(why) => {
                let path = escaped(&service.path.display().to_string());
                warnings.push(format!("{path} is not started: {why}"));
            }
        }
    }
    if let Err(error) = are_few_enough(services) {
        warnings.push(error.to_string());
    }
    (programs, warnings)
}

/// `text` in one line: its control characters as they are written in Rust.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

/// Whether none of `services` is left out for their number.
///
/// # Errors
/// Says how many there are: an instance of which a part does not run is not as it was asked for.
pub(crate) fn are_few_enough(services: &[Service]) -> Result<(), NodeError> {
    let (all, most) = (services.len(), MOST_SERVICES);
    if all <= most {
        return Ok(());
    }
    let text = format!("it has {all} services; those after the first {most} are not started");
    Err(NodeError::user(text)
        .hint("have one service run several programs, or ask for more instances"))
}

/// Whether `program` can be one of the group of `partition`, beside those with other `names`.
fn definable(
    partition: &PartitionId,
    program: &ProgramSpec,
    names: &BTreeSet<String>,
) -> Result<(), String> {
    if program.process_name.contains(char::REPLACEMENT_CHARACTER) {
        return Err("its name is not UTF-8".to_owned());
    }
    if program.process_name.contains(char::is_control) {
        return Err("its name has a control character".to_owned());
    }
    if names.contains(&program.program) {
        return Err(format!("another service is called {}, too", program.process_name));
    }
    definitions::render(partition.as_str(), std::slice::from_ref(program))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Defines `programs` as a group that belongs to `partition`, with the limits of that. Returns
/// whether the definition changed.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn define_group(
    node: &Node<'_>,
    group: &PartitionId,
    partition: &PartitionId,
    mut programs: Vec<ProgramSpec>,
) -> Result<bool, NodeError> {
    let limits = node.config.service_limits.of(partition.as_str())?;
    for program in &mut programs {
        program.limits = limits.process.clone();
    }
    let conf = node.supervisor_paths().conf_dir();
    write_limited_group(&conf, group.as_str(), &limits.together, &programs)
        .context("define services in", &conf)
}

/// Whether the supervisor has a definition for `partition`.
pub(crate) fn is_defined(node: &Node<'_>, partition: &PartitionId) -> bool {
    node.supervisor_paths().conf_dir().join(format!("{partition}.conf")).exists()
}

/// Takes the definition of `partition` away and stops what runs of it.
///
/// # Errors
/// When the supervisor does not answer.
pub(crate) fn stop(node: &Node<'_>, partition: &PartitionId) -> Result<(), NodeError> {
    let conf = node.supervisor_paths().conf_dir();
    remove_group(&conf, partition.as_str()).context("remove a definition from", &conf)?;
    update(&supervisor(node)?, partition.as_str()).map(drop)
}

/// Defines `services` and starts all of them anew: what ran under the former definition ends first.
///
/// # Errors
/// When the definition cannot be written, or the supervisor does not answer.
pub(crate) fn start_anew(
    node: &Node<'_>,
    partition: &PartitionId,
    directory: &Path,
    user: &Identity,
    services: &[Service],
) -> Result<(), NodeError> {
    stop(node, partition)?;
    define(node, partition, directory, user, services)?;
    update(&supervisor(node)?, partition.as_str()).map(drop)
}

/// Waits until all services of `partition` are up, or have come to their end as they may; at most
/// `limit`. Returns those that are not.
///
/// # Errors
/// When the supervisor does not answer.
pub(crate) fn await_group(
    node: &Node<'_>,
    partition: &PartitionId,
    limit: Duration,
) -> Result<Vec<ProcessInfo>, NodeError> {
    let words = |error: ClientError| {
        NodeError::user(format!("the supervisor cannot tell about {partition}: {error}"))
    };
    let client = supervisor(node)?;
    let late = |process: &ProcessInfo| {
        process.group == partition.as_str()
            && !matches!(process.state, State::Running | State::Exited | State::Stopped)
    };
    match client.wait(limit, |all| !all.iter().any(late)) {
        Ok(()) | Err(ClientError::Timeout { .. }) => {}
        Err(error) => return Err(words(error)),
    }
    let all = client.all_process_info().map_err(words)?;
    Ok(all.into_iter().filter(late).collect())
}

/// Has the supervisor follow the definition of `group`: new services start, changed ones restart,
/// those no longer defined stop.
///
/// # Errors
/// When it does not answer, or a service cannot be stopped.
pub(crate) fn update(supervisor: &Client, group: &str) -> Result<Update, NodeError> {
    supervisor
        .update(Some(group), STOP_LIMIT)
        .map_err(|error| NodeError::user(format!("the supervisor cannot update {group}: {error}")))
}

/// Starts, where the supervisor has just been, what it does not start by itself: the services of
/// partitions that the original defined.
///
/// # Errors
/// When the supervisor can be neither reached nor started.
pub(crate) fn start_all(node: &Node<'_>) -> Result<(), NodeError> {
    let client = supervisor(node)?;
    let all = client.all_process_info().map_err(|error| {
        NodeError::user(format!("the supervisor cannot tell what runs: {error}"))
    })?;
    let is_partition = |group: &str| node.config.instance_root.join(group).is_dir();
    for process in all.iter().filter(|process| process.start == 0 && is_partition(&process.group)) {
        if process.state == State::Stopped
            && let Err(error) = client.start(&process.namespec(), None)
        {
            node.reporter
                .warn(&process.group, &format!("{} does not start: {error}", process.name));
        }
    }
    Ok(())
}

/// As [`update`], and what rests of its services starts: those of `etc/run` do their work each time that
/// the instance is processed, and what was stopped by hand runs again. Returns whether any may have been
/// started.
///
/// # Errors
/// As [`update`].
pub(crate) fn start(supervisor: &Client, partition: &PartitionId) -> Result<bool, NodeError> {
    let update = update(supervisor, partition.as_str())?;
    let started = match update.is_empty() {
        true => supervisor.start_group(partition.as_str(), None).map(|started| !started.is_empty()),
        false => start_untouched(supervisor, partition, &update).map(|()| true),
    };
    match started {
        Ok(started) => Ok(started),
        // What cannot be started shows that in its state; a group of no services is none.
        Err(ClientError::Fault { .. }) => Ok(false),
        Err(error) => {
            Err(NodeError::user(format!("the supervisor cannot start {partition}: {error}")))
        }
    }
}

/// What the update started may have come to its end: it does not run twice for that.
fn start_untouched(
    supervisor: &Client,
    partition: &PartitionId,
    update: &Update,
) -> Result<(), ClientError> {
    let touched = |name: &str| update.processes.iter().any(|(process, _)| process == name);
    for process in supervisor.all_process_info()? {
        let name = process.namespec();
        // What was down when its definition changed is still down, touched or not.
        let rests = match process.state {
            State::Stopped | State::Fatal => true,
            state => !state.is_up() && !touched(&name),
        };
        if process.group == partition.as_str() && rests {
            match supervisor.start(&name, None) {
                Ok(()) | Err(ClientError::Fault { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// How the supervisor runs `service` in the group `partition`, as `user` in `directory`.
pub(crate) fn program(
    partition: &PartitionId,
    directory: &Path,
    user: &Identity,
    service: &Service,
) -> ProgramSpec {
    let process_name = match service.watched {
        true => format!("{}{}", service.name, watchdog::MARK),
        false => service.name.clone(),
    };
    // As the original calls sections and logs: without the mark.
    let name = format!("{partition}_{}", service.name);
    let mut program = ProgramSpec::new(&name, vec![service.path.display().to_string()]);
    call(&mut program, name, directory);
    program.process_name = process_name;
    program.directory = Some(directory.to_owned());
    program.user = Some(user.uid.to_string());
    program.group = Some(user.gid.to_string());
    program.autorestart = if service.watched { AutoRestart::Always } else { AutoRestart::Never };
    program.startsecs = u32::from(service.watched);
    if service.watched {
        // It is to run for ever: it is tried ever more slowly, and never given up.
        program.startretries = u32::MAX;
    }
    program.stopwaitsecs = STOP_SECONDS;
    program.stopasgroup = true;
    program.killasgroup = true;
    program.stdout_logfile_maxbytes = LOG_BYTES;
    program.stdout_logfile_backups = LOG_BACKUPS;
    let home = directory.display().to_string();
    for (key, value) in [
        ("HOME", home.as_str()),
        ("USER", &user.name),
        ("LOGNAME", &user.name),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
    ] {
        program.environment.insert(key.to_owned(), value.to_owned());
    }
    program
}

/// Has the section and the log of a program in `directory` called so.
fn call(program: &mut ProgramSpec, name: String, directory: &Path) {
    program.stdout_logfile = Some(directory.join(format!(".{name}.log")));
    program.program = name;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Service {
        Service { name: name.to_owned(), path: Path::new("/p/etc/run").join(name), watched: false }
    }

    #[test]
    fn a_name_of_two_lines_is_left_out_and_told_of_in_one() {
        let user = slapos_sys::user::current().unwrap();
        let odd = [service("x\n2026-11-26 13:51:51 INFO slappart9: destroyed\x1b")];
        let (defined, warnings) = programs(&PartitionId::from("p"), Path::new("/p"), &user, &odd);
        assert!(defined.is_empty());
        insta::assert_snapshot!(warnings.join("|"), @r"/p/etc/run/x\n2026-11-26 13:51:51 INFO slappart9: destroyed\u{1b} is not started: its name has a control character");
    }

    #[test]
    fn so_many_services_are_started_and_each_name_once() {
        let user = slapos_sys::user::current().unwrap();
        let programs = |services: &[Service]| {
            programs(&PartitionId::from("p"), Path::new("/p"), &user, services)
        };
        let (defined, warnings) = programs(&["a", "a", "b\u{fffd}", "c"].map(service));
        let names: Vec<_> = defined.iter().map(|program| program.program.as_str()).collect();
        assert_eq!(names, ["p_a", "p_c"]);
        // As the original calls them, and beside each other.
        let watched = Service { watched: true, ..service("a") };
        let (defined, _) = programs(&[service("a"), watched.clone()]);
        let names: Vec<_> = defined.iter().map(|program| program.program.as_str()).collect();
        assert_eq!(names, ["p_a", "p_a-on-watch"]);
        let (alone, _) = programs(&[watched]);
        assert_eq!(
            (alone[0].program.as_str(), alone[0].process_name.as_str()),
            ("p_a", "a-on-watch")
        );
        assert_eq!(alone[0].stdout_logfile.as_deref(), Some(Path::new("/p/.p_a.log")));
        insta::assert_snapshot!(warnings.join("\n"), @r"
        /p/etc/run/a is not started: another service is called a, too
        /p/etc/run/b� is not started: its name is not UTF-8
        ");
        let many: Vec<_> = (0..=MOST_SERVICES).map(|number| service(&number.to_string())).collect();
        let (defined, warnings) = programs(&many);
        assert_eq!(defined.len(), MOST_SERVICES);
        assert_eq!(are_few_enough(&many).unwrap_err().to_string(), warnings[0]);
        assert!(are_few_enough(&many[1..]).is_ok());
        assert_eq!(warnings, ["it has 1001 services; those after the first 1000 are not started"]);
    }
}
