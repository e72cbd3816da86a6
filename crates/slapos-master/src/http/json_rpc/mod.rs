//! The original's JSON-RPC API: one POST route a method, a JSON object each way.
//!
//! Invariants: nothing is done for a caller who would not accept the answer, nor with a body that
//! is not what the method takes (see [`schema`]); every answer of a method, errors included, is
//! JSON as Python writes it, with its keys in the order that the original documents. What the
//! original's embedded Master ignores of what nodes report, ours stores, with the same answer.

mod guid;
mod instances;
mod nodes;
mod python;
mod schema;

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};
use slapos_slap::convert::{ConvertError, partition_id};
use slapos_slap::{ComputerId, PartitionId, SoftwareUrl};

use self::schema::Schema;
use super::access::{Caller, Route, Rule};
use super::certificates::Pair;
use super::{ApiError, App, hateoas};
use crate::error::StoreError;
use crate::requests::Refused;

/// What a method comes to.
type Answer = Result<Json, RpcError>;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = nodes::routes();
    routes.extend(instances::routes());
    routes
}

/// One call of a method, its body checked.
struct Call {
    app: Arc<App>,
    caller: Caller,
    body: Map<String, Json>,
    /// The address of the HATEOAS face, as the caller sees us.
    hateoas: String,
}

impl Call {
    /// The address under which the caller sees us.
    fn origin(&self) -> &str {
        self.hateoas.trim_end_matches("/hateoas/")
    }

    /// A text of the body; empty where an optional one was left out.
    fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// A dictionary of the body, its values as the texts that SLAP stores.
    fn texts(&self, name: &str) -> indexmap::IndexMap<String, String> {
        let entries = self.body.get(name).and_then(Json::as_object).into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), python::text(value))).collect()
    }

    /// The computer that the body names, which is the caller's.
    async fn computer(&self) -> Result<ComputerId, RpcError> {
        let computer = ComputerId::new(self.text("computer_guid"));
        let own = self.app.allow_computer(&self.caller, &computer).await;
        own.map_err(refused_by)?;
        Ok(computer)
    }

    /// Takes note that a node is there which only what it asks for names.
    async fn heard_of(&self, computer: &ComputerId) -> Result<(), RpcError> {
        Ok(self.app.node_of_operator(&self.caller, computer).await?)
    }

    /// Refuses an instance that is not the caller's, by where it lives.
    async fn allow(&self, computer: &ComputerId, partition: &PartitionId) -> Result<(), RpcError> {
        let own = self.app.allow_partition(&self.caller, computer, partition).await;
        own.map_err(refused_by)
    }

    fn partition(&self) -> Result<PartitionId, RpcError> {
        Ok(partition_id(self.text("compute_partition_id"))?)
    }

    fn software(&self) -> SoftwareUrl {
        SoftwareUrl::new(self.text("software_release_uri"))
    }
}

/// What is another's, or is not there, is forbidden in this API.
fn refused_by(error: ApiError) -> RpcError {
    match error.status {
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => RpcError::forbidden("this is not yours"),
        status => RpcError::new(status, error.message),
    }
}

/// A method of that name: what answers, after everything about the request was checked.
fn method<F, Fut>(path: &'static str, rule: Rule, takes: &'static Schema, act: F) -> Route
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send,
{
    let handler = move |State(app): State<Arc<App>>,
                        headers: HeaderMap,
                        caller: Caller,
                        body: Result<Bytes, BytesRejection>| async move {
        let answer = match read(&headers, takes, body) {
            Err(refusal) => Err(refusal),
            Ok(body) => {
                let hateoas = format!("{}/hateoas/", hateoas::origin(&headers));
                act(Call { app, caller, body, hateoas }).await
            }
        };
        answer.map_or_else(RpcError::into_response, |json| {
            as_json(StatusCode::OK, python::write(&json))
        })
    };
    Route::post(path, rule, handler)
}

/// The body of a request that can be answered.
fn read(
    headers: &HeaderMap,
    takes: &Schema,
    body: Result<Bytes, BytesRejection>,
) -> Result<Map<String, Json>, RpcError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !header(header::ACCEPT).is_none_or(accepts_json) {
        return Err(RpcError::new(StatusCode::NOT_ACCEPTABLE, "answers are application/json"));
    }
    if !header(header::CONTENT_TYPE).is_some_and(is_json) {
        let reason = "Did not attempt to load JSON data because the request Content-Type was not \
                      'application/json'.";
        return Err(RpcError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    let body = body.map_err(|rejection| {
        let reason = rejection.body_text();
        RpcError::new(rejection.into_response().status(), reason)
    })?;
    let json: Json = serde_json::from_slice(&body).map_err(|error| {
        RpcError::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}"))
    })?;
    match takes.verdict(&json) {
        Some(reason) => Err(RpcError::new(StatusCode::BAD_REQUEST, reason)),
        None => Ok(json.as_object().cloned().unwrap_or_default()),
    }
}

/// Whether the value of a header `Content-Type` names JSON.
fn is_json(value: &str) -> bool {
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Whether the value of a header `Accept` lets JSON through.
fn accepts_json(value: &str) -> bool {
    let mut ranges = value.split(',').filter(|range| !range.trim().is_empty()).peekable();
    ranges.peek().is_none()
        || ranges.any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let refused = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|quality| quality.parse::<f64>().is_ok_and(|quality| quality <= 0.0));
            let fits = ["*/*", "application/*", "application/json"];
            !refused && fits.iter().any(|fit| kind.eq_ignore_ascii_case(fit))
        })
}

fn as_json(status: StatusCode, text: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, text).into_response()
}

/// What a method answers that has nothing to tell.
fn success(title: impl Into<String>) -> Answer {
    Ok(json!({ "type": "success", "title": title.into() }))
}

/// What a method answers that gives a certificate.
fn certified(pair: &Pair) -> Json {
    json!({ "key": pair.key.expose(), "certificate": pair.certificate })
}

/// What a method that lists answers.
fn list(items: Vec<Json>) -> Answer {
    let mut answer = Map::new();
    answer.insert("result_list".to_owned(), Json::Array(items));
    Ok(Json::Object(answer))
}

/// Why a method was not carried out.
#[derive(Debug)]
struct RpcError {
    status: StatusCode,
    title: String,
}

impl RpcError {
    fn new(status: StatusCode, title: impl Into<String>) -> RpcError {
        RpcError { status, title: title.into() }
    }

    /// What this API says of all that is not there, or not to be had.
    fn forbidden(title: impl Into<String>) -> RpcError {
        RpcError::new(StatusCode::FORBIDDEN, title)
    }
}

impl IntoResponse for RpcError {
    fn into_response(self) -> Response {
        as_json(self.status, error_document(self.status, &self.title))
    }
}

/// How this API words an error.
pub(super) fn error_document(status: StatusCode, title: &str) -> String {
    let kind = status.canonical_reason().unwrap_or("Unknown Error");
    python::write(&json!({ "status": status.as_u16(), "type": kind, "title": title }))
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> RpcError {
        match error {
            StoreError::NotFound(reason) | StoreError::Conflict(reason) => {
                RpcError::forbidden(reason)
            }
            other => {
                let error = ApiError::from(other);
                let title = match error.status {
                    StatusCode::INTERNAL_SERVER_ERROR => "Internal server error".to_owned(),
                    _ => error.message,
                };
                RpcError::new(error.status, title)
            }
        }
    }
}

impl From<Refused> for RpcError {
    fn from(refused: Refused) -> RpcError {
        match refused {
            Refused::Store(error) => error.into(),
            Refused::Configuration(reason) => RpcError::forbidden(reason),
            other => {
                let error = ApiError::from(other);
                RpcError::new(error.status, error.message)
            }
        }
    }
}

impl From<ConvertError> for RpcError {
    fn from(error: ConvertError) -> RpcError {
        RpcError::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "text/json", "application/jsonp", "text/plain"] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn what_is_accepted() {
        for yes in ["", "*/*", "text/html, application/*;q=0.5", "application/json;q=0.1"] {
            assert!(accepts_json(yes), "{yes}");
        }
        for no in ["text/html", "application/json;q=0", "application/xml, text/*"] {
            assert!(!accepts_json(no), "{no}");
        }
    }

    #[test]
    fn errors_are_documents() {
        let error = RpcError::from(StoreError::NotFound("no é".to_owned()));
        insta::assert_snapshot!(error_document(error.status, &error.title), @r#"{"status": 403, "type": "Forbidden", "title": "no \u00e9"}"#);
    }
}
