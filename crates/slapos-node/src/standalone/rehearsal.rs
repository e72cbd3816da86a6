//! `slapos up` and `down` with `--dry-run`: what they would do, and why. Nothing is touched, and whoever is
//! asked only answers.

use slapos_config::Config;
use slapos_slap::{ComputerPartition, SoftwareState, SoftwareUrl};
use slapos_supervisor::{Client, ClientError};

use super::{Layout, MASTER_PING, MASTER_PROGRAM, first_config, supervisor_error};
use crate::config::NodeConfig;
use crate::error::NodeError;
use crate::node::{Node, master_within};
use crate::software::COMPLETED;
use crate::{format, instance, software};

/// The configuration that [`ensure_config`](super::ensure_config) would write, if there is none.
///
/// # Errors
/// When no port is free.
pub fn planned_config(
    layout: &Layout,
    partitions: u32,
    port: Option<u16>,
) -> Result<Option<NodeConfig>, NodeError> {
    let Some(text) = first_config(layout, partitions, port)? else { return Ok(None) };
    let config = Config::parse(&text, &layout.config.display().to_string())?;
    Ok(Some(NodeConfig::from_config(&config, &layout.config)?))
}

/// Says what `slapos up` would do; `wanted` is the instance that it is to make, if any.
///
/// # Errors
/// When it cannot be planned, for example because a Master that should answer does not.
pub fn rehearse_up(node: &Node<'_>, wanted: Option<(&str, &SoftwareUrl)>) -> Result<(), NodeError> {
    format::apply(node, true)?;
    let answers = rehearse_master(node)?;
    let text = format!("tell {} how this computer is formatted", node.config.master_url);
    node.reporter.note("format", &text);
    match (wanted, answers) {
        (Some((name, url)), _) => rehearse_deployment(node, name, url, answers),
        (None, true) => {
            software::run(node, &software::Options { dry_run: true, ..Default::default() })?;
            instance::run(node, &instance::Options { dry_run: true, ..Default::default() })
        }
        (None, false) => {
            let text =
                "build, deploy and start what was asked for: its Master knows that, once it runs";
            node.reporter.note("node", text);
            Ok(())
        }
    }
}

/// Says what becomes of the Master; whether it answers already.
fn rehearse_master(node: &Node<'_>) -> Result<bool, NodeError> {
    let note = |text: &str| node.reporter.note("master", text);
    if node.down_marker().exists() {
        note("take the mark of `slapos down` away: asked for");
    }
    if node.config.proxy.is_none() {
        return Ok(node.master()?.ping().map(|()| true)?);
    }
    let supervisor = Client::connect(&node.supervisor_paths());
    let info = supervisor.and_then(|supervisor| supervisor.process_info(MASTER_PROGRAM));
    let runs = info.is_ok_and(|info| info.state.is_up());
    if runs && master_within(node.config, MASTER_PING)?.ping().is_ok() {
        note("nothing: it runs and answers");
        return Ok(true);
    }
    note("start the supervisor, and in it the Master: it does not answer");
    Ok(false)
}

fn rehearse_deployment(
    node: &Node<'_>,
    name: &str,
    url: &SoftwareUrl,
    answers: bool,
) -> Result<(), NodeError> {
    let (short, computer) = (software::short_name(url), &node.config.computer_id);
    node.reporter.note(&short, &format!("have {url} supplied to {computer}: asked for"));
    let directory = software::directory(&node.config.software_root, url);
    let built = directory.join(COMPLETED).exists();
    let action = software::decide(SoftwareState::Available, directory.exists(), built, false);
    node.reporter.note(&short, &action.to_string());
    let known = match answers {
        true => node.computer(&node.master()?)?.partitions,
        false => Vec::new(),
    };
    let is_it =
        |partition: &ComputerPartition| partition.instance_title == name && !partition.is_free();
    if !known.iter().any(is_it) {
        node.reporter.note(name, "ask for an instance of it, and deploy that: asked for");
        return Ok(());
    }
    node.reporter.note(name, "ask for it again, as it is wished now: asked for");
    let tree = Some(name.to_owned());
    instance::run(node, &instance::Options { tree, dry_run: true, ..Default::default() })
}

/// Says what [`shut_down`](super::shut_down) would do.
///
/// # Errors
/// When the supervisor runs and does not answer.
pub fn rehearse_down(node: &Node<'_>) -> Result<(), NodeError> {
    if !node.down_marker().exists() {
        let text =
            "leave a mark, with which what cron runs does nothing until `slapos up`: asked for";
        node.reporter.note("node", text);
    }
    let note = |text: &str| node.reporter.note("supervisor", text);
    let paths = node.supervisor_paths();
    let supervisor = match Client::connect(&paths) {
        Err(ClientError::Unreachable { .. }) if paths.state().exists() => {
            note("start it, and end what a killed one left running: asked for");
            return Ok(());
        }
        Err(ClientError::Unreachable { .. }) => {
            note("nothing: it does not run");
            return Ok(());
        }
        other => other.map_err(supervisor_error)?,
    };
    let services = supervisor.all_process_info().map_err(supervisor_error)?;
    for service in services.iter().filter(|service| service.pid.is_some()) {
        node.reporter.note(&service.namespec(), "stop it: asked for");
    }
    note("end it: asked for");
    Ok(())
}
