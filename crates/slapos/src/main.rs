//! `slapos`: the command line of the SlapOS Node and its Master. Arguments, output and exit codes
//! are here; what the commands do is in the crates below.

mod cli;
mod commands;
mod output;
mod place;

use std::process::ExitCode;

use clap::Parser as _;
use slapos_node::NodeError;

fn main() -> ExitCode {
    // Each partition has one: reading the words of people is a tenth of what it would cost to begin.
    if std::env::args_os().skip(1).eq(["worker"]) {
        output::init_log(0, false);
        return end(commands::work(), false);
    }
    // Where many are wanted at a time, they come from one that has begun.
    if let Some(fd) = commands::nursery() {
        output::init_log(0, false);
        return end(commands::divide(fd), false);
    }
    // So has each judgement of the Master by a schema.
    if std::env::args_os().skip(1).eq(["judge"]) {
        return match slapos_master::judge() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let cli = cli::Cli::parse_from(cli::words(std::env::args_os()));
    let log = cli.global.open_log();
    output::init_log(cli.global.verbosity(), cli.global.quiet);
    end(log.and_then(|()| commands::run(&cli)), cli.global.json)
}

fn end(result: Result<u8, NodeError>, json: bool) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::print_error(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
}
