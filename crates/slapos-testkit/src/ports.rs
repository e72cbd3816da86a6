//! Ports for the servers of tests. Invariant: a port that was given out is nobody else's for as long as
//! this process lives, neither here nor in another program of tests, also before anybody listens there.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

/// The first one, and how many there are: below those that the kernel gives out by itself.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// What shows others that a port is taken: a socket with a name that is no file, gone with its process.
static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 on which nothing listens.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// As many such ports, one after the other; the first of them.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Programs that run at once begin in different places.
    let begin = u16::try_from(std::process::id() % 1_000).unwrap_or(0) * 18;
    loop {
        let next = begin.wrapping_add(NEXT.fetch_add(count, Ordering::Relaxed));
        let first = FIRST + next % COUNT;
        if let Some(claims) = (first..first + count).map(claim).collect::<Option<Vec<_>>>() {
            CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).extend(claims);
            return first;
        }
    }
}

fn claim(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("slapos-test-port-{port}")).ok()?;
    let claim = UnixListener::bind_addr(&name).ok()?;
    TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(claim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let first = free_ports(2);
        assert!(TcpListener::bind(("127.0.0.1", first)).is_ok(), "nothing listens there");
        assert!(claim(first).is_none() && claim(first + 1).is_none(), "it is taken");
        assert!(![first, first + 1].contains(&free_port()));
    }
}
