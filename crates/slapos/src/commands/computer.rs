//! `slapos computer ...`: the computers of a Master.

use serde_json::json;
use slapos_node::NodeError;
use slapos_slap::ComputerId;

use crate::cli::{Computer, Global};
use crate::output::{plain, say, say_json};
use crate::place;

pub(crate) fn run(global: &Global, command: &Computer) -> Result<u8, NodeError> {
    let master = place::client_config(global)?.master()?;
    match command {
        Computer::List => {
            let computers = master.computer_list()?;
            if global.json {
                say_json(&json!(computers));
            } else if computers.is_empty() {
                say("No existing computer.");
            } else {
                say("List of Computers:");
                let line = |computer: &slapos_slap::ComputerSummary| {
                    say(&plain(&format!("{} {}", computer.reference, computer.title)));
                };
                computers.iter().for_each(line);
            }
        }
        Computer::Info { reference } => {
            let known = master.computer_summary(&ComputerId::new(reference.as_str()))?;
            let computer = known.ok_or_else(|| {
                NodeError::user(format!("Computer {reference} does not exist."))
                    .hint("`slapos computer list` lists those that there are")
                    .code(2)
            })?;
            if global.json {
                say_json(&json!(computer));
            } else {
                say(&plain(&format!("Computer Reference: {}", computer.reference)));
                say(&plain(&format!("Computer Title    : {}", computer.title)));
            }
        }
        Computer::Token => {
            let token = master.computer_token()?;
            match global.json {
                true => say_json(&json!({ "token": token })),
                false => say(&format!("Computer token: {token}")),
            }
        }
    }
    Ok(0)
}
