//! What `slapos node format` tells about its computer: the document that the Master takes, that is
//! kept as `computer_xml`, and of which each partition gets its own piece. Plain data; the wire
//! form is in [`crate::convert`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::words::{ComputerId, PartitionId};

/// A computer as formatted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputerDescription {
    /// The computer's reference.
    pub reference: ComputerId,
    /// The computer's own address, as text; empty when it has none.
    pub address: String,
    /// The netmask of that address, as text.
    pub netmask: String,
    /// All its partitions: those that the Master knows and that are absent here are forgotten, for
    /// which they must be free.
    pub partitions: Vec<PartitionDescription>,
    /// What else is told about the machine.
    pub machine: MachineDescription,
}

/// The machine around the partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineDescription {
    /// Where addresses are put; `None` where the network is left alone.
    pub interface: Option<InterfaceDescription>,
    /// The interface that has IPv6, when it is named apart.
    pub ipv6_interface: Option<String>,
    /// Whether partitions get a range of IPv6 addresses.
    pub partition_has_ipv6_range: bool,
    /// The user that owns and builds Software Releases.
    pub software_user: String,
    /// The interface whose IPv4 network tap interfaces share; empty for none.
    pub tap_gateway_interface: String,
    /// Whether tap interfaces get IPv6.
    pub tap_ipv6: bool,
    /// Where Software Releases are.
    pub software_root: String,
    /// Where partitions are.
    pub instance_root: String,
    /// Where the directories of external storage are.
    pub instance_storage_home: Option<String>,
    /// The machine's address as the world sees it.
    pub public_ipv4_address: Option<String>,
    /// The operating system, as a JSON list of platform, distribution, its version and its name.
    pub os_type: Option<String>,
    /// The Python that runs the node, if one does.
    pub python_version: Option<String>,
    /// The version of the node.
    pub slapos_version: Option<String>,
}

/// The interface that the partitions' addresses are put on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceDescription {
    /// Its name.
    pub name: String,
    /// The network that IPv4 addresses are taken from.
    pub ipv4_local_network: String,
    /// The interface that has IPv6, often the same.
    pub ipv6_interface: String,
    /// By how many bits the ranges of partitions are smaller than the computer's.
    pub ipv6_prefixshift: u8,
}

/// One partition as formatted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionDescription {
    /// The partition's reference.
    pub reference: PartitionId,
    /// Its directory.
    pub path: String,
    /// The user that everything in it runs as.
    pub user: UserDescription,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// A range of addresses that are all its own.
    pub ipv6_range: Option<Ipv6Range>,
    /// Its tap interface, under whose name (unless empty) the addresses are then listed.
    pub tap: TapDescription,
    /// Its tun interface.
    pub tun: Option<TapDescription>,
    /// Its directories on other disks.
    pub external_storage: Vec<String>,
    /// What it alone can do, in the operator's words.
    pub capabilities: Option<Vec<String>>,
}

/// The user of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDescription {
    /// Login name.
    pub name: String,
    /// Login shell.
    pub shell: String,
    /// Home directory.
    pub path: String,
    /// Groups beside its own.
    pub groups: Vec<String>,
}

/// A tap or tun interface. All is text; what it does not have is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapDescription {
    /// Name of the interface.
    pub name: String,
    /// Its IPv4 address.
    pub ipv4_addr: String,
    /// The netmask of that address.
    pub ipv4_netmask: String,
    /// The gateway for whoever uses that address.
    pub ipv4_gateway: String,
    /// The network of that address.
    pub ipv4_network: String,
    /// Its IPv6 address: of a tap, the last one of its range.
    pub ipv6_addr: String,
    /// The netmask of that address.
    pub ipv6_netmask: String,
    /// The gateway for whoever uses addresses of the range.
    pub ipv6_gateway: String,
    /// The range.
    pub ipv6_network: String,
}

/// A range of IPv6 addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6Range {
    /// Its first address.
    pub addr: String,
    /// Its netmask.
    pub netmask: String,
    /// Address and prefix length, such as `2001:db8:0:4001::/80`.
    pub network: String,
    /// How many bits its addresses share.
    pub prefixlen: u8,
}

/// An address of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub addr: IpAddr,
    /// Its netmask as text, such as `255.255.255.255` or `ffff:ffff::`.
    pub netmask: String,
}

/// An address that a partition's network traffic is routed by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `route_` and the name of a tap interface.
    pub interface: String,
    /// The address.
    pub addr: IpAddr,
    /// The gateway for whoever uses the address.
    pub gateway: String,
    /// The netmask of the address.
    pub netmask: String,
    /// The network of the address.
    pub network: String,
}

impl ComputerDescription {
    /// A computer with these partitions and nothing else.
    pub fn new(reference: ComputerId, partitions: Vec<PartitionDescription>) -> Self {
        let (address, netmask) = (String::new(), String::new());
        Self { reference, address, netmask, partitions, machine: MachineDescription::default() }
    }
}

impl PartitionDescription {
    /// A partition with these addresses and nothing else.
    pub fn new(reference: PartitionId, addresses: Vec<Address>) -> Self {
        Self {
            reference,
            path: String::new(),
            user: UserDescription::default(),
            addresses,
            ipv6_range: None,
            tap: TapDescription::default(),
            tun: None,
            external_storage: Vec::new(),
            capabilities: None,
        }
    }

    /// The name under which its addresses are listed.
    pub fn interface_name(&self) -> &str {
        if self.tap.name.is_empty() { self.reference.as_str() } else { &self.tap.name }
    }

    /// What its tap interface is routed by, if it has an IPv4 address and a gateway.
    pub fn route(&self) -> Option<Route> {
        let tap = &self.tap;
        let complete = !tap.ipv4_gateway.is_empty() && !tap.ipv4_netmask.is_empty();
        let addr = tap.ipv4_addr.parse().ok().filter(|_| complete)?;
        Some(Route {
            interface: format!("route_{}", tap.name),
            addr,
            gateway: tap.ipv4_gateway.clone(),
            netmask: tap.ipv4_netmask.clone(),
            network: tap.ipv4_network.clone(),
        })
    }
}
