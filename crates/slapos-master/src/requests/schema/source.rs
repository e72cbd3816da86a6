//! Where schemas are read, and where not.
//!
//! Whoever asks for an instance chooses the address of its Software Release, so that a Master that
//! read any address would be a tool against the network that it is in. Therefore:
//! - files of the Master's machine are read for the operator's project only, when the Software
//!   Release itself is such a file, and only ordinary ones;
//! - of the network only what `schema_http` allows ([`Web`]) is read, and only public addresses are
//!   connected to, except where the operator has named the host: each connection, also after a
//!   redirection, is checked after its name was resolved, so that neither a redirection nor a name
//!   that changes leads elsewhere. No proxy is used, no header of the Master's own is sent;
//! - a document has at most [`MAX_BYTES`], one judgement reads at most [`MOST`] of them, and each
//!   must come within [`PATIENCE`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use slapos_slap::SoftwareUrl;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use url::Url;

use super::web::{Reach, Web};

/// The largest document, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The most documents of one judgement.
const MOST: usize = 50;

/// How long one document may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why other addresses are not connected to.
const NOT_PUBLIC: &str = "its address is not public, and is read only if `schema_http` in \
                          [slapproxy] names its host";

/// The documents of one Software Release.
#[derive(Debug)]
pub(crate) struct Documents {
    software: Url,
    /// Whether files may be read.
    files: bool,
    web: Web,
    left: AtomicUsize,
}

impl Documents {
    /// Those of a Software Release, for an instance of that project.
    ///
    /// # Errors
    /// When they may not be read.
    pub(crate) fn of(software: &SoftwareUrl, project: &str, web: Web) -> Result<Documents, String> {
        let text = software.as_str();
        let url = match text.starts_with('/') {
            true => Url::from_file_path(text).map_err(|()| "its path is none".to_owned())?,
            false => Url::parse(text).map_err(|error| format!("its address is none: {error}"))?,
        };
        let files = url.scheme() == "file" && project.is_empty();
        let documents = Documents { software: url, files, web, left: AtomicUsize::new(MOST) };
        documents.permit(&documents.software)?;
        Ok(documents)
    }

    /// What describes the Software Release.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn software(&self) -> Result<Value, String> {
        self.absolute(&format!("{}.json", self.software))
    }

    /// A document named in the description, and its address.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn named(&self, reference: &str) -> Result<(String, Value), String> {
        let url = self.software.join(reference).map_err(|error| format!("{reference}: {error}"))?;
        let document = self.absolute(url.as_str())?;
        Ok((url.into(), document))
    }

    /// The document at an address.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn absolute(&self, address: &str) -> Result<Value, String> {
        let mut url = Url::parse(address).map_err(|error| format!("{address}: {error}"))?;
        url.set_fragment(None);
        self.permit(&url)?;
        let one_less = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return Err(format!("more than {MOST} documents belong to it"));
        }
        let text = match url.scheme() {
            "file" => read_file(&url)?,
            _ => self.download(&url)?,
        };
        // What is in a file is not repeated: it may be no schema at all.
        serde_json::from_str(&text).map_err(|_| format!("{} is no JSON", shown(&url)))
    }

    fn permit(&self, url: &Url) -> Result<(), String> {
        match url.scheme() {
            "file" if self.files => Ok(()),
            "file" => {
                Err("files of the Master's machine are read for the operator only".to_owned())
            }
            scheme @ ("http" | "https") => {
                let host = url.host_str().unwrap_or_default();
                match self.web.reach(scheme, host, url.port()) {
                    Reach::Nowhere => Err(self.web.refusal(scheme)),
                    Reach::Public | Reach::Anywhere => Ok(()),
                }
            }
            scheme => Err(format!("{scheme}: is not read")),
        }
    }

    fn download(&self, url: &Url) -> Result<String, String> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(3)
            .proxy(None)
            .tls_config(tls)
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Guarded { inner: DefaultResolver::default(), web: self.web.clone() };
        let agent = Agent::with_parts(config, DefaultConnector::new(), resolver);
        let failed = |error: ureq::Error| format!("{}: {error}", shown(url));
        let mut answer = agent.get(url.as_str()).call().map_err(failed)?;
        answer.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(failed)
    }
}

/// An address for messages: without what it may have of a name and a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses that cannot have any.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

fn read_file(url: &Url) -> Result<String, String> {
    let path: PathBuf = url.to_file_path().map_err(|()| format!("{url} is no path"))?;
    slapos_sys::fs::read_to_string_limited(&path, MAX_BYTES)
        .map_err(|error| format!("{}: {error}", path.display()))
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
    use super::*;

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
    fn what_may_not_be_read() {
        let off = Web { https: false, ..Web::default() };
        let refused = |software: &str, project, web: &Web| {
            Documents::of(&software.into(), project, web.clone()).err().unwrap_or_default()
        };
        let usual = &Web::default();
        assert_eq!(refused("/s.cfg", "", &off), "");
        assert!(refused("/s.cfg", "p", usual).contains("operator only"));
        assert!(refused("file:///s.cfg", "p", usual).contains("operator only"));
        assert!(refused("https://example.org/s.cfg", "", &off).contains("schema_http"));
        assert!(refused("http://example.org/s.cfg", "", usual).contains("by http: `schema_http`"));
        assert!(refused("ftp://example.org/s.cfg", "", usual).contains("not read"));
        // What comes from the network names no file.
        let documents = Documents::of(&"https://example.org/s".into(), "p", usual.clone()).unwrap();
        assert!(documents.absolute("file:///etc/x.json").unwrap_err().contains("operator only"));
    }

    #[test]
    fn addresses_that_are_not_public_are_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for host in [address.to_string(), format!("localhost:{}", address.port())] {
            let url = format!("http://{host}/s.cfg");
            let web = Web { http: true, ..Web::default() };
            let documents = Documents::of(&url.as_str().into(), "", web).unwrap();
            assert!(documents.software().unwrap_err().contains("not public"));
        }
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "somebody connected");
    }
}
