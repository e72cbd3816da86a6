//! The services of a partition, as the supervisor is told.

use std::path::Path;
use std::time::Duration;

use slapos_slap::PartitionId;
use slapos_supervisor::state::State;
use slapos_supervisor::{
    AutoRestart, Client, ClientError, Listener, ProcessInfo, ProgramSpec, ensure_running, fault,
    remove_group, write_limited_group, write_listener,
};
use slapos_sys::user::Identity;
use slapos_sys::{fs, process};

use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::watchdog;
use crate::worker::Service;

/// As in the original, and larger: its 100 KB held minutes of a busy service.
const LOG_BYTES: u64 = 10 << 20;
const LOG_BACKUPS: u32 = 3;
/// Seconds a service has to end when asked.
const STOP_SECONDS: u32 = 60;
/// So many ends of services wait for a watchdog that does not run.
const WATCHDOG_BUFFER: u32 = 1000;
/// How long to wait for services to end, which they must within [`STOP_SECONDS`].
const STOP_LIMIT: Duration = Duration::from_secs(90);

/// The supervisor's client; starts the daemon when it does not run.
///
/// # Errors
/// When it can be neither reached nor started.
pub fn supervisor(node: &Node<'_>) -> Result<Client, NodeError> {
    let paths = node.supervisor_paths();
    let exe = process::executable().context("find", Path::new("/proc/self/exe"))?;
    let cfg = node.config.file.display().to_string();
    let arguments = ["node", "supervisord", "--nodaemon", "--cfg", &cfg];
    let conf = paths.conf_dir();
    write_control_file(node)?;
    let changed =
        write_listener(&conf, &watchdog_program(node)).context("define the watchdog in", &conf)?;
    let client = ensure_running(&paths, &exe, &arguments)
        .map_err(|error| NodeError::user(format!("the supervisor cannot be started: {error}")))?;
    if changed {
        follow(&client, watchdog::PROGRAM)?;
    }
    Ok(client)
}

/// The file that `supervisorctl -c` of the Python supervisor is given, where the original has it.
/// It has no section that would let somebody start a second supervisor with it.
fn write_control_file(node: &Node<'_>) -> Result<(), NodeError> {
    let paths = node.supervisor_paths();
    let file = paths.root().join("etc/supervisord.conf");
    paths.prepare().context("prepare the supervisor's place below", paths.root())?;
    let text = control_file(&paths.socket());
    let written = fs::write_atomic_if_changed(&file, text.as_bytes(), 0o600);
    written.map(drop).context("write", &file)
}

fn control_file(socket: &Path) -> String {
    // The syntax takes `%` for itself.
    let socket = socket.display().to_string().replace('%', "%%");
    format!(
        "# For `supervisorctl -c` of the Python supervisor. Written by the node; the definitions of \
         programs are in supervisord.conf.d.\n\n[supervisorctl]\nserverurl = unix://{socket}\n"
    )
}

/// `/proc/self/exe` is this very program to the supervisor that executes it. It comes back however
/// often it ends, and what it is told waits for it.
fn watchdog_program(node: &Node<'_>) -> ProgramSpec {
    let cfg = node.config.file.display().to_string();
    let words = ["/proc/self/exe", "node", "watchdog", "--cfg", &cfg].map(str::to_owned);
    let mut program = ProgramSpec::new(watchdog::PROGRAM, words.to_vec());
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
    program
}

/// Defines `services` as the group of `partition`. Returns whether the definition changed.
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
    let limits = node.config.service_limits.of(partition.as_str());
    let program = |service| ProgramSpec {
        limits: limits.process.clone(),
        ..program(partition, directory, user, service)
    };
    let programs: Vec<_> = services.iter().map(program).collect();
    let conf = node.supervisor_paths().conf_dir();
    write_limited_group(&conf, partition.as_str(), &limits.together, &programs)
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
    update(&supervisor(node)?, partition)
}

/// Has the supervisor follow a changed definition: new services start, changed ones restart, those
/// no longer defined stop.
///
/// # Errors
/// When it does not answer, or a service cannot be stopped.
pub(crate) fn update(supervisor: &Client, partition: &PartitionId) -> Result<(), NodeError> {
    follow(supervisor, partition.as_str())
}

/// Starts what was given up, or ended though it is to run for ever: whoever processes an instance
/// again has it tried again.
pub(crate) fn revive(supervisor: &Client, partition: &PartitionId) -> Result<(), NodeError> {
    let failed = |error: ClientError| {
        NodeError::user(format!("the supervisor cannot start {partition}: {error}"))
    };
    let all = supervisor.all_process_info().map_err(failed)?;
    let down = |p: &&ProcessInfo| {
        p.state == State::Fatal || (p.state == State::Exited && p.name.ends_with(watchdog::MARK))
    };
    for process in all.iter().filter(|p| p.group == partition.as_str()).filter(down) {
        match supervisor.start(&process.namespec(), None) {
            // Somebody else was faster.
            Err(error) if error.fault_code() == Some(fault::ALREADY_STARTED) => {}
            other => other.map_err(failed)?,
        }
    }
    Ok(())
}

fn follow(supervisor: &Client, group: &str) -> Result<(), NodeError> {
    supervisor
        .update(Some(group), STOP_LIMIT)
        .map(drop)
        .map_err(|error| NodeError::user(format!("the supervisor cannot update {group}: {error}")))
}

fn program(
    partition: &PartitionId,
    directory: &Path,
    user: &Identity,
    service: &Service,
) -> ProgramSpec {
    let process_name = match service.watched {
        true => format!("{}{}", service.name, watchdog::MARK),
        false => service.name.clone(),
    };
    let name = format!("{partition}_{process_name}");
    let mut program = ProgramSpec::new(&name, vec![service.path.display().to_string()]);
    program.process_name = process_name;
    program.directory = Some(directory.to_owned());
    program.user = Some(user.uid.to_string());
    program.group = Some(user.gid.to_string());
    program.autorestart = if service.watched { AutoRestart::Always } else { AutoRestart::Never };
    program.startsecs = u32::from(service.watched);
    program.stopwaitsecs = STOP_SECONDS;
    program.stopasgroup = true;
    program.killasgroup = true;
    program.stdout_logfile = Some(directory.join(format!(".{name}.log")));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_supervisorctl_is_told_where_the_socket_is() {
        insta::assert_snapshot!(control_file(Path::new("/srv/100%/sv.sock")), @r"
        # For `supervisorctl -c` of the Python supervisor. Written by the node; the definitions of programs are in supervisord.conf.d.

        [supervisorctl]
        serverurl = unix:///srv/100%%/sv.sock
        ");
    }
}
