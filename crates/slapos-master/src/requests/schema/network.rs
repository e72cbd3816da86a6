//! Reads one document of the network, from where the operator lets it be read.
//!
//! Whoever asks for an instance chooses the address of its Software Release, so that a Master that
//! read any address would be a tool against the network that it is in. Therefore only what
//! `schema_http` allows ([`Web`]) is read, and only public addresses are connected to, except where
//! the operator has named the host: each connection, also after a redirection, is checked after its
//! name was resolved, so that neither a redirection nor a name that changes leads elsewhere. No proxy
//! is used, no header of the Master's own is sent. A document has at most [`MAX_BYTES`], and must come
//! within [`PATIENCE`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use url::Url;

use super::source::{MAX_BYTES, shown};
use super::web::{Reach, Web};
use crate::outward;

/// How long one document may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why other addresses are not connected to.
const NOT_PUBLIC: &str = "its address is not public, and is read only if `schema_http` in \
                          [slapproxy] names its host";

/// The network as one Software Release may have it read.
#[derive(Debug)]
pub(super) struct Network {
    agent: Agent,
    /// Until when anything is read.
    until: Instant,
    /// Whether a host answered.
    answered: AtomicBool,
    /// Whether one did not.
    silent: AtomicBool,
}

impl Network {
    /// What `web` lets be read, for so long.
    pub(super) fn new(web: Web, time: Duration) -> Network {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(3)
            .proxy(None)
            .tls_config(outward::tls())
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Guarded { inner: DefaultResolver::default(), web };
        Network {
            agent: Agent::with_parts(config, DefaultConnector::new(), resolver),
            until: Instant::now() + time,
            answered: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        }
    }

    /// The text at an address.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn text(&self, url: &Url) -> Result<String, String> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("{}: there was no time left to read it", shown(url)));
        }
        let request = self.agent.get(url.as_str()).config();
        let request = request.timeout_global(Some(left.min(PATIENCE))).build();
        let answer = request.call();
        self.note(answer.as_ref().err());
        let failed = |error: ureq::Error| format!("{}: {error}", shown(url));
        let mut answer = answer.map_err(failed)?;
        answer.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(failed)
    }

    fn note(&self, error: Option<&ureq::Error>) {
        use ureq::Error::{BadUri, ConnectionFailed, HostNotFound, Http, Io, Other, Timeout};
        match error {
            // Refused here, which says nothing of the network.
            Some(Other(_) | BadUri(_) | Http(_)) => {}
            Some(HostNotFound | ConnectionFailed | Io(_) | Timeout(_)) => {
                self.silent.store(true, Ordering::Relaxed);
            }
            _ => self.answered.store(true, Ordering::Relaxed),
        }
    }

    /// Whether a host was reached; nothing if none was tried.
    pub(super) fn reached(&self) -> Option<bool> {
        let (answered, silent) = (&self.answered, &self.silent);
        let answered = answered.load(Ordering::Relaxed);
        (answered || silent.load(Ordering::Relaxed)).then_some(answered)
    }
}

/// Resolves names to addresses that may be connected to.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    web: Web,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let reach = self.web.reach(scheme, host, uri.port_u16());
        if reach == Reach::Nowhere {
            return Err(ureq::Error::Other(self.web.refusal(scheme).into()));
        }
        let found = self.inner.resolve(uri, config, timeout)?;
        // All of them: one is enough to be led elsewhere.
        match reach == Reach::Anywhere || found.iter().all(|found| is_public(found.ip())) {
            true => Ok(found),
            false => Err(ureq::Error::Other(NOT_PUBLIC.into())),
        }
    }
}

/// Whether everybody can reach an address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast();
    // This network, shared address space, protocol assignments, benchmarks, reserved.
    let reserved = a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !special && !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only global unicast, without the parts of it that carry or stand for other addresses:
    // Teredo and the like, documentation, 6to4.
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8))
        && a != 0x2002
        && a != 0x3fff
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn text(url: &str, web: Web) -> Result<String, String> {
        Network::new(web, PATIENCE).text(&Url::parse(url).unwrap())
    }

    #[test]
    fn what_is_public() {
        for yes in ["8.8.8.8", "100.63.0.1", "2a01:e0a::1", "2001:4860:4860::8888"] {
            assert!(is_public(yes.parse().unwrap()), "{yes}");
        }
        for no in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "ff02::1",
        ] {
            assert!(!is_public(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn addresses_that_are_not_public_are_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let web = Web { http: true, ..Web::default() };
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}:{port}/s.cfg.json");
                let network = Network::new(web.clone(), PATIENCE);
                let refused = network.text(&Url::parse(&url).unwrap()).unwrap_err();
                assert!(refused.contains("not public"), "{refused}");
                assert_eq!(network.reached(), None, "{url}");
            }
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody connected");
    }

    #[test]
    fn redirections_lead_nowhere_else() {
        let private = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = private.local_addr().unwrap().port();
        let named = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = named.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = named.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let place = format!("http://localhost:{target}/s.json");
                let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close";
                write!(stream, "{head}\r\nLocation: {place}\r\n\r\n").unwrap();
            }
        });
        for (http, why) in [(false, "no schemas by http"), (true, "not public")] {
            let web = Web { http, hosts: vec![host.clone()], ..Web::default() };
            let refused = text(&format!("http://{host}/s.json"), web).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        server.join().unwrap();
        private.set_nonblocking(true).unwrap();
        assert!(private.accept().is_err(), "somebody connected");
    }

    #[test]
    fn nothing_is_read_when_time_is_over() {
        let url = Url::parse("https://example.org/s.json").unwrap();
        let network = Network::new(Web::default(), Duration::ZERO);
        assert!(network.text(&url).unwrap_err().contains("no time left"));
        assert_eq!(network.reached(), None);
    }
}
