//! HTTP in front of the store: routes, the token, and which outcome has which status.
//!
//! Invariants: handlers hold no state between requests (listeners to events are one long request); whatever a caller sends, the answer is a
//! status below 500 unless the database fails; bodies are bounded.

mod access;
mod api;
mod audit;
mod auth;
mod certificates;
mod events;
#[cfg(test)]
mod guide;
mod hateoas;
mod identity;
mod own;
mod params;
mod problem;
mod rate;
mod slap;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use slapos_slap::convert::ConvertError;
use slapos_slap::marshal::MarshalError;
use slapos_slap::proof::ProofKey;
use slapos_sys::Secret;

pub use self::rate::Rate;

use self::access::{Route, Rule};
use crate::authority::{Authority, AuthorityError};
use crate::error::StoreError;
use crate::settings::Access;
use crate::store::Store;

/// What all handlers share.
pub(crate) struct App {
    pub(crate) store: Store,
    token: auth::TokenDigest,
    proof_key: ProofKey,
    /// What listeners to events have in common.
    pub(crate) listeners: events::Listeners,
    /// What signs certificates, where there is TLS.
    authority: Option<Arc<Authority>>,
    audit: audit::Audit,
    /// How often each caller asks.
    callers: rate::Buckets<String>,
    /// How often each address presents what is not valid.
    failures: rate::Buckets<std::net::IpAddr>,
    /// Names this process, for clients that want to know whether a URL leads to themselves.
    run_id: String,
}

impl App {
    /// What answers for `store`, with room for so many listeners.
    pub(crate) fn new(
        store: Store,
        token: &Secret,
        access: &Access,
        authority: Option<Arc<Authority>>,
        listeners: usize,
    ) -> std::io::Result<App> {
        Ok(App {
            store,
            authority,
            audit: audit::Audit::default(),
            callers: rate::Buckets::new(access.callers),
            failures: rate::Buckets::new(access.failures),
            token: auth::TokenDigest::of(token.expose()),
            proof_key: ProofKey::new(token),
            listeners: events::Listeners::new(listeners),
            run_id: slapos_sys::random::hex(16)?,
        })
    }
}

/// All routes: the one list from which the router, the table of who may call what, and their test come.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        // Programs that start a Master wait for an answer from its root.
        Route::get("/", Rule::ANYBODY, || async { text("SlapOS Master") }),
        Route::get("/healthz", Rule::ANYBODY, || async { text("ok") }),
    ];
    routes.extend(slap::routes());
    routes.extend(hateoas::routes());
    routes.extend(api::routes());
    routes.extend(events::routes());
    routes.extend(identity::routes());
    routes
}

/// What answers.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let guard = |rule, time, audited| {
        let gate = auth::Gate { app: Arc::clone(app), rule, time, audited };
        middleware::from_fn_with_state(gate, auth::guard)
    };
    let mut router = Router::new();
    for route in routes() {
        let guard = guard(route.rule, route.time, route.audited());
        let limited = route.handler.layer(DefaultBodyLimit::max(route.body));
        router = router.route(route.path, limited.route_layer(guard));
    }
    let strangers =
        Router::new().fallback(unknown_route).layer(guard(Rule::KNOWN, UNKNOWN_TIME, false));
    router.merge(strangers).with_state(Arc::clone(app))
}

/// How long the answer about an unknown route may take.
const UNKNOWN_TIME: std::time::Duration = std::time::Duration::from_secs(10);

async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("this Master has no {}", uri.path()))
}

/// A plain text answer.
fn text(body: impl Into<String>) -> Response {
    with_type("text/plain; charset=utf-8", body.into())
}

/// A marshalled answer.
fn xml(body: String) -> Response {
    with_type("text/xml; charset=utf-8", body)
}

fn with_type(content_type: &'static str, body: String) -> Response {
    // Texts repeat what users gave: no browser shall take them for a page.
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, body).into_response()
}

/// A request that is not granted.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into() }
    }

    fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = text(self.message.clone());
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        // For those who word it otherwise.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        let status = match &error {
            StoreError::NotFound(_) => StatusCode::NOT_FOUND,
            StoreError::Conflict(_) => StatusCode::CONFLICT,
            StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
            StoreError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
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
