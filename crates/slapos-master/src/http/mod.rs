//! HTTP in front of the store: routes, the token, and which outcome has which status.
//!
//! Invariants: handlers hold no state between requests (listeners to events are one long request); whatever a caller sends, the answer is a
//! status below 500 unless the database fails; bodies are bounded.

mod access;
mod again;
mod api;
mod audit;
mod auth;
mod certificates;
mod events;
mod evidence;
mod farewells;
mod feed;
mod forgetting;
#[cfg(test)]
mod guide;
mod hateoas;
mod health;
mod identity;
mod incoming;
mod json_rpc;
mod metrics;
mod own;
mod params;
mod problem;
mod rate;
mod registration;
mod renderings;
mod seats;
mod shacache;
mod slap;
mod status;
#[cfg(test)]
mod tests;
mod token_path;
mod ui;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler as _;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use slapos_slap::convert::ConvertError;
use slapos_slap::marshal::MarshalError;
use slapos_slap::proof::ProofKey;
use slapos_slap::{InstanceAnswer, InstanceRequest, SlapError};
use slapos_sys::Secret;

pub use self::rate::Rate;

use self::access::{Audited, Route, Rule};
use crate::authority::{Authority, AuthorityError};
use crate::error::StoreError;
use crate::protocols::Protocols;
use crate::requests::{Desk, Refused, RequestsConfig, SchemaError};
use crate::settings::Access;
use crate::shacache::Shacache;
use crate::store::{Store, Would};

/// What all handlers share.
pub(crate) struct App {
    pub(crate) store: Store,
    token: auth::TokenDigest,
    proof_key: ProofKey,
    /// What was done so far, in numbers.
    metrics: metrics::Metrics,
    /// What listeners to events have in common.
    pub(crate) listeners: events::Listeners,
    /// What signs certificates, where there is TLS.
    authority: Option<Arc<Authority>>,
    /// For how many seconds.
    certificate_life: u64,
    audit: audit::Audit,
    /// No request may take longer, whatever its route says.
    patience: std::time::Duration,
    /// How often each caller asks.
    callers: rate::Buckets<String>,
    /// How often each address asks without saying who it is.
    strangers: rate::Buckets<std::net::IpAddr>,
    /// How often each address presents what is not valid.
    failures: rate::Buckets<std::net::IpAddr>,
    /// Proxies that say whom they speak for.
    trusted_proxies: Vec<std::net::IpAddr>,
    /// What nodes were told and still would be.
    renderings: renderings::Renderings,
    /// Who grants requests.
    pub(crate) desk: Desk,
    /// Names for Software Releases.
    products: std::collections::BTreeMap<String, slapos_slap::SoftwareUrl>,
    /// The network cache, where there is one.
    shacache: Option<Shacache>,
    /// Names this process, for clients that want to know whether a URL leads to themselves.
    run_id: String,
}

/// What an [`App`] has to know of how it is reached.
pub(crate) struct DoorConfig<'a> {
    pub(crate) access: &'a Access,
    pub(crate) authority: Option<Arc<Authority>>,
    /// How many may listen to events.
    pub(crate) listeners: usize,
}

impl App {
    /// What answers for `store`.
    pub(crate) fn new(
        store: Store,
        token: &Secret,
        door: DoorConfig<'_>,
        requests: RequestsConfig,
        protocols: Protocols,
    ) -> std::io::Result<App> {
        let DoorConfig { access, authority, listeners } = door;
        let run_id = slapos_sys::random::hex(16)?;
        let desk = Desk::new(requests, run_id.clone());
        Ok(App {
            products: protocols.products,
            shacache: protocols.shacache.map(Shacache::open).transpose()?,
            authority,
            certificate_life: access.certificate_life,
            audit: audit::Audit::default(),
            patience: std::time::Duration::MAX,
            callers: rate::Buckets::new(access.callers),
            strangers: rate::Buckets::new(access.strangers),
            failures: rate::Buckets::new(access.failures),
            trusted_proxies: access.trusted_proxies.clone(),
            token: auth::TokenDigest::of(token.expose()),
            proof_key: ProofKey::new(token),
            metrics: metrics::Metrics::new(&store, &desk),
            store,
            listeners: events::Listeners::new(listeners),
            renderings: renderings::Renderings::default(),
            desk,
            run_id,
        })
    }
}

impl App {
    /// Grants a request, whatever it came by. See [`Desk::request`].
    async fn request(
        &self,
        project: &str,
        request: &InstanceRequest,
        origin: &str,
    ) -> Result<(InstanceAnswer, Option<Would>), Refused> {
        let answer = self.desk.request(&self.store, project, request, origin).await;
        self.metrics.requested(&answer);
        if let Ok((_, done)) = &answer {
            audit::changed_if(match done {
                Some(done) => *done != Would::Nothing,
                // Of what another Master does nothing is known; instances ask at each run.
                None => request.requester.is_none(),
            });
        }
        answer
    }
}

/// All routes: the one list from which the router, the table of who may call what, and their test come.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = health::routes();
    routes.extend(slap::routes());
    routes.extend(status::routes());
    routes.extend(registration::routes());
    routes.extend(hateoas::routes());
    routes.extend(json_rpc::routes());
    routes.extend(shacache::routes());
    routes.extend(api::routes());
    routes.extend(events::routes());
    routes.extend(identity::routes());
    routes.extend(ui::routes());
    routes.extend(metrics::routes());
    routes
}

/// What answers.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let guard = |rule, body, time, audited, vouched| {
        let gate = auth::Gate { app: Arc::clone(app), rule, body, time, audited, vouched };
        middleware::from_fn_with_state(gate, auth::guard)
    };
    let mut router = Router::new();
    for route in routes() {
        let rule = shacache::rule(app, &route);
        let time = route.time.min(app.patience);
        let guard = guard(rule, route.body, time, route.audited, route.vouched);
        let limited = route.handler.layer(DefaultBodyLimit::max(route.body));
        router = router.route(route.path, limited.route_layer(guard));
    }
    let unknown = guard(Rule::KNOWN, usize::MAX, UNKNOWN_TIME, Audited::Nobody, false);
    // Of the routes that there are by now.
    let router = router.method_not_allowed_fallback(unknown_method.layer(unknown.clone()));
    let strangers = Router::new().fallback(unknown_route).layer(unknown);
    let measured = middleware::from_fn_with_state(Arc::clone(app), metrics::measure);
    let router = router.merge(strangers).layer(measured).with_state(Arc::clone(app));
    // Outside of the router: the one changes where a request goes, the other concerns all answers.
    let outermost = Router::new().fallback_service(router);
    let outermost = outermost.layer(middleware::map_request(token_path::taken_off));
    outermost.layer(middleware::map_response(told))
}

/// What concerns all answers.
async fn told(mut answer: Response) -> Response {
    // `axum` says which methods a route has in whatever is answered about another one.
    if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().remove(header::ALLOW);
    }
    again::told(answer).await
}

/// How long the answer about an unknown route may take.
const UNKNOWN_TIME: std::time::Duration = std::time::Duration::from_secs(10);

async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("this Master has no {}", uri.path()))
}

/// A route asked by a method that it does not have; `axum` adds those that it has.
async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}: see `Allow`", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// A plain text answer.
fn text(body: impl Into<String>) -> Response {
    let body: String = body.into();
    with_type("text/plain; charset=utf-8", body)
}

/// A marshalled answer.
fn xml(body: impl Into<Body>) -> Response {
    with_type("text/xml; charset=utf-8", body)
}

fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response {
    // Texts repeat what users gave: no browser shall take them for a page.
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, body.into()).into_response()
}

/// A request that is not granted.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    /// Where the parameters of a request do not fit.
    errors: Vec<SchemaError>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), errors: Vec::new() }
    }

    fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let unavailable = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let told = self.status.is_client_error() || unavailable;
        let reason = told.then(|| reason_phrase(&self.message)).flatten();
        let mut response = text(self.message.clone());
        *response.status_mut() = self.status;
        if let Some(reason) = reason {
            response.extensions_mut().insert(reason);
        }
        // For those who word it otherwise.
        response.extensions_mut().insert(self);
        response
    }
}

/// The beginning of a refusal, in place of the status's own words: the original's clients show that,
/// and not the body.
fn reason_phrase(message: &str) -> Option<ReasonPhrase> {
    const LONGEST: usize = 400;
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let line: String = message.chars().take(LONGEST).map(plain).collect();
    ReasonPhrase::try_from(line.into_bytes()).ok()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        let status = match &error {
            StoreError::NotFound(_) => StatusCode::NOT_FOUND,
            StoreError::Conflict(_) => StatusCode::CONFLICT,
            StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
            StoreError::Busy(_) | StoreError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!("{error}");
        }
        ApiError::new(status, error.to_string())
    }
}

impl From<AuthorityError> for ApiError {
    fn from(error: AuthorityError) -> ApiError {
        tracing::error!("{error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        let message = refused.to_string();
        let status = match refused {
            Refused::Store(error) => return error.into(),
            Refused::Parameters { errors, .. } => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return ApiError { errors, ..ApiError::new(status, message) };
            }
            Refused::Configuration(_) => StatusCode::NOT_FOUND,
            Refused::NotReady(_) => StatusCode::REQUEST_TIMEOUT,
            Refused::Busy | Refused::Ending => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Other(SlapError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Refused::Other(SlapError::Server { status: 400 | 409 | 422, .. }) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Refused::Other(error) => {
                tracing::warn!("{error}");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        ApiError::new(status, message)
    }
}

impl From<ConvertError> for ApiError {
    fn from(error: ConvertError) -> ApiError {
        ApiError::bad_request(error.to_string())
    }
}

impl From<MarshalError> for ApiError {
    fn from(error: MarshalError) -> ApiError {
        ApiError::bad_request(error.to_string())
    }
}

impl From<slapos_slap::UnknownWord> for ApiError {
    fn from(error: slapos_slap::UnknownWord) -> ApiError {
        ApiError::bad_request(error.to_string())
    }
}
