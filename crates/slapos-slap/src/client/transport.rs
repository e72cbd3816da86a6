//! HTTP to one Master: addresses, the token, and which failure means what.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;
use slapos_sys::Secret;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, DefaultConnector};
use ureq::{Agent, Body, BodyReader};
use url::{Host, Url};

use super::api::Verb;
use super::guard::{Guard, Refusal};
use super::identity::TlsIdentity;
use crate::error::SlapError;
use crate::proof::PROOF_ROUTE;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256 << 20;

/// How long an unused connection is kept: less than the two minutes after which our Master ends it,
/// and long enough that its proof need not be asked again soon.
const MAX_IDLE: Duration = Duration::from_secs(100);

/// A successful answer.
pub(super) struct Reply {
    /// The route that was asked, for messages.
    pub(super) route: String,
    pub(super) body: String,
}

#[derive(Debug, Clone)]
pub(super) struct Transport {
    agent: Agent,
    base: Url,
    /// The address for messages.
    shown: String,
    token: Option<Secret>,
    /// What helps when the Master does not accept who we are.
    advice: String,
}

impl Transport {
    pub(super) fn new(
        base_url: &str,
        token: Option<Secret>,
        timeout: Duration,
        identity: &TlsIdentity,
    ) -> Result<Transport, SlapError> {
        let base = parse_base(base_url)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            // Also to another port of the host: the guard asks whoever listens there, too.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .max_idle_age(MAX_IDLE)
            .tls_config(identity.config())
            .user_agent(concat!("slapos/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // A proxy elsewhere cannot reach our own loopback.
            config = config.proxy(None);
        }
        let config = config.build();
        let token = token.filter(|token| !token.expose().is_empty());
        let agent = match &token {
            None => config.into(),
            Some(token) => {
                let guarded = DefaultConnector::new().chain(Guard::new(base.clone(), token));
                Agent::with_parts(config, guarded, DefaultResolver::default())
            }
        };
        let advice = identity.advice(token.is_some()).to_owned();
        let shown = shown(&base);
        Ok(Transport { agent, base, shown, token, advice })
    }

    /// Has no token; `advice` helps when the Master wants one.
    pub(super) fn without_token(self, advice: &str) -> Self {
        match self.token {
            Some(_) => self,
            None => Transport { advice: advice.to_owned(), ..self },
        }
    }

    /// The address for messages: without what proves who we are.
    pub(super) fn base_url(&self) -> &str {
        &self.shown
    }

    /// An address below the Master's own.
    pub(super) fn url(&self, route: &str) -> Result<Url, SlapError> {
        self.base.join(route).map_err(|error| self.bad_url(route, &error.to_string()))
    }

    /// An error about an address that the Master gave us.
    pub(super) fn bad_url(&self, url: &str, reason: &str) -> SlapError {
        SlapError::Protocol {
            url: self.base_url().to_owned(),
            reason: format!("it names the address {url:?}: {reason}"),
        }
    }

    pub(super) fn get(&self, route: &str, query: &[(&str, &str)]) -> Result<Reply, SlapError> {
        let mut url = self.url(route)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.get_url(&url)
    }

    pub(super) fn get_url(&self, url: &Url) -> Result<Reply, SlapError> {
        let mut request = self.agent.get(url.as_str());
        if let Some(header) = self.authorization(url) {
            request = request.header("Authorization", header);
        }
        let (status, reply) = self.receive(url, request.call())?;
        if status >= 400 {
            return Err(self.status(status, &reply));
        }
        Ok(reply)
    }

    /// The address of what `path` names below `api/v1`, one part of the path each.
    pub(super) fn resource(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, SlapError> {
        // The syntax of addresses takes these for itself, in whatever way they are written.
        if let Some(name) = path.iter().find(|name| matches!(**name, "" | "." | "..")) {
            return Err(SlapError::Unnameable((*name).to_owned()));
        }
        let mut url = self.url("api/v1")?;
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Does something with a resource of our own API. What went wrong is told in the words of the
    /// Master, without the JSON around them.
    pub(super) fn json(
        &self,
        verb: Verb,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Reply, SlapError> {
        let mut request = Request::builder().method(verb.method()).uri(url.as_str());
        if let Some(header) = self.authorization(url) {
            request = request.header("Authorization", header);
        }
        let answer = match body {
            None => request.body(()).map_err(Into::into).and_then(|empty| self.agent.run(empty)),
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                let whole = request.body(body.to_string()).map_err(Into::into);
                whole.and_then(|whole| self.agent.run(whole))
            }
        };
        let (status, mut reply) = self.receive(url, answer)?;
        let problem: Option<Value> =
            serde_json::from_str(&reply.body).ok().filter(|_| status >= 300);
        if let Some(title) = problem.as_ref().and_then(|problem| problem.get("title")?.as_str()) {
            title.clone_into(&mut reply.body);
        }
        self.whole((status, reply))
    }

    /// Posts a form with a header that goes nowhere else: no redirection is followed.
    pub(super) fn post_once(
        &self,
        route: &str,
        form: &[(&str, &str)],
        (name, value): (&str, &str),
    ) -> Result<Reply, SlapError> {
        let url = self.url(route)?;
        let request = self.agent.post(url.as_str()).header(name, value);
        let request = request.config().max_redirects(0).max_redirects_will_error(false).build();
        self.whole(self.receive(&url, request.send_form(form.iter().copied()))?)
    }

    /// The same as a GET.
    pub(super) fn get_once(
        &self,
        route: &str,
        query: &[(&str, &str)],
        (name, value): (&str, &str),
    ) -> Result<Reply, SlapError> {
        let mut url = self.url(route)?;
        url.query_pairs_mut().extend_pairs(query);
        let request = self.agent.get(url.as_str()).header(name, value);
        let request = request.config().max_redirects(0).max_redirects_will_error(false).build();
        self.whole(self.receive(&url, request.call())?)
    }

    fn whole(&self, (status, reply): (u16, Reply)) -> Result<Reply, SlapError> {
        if status >= 300 { Err(self.status(status, &reply)) } else { Ok(reply) }
    }

    /// The body of an answer that goes on for ever; each part of it may take `patience`.
    pub(super) fn listen(
        &self,
        route: &str,
        query: &[(&str, &str)],
        patience: Duration,
    ) -> Result<BodyReader<'static>, SlapError> {
        let mut url = self.url(route)?;
        url.query_pairs_mut().extend_pairs(query);
        let mut request = self.agent.get(url.as_str());
        if let Some(header) = self.authorization(&url) {
            request = request.header("Authorization", header);
        }
        let request = request
            .config()
            .timeout_global(None)
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build();
        let response = request.call().map_err(|error| self.failure(error))?;
        if response.status().as_u16() >= 400 {
            let (status, reply) = self.receive(&url, Ok(response))?;
            return Err(self.status(status, &reply));
        }
        Ok(response.into_body().into_reader())
    }

    /// Posts a form; `None` when the Master asks to come back later (408).
    pub(super) fn post(
        &self,
        route: &str,
        form: &[(&str, &str)],
    ) -> Result<Option<Reply>, SlapError> {
        let url = self.url(route)?;
        let mut request = self.agent.post(url.as_str());
        if let Some(header) = self.authorization(&url) {
            request = request.header("Authorization", header);
        }
        let (status, reply) = self.receive(&url, request.send_form(form.iter().copied()))?;
        match status {
            408 => Ok(None),
            400.. => Err(self.status(status, &reply)),
            _ => Ok(Some(reply)),
        }
    }

    fn authorization(&self, url: &Url) -> Option<String> {
        let token = self.token.as_ref().filter(|_| url.origin() == self.base.origin())?;
        Some(format!("Bearer {}", token.expose()))
    }

    fn receive(
        &self,
        url: &Url,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<(u16, Reply), SlapError> {
        let mut response = answer.map_err(|error| self.failure(error))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .lossy_utf8(true)
            .read_to_string()
            .map_err(|error| self.failure(error))?;
        // What is before it is told with the address, and may be a token.
        let route = url.path().strip_prefix(self.base.path()).unwrap_or(url.path());
        let route = route.trim_start_matches('/').to_owned();
        Ok((response.status().as_u16(), Reply { route, body }))
    }

    fn status(&self, status: u16, reply: &Reply) -> SlapError {
        SlapError::from_status(self.base_url(), &reply.route, status, &reply.body)
            .advised(&self.advice)
    }

    fn failure(&self, error: ureq::Error) -> SlapError {
        let url = self.base_url().to_owned();
        match error {
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
                SlapError::InvalidUrl { url, reason: error.to_string() }
            }
            ureq::Error::Protocol(_)
            | ureq::Error::TooManyRedirects
            | ureq::Error::RedirectFailed
            | ureq::Error::BodyExceedsLimit(_) => {
                SlapError::Protocol { url, reason: error.to_string() }
            }
            ureq::Error::Other(other) => self.refusal(other),
            ureq::Error::Io(io) => SlapError::Unreachable { url, reason: io.to_string() },
            other => SlapError::Unreachable { url, reason: other.to_string() },
        }
    }

    /// The error for a connection that the guard did not accept.
    fn refusal(&self, error: Box<dyn Error + Send + Sync>) -> SlapError {
        let url = self.base_url().to_owned();
        match error.downcast::<Refusal>().map(|refusal| *refusal) {
            Ok(Refusal::NoProof(reason)) => SlapError::Impostor { url, reason },
            Ok(Refusal::Absent { status, body }) => {
                SlapError::from_status(&url, PROOF_ROUTE, status, &body).advised(&self.advice)
            }
            Err(other) => SlapError::Unreachable { url, reason: other.to_string() },
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A Master's URL without what it may have of a password, or of a token in front of the path.
fn shown(url: &Url) -> String {
    const HIDDEN: &str = "***";
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for addresses that cannot have any.
        let _ = url.set_password(Some(HIDDEN));
    }
    let token = url.path().strip_prefix("/token/").and_then(|rest| rest.split_once('/'));
    if let Some(path) = token.map(|(_, rest)| format!("/token/{HIDDEN}/{rest}")) {
        url.set_path(&path);
    }
    url.into()
}

/// A Master's URL as it may be told: without what proves to it who asks. One that has nothing of the kind
/// stays as it is.
pub fn told_url(text: &str) -> String {
    let hidden = parse_base(text).ok().map(|url| (shown(&url), url));
    match hidden {
        Some((shown, url)) if shown != url.as_str() => shown,
        _ => text.to_owned(),
    }
}

/// The Master's URL with a trailing slash; a bare IPv6 host gets its brackets.
fn parse_base(text: &str) -> Result<Url, SlapError> {
    let invalid =
        |reason: &str| SlapError::InvalidUrl { url: text.to_owned(), reason: reason.to_owned() };
    let mut given = text.trim().trim_end_matches('/').to_owned();
    if let Some((scheme, host)) = given.split_once("://")
        && host.parse::<std::net::Ipv6Addr>().is_ok()
    {
        given = format!("{scheme}://[{host}]");
    }
    given.push('/');
    let url = Url::parse(&given).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it must begin with http:// or https://"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_who_we_are_is_not_shown() {
        let shown = |url: &str| shown(&parse_base(url).unwrap());
        assert_eq!(shown("http://m:1"), "http://m:1/");
        assert_eq!(shown("https://u:secret@m/a"), "https://u:***@m/a/");
        assert_eq!(shown("http://m/token/slapos_u_00ff"), "http://m/token/***/");
        assert_eq!(shown("http://m/token/slapos_u_00ff/a"), "http://m/token/***/a/");
        assert_eq!(told_url("http://u:secret@m"), "http://u:***@m/");
        for plain in ["http://m:1", "http://m:1/a/", "no URL"] {
            assert_eq!(told_url(plain), plain);
        }
    }

    fn transport(url: &str, token: Option<Secret>, timeout: Duration) -> Transport {
        Transport::new(url, token, timeout, &TlsIdentity::default()).unwrap()
    }

    #[test]
    fn base_urls_are_completed() {
        for (given, base) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/"),
            (" https://host/slap/ ", "https://host/slap/"),
            ("http://::1", "http://[::1]/"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(parse_base(given).unwrap().as_str(), base);
        }
        assert!(is_loopback(&parse_base("http://::1").unwrap()));
        assert!(!is_loopback(&parse_base("http://example.org").unwrap()));
    }

    #[test]
    fn what_is_no_url_says_so() {
        insta::assert_snapshot!(parse_base("127.0.0.1:5000").unwrap_err(), @r#""127.0.0.1:5000" is not the URL of a Master: relative URL without a base; set `master_url` in the configuration to something like http://127.0.0.1:5000"#);
        insta::assert_snapshot!(parse_base("ftp://x").unwrap_err(), @r#""ftp://x" is not the URL of a Master: it must begin with http:// or https://; set `master_url` in the configuration to something like http://127.0.0.1:5000"#);
    }

    #[test]
    fn the_token_goes_to_the_masters_origin_only() {
        let transport = transport("http://m:1/", Some(Secret::new("t")), Duration::from_secs(1));
        let header = |url: &str| transport.authorization(&Url::parse(url).unwrap());
        assert_eq!(header("http://m:1/x").as_deref(), Some("Bearer t"));
        assert_eq!(header("http://m:2/x"), None);
        assert_eq!(header("http://other:1/x"), None);
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        let transport = transport("http://m:1/token/x", None, Duration::from_secs(1));
        let address = |name: &str| {
            let url = transport.resource(&["computers", name, "token"], &[("after", "a&b c")]);
            url.map_or_else(|error| error.to_string(), |url| url.as_str().to_owned())
        };
        for (name, part) in [
            ("c 1/é-p", "c%201%2F%C3%A9-p"),
            ("a?b=c", "a%3Fb=c"),
            ("a#b", "a%23b"),
            ("../users", "..%2Fusers"),
            ("%2e%2e", "%252e%252e"),
        ] {
            let url = format!("http://m:1/token/x/api/v1/computers/{part}/token?after=a%26b+c");
            assert_eq!(address(name), url);
        }
        for impossible in ["", ".", ".."] {
            assert!(address(impossible).contains("cannot be the name"), "{impossible}");
        }
    }

    #[test]
    fn who_is_not_accepted_hears_what_was_shown() {
        let advice = |token| transport("http://m:1/", token, Duration::from_secs(1)).advice;
        assert!(advice(Some(Secret::new("t"))).starts_with("check that the token"));
        assert!(advice(None).starts_with("nothing was shown: name the file of a token"));
        let looked = transport("http://m:1/", None, Duration::from_secs(1)).without_token("look");
        let reply = Reply { route: "x".to_owned(), body: String::new() };
        insta::assert_snapshot!(looked.status(401, &reply), @"the Master at http://m:1/ refuses us: it answers 401 to /x without saying why; look");
    }

    #[test]
    fn nobody_there_is_unreachable() {
        // Port 1 is reserved for a service that nobody has had for decades.
        let url = "http://127.0.0.1:1";
        let transport = transport(url, None, Duration::from_secs(5));
        let Err(error) = transport.get("x", &[]) else { panic!("somebody answered") };
        assert!(error.is_temporary());
        insta::assert_snapshot!(error, @"the Master at http://127.0.0.1:1/ does not answer: Connection refused (os error 111); if it is the embedded one, start it with `slapos proxy start`, otherwise check `master_url` in the configuration");
    }
}
