//! Carries a format plan out. Each step can be repeated; what a killed run left undone is simply
//! in the next plan.

use std::path::Path;
use std::time::Duration;

use slapos_sys::process::Command;
use slapos_sys::user::Identity;
use slapos_sys::{fs, user};

use super::plan::{FormatPlan, FormatStep};
use crate::error::{IoContext, NodeError};

/// How often, and how long apart, a password file that somebody holds is tried.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

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
            FormatStep::ChangeOwner { path, owner, mode, .. } => own(path, Some(owner), *mode)?,
            FormatStep::ChangeMode { path, mode, .. } => own(path, None, *mode)?,
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
    own(path, owner, mode)
}

fn own(path: &Path, owner: Option<&str>, mode: u32) -> Result<(), NodeError> {
    let owner = owner.map(|name| find_user(name, path)).transpose()?;
    fs::own_directory(path, owner.as_ref(), mode).context("set owner and mode of", path)
}

fn find_user(name: &str, path: &Path) -> Result<Identity, NodeError> {
    let found = user::by_name(name).context("look up the new owner of", path)?;
    found.ok_or_else(|| NodeError::user(format!("there is no user {name}")))
}

/// Creates the system user `name` with a group of its own name.
pub(crate) fn create_user(
    name: &str,
    home: &Path,
    member_of: Option<&str>,
) -> Result<(), NodeError> {
    let mut command = Command::new("useradd");
    command.args(["--system", "--user-group", "--no-create-home", "--shell", "/bin/sh"]);
    command.arg("--home-dir").arg(home);
    if let Some(group) = member_of {
        command.args(["--groups", group]);
    }
    // useradd is in sbin, which the PATH of an ordinary shell may lack.
    command.arg(name).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let missing = |error: std::io::Error| {
        NodeError::user(format!("cannot run useradd to create the user {name}: {error}"))
            .hint("install it (Debian: package passwd), or create the users yourself")
    };
    let mut output = command.output().map_err(missing)?;
    for _ in 0..LOCK_TRIES {
        // Somebody else may have been quicker, or hold the password file.
        if output.status.success() || user::by_name(name).is_ok_and(|found| found.is_some()) {
            return Ok(());
        }
        if !String::from_utf8_lossy(&output.stderr).contains("lock") {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        output = command.output().map_err(missing)?;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(NodeError::user(format!("useradd could not create the user {name}: {}", said.trim())))
}
