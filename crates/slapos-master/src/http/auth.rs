//! Who asks: by a token, as a bearer or as the password of HTTP's basic authentication, under any
//! name (the latter is what programs say that know of passwords only: the clients of the original
//! take one from the URL or from `.netrc`), or by the certificate of the connection.
//!
//! The operator's token is known to the process. Others are looked up for each request, so that what
//! was revoked at any Master is refused at once by all of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use slapos_slap::token::{digest, is_issued};
use tokio::time::Instant;

use super::access::{Asker, Audited, Caller, May, Rule, TIME};
use super::audit::Said;
use super::evidence::Evidence;
use super::incoming::Incoming;
use super::rate::{Buckets, network};
use super::{ApiError, App, audit, incoming, problem, registration};
use crate::connections::Guest;
use crate::store::AuditEntry;

/// The digest of a token. Comparing digests takes the same time for every wrong token, and the
/// token itself is not kept.
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> TokenDigest {
        TokenDigest(Sha256::digest(token.as_bytes()).into())
    }

    fn matches(&self, presented: &str) -> bool {
        let other = TokenDigest::of(presented);
        // No early exit: every byte counts.
        self.0.iter().zip(other.0).fold(0, |differs, (one, two)| differs | (one ^ two)) == 0
    }
}

/// What stands before a route.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(super) app: Arc<App>,
    pub(super) rule: Rule,
    pub(super) body: usize,
    pub(super) time: Duration,
    pub(super) audited: Audited,
    pub(super) vouched: bool,
}

/// Why somebody is not let through.
enum Refusal {
    /// Nothing was shown, or what was shown is not valid.
    Unknown { reason: &'static str, shown: bool },
    /// The rule does not grant it to that caller.
    NotFor(Caller),
    /// Too often; seconds to wait.
    TooOften(u64),
    /// The store cannot say.
    Failed(ApiError),
}

/// Lets a request through to its handler if the rule of its route grants it, with the [`Caller`] and the
/// [`Asker`] in its extensions; the connection of a caller who is known may stay.
pub(crate) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (mut request, body) = incoming::watched(request);
    let visit = Visit::of(&gate.app, &mut request);
    let shown = request.headers().get(header::AUTHORIZATION);
    let token = shown.and_then(|value| value.to_str().ok()).and_then(presented);
    let voucher =
        registration::shown(request.headers()).filter(|_| gate.vouched && token.is_none());
    let admitted = match voucher {
        Some(voucher) => gate.admit_vouched(&visit, voucher),
        None => gate.admit(&visit, token.as_deref()).await,
    };
    let answer = match admitted {
        Err(refusal) => gate.refuse(&visit, refusal).await,
        Ok(known) => gate.audited_answer(&visit, known, (request, &body), next).await,
    };
    problem::worded(&path, incoming::told(&body, answer))
}

impl Gate {
    /// Has the handler answer, and keeps what was done in the audit log, also when nobody waits for the
    /// answer any more.
    async fn audited_answer(
        &self,
        visit: &Visit,
        known: Option<Known>,
        (mut request, body): (Request, &Incoming),
        next: Next,
    ) -> Response {
        let path = request.uri().path().to_owned();
        let who = known.as_ref().map(|(caller, _)| caller.to_string());
        let asker = who.clone().unwrap_or_else(|| network(visit.address).to_string());
        request.extensions_mut().insert(Asker(asker));
        let person = matches!(known, Some((Caller::Operator | Caller::User(_), _)));
        if let Some((caller, evidence)) = known {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(evidence);
        }
        let entry = |Said { about, changed }: Said, status: StatusCode| {
            let kept = self.audited.keeps(person, changed, status);
            let caller = who.clone().filter(|_| kept || status == StatusCode::FORBIDDEN)?;
            let about = if about.is_empty() { path.clone() } else { about };
            Some(visit.entry(&self.app, caller, about, status))
        };
        // What he asked for may be done all the same.
        let left = |said| {
            if let Some(entry) = entry(Said { changed: true, ..said }, audit::left()) {
                self.app.gather(entry);
            }
        };
        let (answer, said) =
            audit::listening(self.answer(visit, (request, body), next), left).await;
        let status = answer.status();
        if let Some(entry) = entry(said, status) {
            self.app.note(entry).await;
            if self.audited.is_at_once() && status.is_success() {
                self.app.write_audit().await;
            }
        }
        answer
    }

    async fn answer(
        &self,
        visit: &Visit,
        (request, body): (Request, &Incoming),
        next: Next,
    ) -> Response {
        let what = format!("{} {}", visit.method, visit.route);
        match tokio::time::timeout(self.time, next.run(request)).await {
            Ok(answer) => match answer.status() {
                StatusCode::PAYLOAD_TOO_LARGE if self.body < usize::MAX => {
                    incoming::too_large(&what, self.body)
                }
                _ => answer,
            },
            Err(_) if body.is_awaited() => incoming::late(&what, self.time),
            Err(_) => {
                let message = "this took too long: try again";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response()
            }
        }
    }

    /// Who is let through: on a route for anybody it need not be known who.
    async fn admit(&self, visit: &Visit, token: Option<&str>) -> Result<Option<Known>, Refusal> {
        let app = &self.app;
        if self.rule.anybody {
            // Nothing is looked up for who shows nothing, unless he asks for what is.
            let known = recognise(app, visit, token).await.ok();
            match &known {
                Some((caller, _)) => self.count(caller)?,
                None => visit.count(&app.strangers)?,
            }
            // Who is served something long would have to go in the middle of it.
            match &known {
                Some((caller, _)) => visit.welcome(&caller.to_string()),
                None if self.time > TIME => visit.welcome(&network(visit.address).to_string()),
                None => {}
            }
            return Ok(known);
        }
        let (caller, evidence) = recognise(app, visit, token).await?;
        visit.welcome(&caller.to_string());
        if self.rule.grants(&caller) == May::Not {
            return Err(Refusal::NotFor(caller));
        }
        self.count(&caller)?;
        Ok(Some((caller, evidence)))
    }

    /// Refuses a caller who asks too often.
    fn count(&self, caller: &Caller) -> Result<(), Refusal> {
        match caller {
            Caller::Operator => Ok(()),
            caller => {
                let taken = self.app.callers.take(caller.to_string(), Instant::now());
                taken.map_err(Refusal::TooOften)
            }
        }
    }

    /// Who is let through by a voucher.
    fn admit_vouched(&self, visit: &Visit, voucher: &str) -> Result<Option<Known>, Refusal> {
        if let Some(caller) = self.app.vouched(voucher) {
            visit.welcome(&caller.to_string());
            self.count(&caller)?;
            return Ok(Some((caller, Evidence::Voucher(voucher.to_owned()))));
        }
        visit.count(&self.app.failures)?;
        let reason = "the token is not one of this Master's, or not any more";
        Err(Refusal::Unknown { reason, shown: true })
    }

    async fn refuse(&self, visit: &Visit, refusal: Refusal) -> Response {
        let (status, message, wait) = match refusal {
            Refusal::Failed(error) => return error.into_response(),
            Refusal::NotFor(caller) => {
                tracing::warn!("refused {} {} for {caller}", visit.method, visit.route);
                let about = visit.route.clone();
                let status = StatusCode::FORBIDDEN;
                self.app.note(visit.entry(&self.app, caller.to_string(), about, status)).await;
                return super::own::not_yours().into_response();
            }
            Refusal::TooOften(wait) => {
                let message = format!("too many requests: wait {wait} s");
                (StatusCode::TOO_MANY_REQUESTS, message, Some(wait))
            }
            Refusal::Unknown { reason, shown } => {
                tracing::warn!(
                    "refused {} {} for {}: {reason}",
                    visit.method,
                    visit.route,
                    visit.address
                );
                if shown {
                    let who = format!("stranger at {}", visit.address);
                    let about = reason.to_owned();
                    let entry = visit.entry(&self.app, who, about, StatusCode::UNAUTHORIZED);
                    self.app.note(entry).await;
                }
                (StatusCode::UNAUTHORIZED, reason.to_owned(), None)
            }
        };
        let mut response = ApiError::new(status, message).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}

/// Who asks, and by what that was proved.
type Known = (Caller, Evidence);

/// Who the caller is, by what the request presents; a token goes before a certificate.
async fn recognise(app: &App, visit: &Visit, token: Option<&str>) -> Result<Known, Refusal> {
    if token.is_some_and(|token| app.token.matches(token)) {
        return Ok((Caller::Operator, Evidence::Operator));
    }
    let certificate = visit.guest.as_ref().and_then(Guest::certificate);
    let (evidence, reason) = match (token, certificate) {
        (Some(token), _) => (
            is_issued(token).then(|| Evidence::Token(digest(token))),
            "the token is not one of this Master's, or not any more",
        ),
        (None, Some(serial)) => (
            Some(Evidence::Certificate(serial)),
            "the certificate is not one of this Master's, or not any more",
        ),
        (None, None) => {
            let reason = "this Master wants a token, as the header `Authorization: Bearer TOKEN`";
            return Err(Refusal::Unknown { reason, shown: false });
        }
    };
    if let Some(evidence) = evidence {
        // What costs a look-up each time is bounded also for who goes on failing.
        if !app.failures.has(&network(visit.address), Instant::now()) {
            visit.count(&app.strangers)?;
        }
        let caller = evidence.caller(app).await.map_err(|error| Refusal::Failed(error.into()))?;
        if let Some(caller) = caller {
            return Ok((caller, evidence));
        }
    }
    // Only who fails has to wait: others may have the same address.
    visit.count(&app.failures)?;
    Err(Refusal::Unknown { reason, shown: true })
}

/// A request, as far as it is told of.
struct Visit {
    guest: Option<Guest>,
    address: IpAddr,
    method: String,
    route: String,
}

impl Visit {
    fn of(app: &App, request: &mut Request) -> Visit {
        let guest = request.extensions().get::<ConnectInfo<Guest>>().map(|info| info.0.clone());
        let address = guest.as_ref().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Guest::address);
        if guest.as_ref().is_some_and(Guest::is_secret) {
            // As a proxy that speaks TLS for us would say.
            let headers = request.headers_mut();
            headers.entry("x-forwarded-proto").or_insert(HeaderValue::from_static("https"));
        }
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or_else(|| request.uri().path(), MatchedPath::as_str);
        Visit {
            address: behind_proxy(address, request.headers(), &app.trusted_proxies),
            guest,
            method: request.method().to_string(),
            route: route.chars().take(200).collect(),
        }
    }

    fn welcome(&self, who: &str) {
        if let Some(guest) = &self.guest {
            guest.welcome(who);
        }
    }

    /// Takes from the bucket of its address.
    fn count(&self, buckets: &Buckets<IpAddr>) -> Result<(), Refusal> {
        buckets.take(network(self.address), Instant::now()).map_err(Refusal::TooOften)
    }

    fn entry(&self, app: &App, caller: String, about: String, status: StatusCode) -> AuditEntry {
        AuditEntry {
            at: app.store.time(),
            caller,
            method: self.method.clone(),
            route: self.route.clone(),
            about,
            outcome: status.as_u16(),
        }
    }
}

/// Where a request comes from. A proxy that is trusted says whom it speaks for.
fn behind_proxy(address: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    if !trusted.contains(&address.to_canonical()) {
        return address;
    }
    let said = headers.get_all("x-forwarded-for").iter().next_back();
    let last =
        said.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    last.and_then(|text| text.trim().parse().ok()).unwrap_or(address)
}

/// The token that the value of the header `Authorization` has.
fn presented(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_a_bearer_or_a_password() {
        assert_eq!(presented("Bearer  a:b ").as_deref(), Some("a:b"));
        // `any name:a:b`.
        assert_eq!(presented("basic YW55IG5hbWU6YTpi").as_deref(), Some("a:b"));
        for nothing in ["Bearer", "Basic ?", "Basic YQ==", "Basic /w==", "X-SlapPartition a=b", ""]
        {
            assert_eq!(presented(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn only_the_very_token_matches() {
        let digest = TokenDigest::of("secret");
        assert!(digest.matches("secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!digest.matches(wrong));
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.1.1.1, 2.2.2.2".parse().unwrap());
        let trusted = ["127.0.0.1".parse().unwrap()];
        let seen = |from: &str, headers: &HeaderMap| {
            behind_proxy(from.parse().unwrap(), headers, &trusted).to_string()
        };
        assert_eq!(seen("127.0.0.1", &headers), "2.2.2.2");
        assert_eq!(seen("::ffff:127.0.0.1", &headers), "2.2.2.2");
        // Whatever else runs on this machine is not.
        assert_eq!(seen("::1", &headers), "::1");
        assert_eq!(seen("3.3.3.3", &headers), "3.3.3.3");
        assert_eq!(seen("127.0.0.1", &HeaderMap::new()), "127.0.0.1");
    }
}
