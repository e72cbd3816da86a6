//! The web, as far as a fetch needs it: one GET, with time-outs, proxies and a bounded answer.
//!
//! Invariant: nothing here waits for ever; addresses in messages carry no password.

use std::io::Read;
use std::sync::Once;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use url::{Host, Url};

use crate::Failure;

/// How patient a fetcher is with servers.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Longest time to make a connection.
    pub connect: Duration,
    /// Longest time without a byte arriving.
    pub stall: Duration,
    /// How often a transient failure is followed by another try, as long as nothing arrives.
    pub retries: u32,
    /// Pause before the first retry; doubled for each further one, up to a minute.
    pub backoff: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            retries: 3,
            backoff: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// The pause before retry number `retry` (the first is 0).
    pub(crate) fn pause(&self, retry: u32) -> Duration {
        let factor = 1u32.checked_shl(retry.min(16)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(factor).min(Duration::from_secs(60))
    }
}

/// Makes requests. Clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    agent: Agent,
}

/// A short answer, whole.
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
    /// Address after redirections, which relative links refer to.
    pub(crate) url: Url,
}

impl Http {
    pub(crate) fn new(patience: &Patience) -> Self {
        install_crypto();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(10)
            .accept_encoding("identity")
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.stall))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .build()
            .new_agent();
        Self { agent }
    }

    /// Asks for `url` with these headers and returns whatever status the server gave.
    pub(crate) fn get(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
    ) -> Result<Response<ureq::Body>, Failure> {
        let mut bare = url.clone();
        bare.set_fragment(None);
        let mut request = self.agent.get(bare.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if is_loopback(url) {
            // A proxy has another loopback than we.
            request.config().proxy(None).build()
        } else {
            request
        };
        request.call().map_err(|error| explain(&error))
    }

    /// Asks for a short page of at most `max` bytes, which must be there.
    pub(crate) fn page(&self, url: &Url, accept: &str, max: u64) -> Result<Page, Failure> {
        use ureq::ResponseExt;
        let response = self.get(url, &[("accept", accept)])?;
        check_status(&response)?;
        let content_type = header(&response, "content-type").unwrap_or_default();
        let last = Url::parse(&response.get_uri().to_string()).unwrap_or_else(|_| url.clone());
        let mut body = Vec::new();
        response
            .into_body()
            .into_reader()
            .take(max + 1)
            .read_to_end(&mut body)
            .map_err(|error| Failure::Transport(format!("the connection broke: {error}")))?;
        if body.len() as u64 > max {
            return Err(Failure::TooLarge { limit: max });
        }
        Ok(Page { body, content_type, url: last })
    }
}

/// The value of one header of an answer, where it is text.
pub(crate) fn header<B>(response: &Response<B>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// An error for every status but success.
pub(crate) fn check_status<B>(response: &Response<B>) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(Failure::Status {
        status: status.as_u16(),
        reason: status.canonical_reason().unwrap_or("(no name)"),
    })
}

/// `url` without user name and password, for messages.
pub(crate) fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn explain(error: &ureq::Error) -> Failure {
    let text = match error {
        ureq::Error::HostNotFound => "the host name is not known".to_owned(),
        ureq::Error::Timeout(which) => format!("time-out ({which})"),
        ureq::Error::Io(error) => format!("the connection failed: {error}"),
        other => format!("the request failed: {other}"),
    };
    match error {
        // Asking again changes nothing about these.
        ureq::Error::BadUri(_)
        | ureq::Error::Http(_)
        | ureq::Error::TooManyRedirects
        | ureq::Error::RedirectFailed
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_) => Failure::Registry(text),
        _ => Failure::Transport(text),
    }
}

/// Chooses the cryptography of TLS for the process, once; another choice made before is kept.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let patience = Patience::default();
        assert_eq!(patience.pause(0), Duration::from_millis(500));
        assert_eq!(patience.pause(2), Duration::from_secs(2));
        assert_eq!(patience.pause(4_000), Duration::from_secs(60));
    }

    #[test]
    fn passwords_are_left_out() {
        let url = Url::parse("https://me:secret@h/x?y#z").unwrap();
        assert_eq!(redacted(&url), "https://h/x?y#z");
    }
}
