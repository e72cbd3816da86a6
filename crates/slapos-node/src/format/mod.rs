//! `node format`: makes this machine have the directories, users and addresses of its partitions,
//! and tells the Master.
//!
//! Observe → plan → execute: [`plan`] is a pure function, its steps carry their reasons, and a
//! machine that is in order gets an empty plan.

mod execute;
mod observe;
mod plan;

use std::net::{IpAddr, Ipv6Addr};

use slapos_slap::{Address, ComputerDescription, PartitionDescription, PartitionId};

use crate::config::NodeConfig;
use crate::error::NodeError;
use crate::hooks::Hooks;
use crate::node::Node;

pub(crate) use execute::create_user;
pub use execute::execute;
pub use observe::{Observed, observe};
pub use plan::{FormatPlan, FormatStep, plan};

/// Brings this machine in order: what `node format` does before it tells the Master. With
/// `dry_run` the plan is only shown.
///
/// # Errors
/// When it cannot be planned or a step fails.
pub fn apply(node: &Node<'_>, dry_run: bool) -> Result<(), NodeError> {
    const SUBJECT: &str = "format";
    let plan = plan(node.config, &observe(node.config)?)?;
    if dry_run {
        plan.to_string().lines().for_each(|line| node.reporter.note(SUBJECT, line));
        return Ok(());
    }
    execute(&plan, |step| node.reporter.note(SUBJECT, &step.to_string()))?;
    Hooks::of(node.config).format(node)
}

/// Tells the Master which partitions this computer has.
///
/// # Errors
/// When the addresses cannot be given out, or the Master does not answer.
pub fn announce(node: &Node<'_>) -> Result<(), NodeError> {
    let description = describe(node.config, observe::has_ipv6_loopback())?;
    Ok(node.master()?.load_computer_configuration(&description)?)
}

/// What the Master is told about this computer.
///
/// # Errors
/// When the network of `[slapformat]` has too few addresses, or addresses that this version cannot
/// put on an interface.
pub fn describe(
    config: &NodeConfig,
    ipv6_loopback: bool,
) -> Result<ComputerDescription, NodeError> {
    let network = config.format.ipv4_local_network;
    if !network.is_loopback() {
        return Err(NodeError::user(format!(
            "ipv4_local_network = {network} is not within 127.0.0.0/8, and this version does not add addresses to interfaces"
        ))
        .hint("leave ipv4_local_network out of [slapformat], or choose a network within 127.0.0.0/8"));
    }
    let partitions = (0..config.format.partition_amount).map(|index| {
        let v4 = network.host(index).ok_or_else(|| {
            NodeError::user(format!("{network} has no address left for partition number {index}"))
                .hint("lower partition_amount or widen ipv4_local_network in [slapformat]")
        })?;
        let mut addresses = vec![single(IpAddr::V4(v4))];
        if ipv6_loopback {
            addresses.push(single(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        }
        let reference = PartitionId::new(config.partition_name(index));
        Ok(PartitionDescription { reference, addresses, tap: None })
    });
    let own = single(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    Ok(ComputerDescription {
        reference: config.computer_id.clone(),
        address: own.addr.to_string(),
        netmask: own.netmask,
        partitions: partitions.collect::<Result<_, NodeError>>()?,
    })
}

fn single(addr: IpAddr) -> Address {
    let netmask = match addr {
        IpAddr::V4(_) => "255.255.255.255".to_owned(),
        IpAddr::V6(_) => Ipv6Addr::from(u128::MAX).to_string(),
    };
    Address { addr, netmask }
}
