//! `slapos.cookbook:free_port`: a TCP port that nothing listened on when it was chosen.
//!
//! Options:
//! - `ip`: the address to listen on (IPv4 or IPv6);
//! - `minimum` (1024), `maximum` (49151, not included): where to look, from the minimum up.
//!
//! Sets `port`. The port that was chosen before is kept for as long as `ip` stays the same,
//! whether or not it is free now, because the instance itself is what listens on it. Two parts of
//! one run never get the same port of the same address. `port` is 0 when none is free.

use std::collections::HashSet;
use std::net::{IpAddr, TcpListener};
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

    fn find(&self, ip: IpAddr, minimum: u16, maximum: u16) -> Option<u16> {
        (minimum..maximum).find(|port| {
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

impl Recipe for FreePort {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let minimum = number(init, "minimum", 1024)?;
        let maximum = number(init, "maximum", 49151)?;
        let ip = init.require("ip")?;
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
            None => self.find(address, minimum, maximum).unwrap_or(0),
        };
        init.set("port", &port.to_string());
        Ok(Box::new(Port(port)))
    }
}

struct Port(u16);

impl Part for Port {
    fn install(&self, cx: &PartContext<'_>) -> Result<Vec<std::path::PathBuf>, PartError> {
        if self.0 == 0 {
            cx.warn("no free port was found, so `port` is 0");
        }
        Ok(Vec::new())
    }

    fn is_trivial(&self) -> bool {
        true
    }
}
