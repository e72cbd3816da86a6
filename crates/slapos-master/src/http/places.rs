//! The JSON API about requests before they are made, and about what their places are: computers'
//! settings, schemas, checks, restarts and orphans.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slapos_slap::{
    ComputerId, ComputerSettings, InstanceRequest, InstanceState, SetComputer, SoftwareUrl,
};

use super::access::{Route, Rule};
use super::{ApiError, App, hateoas};
use crate::Verdict;
use crate::requests::Checked;
use crate::store::Would;

type Shared = State<Arc<App>>;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::patch("/api/v1/computers/{id}", Rule::OPERATOR, set_computer),
        Route::post("/api/v1/instances/{guid}/restart", Rule::OPERATOR, restart),
        Route::post("/api/v1/instances/{guid}/orphans/destroy", Rule::OPERATOR, destroy_orphans),
        Route::post("/api/v1/requests/check", Rule::OPERATOR, check),
        Route::get("/api/v1/schema", Rule::OPERATOR, schema),
    ]
}

async fn set_computer(
    State(app): Shared,
    Path(id): Path<String>,
    Json(change): Json<SetComputer>,
) -> Result<Json<ComputerSettings>, ApiError> {
    Ok(Json(app.store.set_computer(&ComputerId::new(id), &change).await?))
}

async fn restart(State(app): Shared, Path(guid): Path<String>) -> Result<StatusCode, ApiError> {
    let (computer, partition) = app.store.locate(&guid).await?;
    app.store.restart(&computer, &partition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The titles of what is wanted destroyed.
#[derive(Serialize)]
struct Orphans {
    destroyed: Vec<String>,
}

async fn destroy_orphans(
    State(app): Shared,
    Path(guid): Path<String>,
) -> Result<Json<Orphans>, ApiError> {
    let (computer, partition) = app.store.locate(&guid).await?;
    let destroyed = app.store.destroy_orphans(&computer, &partition).await?;
    Ok(Json(Orphans { destroyed }))
}

/// A wish for an instance, as it is asked for by `POST /api/v1/instances`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    title: String,
    #[serde(default)]
    project: String,
    software_release: String,
    #[serde(default)]
    software_type: String,
    #[serde(default)]
    parameters: IndexMap<String, String>,
    #[serde(default)]
    state: Option<InstanceState>,
    #[serde(default)]
    sla: IndexMap<String, String>,
    #[serde(default)]
    shared: bool,
}

/// What would be done.
#[derive(Serialize)]
struct Answer {
    would: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    why: String,
    schema: Verdict,
}

#[derive(Serialize)]
struct Place {
    computer: String,
    partition: String,
}

async fn check(
    State(app): Shared,
    headers: HeaderMap,
    Json(wish): Json<Wish>,
) -> Result<Json<Answer>, ApiError> {
    if wish.title.is_empty() || wish.software_release.is_empty() {
        return Err(ApiError::bad_request("`title` and `software_release` are needed"));
    }
    let mut request = InstanceRequest::new(wish.title, wish.software_release);
    request.software_type = wish.software_type;
    request.parameters = wish.parameters;
    request.state = wish.state;
    request.sla = wish.sla;
    request.shared = wish.shared;
    let origin = hateoas::origin(&headers);
    let checked = app.desk.check(&app.store, &wish.project, &request, &origin).await?;
    Ok(Json(answer(checked)))
}

fn answer(checked: Checked) -> Answer {
    let schema = checked.verdict;
    match checked.outcome {
        Err(why) => Answer { would: "nothing", place: None, why, schema },
        Ok((would, found)) => {
            let (would, why) = match would {
                Would::Create => ("create", "there is none of that title"),
                Would::Change => ("change", "something of it is different"),
                Would::Nothing => ("nothing", "it is as it is asked for"),
            };
            let (computer, partition) = (found.computer.to_string(), found.partition.to_string());
            let place = Some(Place { computer, partition });
            Answer { would, place, why: why.to_owned(), schema }
        }
    }
}

#[derive(Deserialize)]
struct SchemaQuery {
    software_release: String,
    #[serde(default)]
    project: String,
}

/// What is told of a Software Release.
#[derive(Serialize)]
struct Described {
    software: Value,
}

async fn schema(
    State(app): Shared,
    Query(query): Query<SchemaQuery>,
) -> Result<Json<Described>, ApiError> {
    let url = SoftwareUrl::new(query.software_release);
    match app.desk.schema(&query.project, &url).await {
        Ok(software) => Ok(Json(Described { software })),
        Err(why) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("what {url} says of its parameters cannot be read: {why}"),
        )),
    }
}
