//! Whether this process is alive (`/healthz`), and whether it can serve (`/readyz`): what a supervisor
//! and what stands before several Masters ask. A Master whose database is away, or cannot be written, is
//! alive and not ready.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::access::{Route, Rule};
use super::{ApiError, App, text};
use crate::error::StoreError;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/healthz", Rule::ANYBODY, || async { text("ok") }),
        Route::get("/readyz", Rule::ANYBODY, ready),
    ]
}

async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    match app.store.ready().await {
        Ok(()) => Ok(text("ready")),
        Err(error) => {
            tracing::warn!("not ready: {error}");
            // Strangers may ask, and need not know where the database is.
            let why = match error {
                StoreError::Newer { .. } => "the database is of a newer version",
                StoreError::File { .. } => "the disk of the database is full, or cannot be written",
                _ => "the database cannot be used at present",
            };
            let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
            Err(ApiError::new(status, format!("not ready: {why}")))
        }
    }
}
