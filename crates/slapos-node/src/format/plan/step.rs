//! The steps of a plan, as they are shown: each with the reason why it is there.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::format::documents;

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
