//! What people and programs see. Results go to standard output, everything else to standard error.

mod log_file;
mod reporter;
mod table;

use std::io::{IsTerminal, Write};

use slapos_node::NodeError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;

pub(crate) use log_file::{descriptor as log_descriptor, open as open_log_file, take as take_log};
pub(crate) use reporter::Watch;
pub(crate) use table::Table;

/// Sends the log of this process to standard error, and to the file that is open for what is said there,
/// which has no colours.
pub(crate) fn init_log(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "warn,slapos_master=info",
        (_, 1) => "info",
        _ => "debug,hyper=info,sqlx=info",
    };
    let filter = EnvFilter::try_from_env("SLAPOS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr.and(|| log_file::Kept))
        .with_ansi(colour(&std::io::stderr()) && log_file::descriptor().is_none())
        .with_target(false)
        .init();
}

/// Whether to colour what goes to `stream`.
pub(crate) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints `text` as a line of the command's result. A reader that has gone is no error.
pub(crate) fn say(text: &str) {
    written(writeln!(std::io::stdout(), "{text}"));
}

/// Ends the program where its result cannot be written: half of it must not pass for all. A reader
/// that has gone is no error.
pub(crate) fn written(result: std::io::Result<()>) {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "error: cannot write the result: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Prints `value` as the command's result.
pub(crate) fn say_json(value: &serde_json::Value) {
    say(&format!("{value:#}"));
}

/// Says what went wrong: for people on standard error, with `json` also on standard output.
pub(crate) fn print_error(error: &NodeError, json: bool) {
    if json {
        say_json(&serde_json::json!({ "error": {
            "message": error.to_string(),
            "detail": error.detail_text(),
            "hint": error.hint_text(),
            "exit-code": error.exit_code(),
        }}));
    }
    let _ = write!(std::io::stderr(), "{}", describe(error, colour(&std::io::stderr())));
    log_file::line("CRITICAL", "slapos", body(error, false).trim_end());
}

/// An error as people see it.
pub(crate) fn describe(error: &NodeError, colour: bool) -> String {
    let (red, off) = if colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    format!("{red}error{off}: {}", body(error, colour))
}

/// `text` without what a terminal would obey: it may come from builds and instances.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !slapos_slap::steers(*c) || matches!(c, '\n' | '\t')).collect()
}

/// The same without the word at its start.
fn body(error: &NodeError, colour: bool) -> String {
    let (cyan, off) = if colour { ("\x1b[36m", "\x1b[0m") } else { ("", "") };
    let mut text = format!("{}\n", plain(&error.to_string()));
    if let Some(detail) = error.detail_text() {
        for line in detail.lines() {
            text.push_str(&format!("  {}\n", plain(line)));
        }
    }
    if let Some(hint) = error.hint_text() {
        text.push_str(&format!("{cyan}help{off}: {hint}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_do() {
        let error = NodeError::user("part `a` failed").detail("line 1\nline 2").hint("mend it");
        insta::assert_snapshot!(describe(&error, false), @r"
        error: part `a` failed
          line 1
          line 2
        help: mend it
        ");
    }
}
