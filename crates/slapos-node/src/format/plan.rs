//! What `format` will do and why: a pure function of the configuration and the observation.

use std::fmt;
use std::path::PathBuf;

use super::observe::Observed;
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
}

impl fmt::Display for FormatStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateUser { name, .. } => write!(f, "create user {name}: there is none"),
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
        }
    }
}

/// The steps, in order. Printable; empty when the machine is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatPlan {
    /// The steps.
    pub steps: Vec<FormatStep>,
}

impl fmt::Display for FormatPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return writeln!(f, "nothing to do: users and directories are in place");
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// A directory of the format.
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    /// Owner when users are ours to create.
    owner: Option<String>,
}

/// Every directory that `format` cares about, parents first.
pub(super) fn wanted_directories(config: &NodeConfig) -> Vec<Wanted> {
    let soft = || Some(config.format.software_user.clone());
    let mut wanted = vec![
        Wanted { path: config.software_root.clone(), mode: 0o755, owner: soft() },
        Wanted { path: config.download_cache.clone(), mode: 0o755, owner: soft() },
        Wanted { path: config.instance_root.clone(), mode: 0o755, owner: None },
    ];
    for path in &config.shared_part_list {
        wanted.push(Wanted { path: path.clone(), mode: 0o755, owner: soft() });
    }
    for index in 0..config.format.partition_amount {
        let path = config.instance_root.join(config.partition_name(index));
        let owner = Some(format!("{}{index}", config.format.user_base_name));
        wanted.push(Wanted { path, mode: 0o750, owner });
    }
    wanted
}

/// Decides what is to be done.
///
/// # Errors
/// When it could not work: users wanted without being root, root without users (nothing may
/// compile or run as root), or a directory on the way that is closed to the users.
pub fn plan(config: &NodeConfig, observed: &Observed) -> Result<FormatPlan, NodeError> {
    check_powers(config, observed)?;
    let mut steps = Vec::new();
    if config.format.alter_user {
        plan_users(config, observed, &mut steps);
    }
    for wanted in wanted_directories(config) {
        plan_directory(config, observed, wanted, &mut steps);
    }
    Ok(FormatPlan { steps })
}

fn check_powers(config: &NodeConfig, observed: &Observed) -> Result<(), NodeError> {
    if config.format.alter_user && !observed.root {
        return Err(NodeError::user("`alter_user = true` needs root, to create users and give them their directories")
            .hint("run as root, or set `alter_user = false` in [slapformat]: all partitions then run as you"));
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

fn plan_users(config: &NodeConfig, observed: &Observed, steps: &mut Vec<FormatStep>) {
    let soft = &config.format.software_user;
    let mut want = |name: String, home: PathBuf, member_of: Option<String>| {
        if !observed.users.contains_key(&name) {
            steps.push(FormatStep::CreateUser { name, home, member_of });
        }
    };
    want(soft.clone(), config.software_root.clone(), None);
    for index in 0..config.format.partition_amount {
        let name = format!("{}{index}", config.format.user_base_name);
        let home = config.instance_root.join(config.partition_name(index));
        want(name, home, Some(soft.clone()));
    }
}

fn plan_directory(
    config: &NodeConfig,
    observed: &Observed,
    wanted: Wanted,
    steps: &mut Vec<FormatStep>,
) {
    let Wanted { path, mode, owner } = wanted;
    let owner = owner.filter(|_| config.format.alter_user);
    let Some(found) = observed.directories.get(&path) else {
        steps.push(FormatStep::CreateDirectory { path, mode, owner });
        return;
    };
    if let Some(owner) = owner {
        // A user that does not exist yet cannot own anything yet.
        if observed.users.get(&owner) != Some(&found.uid) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::observe::Directory;
    use slapos_config::Config;
    use std::path::Path;

    fn config(alter_user: bool) -> NodeConfig {
        let text = format!(
            "[slapos]\nsoftware_root = /r/soft\ninstance_root = /r/inst\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n[slapformat]\npartition_amount = 1\nalter_user = {alter_user}\n"
        );
        NodeConfig::from_config(&Config::parse(&text, "s").unwrap(), Path::new("s")).unwrap()
    }

    fn in_order(config: &NodeConfig, users: &[(&str, u32)]) -> Observed {
        let users = users.iter().map(|(name, uid)| ((*name).to_owned(), *uid)).collect();
        let mut observed = Observed { root: true, users, ..Observed::default() };
        for wanted in wanted_directories(config) {
            let uid = wanted.owner.and_then(|owner| observed.users.get(&owner).copied());
            let directory = Directory { uid: uid.unwrap_or(0), mode: wanted.mode };
            observed.directories.insert(wanted.path, directory);
        }
        observed
    }

    #[test]
    fn an_empty_machine_gets_users_before_directories() {
        let observed = Observed { root: true, ..Observed::default() };
        insta::assert_snapshot!(plan(&config(true), &observed).unwrap(), @r"
        create user slapsoft: there is none
        create user slapuser0: there is none
        create directory /r/soft (mode 0755, owner slapsoft): it is missing
        create directory /r/soft/.cache (mode 0755, owner slapsoft): it is missing
        create directory /r/inst (mode 0755): it is missing
        create directory /r/inst/slappart0 (mode 0750, owner slapuser0): it is missing
        ");
    }

    #[test]
    fn a_machine_in_order_gets_nothing() {
        let config = config(true);
        let observed = in_order(&config, &[("slapsoft", 900), ("slapuser0", 901)]);
        assert_eq!(plan(&config, &observed).unwrap().steps, []);
    }

    #[test]
    fn a_partition_open_to_others_is_closed_again() {
        let config = config(true);
        let mut observed = in_order(&config, &[("slapsoft", 900), ("slapuser0", 901)]);
        let partition = Directory { uid: 33, mode: 0o777 };
        observed.directories.insert("/r/inst/slappart0".into(), partition);
        insta::assert_snapshot!(plan(&config, &observed).unwrap(), @r"
        give /r/inst/slappart0 to slapuser0: it belongs to uid 33
        set mode 0750 on /r/inst/slappart0: it is 0777
        ");
    }

    #[test]
    fn root_may_not_own_what_compiles_and_others_may_not_create_users() {
        let root = Observed { root: true, ..Observed::default() };
        insta::assert_snapshot!(plan(&config(false), &root).unwrap_err(), @"/r/soft would belong to root, and nothing compiles or runs as root");
        let user = Observed::default();
        insta::assert_snapshot!(plan(&config(true), &user).unwrap_err(), @"`alter_user = true` needs root, to create users and give them their directories");
        assert!(plan(&config(false), &user).is_ok());
    }

    #[test]
    fn a_closed_directory_on_the_way_is_named() {
        let observed = Observed { root: true, closed: vec!["/root".into()], ..Observed::default() };
        insta::assert_snapshot!(plan(&config(true), &observed).unwrap_err(), @"the users of this node cannot pass /root (other users have no `x` on it)");
    }
}
