//! The API about what other Masters serve: requests that were granted and have no instance here.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use slapos_slap::{InstanceAnswer, InstanceRequest};

use crate::view::Elsewhere;

/// The answer to a request that this Master does not serve itself: accepted, and by whom.
pub(super) fn answered(
    project: &str,
    request: &InstanceRequest,
    answer: InstanceAnswer,
) -> Response {
    let body = Elsewhere {
        title: request.title.to_string(),
        project: project.to_owned(),
        shared: request.shared,
        master_url: answer.master_url,
        software_release: answer.software_url.to_string(),
        software_type: answer.software_type,
        state: answer.state.to_string(),
        connection: answer.connection.into_iter().collect(),
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}
