//! `slapos`: the command line of the SlapOS Node and its Master. Arguments, output and exit codes
//! are here; what the commands do is in the crates below.

mod cli;
mod commands;
mod output;
mod place;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse_from(cli::words(std::env::args_os()));
    output::init_log(cli.global.verbose, cli.global.quiet);
    let log = cli.global.log_file.as_deref().map_or(Ok(()), output::open_log_file);
    match log.and_then(|()| commands::run(&cli)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::print_error(&error, cli.global.json);
            ExitCode::from(error.exit_code())
        }
    }
}
