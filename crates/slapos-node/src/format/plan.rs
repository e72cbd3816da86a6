//! What `format` will do and why: a pure function of the configuration, of what the computer is to
//! be and of the observation.

mod network;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::documents;
use super::observe::{FoundUser, Observed};
use super::view::NetworkView;
use super::wanted::Wanted;
use crate::config::NodeConfig;
use crate::error::NodeError;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatStep {
    /// Create a system user with a group of its own name.
    CreateUser {
        /// Its name.
        name: String,
        /// Its home directory, which is not created with it.
        home: PathBuf,
        /// Another group it is put in.
        member_of: Option<String>,
        /// Whether a group of its name is there already.
        has_group: bool,
    },
    /// Give a user what its partition needs.
    ChangeUser {
        /// Its name.
        name: String,
        /// Its home directory.
        home: PathBuf,
        /// Another group it is put in.
        member_of: Option<String>,
        /// Why: what is not as it should be.
        why: String,
    },
    /// Let nobody log in with the user's password.
    LockPassword {
        /// The user.
        name: String,
    },
    /// Create a directory.
    CreateDirectory {
        /// Where.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Owner; `None` for the user that runs `format`.
        owner: Option<String>,
    },
    /// Give a directory to its owner.
    ChangeOwner {
        /// Which.
        path: PathBuf,
        /// To whom.
        owner: String,
        /// Its permission bits.
        mode: u32,
        /// User id found.
        found: u32,
    },
    /// Set a directory's permission bits.
    ChangeMode {
        /// Which.
        path: PathBuf,
        /// To what.
        mode: u32,
        /// What was found.
        found: u32,
    },
    /// Change the network.
    Network(NetworkStep),
    /// Write what a partition has into its directory, with the rights of its user.
    WriteResource {
        /// The partition's directory.
        directory: PathBuf,
        /// What to write.
        text: String,
        /// Whether there is such a file.
        found: bool,
    },
    /// Write a file of the node's own.
    WriteFile {
        /// Where.
        path: PathBuf,
        /// What.
        text: String,
        /// Whether there is such a file.
        found: bool,
        /// Whether what was there is kept in the history beside it.
        keep_history: bool,
    },
}

/// One change of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkStep {
    /// Make a tap or tun interface, and set it up.
    CreateInterface {
        /// Its name.
        name: String,
        /// `tap` or `tun`.
        mode: &'static str,
        /// Who may open it.
        owner: String,
    },
    /// Set an interface up.
    SetUp {
        /// Its name.
        name: String,
    },
    /// Put an address on an interface.
    AddAddress {
        /// The interface.
        interface: String,
        /// The address.
        addr: IpAddr,
        /// The length of its network.
        len: u8,
        /// Whether its network is routed by routes of ours alone.
        routed_apart: bool,
        /// The partition that has not got it.
        of: String,
    },
    /// Remove a route that leads another way.
    RemoveRoute {
        /// The first address of its destination.
        destination: IpAddr,
        /// The length of its destination.
        len: u8,
        /// The interface it leads to.
        interface: String,
    },
    /// Add a route.
    AddRoute {
        /// The first address of its destination.
        destination: IpAddr,
        /// The length of its destination.
        len: u8,
        /// The interface it leads to.
        interface: String,
        /// Through which machine.
        via: Option<IpAddr>,
        /// Whether its destination is this machine itself.
        local: bool,
        /// The partition it is for.
        of: String,
    },
    /// Let programs listen on addresses that are on no interface.
    AllowNonlocalBind,
}

impl fmt::Display for FormatStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateUser { name, .. } => write!(f, "create user {name}: there is none"),
            Self::ChangeUser { name, why, .. } => write!(f, "change user {name}: {why}"),
            Self::LockPassword { name } => {
                write!(f, "lock the password of user {name}: one can log in with it")
            }
            Self::CreateDirectory { path, mode, owner } => {
                write!(f, "create directory {} (mode {mode:04o}", path.display())?;
                if let Some(owner) = owner {
                    write!(f, ", owner {owner}")?;
                }
                write!(f, "): it is missing")
            }
            Self::ChangeOwner { path, owner, found, .. } => {
                write!(f, "give {} to {owner}: it belongs to uid {found}", path.display())
            }
            Self::ChangeMode { path, mode, found } => {
                write!(f, "set mode {mode:04o} on {}: it is {found:04o}", path.display())
            }
            Self::Network(step) => write!(f, "{step}"),
            Self::WriteResource { directory, found, .. } => {
                let path = directory.join(documents::RESOURCE_FILE);
                write!(f, "write {}: {}", path.display(), why_written(*found))
            }
            Self::WriteFile { path, found, .. } => {
                write!(f, "write {}: {}", path.display(), why_written(*found))
            }
        }
    }
}

fn why_written(found: bool) -> &'static str {
    if found { "it says something else" } else { "it is missing" }
}

impl fmt::Display for NetworkStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateInterface { name, mode, owner } => {
                write!(f, "create {mode} interface {name} for user {owner}: there is none")
            }
            Self::SetUp { name } => write!(f, "set interface {name} up: it is down"),
            Self::AddAddress { interface, addr, len, of, .. } => {
                write!(
                    f,
                    "add address {addr}/{len} to {interface}: {of} has it, and it is not there"
                )
            }
            Self::RemoveRoute { destination, len, interface } => {
                write!(
                    f,
                    "remove route to {destination}/{len} by {interface}: it leads another way"
                )
            }
            Self::AddRoute { destination, len, interface, via, local, of } => {
                let local = if *local { "local " } else { "" };
                write!(f, "add {local}route to {destination}/{len} by {interface}")?;
                if let Some(via) = via {
                    write!(f, " through {via}")?;
                }
                write!(f, ": {of} has it, and it is not there")
            }
            Self::AllowNonlocalBind => write!(
                f,
                "set net.ipv6.ip_nonlocal_bind: partitions listen on any address of their ranges"
            ),
        }
    }
}

/// The steps, in order. Printable; empty when the machine is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatPlan {
    /// The steps.
    pub steps: Vec<FormatStep>,
    /// What an operator should know, and no step changes.
    pub warnings: Vec<String>,
}

impl fmt::Display for FormatPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return writeln!(f, "nothing to do: users, directories and addresses are in place");
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// A directory of the format.
pub(super) struct WantedDirectory {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    /// Owner when users are ours to create.
    pub(super) owner: Option<String>,
    /// Whether users of the node must be able to reach it.
    pub(super) shared: bool,
}

/// Every directory that `format` cares about, parents first.
pub(super) fn wanted_directories(config: &NodeConfig, wanted: &Wanted) -> Vec<WantedDirectory> {
    let builder = &wanted.description.machine.software_user;
    let open = |path: &Path, owner: Option<&String>| WantedDirectory {
        path: path.to_owned(),
        mode: 0o755,
        owner: owner.cloned(),
        shared: true,
    };
    let mut all = vec![
        open(&config.software_root, Some(builder)),
        open(&config.download_cache, Some(builder)),
        open(&config.instance_root, None),
    ];
    all.extend(config.shared_part_list.iter().map(|path| open(path, Some(builder))));
    for partition in &wanted.description.partitions {
        for path in [&partition.path].into_iter().chain(&partition.external_storage) {
            let owner = Some(partition.user.name.clone());
            all.push(WantedDirectory { path: path.into(), mode: 0o750, owner, shared: true });
        }
    }
    if let Some(path) = &config.format.certificate_repository_path {
        all.push(WantedDirectory { path: path.clone(), mode: 0o700, owner: None, shared: false });
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
    check_powers(config, observed)?;
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
    let WantedDirectory { path, mode, owner, .. } = wanted;
    let owner = owner.filter(|_| config.format.alter_user);
    let Some(found) = observed.directories.get(&path) else {
        steps.push(FormatStep::CreateDirectory { path, mode, owner });
        return;
    };
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
