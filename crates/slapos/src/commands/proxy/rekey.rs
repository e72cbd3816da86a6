//! `slapos proxy ca rekey`: after the operator's token was changed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use slapos_master::rekey;
use slapos_node::{NodeError, OperatorConfig, read_secret, read_token};
use slapos_sys::Secret;

use super::{as_user, database, not_as, prepared, runtime};
use crate::cli::Global;
use crate::output::{say, say_json};

/// The file name that means standard input.
const STANDARD: &str = "-";

/// The longest token, in bytes.
const LONGEST: u64 = 4096;

/// As the Master's user, who gets root's file as standard input.
pub(super) fn run(
    global: &Global,
    config: &OperatorConfig,
    former: &Path,
) -> Result<u8, NodeError> {
    let proxy = config.embedded()?;
    if let Some(user) = prepared(global, config)? {
        let words = ["ca", "rekey", "--former-token-file", STANDARD];
        let mut command = as_user(global, config, &user, &words);
        if former != Path::new(STANDARD) {
            command.stdin(File::open(former).map_err(|error| unreadable(former, &error))?);
        }
        return Err(not_as(&user, &command.exec()));
    }
    let token = config.token_file().map(read_token).transpose()?;
    let Some(present) = token else {
        return Err(NodeError::user("the Master has no token that could open its authority"));
    };
    let former = read(former)?;
    let database = database::of(proxy)?;
    let done = rekey(&database, config.home(), &former, &present);
    let done = runtime()?.block_on(done).map_err(|error| NodeError::user(error.to_string()))?;
    match (global.json, done) {
        (true, _) => say_json(&serde_json::json!({ "changed": done })),
        (false, true) => say("The present token opens the Master's authority."),
        (false, false) => say("Nothing is to be changed."),
    }
    Ok(0)
}

fn read(file: &Path) -> Result<Secret, NodeError> {
    if file != Path::new(STANDARD) {
        return read_secret("read the former token in", file);
    }
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| unreadable(file, &error))?;
    Ok(Secret::new(text.trim()))
}

fn unreadable(file: &Path, error: &std::io::Error) -> NodeError {
    NodeError::user(format!("the former token in {} cannot be read: {error}", file.display()))
}
