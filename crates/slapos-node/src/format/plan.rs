//! What `format` will do and why: a pure function of the configuration, of what the computer is to
//! be and of the observation.

mod network;
mod step;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::documents;
use super::observe::{FoundUser, Observed};
use super::view::NetworkView;
use super::wanted::Wanted;
use crate::certificate;
use crate::config::NodeConfig;
use crate::error::NodeError;

pub use step::{FormatPlan, FormatStep, NetworkStep};

/// A directory of the format.
pub(super) struct WantedDirectory {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    /// Owner when users are ours to create.
    pub(super) owner: Option<String>,
    /// Whether users of the node must be able to reach it.
    pub(super) shared: bool,
    /// Whether it is left as it is when it is there already.
    pub(super) kept: bool,
}

/// Every directory that `format` cares about, parents first.
pub(super) fn wanted_directories(config: &NodeConfig, wanted: &Wanted) -> Vec<WantedDirectory> {
    let builder = &wanted.description.machine.software_user;
    let open = |path: &Path, owner: Option<&String>| WantedDirectory {
        path: path.to_owned(),
        mode: 0o755,
        owner: owner.cloned(),
        shared: true,
        kept: false,
    };
    let mut all = vec![
        open(&config.software_root, Some(builder)),
        open(&config.download_cache, Some(builder)),
        open(&config.instance_root, None),
    ];
    // One that is there may be another's, who lets this node use its parts and not add any.
    let parts = config.shared_part_list.iter().map(|path| open(path, Some(builder)));
    all.extend(parts.map(|directory| WantedDirectory { kept: true, ..directory }));
    for partition in &wanted.description.partitions {
        for path in [&partition.path].into_iter().chain(&partition.external_storage) {
            let owner = Some(partition.user.name.clone());
            let path = path.into();
            all.push(WantedDirectory { path, mode: 0o750, owner, shared: true, kept: false });
        }
    }
    if let Some(path) = &config.grid.certificate_repository_path {
        let mode = certificate::DIRECTORY_MODE;
        let path = path.clone();
        all.push(WantedDirectory { path, mode, owner: None, shared: false, kept: false });
    }
    all
}

/// Decides what is to be done.
///
/// # Errors
/// When it could not work: users or addresses wanted without being root, root without users
/// (nothing may compile or run as root), or a directory on the way that is closed to the users.
pub fn plan(
    config: &NodeConfig,
    wanted: &Wanted,
    network: &NetworkView,
    observed: &Observed,
) -> Result<FormatPlan, NodeError> {
    check_powers(config, observed).map_err(NodeError::lasting)?;
    let mut plan = FormatPlan { steps: Vec::new(), warnings: wanted.warnings.clone() };
    if config.format.alter_user {
        plan_users(config, wanted, observed, &mut plan.steps);
    }
    for directory in wanted_directories(config, wanted) {
        plan_directory(config, observed, directory, &mut plan.steps);
    }
    network::plan(config, wanted, network, observed, &mut plan);
    plan_documents(config, wanted, observed, &mut plan.steps)?;
    Ok(plan)
}

fn check_powers(config: &NodeConfig, observed: &Observed) -> Result<(), NodeError> {
    if config.format.alter_user && !observed.root {
        return Err(NodeError::user("`alter_user = true` needs root, to create users and give them their directories")
            .hint("run as root, or set `alter_user = false` in [slapformat]: all partitions then run as you"));
    }
    if config.format.network.is_altered() && !observed.root {
        return Err(NodeError::user("adding addresses to an interface needs root")
            .hint("run as root, or set `alter_network = false` in [slapformat]: partitions then have the addresses that they are known to have"));
    }
    if observed.root && !config.format.alter_user {
        let owned_by_root =
            |path: &PathBuf| observed.directories.get(path).is_none_or(|d| d.uid == 0);
        if owned_by_root(&config.software_root) {
            return Err(NodeError::user(format!(
                "{} would belong to root, and nothing compiles or runs as root",
                config.software_root.display()
            ))
            .hint("set `alter_user = true` in [slapformat], or give software_root and the partitions to an ordinary user"));
        }
    }
    if let (true, Some(closed)) = (config.format.alter_user, observed.closed.first()) {
        return Err(NodeError::user(format!(
            "the users of this node cannot pass {} (other users have no `x` on it)",
            closed.display()
        ))
        .hint(format!(
            "`chmod o+x {}`, or choose another place (`--root DIR`)",
            closed.display()
        )));
    }
    Ok(())
}

/// The builder first: its group is one of the others'.
fn plan_users(
    config: &NodeConfig,
    wanted: &Wanted,
    observed: &Observed,
    steps: &mut Vec<FormatStep>,
) {
    let builder = &wanted.description.machine.software_user;
    plan_user(observed, builder, &config.software_root, None, steps);
    let mut seen = std::collections::BTreeSet::from([builder.as_str()]);
    for partition in &wanted.description.partitions {
        let user = &partition.user;
        // A definition file may name one user for several partitions; it has one home.
        if seen.insert(&user.name) {
            plan_user(observed, &user.name, user.path.as_ref(), Some(builder), steps);
        }
    }
}

fn plan_user(
    observed: &Observed,
    name: &str,
    home: &Path,
    member_of: Option<&String>,
    steps: &mut Vec<FormatStep>,
) {
    let (name, home, member_of) = (name.to_owned(), home.to_owned(), member_of.cloned());
    let Some(found) = observed.users.get(&name) else {
        let has_group = observed.groups.contains_key(&name);
        steps.push(FormatStep::CreateUser { name, home, member_of, has_group });
        return;
    };
    if let Some(why) = why_changed(observed, &name, found, &home, member_of.as_deref()) {
        let name = name.clone();
        steps.push(FormatStep::ChangeUser { name, home, member_of, why });
    }
    if !found.locked {
        steps.push(FormatStep::LockPassword { name });
    }
}

fn why_changed(
    observed: &Observed,
    name: &str,
    found: &FoundUser,
    home: &Path,
    member_of: Option<&str>,
) -> Option<String> {
    if found.home != home {
        return Some(format!("its home is {}, not {}", found.home.display(), home.display()));
    }
    if observed.groups.get(name) != Some(&found.gid) {
        return Some("its group is not the one of its name".to_owned());
    }
    if found.shell != Path::new("/bin/sh") {
        return Some(format!("its shell is {}, not /bin/sh", found.shell.display()));
    }
    let missing = member_of
        .filter(|group| observed.groups.get(*group).is_none_or(|gid| !found.groups.contains(gid)));
    missing.map(|group| format!("it is not in group {group}"))
}

fn plan_directory(
    config: &NodeConfig,
    observed: &Observed,
    wanted: WantedDirectory,
    steps: &mut Vec<FormatStep>,
) {
    let WantedDirectory { path, mode, owner, kept, .. } = wanted;
    let owner = owner.filter(|_| config.format.alter_user);
    let Some(found) = observed.directories.get(&path) else {
        steps.push(FormatStep::CreateDirectory { path, mode, owner });
        return;
    };
    if kept {
        return;
    }
    if let Some(owner) = owner {
        // A user that does not exist yet cannot own anything yet.
        if observed.users.get(&owner).map(|user| user.uid) != Some(found.uid) {
            steps.push(FormatStep::ChangeOwner {
                path: path.clone(),
                owner,
                mode,
                found: found.uid,
            });
        }
    }
    if found.mode != mode {
        steps.push(FormatStep::ChangeMode { path, mode, found: found.mode });
    }
}

/// The record comes last: what it says is then true.
fn plan_documents(
    config: &NodeConfig,
    wanted: &Wanted,
    observed: &Observed,
    steps: &mut Vec<FormatStep>,
) -> Result<(), NodeError> {
    for partition in &wanted.description.partitions {
        let directory = PathBuf::from(&partition.path);
        let text = documents::resource(partition);
        let found = observed.texts.get(&directory.join(documents::RESOURCE_FILE));
        if found != Some(&text) {
            let found = found.is_some();
            steps.push(FormatStep::WriteResource { directory, text, found });
        }
    }
    for document in documents::of_node(config, &wanted.description)? {
        let found = observed.texts.get(&document.path);
        if found != Some(&document.text) {
            steps.push(FormatStep::WriteFile {
                path: document.path,
                text: document.text,
                found: found.is_some(),
                keep_history: document.keep_history,
            });
        }
    }
    Ok(())
}
