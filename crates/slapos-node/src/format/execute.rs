//! Carries a format plan out. Each step can be repeated; what a killed run left undone is simply
//! in the next plan.

mod network;

use std::path::Path;
use std::time::Duration;

use slapos_sys::clock::Clock;
use slapos_sys::process::Command;
use slapos_sys::user::Identity;
use slapos_sys::{fs, user};

pub(super) use network::remove_duplicates;

use super::documents::RESOURCE_FILE;
use super::history;
use super::plan::{FormatPlan, FormatStep};
use crate::error::{IoContext, NodeError};

/// How often, and how long apart, a password file that somebody holds is tried.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What is told while a plan is carried out.
pub enum Progress<'a> {
    /// The step is done.
    Done(&'a FormatStep),
    /// The step failed, and the others do not depend on it: one partition must not keep the others
    /// from being formatted.
    Failed(&'a FormatStep, NodeError),
    /// Something else that an operator should know.
    Note(String),
}

/// Carries out `plan`.
///
/// # Errors
/// The first step that fails and that others depend on; the rest is not tried.
pub fn execute(
    plan: &FormatPlan,
    clock: &dyn Clock,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<(), NodeError> {
    for step in &plan.steps {
        match run(step, clock) {
            Ok(None) => tell(Progress::Done(step)),
            Ok(Some(note)) => {
                tell(Progress::Note(note));
                tell(Progress::Done(step));
            }
            Err(error) if is_of_one_partition(step) => tell(Progress::Failed(step, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What is in a partition is its user's affair, and a user whose processes run cannot be changed.
fn is_of_one_partition(step: &FormatStep) -> bool {
    matches!(step, FormatStep::WriteResource { .. } | FormatStep::ChangeUser { .. })
}

fn run(step: &FormatStep, clock: &dyn Clock) -> Result<Option<String>, NodeError> {
    match step {
        FormatStep::CreateUser { name, home, member_of, has_group } => {
            create_user(name, home, PARTITION_SHELL, member_of.as_deref(), *has_group)?;
        }
        FormatStep::ChangeUser { name, home, member_of, .. } => {
            change_user(name, home, member_of.as_deref())?;
        }
        FormatStep::LockPassword { name } => manage("usermod", name, |usermod| {
            usermod.args(["--lock", name]);
        })?,
        FormatStep::CreateDirectory { path, mode, owner } => {
            create_directory(path, *mode, owner.as_deref())?;
        }
        FormatStep::ChangeOwner { path, owner, mode, .. } => own(path, Some(owner), *mode)?,
        FormatStep::ChangeMode { path, mode, .. } => own(path, None, *mode)?,
        FormatStep::Network(step) => network::step(step)?,
        FormatStep::WriteResource { directory, text, .. } => write_resource(directory, text)?,
        FormatStep::WriteFile { path, text, keep_history, .. } => {
            return write_file(path, text, keep_history.then_some(clock));
        }
    }
    Ok(None)
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

/// With the rights of the directory's owner: whatever it has put in the way, links or directories,
/// nothing is written that it could not write itself.
fn write_resource(directory: &Path, text: &str) -> Result<(), NodeError> {
    let owner = user::owner_of(directory).context("examine", directory)?;
    let path = directory.join(RESOURCE_FILE);
    let write = || fs::write_replace(&path, text.as_bytes(), 0o644);
    user::as_files_of(&owner, write).and_then(|written| written).context("write", &path)
}

/// Writes a file of the node's own; with a clock, what was there goes into its history first.
fn write_file(
    path: &Path,
    text: &str,
    history: Option<&dyn Clock>,
) -> Result<Option<String>, NodeError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent, 0o755).context("create", parent)?;
    }
    let mut note = None;
    if let Some(clock) = history
        && let Ok(before) = fs::read_to_string(path)
    {
        let aside = history::keep(path, &before, clock.now())?;
        note = aside.map(|aside| {
            format!("the history of {} was damaged, and is now {}", path.display(), aside.display())
        });
    }
    fs::write_atomic(path, text.as_bytes(), 0o644).context("write", path)?;
    Ok(note)
}

/// What people get who become the user of a partition.
const PARTITION_SHELL: &str = "/bin/sh";

/// Creates the system user `name` with a group of its own name, which may be there already.
pub(crate) fn create_user(
    name: &str,
    home: &Path,
    shell: &str,
    member_of: Option<&str>,
    has_group: bool,
) -> Result<(), NodeError> {
    manage("useradd", name, |useradd| {
        useradd.args(["--system", "--no-create-home", "--shell", shell]);
        match has_group {
            true => useradd.args(["--gid", name]),
            false => useradd.arg("--user-group"),
        };
        useradd.arg("--home-dir").arg(home);
        if let Some(group) = member_of {
            useradd.args(["--groups", group]);
        }
        useradd.arg(name);
    })
}

fn change_user(name: &str, home: &Path, member_of: Option<&str>) -> Result<(), NodeError> {
    if user::group_id(name).is_ok_and(|group| group.is_none()) {
        manage("groupadd", name, |groupadd| {
            groupadd.args(["--system", name]);
        })?;
    }
    manage("usermod", name, |usermod| {
        usermod.args(["--gid", name, "--shell", PARTITION_SHELL, "--home"]).arg(home);
        if let Some(group) = member_of {
            usermod.args(["--append", "--groups", group]);
        }
        usermod.arg(name);
    })
}

/// Runs one of the programs that keep the user database, again while somebody else holds it.
fn manage(program: &str, name: &str, arguments: impl Fn(&mut Command)) -> Result<(), NodeError> {
    let mut command = Command::new(program);
    arguments(&mut command);
    // They are in sbin, which the PATH of an ordinary shell may lack.
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    let missing = |error: std::io::Error| {
        NodeError::user(format!("cannot run {program} for the user {name}: {error}"))
            .hint("install it (Debian: package passwd), or create the users yourself")
    };
    let mut output = command.output().map_err(missing)?;
    for _ in 0..LOCK_TRIES {
        // Somebody else may have been quicker, or hold the password file.
        let created = || user::by_name(name).is_ok_and(|found| found.is_some());
        if output.status.success() || (program == "useradd" && created()) {
            return Ok(());
        }
        if !String::from_utf8_lossy(&output.stderr).contains("lock") {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        output = command.output().map_err(missing)?;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(NodeError::user(format!("{program} failed for the user {name}: {}", said.trim())))
}
