//! `slapos.cookbook:free_port`: a TCP port that nothing listened on when it was chosen.
//!
//! Options:
//! - `ip`: the address to listen on (IPv4 or IPv6); empty when the partition has none of that
//!   family: `port` is 0 then;
//! - `minimum` (1024), `maximum` (49151, not included): where to look, from the minimum up.
//!
//! Partitions may share a loopback address (`::1`) and be processed at the same time, before the
//! services of any of them listen. So that they do not choose the same port, the search there
//! begins above the minimum by the number that the partition's name ends with.
//!
//! Sets `port`. The port that was chosen before is kept for as long as `ip` stays the same,
//! whether or not it is free now, because the instance itself is what listens on it. Two parts of
//! one run never get the same port of the same address. `port` is 0 when none is free.

use std::collections::HashSet;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use slapos_engine::{Part, PartContext, PartError, PartInit, ProfileError, Recipe};

/// The recipe.
#[derive(Default)]
pub(crate) struct FreePort {
    /// What this run has given away already.
    given: Mutex<HashSet<(IpAddr, u16)>>,
}

impl FreePort {
    fn take(&self, ip: IpAddr, port: u16) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert((ip, port))
    }

    /// Looks from `first` up, and then from `minimum` up to it.
    fn find(&self, ip: IpAddr, minimum: u16, first: u16, maximum: u16) -> Option<u16> {
        (first..maximum).chain(minimum..first).find(|port| {
            let taken = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            let given = taken.contains(&(ip, *port));
            drop(taken);
            !given && TcpListener::bind((ip, *port)).is_ok() && self.take(ip, *port)
        })
    }
}

fn number(init: &PartInit<'_>, option: &str, default: u16) -> Result<u16, ProfileError> {
    let Some(text) = init.get(option) else {
        return Ok(default);
    };
    text.trim().parse().map_err(|_| {
        init.error(option, &format!("`{option}` must be a port number, not `{text}`"), None)
    })
}

/// The number that the name of `directory` ends with, 0 if with none: 7 for `slappart7`.
fn number_at_end(directory: &Path) -> u64 {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.rfind(|c: char| !c.is_ascii_digit()).map_or(name, |end| &name[end + 1..]);
    digits.parse().unwrap_or(0)
}

impl Recipe for FreePort {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let minimum = number(init, "minimum", 1024)?;
        let maximum = number(init, "maximum", 49151)?;
        let ip = init.require("ip")?;
        if ip.trim().is_empty() {
            // No address of that family: profiles ask for one all the same.
            init.set("port", "0");
            return Ok(Box::new(Port(None)));
        }
        let address: IpAddr = ip.trim().parse().map_err(|_| {
            init.error("ip", &format!("`ip` must be an IP address, not `{ip}`"), None)
        })?;
        let same_ip = init.previous("ip").is_some_and(|previous| previous.trim() == ip.trim());
        let previous = init.previous("port").and_then(|port| port.parse::<u16>().ok());
        let port = match previous.filter(|port| *port != 0 && same_ip) {
            Some(port) => {
                self.take(address, port);
                port
            }
            None => {
                let number = number_at_end(init.buildout_directory());
                let offset = if address.is_loopback() { number } else { 0 };
                let width = u64::from(maximum.saturating_sub(minimum)).max(1);
                let first = minimum + u16::try_from(offset % width).unwrap_or(0);
                self.find(address, minimum, first, maximum).unwrap_or(0)
            }
        };
        init.set("port", &port.to_string());
        Ok(Box::new(Port(Some(port))))
    }
}

/// The port; 0 if none was free, `None` if there is no address to have one on.
struct Port(Option<u16>);

impl Part for Port {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<std::path::PathBuf>, PartError> {
        if self.0 == Some(0) {
            cx.warn("no free port was found, so `port` is 0");
        }
        Ok(Vec::new())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_share_an_address_begin_at_different_ports() {
        let number = |path: &str| number_at_end(Path::new(path));
        assert_eq!(number("/srv/slapgrid/slappart12"), 12);
        assert_eq!(number("/srv/slapgrid/part"), 0);
        assert_eq!(number("/srv/7"), 7);
        let recipe = FreePort::default();
        let ip = IpAddr::from([127, 0, 0, 1]);
        let first = recipe.find(ip, 20_000, 20_007, 30_000).unwrap();
        assert!(first >= 20_007);
        assert_ne!(recipe.find(ip, 20_000, 20_007, 30_000), Some(first), "given twice");
    }
}
