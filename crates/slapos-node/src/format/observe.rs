//! What of the format is already there.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use slapos_sys::{fs, user};

use super::documents;
use super::plan::wanted_directories;
use super::wanted::Wanted;
use crate::config::NodeConfig;
use crate::error::{IoContext, NodeError};

/// The longest document that is compared, bytes.
const LONGEST: u64 = 256 << 20;
/// The longest that a partition's own can be, bytes: the rest is not ours.
const LONGEST_RESOURCE: u64 = 1 << 20;
/// Where locked passwords are seen.
const SHADOW: &str = "/etc/shadow";

/// A directory as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Owner.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// A user as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All group ids.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
    /// Whether nobody can log in with its password.
    pub locked: bool,
}

/// The part of the machine that `format` cares about.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether this process is root.
    pub root: bool,
    /// The users of the format that exist.
    pub users: BTreeMap<String, FoundUser>,
    /// The groups of these names that exist, with their ids.
    pub groups: BTreeMap<String, u32>,
    /// The directories of the format that exist.
    pub directories: BTreeMap<PathBuf, Directory>,
    /// Directories above ours that other users cannot pass.
    pub closed: Vec<PathBuf>,
    /// The documents of the format that exist.
    pub texts: BTreeMap<PathBuf, String>,
}

/// Looks at the machine.
///
/// # Errors
/// When a wanted directory is something else, or the user database cannot be read.
pub fn observe(config: &NodeConfig, wanted: &Wanted) -> Result<Observed, NodeError> {
    let mut observed = Observed { root: user::is_root(), ..Observed::default() };
    observe_users(config, wanted, &mut observed)?;
    let directories = wanted_directories(config, wanted);
    for directory in &directories {
        if let Some(found) = look(&directory.path)? {
            observed.directories.insert(directory.path.clone(), found);
        }
        if directory.shared {
            note_closed(&directory.path, &mut observed.closed);
        }
    }
    // Those of ours that are closed, as a killed run leaves them, are opened by the plan.
    observed.closed.retain(|closed| !directories.iter().any(|ours| ours.path == *closed));
    observe_texts(config, wanted, &mut observed)?;
    Ok(observed)
}

fn observe_users(
    config: &NodeConfig,
    wanted: &Wanted,
    observed: &mut Observed,
) -> Result<(), NodeError> {
    let unlocked = unlocked_users();
    let partitions = wanted.description.partitions.iter().map(|partition| &partition.user.name);
    for name in partitions.chain([&wanted.description.machine.software_user]) {
        let look_up = "look up the users of";
        if let Some(gid) = user::group_id(name).context(look_up, &config.file)? {
            observed.groups.insert(name.clone(), gid);
        }
        let Some(found) = user::by_name(name).context(look_up, &config.file)? else { continue };
        let shell = user::shell_of(name).context(look_up, &config.file)?.unwrap_or_default();
        let locked = !unlocked.contains(name);
        let user::Identity { uid, gid, groups, home, .. } = found;
        let found = FoundUser { uid, gid, groups, home, shell, locked };
        observed.users.insert(name.clone(), found);
    }
    Ok(())
}

/// The users with a password; nobody but root can see it, and nobody else changes it.
fn unlocked_users() -> Vec<String> {
    let text = fs::read_to_string_limited(Path::new(SHADOW), LONGEST).unwrap_or_default();
    let open = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let usable = !rest.starts_with(['!', '*']);
        usable.then(|| name.to_owned())
    });
    open.collect()
}

fn look(path: &Path) -> Result<Option<Directory>, NodeError> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let mode = meta.permissions().mode() & 0o7777;
            Ok(Some(Directory { uid: meta.uid(), mode }))
        }
        Ok(_) => Err(NodeError::user(format!("{} exists and is no directory", path.display()))
            .hint("move it away, or choose another place in slapos.cfg")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("examine", path),
    }
}

/// Users other than the owner must be able to pass every directory that leads to theirs.
fn note_closed(path: &Path, closed: &mut Vec<PathBuf>) {
    for above in path.ancestors().skip(1) {
        let passable = std::fs::metadata(above).map_or(true, |meta| meta.mode() & 0o001 != 0);
        if !passable && !closed.iter().any(|known| known == above) {
            closed.push(above.to_owned());
        }
    }
}

fn observe_texts(
    config: &NodeConfig,
    wanted: &Wanted,
    observed: &mut Observed,
) -> Result<(), NodeError> {
    for document in documents::of_node(config, &wanted.description)? {
        if let Ok(text) = fs::read_to_string_limited(&document.path, LONGEST) {
            observed.texts.insert(document.path, text);
        }
    }
    for partition in &wanted.description.partitions {
        let directory = Path::new(&partition.path);
        if !observed.directories.contains_key(directory) {
            continue;
        }
        let path = directory.join(documents::RESOURCE_FILE);
        // What its user may not read, or what is no file, is written anew.
        let owner = user::owner_of(directory).context("examine", directory)?;
        let read = user::as_files_of(&owner, || fs::read_untrusted(&path, LONGEST_RESOURCE));
        if let Ok(Ok(text)) = read {
            observed.texts.insert(path, text);
        }
    }
    Ok(())
}
