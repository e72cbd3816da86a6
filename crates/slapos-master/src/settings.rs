//! How a Master may be reached, and how much it bears.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::authority::CLIENT_LIFE;
pub use crate::http::Rate;

/// See the module. The default: by plain HTTP, on this machine only.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where it is reached by https too.
    pub tls: Option<TlsAccess>,
    /// Answer by plain HTTP on an address that others can reach; whoever is on the way can read tokens.
    pub allow_plain_http: bool,
    /// Connections at a time at each port; without a number, what the limit of open files allows.
    pub connections: Option<usize>,
    /// Listeners to events at a time; without a number, three quarters of the connections.
    pub listeners: Option<usize>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How often each caller but the operator may ask.
    pub callers: Rate,
    /// How often each address may ask for what needs no proof of who asks. All behind a proxy that
    /// is not trusted have one, and each connection of a client begins with such a question.
    pub strangers: Rate,
    /// How often each address may present what is not valid.
    pub failures: Rate,
    /// How many seconds certificates of computers and partitions last.
    pub certificate_life: u64,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            tls: None,
            allow_plain_http: false,
            connections: None,
            listeners: None,
            trusted_proxies: Vec::new(),
            callers: Rate { per_second: 200.0, burst: 2000.0 },
            strangers: Rate { per_second: 1000.0, burst: 20_000.0 },
            failures: Rate { per_second: 1.0, burst: 30.0 },
            certificate_life: CLIENT_LIFE,
        }
    }
}

/// A port with TLS.
#[derive(Debug, Clone)]
pub struct TlsAccess {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Host names and addresses that the Master's own certificate is for.
    pub names: Vec<String>,
    /// A certificate that others signed, with its chain, and its key, both in PEM; without, the
    /// Master's own authority signs one.
    pub files: Option<(PathBuf, PathBuf)>,
}

/// Connections that there are at most unless a number is set.
const MOST_CONNECTIONS: usize = 20_000;

/// Files that are open besides connections: the database, logs, what is read now and then.
const OTHER_FILES: usize = 64;

impl Access {
    /// How many connections a port may have, of a process that may have so many open files.
    pub(crate) fn connections(&self, files: u64) -> usize {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let ports = if self.tls.is_some() { 2 } else { 1 };
        let possible = (files.saturating_sub(OTHER_FILES) / ports).clamp(16, MOST_CONNECTIONS);
        self.connections.unwrap_or(possible)
    }

    /// How many may listen to events: fewer than there are connections, for others have to be
    /// answered too.
    pub(crate) fn listeners(&self, connections: usize) -> usize {
        self.listeners.unwrap_or(connections / 4 * 3)
    }
}

/// Whether only programs of this machine reach that address.
pub(crate) fn is_private(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_bounds_what_is_not_set() {
        let access = Access::default();
        assert_eq!(access.connections(1024), 960);
        assert_eq!(access.connections(1 << 20), MOST_CONNECTIONS);
        assert_eq!(access.connections(10), 16);
        assert_eq!(access.listeners(960), 720);
        let set = Access { connections: Some(5), listeners: Some(2), ..Access::default() };
        assert_eq!((set.connections(1024), set.listeners(5)), (5, 2));
    }
}
