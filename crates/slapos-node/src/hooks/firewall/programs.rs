//! The firewalld and the D-Bus daemon that the supervisor runs, where `[firewall]` names them.

use std::path::Path;
use std::time::Duration;

use slapos_supervisor::{AutoRestart, ProgramSpec, remove_group, write_group};

use crate::config::FirewallConfig;
use crate::error::{IoContext, NodeError};
use crate::node::Node;
use crate::services;

const FIREWALL: &str = "firewall";
const DBUS: &str = "dbus";
/// Seconds that they have to end.
const STOP_SECONDS: u32 = 60;
/// How long starting and stopping them may take.
const PATIENCE: Duration = Duration::from_secs(90);
const LOG_BYTES: u64 = 10 << 20;
const LOG_BACKUPS: u32 = 1;

/// Whether the supervisor runs firewalld.
pub(super) fn are_ours(config: &FirewallConfig) -> bool {
    config.firewall_executable.is_some() && !config.testing
}

/// Has the supervisor run what `config` names, and nothing that it does not name.
pub(super) fn define(node: &Node<'_>, config: &FirewallConfig) -> Result<(), NodeError> {
    let wanted = |command: &Option<Vec<String>>| command.clone().filter(|_| !config.testing);
    let command = wanted(&config.dbus_executable);
    let mut changed = Vec::from_iter(one(node, DBUS, command, &config.dbus_log_file, 1)?);
    let command = wanted(&config.firewall_executable);
    changed.extend(one(node, FIREWALL, command, &config.log_file, 5)?);
    if changed.is_empty() {
        return Ok(());
    }
    let client = services::supervisor(node)?;
    changed.into_iter().try_for_each(|group| services::update(&client, group).map(drop))
}

/// Takes away what an earlier configuration had the supervisor run.
pub(in crate::hooks) fn forget_programs(node: &Node<'_>) -> Result<(), NodeError> {
    let conf = node.supervisor_paths().conf_dir();
    for group in [FIREWALL, DBUS] {
        if remove_group(&conf, group).context("remove a definition from", &conf)? {
            services::update(&services::supervisor(node)?, group)?;
        }
    }
    Ok(())
}

/// Starts firewalld anew, which reads its permanent rules.
pub(super) fn restart_firewall(node: &Node<'_>) -> Result<(), NodeError> {
    let client = services::supervisor(node)?;
    let failed = |error| NodeError::user(format!("the firewall cannot be restarted: {error}"));
    client.stop_group(FIREWALL, Some(PATIENCE)).map_err(failed)?;
    client.start_group(FIREWALL, Some(PATIENCE)).map(drop).map_err(failed)
}

fn one(
    node: &Node<'_>,
    name: &'static str,
    command: Option<Vec<String>>,
    log: &Path,
    priority: i32,
) -> Result<Option<&'static str>, NodeError> {
    let conf = node.supervisor_paths().conf_dir();
    let changed = match command {
        None => remove_group(&conf, name).context("remove a definition from", &conf)?,
        Some(command) => {
            let program = program(name, command, log, priority);
            write_group(&conf, name, &[program]).context("define services in", &conf)?
        }
    };
    Ok(changed.then_some(name))
}

fn program(name: &str, command: Vec<String>, log: &Path, priority: i32) -> ProgramSpec {
    let mut program = ProgramSpec::new(name, command);
    program.autorestart = AutoRestart::Always;
    program.startsecs = 0;
    program.stopwaitsecs = STOP_SECONDS;
    program.stdout_logfile = Some(log.to_owned());
    program.stdout_logfile_maxbytes = LOG_BYTES;
    program.stdout_logfile_backups = LOG_BACKUPS;
    program.priority = priority;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    program.environment.insert("PATH".to_owned(), path.to_owned());
    program
}
