//! `slapos console`: a Python in which the words of the original's console mean something.
//!
//! It asks this program for everything, so that neither slapos.core nor a token is needed there.

use slapos_node::NodeError;
use slapos_sys::process::Command;

use crate::cli::{Console, Global};
use crate::place;

/// What the Python runs: makes the words, then runs the script or talks to the user.
const PROGRAM: &str = include_str!("console.py");

/// Runs it in place of this process; returns only when that failed.
pub(crate) fn run(global: &Global, console: &Console) -> Result<u8, NodeError> {
    if let Some((option, what)) = console.refused() {
        let message = format!("`slapos console` cannot honour {option}");
        return Err(NodeError::user(message).hint(what));
    }
    let program = slapos_sys::process::executable()
        .map_err(|error| NodeError::user(format!("cannot find this program: {error}")))?;
    let mut asked = vec![program.into_os_string()];
    if place::names_a_node(global) {
        asked.push("--cfg".into());
        asked.push(place::absolute(&place::config_file(global))?.into());
    }
    let mut command = Command::new(&console.python);
    command.arg("-c").arg(PROGRAM).arg(asked.len().to_string()).args(&asked);
    command.args(&console.script);
    // It is the user's own Python, and script.
    command.envs(std::env::vars_os());
    let error = command.exec();
    Err(NodeError::user(format!("cannot run {}: {error}", console.python.display()))
        .hint("name a Python 3 with --python"))
}
