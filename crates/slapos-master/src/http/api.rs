//! Our own JSON API.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use slapos_slap::Overview;

use super::{ApiError, App};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/overview", get(overview))
}

async fn overview(State(app): State<Arc<App>>) -> Result<Json<Overview>, ApiError> {
    Ok(Json(app.store.overview().await?))
}
