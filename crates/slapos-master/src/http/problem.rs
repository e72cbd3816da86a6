//! Errors in the words of the face that was asked: of `/api/v1` as `application/problem+json`
//! (`{"status", "title", "errors"?}`), of JSON-RPC as its documents, of all others as text.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::json;

use super::api::PROOF_PATH;
use super::{ApiError, json_rpc};

/// Where our own API is.
const API: &str = "/api/v1";

/// What methods of JSON-RPC begin with.
const RPC: &str = "/slapos.";

/// The answer as the face of that path words it.
pub(super) fn worded(path: &str, mut response: Response) -> Response {
    let below = path.strip_prefix(API).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let (own, rpc) = (below && path != PROOF_PATH, path.starts_with(RPC));
    if !own && !rpc {
        return response;
    }
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let (kind, body) = match rpc {
        true => ("application/json", json_rpc::error_document(error.status, &error.message)),
        false => ("application/problem+json", problem(&error)),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
    response
}

fn problem(error: &ApiError) -> String {
    let mut body = json!({"status": error.status.as_u16(), "title": error.message});
    if !error.errors.is_empty() {
        body["errors"] = json!(error.errors);
    }
    body.to_string()
}
