//! `slapos buildout`: what a run says, and what it comes to.

use std::io::Write;
use std::time::Duration;

use slapos_buildout::{Command, Done, Error, Invocation, Level, Session, Surroundings};
use slapos_engine::{BuildError, Cancellation, Event, PartFailure};
use slapos_node::NodeError;
use slapos_node::error::exit;
use slapos_profile::inspect::Stage;
use slapos_sys::process::{TERMINATION, on_signals};

use super::profile;
use crate::cli::Global;
use crate::output::{plain, say};

/// How long the ending of what runs may take, once this process was asked to end.
const LAST_DEEDS: Duration = Duration::from_secs(8);

pub(crate) fn run(global: &Global, words: &[String]) -> Result<u8, NodeError> {
    let invocation = slapos_buildout::parse(words).map_err(wrong)?;
    let verbose = 10 * i32::from(global.verbosity()) - if global.quiet { 10 } else { 0 };
    let invocation = Invocation {
        json: invocation.json || global.json,
        verbosity: invocation.verbosity.saturating_add(verbose),
        ..invocation
    };
    match &invocation.command {
        Command::Install(parts) => install(load(&invocation)?, parts),
        Command::Annotate(sections) => {
            profile::annotate(invocation.json, load(&invocation)?.profile(), sections)
        }
        Command::Query(option) => {
            profile::query(invocation.json, load(&invocation)?.profile(), option, Stage::Expanded)
        }
        Command::Bootstrap => told(slapos_buildout::bootstrap(&invocation, &around()?)),
        Command::Init => told(slapos_buildout::init(&invocation, &around()?)),
        Command::Help => told(Ok(vec![slapos_buildout::HELP.trim_end().to_owned()])),
        Command::Version => {
            told(Ok(vec![format!("buildout version {} (slapos)", env!("CARGO_PKG_VERSION"))]))
        }
    }
}

fn around() -> Result<Surroundings, NodeError> {
    Surroundings::of_process()
        .map_err(|error| NodeError::user(format!("cannot find the current directory: {error}")))
}

fn load(invocation: &Invocation) -> Result<Session, NodeError> {
    Session::load(invocation, &around()?).map_err(wrong)
}

fn told(lines: Result<Vec<String>, Error>) -> Result<u8, NodeError> {
    lines.map_err(wrong)?.iter().for_each(|line| say(line));
    Ok(0)
}

fn install(session: Session, parts: &[String]) -> Result<u8, NodeError> {
    let cancellation = Cancellation::new();
    end_when_asked(&cancellation)?;
    let threshold = session.threshold();
    let observer = move |event: &Event| {
        for (level, text) in slapos_buildout::line(event) {
            if level.is_shown(threshold) {
                tell(level, &text);
            }
        }
    };
    let done = session.install(parts, &cancellation, &observer).map_err(wrong)?;
    if let Done::Planned(plan) = done {
        say(plan.to_string().trim_end());
    }
    Ok(0)
}

/// Warnings go to standard error, where they are not lost in what a program reads.
fn tell(level: Level, text: &str) {
    match level {
        Level::Warning => {
            let _ = writeln!(std::io::stderr(), "{}", plain(text));
        }
        Level::Info | Level::Debug => say(&plain(text)),
    }
}

fn end_when_asked(cancellation: &Cancellation) -> Result<(), NodeError> {
    let cancellation = cancellation.clone();
    let watch = on_signals(&TERMINATION, move |_| {
        cancellation.cancel();
        // Something that cannot be ended must not keep this process either.
        std::thread::sleep(LAST_DEEDS);
        std::process::exit(exit::FAILED.into());
    });
    watch.map_err(|error| NodeError::user(format!("cannot watch for signals: {error}")))
}

fn wrong(error: Error) -> NodeError {
    match error {
        Error::Profile(error) | Error::Build(BuildError::Profile(error)) => profile::wrong(&error),
        Error::Build(BuildError::Part(failures)) => failed(&failures),
        other => {
            let told = NodeError::user(other.to_string());
            match other.help() {
                Some(help) => told.hint(help),
                None => told,
            }
        }
    }
}

/// Each part that failed: its message, then the place, the command and the end of the log.
fn failed(failures: &[PartFailure]) -> NodeError {
    let whole: Vec<String> = failures.iter().map(ToString::to_string).collect();
    match whole.as_slice() {
        [one] => {
            let (message, detail) = one.split_once('\n').unwrap_or((one, ""));
            NodeError::user(message).detail(detail)
        }
        _ => {
            let names: Vec<&str> = failures.iter().map(|failure| failure.part.as_str()).collect();
            NodeError::user(format!("parts {} failed", names.join(", "))).detail(whole.join("\n"))
        }
    }
}
