//! Errors of `/api/v1` as `application/problem+json`: `{"status", "title", "errors"?}`.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::json;

use super::ApiError;

/// What routes of our own API begin with.
const API: &str = "/api/v1/";

/// Its answers are text, good or bad: clients read no more than they must of whom they do not trust.
const PROOF: &str = "/api/v1/proof";

/// The answer as our own API words it, if it is an error of one of its routes.
pub(super) fn worded(path: &str, mut response: Response) -> Response {
    if !path.starts_with(API) || path == PROOF {
        return response;
    }
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let mut body = json!({"status": error.status.as_u16(), "title": error.message});
    if !error.errors.is_empty() {
        body["errors"] = json!(error.errors);
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body.to_string());
    response
}
