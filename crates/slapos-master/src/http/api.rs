//! Our own JSON API, `/api/v1`. What it answers is described by the OpenAPI document, which comes
//! from the same types and the same list of routes ([`openapi`]).

mod access_words;
mod change;
mod closed;
mod elsewhere;
mod node;
pub(crate) mod openapi;
mod operations;
mod places;
mod read;
pub(super) mod take;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use slapos_slap::Overview;
use slapos_slap::proof::{ProofKey, is_nonce};

use super::access::{Route, Rule};
use super::{ApiError, App};

/// Its answers are text, good or bad: clients read no more than they must of whom they do not trust.
pub(super) const PROOF_PATH: &str = "/api/v1/proof";

pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get(PROOF_PATH, Rule::ANYBODY, proof),
        Route::get("/api/v1/overview", Rule::OPERATOR, overview),
    ];
    routes.extend(read::routes());
    routes.extend(change::routes());
    routes.extend(node::routes());
    routes.extend(places::routes());
    routes.extend(openapi::routes());
    routes
}

async fn overview(State(app): State<Arc<App>>) -> Result<Json<Overview>, ApiError> {
    Ok(Json(app.store.overview().await?))
}

#[derive(Deserialize)]
struct Challenge {
    #[serde(default)]
    nonce: String,
    /// The name of a token that we gave out; without, it is the operator's.
    token: Option<String>,
}

/// Proves that we know the token, so that a client may show it to us.
async fn proof(
    State(app): State<Arc<App>>,
    Query(Challenge { nonce, token }): Query<Challenge>,
) -> Result<String, ApiError> {
    if !is_nonce(&nonce) {
        return Err(ApiError::bad_request("the nonce must be 32 to 128 hex digits"));
    }
    let Some(id) = token else {
        return Ok(app.proof_key.prove(&nonce));
    };
    match app.store.token_digest(&id).await? {
        Some(digest) => Ok(ProofKey::of_digest(&digest).prove(&nonce)),
        None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the token is not one of this Master's, or not any more",
        )),
    }
}
