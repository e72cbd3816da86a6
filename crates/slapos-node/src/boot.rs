//! `node boot`: what the machine has lost by being switched off comes back, and every instance is
//! looked at again.
//!
//! Services come first: they need no Master, and where the machine cannot be brought in order within
//! some minutes, they run as they can. Meanwhile cron's runs and the agent's find that it is not their
//! turn, so that nothing starts before its address is there. Invariant: what can be mended by waiting
//! is waited for, what a person must mend is not; each step can be repeated.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use slapos_slap::ComputerDescription;
use slapos_sys::lock::FileLock;

use crate::error::{NodeError, exit};
use crate::format;
use crate::node::Node;
use crate::record::Outcome;
use crate::services;

/// Between two tries: at first, and at most.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(15);
/// How long to wait for an IPv6 address. Afterwards the services that need none run at least.
const ADDRESS: Duration = Duration::from_secs(300);
/// How long to try to bring the machine in order before services start without.
const FORMAT: Duration = Duration::from_secs(300);
/// What the kernel says about IPv6 addresses.
const ADDRESSES: &str = "/proc/net/if_inet6";

/// Does what is to be done once after the machine was started. `message` is what the Master is told
/// with the request to look at everything again.
///
/// # Errors
/// When the machine cannot be brought in order, the Master refuses us, or the services cannot be
/// started. What does not depend on it is done all the same.
pub fn run(node: &Node<'_>, message: &str) -> Result<(), NodeError> {
    if node.is_down() {
        return Ok(());
    }
    // A run that is under way already has started services, and is not waited for yet; the next one finds
    // that it is not its turn. Why the turn cannot be had otherwise is said when it is needed: services
    // start all the same.
    let mut held = None;
    take_turn(node, &mut held);
    if let Some(interface) = ipv6_interface(node) {
        wait_for_address(node, interface, &mut held);
    }
    let formatted = in_order(node, &mut held);
    services::start_all(node)?;
    node.reporter.note("boot", "services run as last known");
    look_at_everything_again(node, held)?;
    let master = node.master()?;
    if let Ok(description) = &formatted {
        patiently(node, "tell the Master how this computer is formatted", None, || {
            format::announce(node, description)
        })?;
    }
    let computer = &node.config.computer_id;
    patiently(node, "tell the Master", None, || Ok(master.computer_bang(computer, message)?))?;
    formatted.map(|_| ())
}

/// Says what [`run`] would do, and why; nothing is touched, and nobody is asked.
///
/// # Errors
/// When it cannot be planned how the machine is to be formatted.
pub fn rehearse(node: &Node<'_>, message: &str) -> Result<(), NodeError> {
    let note = |text: &str| node.reporter.note("boot", text);
    if node.is_down() {
        return Ok(());
    }
    if let Some(interface) = ipv6_interface(node) {
        note(&format!("wait until {interface} has an IPv6 address: partitions get theirs from it"));
    }
    format::apply(node, true)?;
    note("start the supervisor, and all services as they were last defined: the machine was off");
    for partition in node.records().partitions()? {
        let text = "have it processed by the next `slapos node instance`: what ran was interrupted";
        node.reporter.note(&partition, text);
    }
    note(&format!(
        "tell {} how this computer is formatted, and to have every instance of {} processed again: {message}",
        node.config.master_url, node.config.computer_id
    ));
    Ok(())
}

/// Users, directories and addresses come back. If they do not, it is said, and services start with
/// what there is.
fn in_order(
    node: &Node<'_>,
    held: &mut Option<FileLock>,
) -> Result<ComputerDescription, NodeError> {
    let formatted = patiently(node, "format", Some(FORMAT), || {
        take_turn(node, held);
        format::apply(node, false)
    });
    formatted.inspect_err(|error| {
        let text = format!("services start as they can: {error}");
        node.reporter.warn("format", &text);
    })
}

/// Repeats `act` until it succeeds, waiting does not mend it or, if there is one, the limit is over.
fn patiently<T>(
    node: &Node<'_>,
    what: &str,
    limit: Option<Duration>,
    mut act: impl FnMut() -> Result<T, NodeError>,
) -> Result<T, NodeError> {
    let begin = Instant::now();
    let mut wait = FIRST;
    loop {
        match act() {
            Err(error)
                if !error.is_lasting() && limit.is_none_or(|limit| begin.elapsed() < limit) =>
            {
                let text = format!("cannot {what} yet: {error}");
                node.reporter.warn("boot", &text);
            }
            result => return result,
        }
        thread::sleep(wait);
        wait = (wait * 2).min(MOST);
    }
}

/// Keeps `slapos node instance` from running, unless it does.
fn turn(node: &Node<'_>) -> Result<Option<FileLock>, NodeError> {
    match node.lock("slapos node instance", &node.config.pidfile_instance) {
        Err(error) if error.exit_code() == exit::BUSY => Ok(None),
        other => other.map(Some),
    }
}

/// The same, without waiting, for who has not got it yet.
fn take_turn(node: &Node<'_>, held: &mut Option<FileLock>) {
    if held.is_none() {
        *held = turn(node).unwrap_or(None);
    }
}

/// Also where the Master takes a bang for nothing. What ran when the machine stopped was interrupted.
fn look_at_everything_again(node: &Node<'_>, mut held: Option<FileLock>) -> Result<(), NodeError> {
    while held.is_none() {
        thread::sleep(FIRST);
        held = turn(node)?;
    }
    let records = node.records();
    for partition in records.partitions()? {
        if let Some(mut record) = records.load(&partition)? {
            record.outcome = Outcome::Processing;
            records.store(&partition, &record)?;
        }
    }
    node.reporter.note("boot", "every instance is processed by the next `slapos node instance`");
    Ok(())
}

/// The interface that has to have an IPv6 address before addresses can be given to partitions.
fn ipv6_interface<'a>(node: &Node<'a>) -> Option<&'a str> {
    let network = &node.config.format.network;
    // Nobody gives the loopback interface a global address but us.
    network.interface_with_ipv6().filter(|name| network.is_altered() && *name != "lo")
}

fn wait_for_address(node: &Node<'_>, interface: &str, held: &mut Option<FileLock>) {
    let deadline = Instant::now() + ADDRESS;
    let mut wait = FIRST;
    loop {
        let text = slapos_sys::fs::read_to_string_lossy(Path::new(ADDRESSES), 1 << 20);
        if has_global_address(&text.unwrap_or_default(), interface) {
            return;
        }
        let text = format!("{interface} has no global IPv6 address yet");
        if Instant::now() >= deadline {
            return node.reporter.warn("boot", &format!("{text}; going on without"));
        }
        node.reporter.note("boot", &text);
        thread::sleep(wait);
        wait = (wait * 2).min(MOST);
        take_turn(node, held);
    }
}

/// Whether the kernel's list has an address of global scope on the interface. Its columns are the
/// address, the interface's number, the prefix, the scope, flags and the interface's name.
fn has_global_address(list: &str, interface: &str) -> bool {
    list.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [_, _, _, "00", _, name] if *name == interface)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_global_address_of_that_interface_counts() {
        let list = "\
00000000000000000000000000000001 01 80 10 80       lo
fe800000000000000042acfffe110002 02 40 20 80     eth0
20010db8000000000000000000000001 03 40 00 80     eth1
";
        assert!(has_global_address(list, "eth1"));
        for other in ["lo", "eth0", "eth", "eth2"] {
            assert!(!has_global_address(list, other), "{other}");
        }
    }
}
