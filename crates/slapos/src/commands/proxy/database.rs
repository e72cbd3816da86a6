//! `slapos proxy backup|restore|migrate`: the Master's database, whether it runs or not.
//!
//! Invariant: root does nothing in the directory of the Master's database, where the Master's user can
//! write: this program is started again as that user, and gets the file of a backup, which may be in a
//! place of root's own, as its standard input or output.

use std::fs::File;
use std::future::Future;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use slapos_master::{Database, StoreError};
use slapos_node::config::ProxyConfig;
use slapos_node::{NodeError, OperatorConfig, read_secret};
use slapos_sys::clock::SystemClock;
use slapos_sys::fs::{Draft, remove_unnamed};
use slapos_sys::user::Identity;

use super::{as_user, not_as, prepared, runtime};
use crate::cli::Global;
use crate::output::{say, say_json};

/// The file name that means standard input or output.
pub(super) const STANDARD: &str = "-";

/// The database that the configuration names.
pub(super) fn of(proxy: &ProxyConfig) -> Result<Database, NodeError> {
    let what = "read the password for the Master's database in";
    let password = proxy.database_password_file.as_deref();
    let read = |path| {
        let hint = "it is read by the user that the Master runs as, who owns its directory: give it to him";
        read_secret(what, path).map_err(|error| error.hint(hint))
    };
    let password = password.map(read).transpose()?;
    let database = Database::parse(proxy.database_uri.expose(), password.as_ref());
    database.map_err(|error| failed(&error))
}

/// Writes a backup to the file.
pub(super) fn backup(
    global: &Global,
    config: &OperatorConfig,
    file: &Path,
) -> Result<u8, NodeError> {
    let proxy = config.embedded()?;
    let user = prepared(global, config)?;
    if file != Path::new(STANDARD) {
        return backup_to(global, config, file, user.as_ref());
    }
    if let Some(user) = user {
        let error = as_user(global, config, &user, &["backup", STANDARD]).exec();
        return Err(not_as(&user, &error));
    }
    copy(&of(proxy)?, &mut io::stdout().lock())?;
    Ok(0)
}

/// Writes a backup to a file that has its name when it is whole, if need be through `user`.
fn backup_to(
    global: &Global,
    config: &OperatorConfig,
    file: &Path,
    user: Option<&Identity>,
) -> Result<u8, NodeError> {
    let unwritable = |error: io::Error| {
        NodeError::user(format!("the backup {} cannot be written: {error}", file.display()))
    };
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        return Err(NodeError::user(format!("{} is no name for a backup", file.display())));
    };
    remove_unnamed(directory).map_err(unwritable)?;
    let mut draft = Draft::in_dir(directory).map_err(unwritable)?;
    if let Some(user) = user {
        let out = draft.file().try_clone().map_err(unwritable)?;
        let mut command = as_user(global, config, user, &["backup", STANDARD]);
        let status = command.stdout(out).status().map_err(|error| not_as(user, &error))?;
        if !status.success() {
            // It has said why.
            return Ok(exit_code(status));
        }
    } else {
        let mut buffered = BufWriter::new(&mut draft);
        copy(&of(config.embedded()?)?, &mut buffered)?;
        buffered.flush().map_err(unwritable)?;
    }
    draft.finish(name, 0o600).map_err(unwritable)?;
    if global.json {
        say_json(&serde_json::json!({ "backup": file }));
    } else {
        say(&format!("all that the Master remembers is in {}", file.display()));
        if let Some(token) = config.token_file() {
            say(&format!(
                "keep it together with {}, which opens the certificate authority in it",
                token.display()
            ));
        }
    }
    Ok(0)
}

fn copy(database: &Database, out: &mut dyn Write) -> Result<u64, NodeError> {
    run(slapos_master::backup(database, out))
}

/// Restores the file.
pub(super) fn restore(
    global: &Global,
    config: &OperatorConfig,
    file: &Path,
    force: bool,
) -> Result<u8, NodeError> {
    let proxy = config.embedded()?;
    let source = open(file)?;
    if let Some(user) = prepared(global, config)? {
        return restore_as(global, config, &user, source, force);
    }
    let database = of(proxy)?;
    let rows = match source {
        None => put(&database, BufReader::new(io::stdin()), force)?,
        Some(file) => put(&database, BufReader::new(file), force)?,
    };
    if global.json {
        say_json(&serde_json::json!({ "rows": rows }));
    } else {
        say(&format!("{rows} rows are restored in {database}"));
    }
    Ok(0)
}

/// The file of a backup; none for standard input.
pub(super) fn open(file: &Path) -> Result<Option<File>, NodeError> {
    if file == Path::new(STANDARD) {
        return Ok(None);
    }
    let opened = File::open(file).map_err(|error| {
        NodeError::user(format!("the backup {} cannot be read: {error}", file.display()))
    });
    opened.map(Some)
}

fn put(database: &Database, mut from: impl io::BufRead, force: bool) -> Result<u64, NodeError> {
    run(slapos_master::restore(database, &mut from, force, &SystemClock))
}

fn restore_as(
    global: &Global,
    config: &OperatorConfig,
    user: &Identity,
    source: Option<File>,
    force: bool,
) -> Result<u8, NodeError> {
    let words: &[&str] =
        if force { &["restore", STANDARD, "--force"] } else { &["restore", STANDARD] };
    let mut command = as_user(global, config, user, words);
    if let Some(source) = source {
        command.stdin(source);
    }
    Err(not_as(user, &command.exec()))
}

/// Changes the schema.
pub(super) fn migrate(
    global: &Global,
    config: &OperatorConfig,
    to: Option<i64>,
) -> Result<u8, NodeError> {
    let proxy = config.embedded()?;
    if let Some(user) = prepared(global, config)? {
        let to = to.map(|to| to.to_string());
        let words: Vec<_> = match &to {
            Some(to) => vec!["migrate", "--to", to],
            None => vec!["migrate"],
        };
        return Err(not_as(&user, &as_user(global, config, &user, &words).exec()));
    }
    let done = run(slapos_master::migrate(&of(proxy)?, to, &SystemClock))?;
    if global.json {
        let step = |step: &slapos_master::Migrated| serde_json::json!({ "number": step.number, "name": step.name, "back": step.back });
        say_json(&done.iter().map(step).collect());
        return Ok(0);
    }
    for step in &done {
        let what = if step.back { "taken back" } else { "made" };
        say(&format!("{} {}: {what}", step.number, step.name));
    }
    if done.is_empty() {
        say("nothing is to be changed");
    }
    Ok(0)
}

pub(super) fn run<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, NodeError> {
    runtime()?.block_on(work).map_err(|error| failed(&error))
}

fn failed(error: &StoreError) -> NodeError {
    NodeError::user(error.to_string())
}

fn exit_code(status: std::process::ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
