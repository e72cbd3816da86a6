//! Our own JSON API.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use slapos_slap::Overview;
use slapos_slap::proof::{PROOF_ROUTE, is_nonce};

use super::{ApiError, App};

/// What strangers may ask.
pub(super) fn public_routes() -> Router<Arc<App>> {
    Router::new().route(&format!("/{PROOF_ROUTE}"), get(proof))
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/overview", get(overview))
}

async fn overview(State(app): State<Arc<App>>) -> Result<Json<Overview>, ApiError> {
    Ok(Json(app.store.overview().await?))
}

#[derive(Deserialize)]
struct Challenge {
    #[serde(default)]
    nonce: String,
}

/// Proves that we know the token, so that a client may show it to us.
async fn proof(
    State(app): State<Arc<App>>,
    Query(Challenge { nonce }): Query<Challenge>,
) -> Result<String, ApiError> {
    if !is_nonce(&nonce) {
        return Err(ApiError::bad_request("the nonce must be 32 to 128 hex digits"));
    }
    Ok(app.proof_key.prove(&nonce))
}
