//! Whoever is turned away for a while is told after how many seconds to come again: the one place that
//! gives every 503 and 429 its `Retry-After`, whatever face of the Master says it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

/// In seconds, where nobody knows better.
const WAIT: HeaderValue = HeaderValue::from_static("5");

/// The answer with the header, if it needs one and has none.
pub(super) async fn told(mut answer: Response) -> Response {
    if matches!(answer.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        answer.headers_mut().entry(header::RETRY_AFTER).or_insert(WAIT);
    }
    answer
}
