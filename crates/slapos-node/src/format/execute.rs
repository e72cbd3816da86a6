//! Carries a format plan out. Each step can be repeated; what a killed run left undone is simply
//! in the next plan.

use std::path::Path;

use slapos_sys::process::Command;
use slapos_sys::{fs, user};

use super::plan::{FormatPlan, FormatStep};
use crate::error::{IoContext, NodeError};

/// Carries out `plan`, calling `done` after each step.
///
/// # Errors
/// The first step that fails; the rest is not tried.
pub fn execute(plan: &FormatPlan, mut done: impl FnMut(&FormatStep)) -> Result<(), NodeError> {
    for step in &plan.steps {
        match step {
            FormatStep::CreateUser { name, home, member_of } => {
                create_user(name, home, member_of.as_deref())?;
            }
            FormatStep::CreateDirectory { path, mode, owner } => {
                create_directory(path, *mode, owner.as_deref())?;
            }
            FormatStep::ChangeOwner { path, owner, .. } => give(path, owner)?,
            FormatStep::ChangeMode { path, mode, .. } => {
                fs::set_mode(path, *mode).context("set the mode of", path)?;
            }
        }
        done(step);
    }
    Ok(())
}

/// Closed until it has its owner, so that nobody else can put something there in between.
fn create_directory(path: &Path, mode: u32, owner: Option<&str>) -> Result<(), NodeError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent, 0o755).context("create", parent)?;
    }
    fs::create_dir_all(path, 0o700).context("create", path)?;
    if let Some(owner) = owner {
        give(path, owner)?;
    }
    fs::set_mode(path, mode).context("set the mode of", path)
}

fn give(path: &Path, owner: &str) -> Result<(), NodeError> {
    let found = user::by_name(owner).context("look up the new owner of", path)?;
    let identity = found.ok_or_else(|| NodeError::user(format!("there is no user {owner}")))?;
    user::chown(path, &identity).context("change the owner of", path)
}

fn create_user(name: &str, home: &Path, member_of: Option<&str>) -> Result<(), NodeError> {
    let mut command = Command::new("useradd");
    command.args(["--system", "--user-group", "--no-create-home", "--shell", "/bin/sh"]);
    command.arg("--home-dir").arg(home);
    if let Some(group) = member_of {
        command.args(["--groups", group]);
    }
    // useradd is in sbin, which the PATH of an ordinary shell may lack.
    command.arg(name).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().map_err(|error| {
        NodeError::user(format!("cannot run useradd to create the user {name}: {error}"))
            .hint("install it (Debian: package passwd), or create the users yourself")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(NodeError::user(format!("useradd could not create the user {name}: {}", said.trim())))
}
