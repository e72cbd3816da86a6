//! What this computer is to be: its partitions with their users, directories, addresses and
//! interfaces. A pure function of the configuration, of what is known from before and of the
//! network as found; the plan is the way there.
//!
//! There are three ways to come by addresses:
//! - where no interface is named, each partition has one of the loopback addresses that Linux
//!   answers on without being asked, and nothing is changed;
//! - where the network is to be left alone (`alter_network = false`), what is known from before is
//!   told as it is;
//! - else addresses are kept or given, and put on interfaces ([`super::addresses`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use slapos_slap::{
    Address, ComputerDescription, InterfaceDescription, MachineDescription, PartitionDescription,
    PartitionId, UserDescription,
};

use super::addresses::Assigner;
use super::ipv6::{self, len_of_netmask};
use super::known::{Known, Origin};
use super::view::{FoundRoute, NetworkView};
use crate::config::NodeConfig;
use crate::error::NodeError;

/// What was found out about the machine before anything is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What is known of its partitions.
    pub known: Known,
    /// Its network; nothing where it is left alone.
    pub network: NetworkView,
    /// Whether `::1` answers.
    pub ipv6_loopback: bool,
    /// The directories `data<number>` of external storage.
    pub storage: Vec<PathBuf>,
    /// What the operating system is.
    pub os_type: Option<String>,
    /// Addresses that turned out to belong to other machines.
    pub refused: BTreeSet<IpAddr>,
}

/// Something that the network is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkWish {
    /// A tap or tun interface that is up.
    Interface {
        /// Its name.
        name: String,
        /// `tap` or `tun`.
        mode: &'static str,
        /// Who may open it.
        owner: String,
        /// The partition it is for.
        of: String,
    },
    /// An address on an interface.
    Address {
        /// The interface.
        interface: String,
        /// The address.
        addr: IpAddr,
        /// The length of its network.
        len: u8,
        /// Whether its network is routed by routes of ours alone.
        routed_apart: bool,
        /// The partition it is for.
        of: String,
    },
    /// A route.
    Route {
        /// Where from and where to.
        route: FoundRoute,
        /// The partition it is for.
        of: String,
    },
    /// Programs can listen on addresses that are on no interface.
    NonlocalBind,
}

/// What this computer is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// All that the Master is told.
    pub description: ComputerDescription,
    /// What the network is to have for it, in the order in which it is made.
    pub network: Vec<NetworkWish>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Decides what this computer is to be.
///
/// # Errors
/// When it cannot be: options that exclude each other, a network without addresses for all.
pub fn wanted(config: &NodeConfig, survey: &Survey) -> Result<Wanted, NodeError> {
    check(config).map_err(NodeError::lasting)?;
    let mut wanted = Wanted {
        description: skeleton(config, survey),
        network: Vec::new(),
        warnings: idle_options(config),
    };
    if let Some(home) = config.grid.instance_storage_home.as_ref()
        && survey.storage.is_empty()
    {
        let text = "there is no directory `data<number>` in instance_storage_home";
        wanted.warnings.push(format!("{text} = {}", home.display()));
    }
    if config.format.network.is_altered() {
        Assigner::new(config, survey)?.assign(&mut wanted)?;
    } else if is_named(config, survey) {
        tell_as_known(config, survey, &mut wanted)?;
    } else {
        give_loopback(config, survey, &mut wanted)?;
    }
    Ok(wanted)
}

/// Whether addresses are a matter of the operator's rather than of loopback.
fn is_named(config: &NodeConfig, survey: &Survey) -> bool {
    config.format.network.alter_network == Some(false) || survey.known.origin == Origin::Definition
}

fn check(config: &NodeConfig) -> Result<(), NodeError> {
    let format = &config.format;
    if let Some(refusal) = &format.refusal {
        return Err(NodeError::user(refusal).hint("take the option out of [slapformat]"));
    }
    if let Some(missing) = config.grid.credentials().find(|path| !path.exists()) {
        return Err(NodeError::user(format!("{} does not exist", missing.display()))
            .hint("`key_file`, `cert_file` and `master_ca_file` must name files, or be left out"));
    }
    let shift = format.network.ipv6_prefixshift;
    let room = 1_u64.checked_shl(u32::from(shift)).unwrap_or(u64::MAX);
    if room < 4 * u64::from(format.partition_amount) || shift > 64 {
        return Err(NodeError::user(format!(
            "ipv6_prefixshift = {shift} does not suit partition_amount = {}",
            format.partition_amount
        ))
        .hint("each partition needs four ranges: 16 bits are enough for 16384 partitions"));
    }
    Ok(())
}

/// Options that were given and have no effect.
fn idle_options(config: &NodeConfig) -> Vec<String> {
    let network = &config.format.network;
    if network.is_altered() {
        return Vec::new();
    }
    let idle = [
        ("create_tap", network.create_tap == Some(true)),
        ("create_tun", network.create_tun == Some(true)),
        ("tap_gateway_interface", network.tap_gateway_interface.is_some()),
    ];
    let idle = idle.iter().filter(|(_, given)| *given);
    idle.map(|(option, _)| {
        format!("`{option}` has no effect: the network is left alone (`alter_network`, `interface_name`)")
    })
    .collect()
}

/// Everything but addresses and interfaces.
fn skeleton(config: &NodeConfig, survey: &Survey) -> ComputerDescription {
    let known = survey.known.computer.as_ref();
    let builder = software_user(config, survey);
    let partitions = (0..config.format.partition_amount).map(|index| {
        let before = known.and_then(|known| known.partitions.get(index as usize));
        partition(config, survey, index, before, builder)
    });
    let mut description =
        ComputerDescription::new(config.computer_id.clone(), partitions.collect());
    description.machine = machine(config, survey, builder);
    description
}

/// The user that builds: a definition file may name another.
pub(super) fn software_user<'a>(config: &'a NodeConfig, survey: &'a Survey) -> &'a str {
    let defined = survey.known.computer.as_ref().map(|known| &known.machine.software_user);
    match defined.filter(|_| survey.known.origin == Origin::Definition) {
        Some(user) => user,
        None => &config.format.software_user,
    }
}

fn partition(
    config: &NodeConfig,
    survey: &Survey,
    index: u32,
    before: Option<&PartitionDescription>,
    builder: &str,
) -> PartitionDescription {
    let reference = before.map_or_else(
        || PartitionId::new(config.partition_name(index)),
        |before| before.reference.clone(),
    );
    let user = before.map(|before| before.user.name.clone()).filter(|name| !name.is_empty());
    let path = config.instance_root.join(reference.as_str()).display().to_string();
    let storage = survey.storage.iter().map(|data| data.join(reference.as_str()));
    let storage = storage.map(|path| path.display().to_string()).collect();
    let mut partition = PartitionDescription::new(reference, Vec::new());
    partition.user = UserDescription {
        name: user.unwrap_or_else(|| format!("{}{index}", config.format.user_base_name)),
        shell: "/bin/sh".to_owned(),
        path: path.clone(),
        groups: vec![builder.to_owned()],
    };
    partition.path = path;
    partition.external_storage = storage;
    partition.capabilities = before.and_then(|before| before.capabilities.clone());
    partition
}

fn machine(config: &NodeConfig, survey: &Survey, builder: &str) -> MachineDescription {
    let format = &config.format;
    let network = &format.network;
    let interface = network.interface_with_ipv6().map(|ipv6| InterfaceDescription {
        name: network.interface_name.clone().unwrap_or_default(),
        ipv4_local_network: format.ipv4_local_network.to_string(),
        ipv6_interface: ipv6.to_owned(),
        ipv6_prefixshift: network.ipv6_prefixshift,
    });
    let defined = survey.known.origin == Origin::Definition;
    MachineDescription {
        interface: interface.filter(|_| network.is_altered() || !defined),
        ipv6_interface: network.ipv6_interface.clone(),
        partition_has_ipv6_range: network.partition_has_ipv6_range,
        software_user: builder.to_owned(),
        tap_gateway_interface: network.tap_gateway_interface.clone().unwrap_or_default(),
        tap_ipv6: network.tap_ipv6,
        software_root: config.software_root.display().to_string(),
        instance_root: config.instance_root.display().to_string(),
        instance_storage_home: config
            .grid
            .instance_storage_home
            .as_ref()
            .map(|home| home.display().to_string()),
        public_ipv4_address: format.public_ipv4_address.map(|address| address.to_string()),
        os_type: survey.os_type.clone(),
        // No Python runs this node.
        python_version: None,
        slapos_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }
}

/// One loopback address for each partition, as far as there are any.
fn give_loopback(
    config: &NodeConfig,
    survey: &Survey,
    wanted: &mut Wanted,
) -> Result<(), NodeError> {
    let network = config.format.ipv4_local_network;
    if !network.is_loopback() {
        return Err(NodeError::user(format!(
            "ipv4_local_network = {network} is not within 127.0.0.0/8, and no interface is named"
        ))
        .hint("name the interface that is to get the addresses in `interface_name` of [slapformat], or leave ipv4_local_network out"));
    }
    for (index, partition) in (0..).zip(&mut wanted.description.partitions) {
        partition.addresses = loopback_addresses(config, survey, index)?;
    }
    own_loopback(&mut wanted.description);
    Ok(())
}

fn loopback_addresses(
    config: &NodeConfig,
    survey: &Survey,
    index: u32,
) -> Result<Vec<Address>, NodeError> {
    let network = config.format.ipv4_local_network;
    let v4 = network.host(index).ok_or_else(|| too_few(config, index))?;
    let mut addresses = vec![single(IpAddr::V4(v4))];
    if survey.ipv6_loopback {
        addresses.push(single(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }
    Ok(addresses)
}

pub(super) fn too_few(config: &NodeConfig, index: u32) -> NodeError {
    let network = config.format.ipv4_local_network;
    NodeError::user(format!("{network} has no address left for partition number {index}"))
        .hint("lower partition_amount or widen ipv4_local_network in [slapformat]")
}

fn own_loopback(description: &mut ComputerDescription) {
    let own = single(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    (description.address, description.netmask) = (own.addr.to_string(), own.netmask);
}

/// What is known from before, as it is. A partition that nothing is known of has a loopback
/// address, or none.
fn tell_as_known(
    config: &NodeConfig,
    survey: &Survey,
    wanted: &mut Wanted,
) -> Result<(), NodeError> {
    let known = survey.known.computer.as_ref();
    let before = known.map_or(&[][..], |known| &known.partitions);
    let tap = &config.format.network.tap_base_name;
    for (index, partition) in (0_u32..).zip(&mut wanted.description.partitions) {
        match before.get(index as usize) {
            Some(before) => {
                partition.addresses.clone_from(&before.addresses);
                partition.ipv6_range.clone_from(&before.ipv6_range);
                partition.tap.clone_from(&before.tap);
                partition.tun.clone_from(&before.tun);
            }
            None => partition.tap.name = format!("{tap}{index}"),
        }
        if !partition.addresses.is_empty() || survey.known.origin == Origin::Definition {
            continue;
        }
        if config.format.ipv4_local_network.is_loopback() {
            partition.addresses = loopback_addresses(config, survey, index)?;
        } else {
            wanted.warnings.push(format!(
                "{} has no address: none is known, and `alter_network = false` gives none",
                partition.reference
            ));
        }
    }
    own_address(config, survey, &mut wanted.description);
    Ok(())
}

/// The address of the interface near the one known before, or that, or a loopback one.
fn own_address(config: &NodeConfig, survey: &Survey, description: &mut ComputerDescription) {
    let known = survey.known.computer.as_ref().filter(|known| !known.address.is_empty());
    if let Some(known) = known {
        description.address.clone_from(&known.address);
        description.netmask.clone_from(&known.netmask);
    } else {
        own_loopback(description);
    }
    let interface = config.format.network.interface_with_ipv6();
    let Some(interface) = interface.filter(|_| survey.known.origin != Origin::Definition) else {
        return;
    };
    let preferred = description.address.parse().ok();
    if let Some(base) = ipv6::base(&survey.network.global_prefixes(interface), preferred) {
        (description.address, description.netmask) = (base.addr.to_string(), base.netmask());
    }
}

/// An address that is a network of its own.
pub(super) fn single(addr: IpAddr) -> Address {
    let netmask = match addr {
        IpAddr::V4(_) => "255.255.255.255".to_owned(),
        IpAddr::V6(_) => Ipv6Addr::from(u128::MAX).to_string(),
    };
    Address { addr, netmask }
}

/// The IPv6 prefix that a description gives as address and mask.
pub(super) fn prefix_of(addr: &str, netmask: &str) -> Option<ipv6::Prefix> {
    Some(ipv6::Prefix { addr: addr.parse().ok()?, len: len_of_netmask(netmask)? })
}
