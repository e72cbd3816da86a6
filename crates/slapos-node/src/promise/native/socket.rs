//! `check_socket_listening` and `check_port_listening`: something accepts connections.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use super::options::Options;
use super::{Found, Surroundings, path_in};

const USAGE: &str = "where it listens is told by `config-host` and `config-port`, `config-pathname`, or `config-abstract`";

pub(super) fn check(options: &Options<'_>, given: &Surroundings) -> Found {
    let at = |name| options.text(name);
    match (at("host"), at("port"), at("pathname"), at("abstract")) {
        (Some(host), Some(_), None, None) => tcp(&host, options.number("port", 0)?, given.limit),
        (None, _, Some(path), None) => {
            let path = path_in(&given.directory, &path);
            unix(UnixStream::connect(&path), &path.display().to_string())
        }
        (None, _, None, Some(name)) => {
            let address = SocketAddr::from_abstract_name(&name);
            unix(
                address.and_then(|address| UnixStream::connect_addr(&address)),
                &format!("@{name}"),
            )
        }
        _ => Err(USAGE.to_owned()),
    }
}

pub(super) fn port(options: &Options<'_>, given: &Surroundings) -> Found {
    let host = options.required("hostname").or_else(|_| options.required("host"))?;
    tcp(&host, options.number("port", 0)?, given.limit)
}

fn unix(connected: std::io::Result<UnixStream>, place: &str) -> Found {
    match connected {
        Ok(_) => Ok(format!("{place} is open")),
        Err(error) => Err(format!("nothing listens on {place}: {error}")),
    }
}

fn tcp(host: &str, port: u16, limit: Duration) -> Found {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let deadline = Instant::now() + limit;
    let mut problem = format!("{host} has no address");
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(format!("port {port} of {host} is open")),
            Err(error) => problem = format!("nothing listens on {address}: {error}"),
        }
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::super::testing::{found, found_in};

    #[test]
    fn a_port_is_open_or_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let recipe = [("hostname", "127.0.0.1"), ("port", port.as_str())];
        let plugin = [("host", "127.0.0.1"), ("port", port.as_str())];
        let open = format!("port {port} of 127.0.0.1 is open");
        assert_eq!(found("check_port_listening", &recipe).unwrap(), open);
        assert_eq!(found("check_socket_listening", &plugin).unwrap(), open);
        drop(listener);
        let closed = found("check_port_listening", &recipe).unwrap_err();
        assert!(closed.starts_with("nothing listens on 127.0.0.1:"), "{closed}");
    }

    #[test]
    fn a_socket_in_the_file_system_is_open_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let check = || found_in(dir.path(), "check_socket_listening", &[("pathname", "s.sock")]);
        assert!(check().is_err());
        let _listener = UnixListener::bind(dir.path().join("s.sock")).unwrap();
        assert!(check().unwrap().ends_with("s.sock is open"));
        let both = [("pathname", "/x"), ("abstract", "y")];
        assert_eq!(found("check_socket_listening", &both).unwrap_err(), super::USAGE);
    }
}
