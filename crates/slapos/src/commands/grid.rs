//! `slapos node software`, `instance` and `report`: arguments, configuration, and who may.

use std::path::Path;

use slapos_node::{Node, NodeConfig, NodeError, begin, instance, report, software};

use super::with_node;
use crate::cli::{Global, Grid, Instance, Report, Software};
use crate::place;

pub(crate) fn software(global: &Global, command: &Software) -> Result<u8, NodeError> {
    run(global, &command.grid, "pidfile_software", |node| {
        let grid = &node.config.grid;
        let options = software::Options {
            only: or(&command.only, &grid.only_software),
            all: command.run.all || grid.develop,
            dry_run: command.run.dry_run,
            parallel: command.jobs.unwrap_or(0),
            keep_going: command.keep_going,
            garbage_collect: command.garbage_collect,
        };
        software::run(node, &options)
    })
}

pub(crate) fn instance(global: &Global, command: &Instance) -> Result<u8, NodeError> {
    run(global, &command.grid, "pidfile_instance", |node| {
        let grid = &node.config.grid;
        let options = instance::Options {
            only: or(&command.only, &grid.only_partitions),
            all: command.run.all || grid.develop,
            dry_run: command.run.dry_run,
            jobs: command.jobs.unwrap_or(grid.instance_jobs),
            force_stop: command.force_stop || grid.force_stop,
            hints: command.hints,
            ..Default::default()
        };
        instance::run(node, &options)
    })
}

pub(crate) fn report(global: &Global, command: &Report) -> Result<u8, NodeError> {
    let options = report::Options { dry_run: command.dry_run, now: command.grid.now };
    run(global, &command.grid, "pidfile_report", |node| report::run(node, &options))
}

/// The configuration that a command of the grid has with its arguments.
pub(crate) fn config(
    global: &Global,
    grid: &Grid,
    pidfile: &'static str,
) -> Result<NodeConfig, NodeError> {
    if let Some((option, why)) = grid.refused() {
        return Err(
            NodeError::user(format!("{option} cannot be honoured: {why}")).hint("leave it out")
        );
    }
    let config = place::config_of_routine(global, &grid.settings(pidfile))?;
    let socket = config.instance_root.join("sv.sock");
    match &grid.supervisord_socket {
        Some(other) if Path::new(other) != socket => {
            let message = format!(
                "--supervisord-socket cannot be honoured: the supervisor's is {}",
                socket.display()
            );
            Err(NodeError::user(message).hint("leave it out"))
        }
        _ => Ok(config),
    }
}

fn run(
    global: &Global,
    grid: &Grid,
    pidfile: &'static str,
    act: impl FnOnce(&Node<'_>) -> Result<(), NodeError>,
) -> Result<u8, NodeError> {
    let config = config(global, grid, pidfile)?;
    with_node(global, &config, |node| {
        begin(node, grid.now)?;
        act(node).map(|()| 0)
    })
}

/// What an argument names, or else the configuration.
fn or(argument: &[String], option: &[String]) -> Vec<String> {
    if argument.is_empty() { option.to_vec() } else { argument.to_vec() }
}
