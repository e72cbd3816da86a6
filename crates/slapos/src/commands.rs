//! The commands, one module for each family.

mod agent;
mod buildout;
mod client;
mod computer_set;
mod generation;
mod grid;
mod node;
mod profile;
mod proxy;
mod proxy_requests;
mod setup;
mod supervisor;
mod supervisorctl;
mod up;

use slapos_node::{Node, NodeConfig, NodeError};
use slapos_sys::clock::SystemClock;

use crate::cli::{Cli, Command, Global};
use crate::output::Watch;

/// Runs the command and returns its exit code.
pub(crate) fn run(cli: &Cli) -> Result<u8, NodeError> {
    let global = &cli.global;
    match &cli.command {
        Command::Worker => slapos_node::worker::serve().map(|()| 0).map_err(|error| {
            NodeError::user(format!("the worker cannot speak to its node: {error}"))
        }),
        Command::Up(up) => up::up(global, up),
        Command::Down => up::down(global),
        Command::Destroy { name, dry_run } => up::destroy(global, name, *dry_run),
        Command::Proxy(command) => proxy::run(global, command),
        Command::Node(command) => node::run(global, command),
        Command::Configure(configure) => setup::configure(global, configure),
        Command::Supply(supply) => client::supply(global, supply),
        Command::Remove(supply) => client::remove(global, supply),
        Command::Request(request) => client::request(global, request),
        Command::Buildout { words } => buildout::run(global, words),
        Command::Explain { name } => generation::explain(global, name),
        Command::Profile(command) => profile::run(global, command),
        Command::Service(command) => client::service(global, command),
    }
}

/// Runs `act` with the node that `config` describes, watched as `global` says.
fn with_node<T>(
    global: &Global,
    config: &NodeConfig,
    act: impl FnOnce(&Node<'_>) -> Result<T, NodeError>,
) -> Result<T, NodeError> {
    let watch = Watch::new(global.verbose, global.quiet);
    act(&Node { config, reporter: &watch, clock: &SystemClock })
}
