//! The commands, one module for each family.

mod agent;
mod buildout;
mod cachelookup;
mod client;
mod computer;
mod computer_set;
mod console;
mod generation;
mod grid;
mod instances;
mod node;
mod parameters;
mod profile;
mod proxy;
mod proxy_requests;
mod setup;
mod supervisor;
mod supervisorctl;
mod up;

use clap::CommandFactory as _;
use slapos_node::{Node, NodeConfig, NodeError};
use slapos_sys::clock::SystemClock;
use slapos_sys::process::nursery::{self, Fate};

use crate::cli::{Cli, Command, Global, Node as NodeCommand};
use crate::output::{Watch, say};

/// Runs the command and returns its exit code.
pub(crate) fn run(cli: &Cli) -> Result<u8, NodeError> {
    let global = &cli.global;
    match &cli.command {
        Command::Up(up) => up::up(global, up),
        Command::Down { dry_run } => up::down(global, *dry_run),
        Command::Destroy { name, dry_run } => up::destroy(global, name, *dry_run),
        Command::Proxy(command) => proxy::run(global, command),
        Command::Node { command } => node::run(
            global,
            command.as_ref().unwrap_or(&NodeCommand::Status { names: Vec::new() }),
        ),
        Command::Configure(configure) => setup::configure(global, configure),
        Command::Supply(supply) => client::supply(global, supply),
        Command::Remove(supply) => client::remove(global, supply),
        Command::Request(request) => client::request(global, request),
        Command::Buildout { words } => buildout::run(global, words),
        Command::Explain { name } => generation::explain(global, name),
        Command::Profile(command) => profile::run(global, command),
        Command::Service(command) => client::service(global, command),
        Command::Computer(command) => computer::run(global, command),
        Command::Console(console) => console::run(global, console),
        Command::CacheLookup(command) => cachelookup::run(global, command),
        Command::Complete { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "slapos", &mut out);
            say(String::from_utf8_lossy(&out).trim_end());
            Ok(0)
        }
    }
}

/// Does another user's work for the node that started this process; returns the exit code.
pub(crate) fn work() -> Result<u8, NodeError> {
    slapos_node::jobs::serve()
        .map(|()| 0)
        .map_err(|error| NodeError::user(format!("the worker cannot speak to its node: {error}")))
}

/// The number that follows the word of a nursery, if this process is to be one.
pub(crate) fn nursery() -> Option<i32> {
    let mut words = std::env::args_os().skip(1);
    let (word, number) = (words.next()?, words.next()?);
    let is_one = word == slapos_node::worker::NURSERY && words.next().is_none();
    number.to_str()?.parse().ok().filter(|_| is_one)
}

/// Makes workers for the node that started this process; in each of them, does its work.
pub(crate) fn divide(fd: i32) -> Result<u8, NodeError> {
    match nursery::serve(fd) {
        Ok(Fate::Born) => work(),
        Ok(Fate::Over) => Ok(0),
        Err(error) => Err(NodeError::user(format!("there are no workers to be had: {error}"))),
    }
}

/// Runs `act` with the node that `config` describes, watched as `global` says.
fn with_node<T>(
    global: &Global,
    config: &NodeConfig,
    act: impl FnOnce(&Node<'_>) -> Result<T, NodeError>,
) -> Result<T, NodeError> {
    let watch = Watch::new(global);
    act(&Node { config, reporter: &watch, clock: &SystemClock })
}
