//! The API about places: what computers may be used for, what a request would do and what its
//! Software Release says of parameters; restarts and orphans.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slapos_slap::{ComputerId, ComputerSettings, PartitionId, SetComputer, SoftwareUrl};
use utoipa::ToSchema;

use super::super::access::{Audited, Caller, Route, Rule};
use super::super::{ApiError, App, hateoas};
use super::change::{Wish, keepable, place};
use super::take::{Asked, Body, Named, addressed};
use crate::Verdict;
use crate::requests::{Checked, Prospect};
use crate::store::Would;

type Shared = State<Arc<App>>;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::patch("/api/v1/computers/{id}", Rule::USER, set_computer)
            .audited(Audited::Everybody),
        Route::post("/api/v1/instances/{guid}/restart", Rule::USER, restart),
        Route::post("/api/v1/instances/{guid}/orphans/destroy", Rule::USER, destroy_orphans),
        // It changes nothing.
        Route::post("/api/v1/requests/check", Rule::USER, check).audited(Audited::Nobody),
        Route::get("/api/v1/schema", Rule::USER, schema),
    ]
}

async fn set_computer(
    State(app): Shared,
    caller: Caller,
    Named(id): Named,
    Body(change): Body<SetComputer>,
) -> Result<Json<ComputerSettings>, ApiError> {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    // Whoever gives it away could take it as well.
    if let Some(project) = &change.project {
        app.allow_project(&caller, project).await?;
    }
    Ok(Json(app.store.set_computer(&computer, &change).await?))
}

/// The partition of an instance that the caller sees, and that is not a shared one.
async fn instance(
    app: &App,
    caller: &Caller,
    guid: &str,
) -> Result<(ComputerId, PartitionId), ApiError> {
    let scope = app.seen_by(caller).await?;
    let shown = app.store.show_instance(&scope, guid).await?;
    if shown.instance.shared {
        let message = "a shared instance has neither services nor a tree of its own";
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    Ok(place(&shown.instance))
}

async fn restart(
    State(app): Shared,
    caller: Caller,
    Named(guid): Named,
) -> Result<StatusCode, ApiError> {
    let (computer, partition) = instance(&app, &caller, &guid).await?;
    app.store.restart(&computer, &partition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is wanted destroyed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Orphans {
    /// The titles of the instances of the tree that nobody asked for any more.
    destroyed: Vec<String>,
}

async fn destroy_orphans(
    State(app): Shared,
    caller: Caller,
    Named(guid): Named,
) -> Result<Json<Orphans>, ApiError> {
    let (computer, partition) = instance(&app, &caller, &guid).await?;
    let destroyed = app.store.destroy_orphans(&computer, &partition).await?;
    Ok(Json(Orphans { destroyed }))
}

/// What a request would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outlook {
    /// `create`, `change`, `nothing`, or `forward`: another Master would be asked, and would decide.
    would: &'static str,
    /// Where the instance is, or would be now.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// Why; the refusal, where nothing would be done for that reason.
    why: String,
    /// Sentences: what of it would not be followed, that nobody supplies its Software Release there, and
    /// which shared instances of others would end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    remarks: Vec<String>,
    schema: Verdict,
}

/// A partition.
#[derive(Debug, Serialize, ToSchema)]
struct Place {
    computer: String,
    partition: String,
}

async fn check(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Result<Json<Outlook>, ApiError> {
    let project = wish.project_for(&app, &caller).await?;
    let request = wish.into_request()?;
    let origin = hateoas::origin(&headers);
    let mut checked = app.desk.check(&app.store, &project, &request, &origin).await?;
    if let Err(why) = keepable(&request) {
        checked.outcome = Err(why);
    }
    Ok(Json(outlook(checked)))
}

fn outlook(checked: Checked) -> Outlook {
    let Checked { outcome, remarks, verdict: schema } = checked;
    let (would, found) = match outcome {
        Ok(Prospect::Here(would, found)) => (would, found),
        Ok(Prospect::Other(master)) => {
            let why = format!("the Master {master} would be asked, which decides");
            return Outlook { would: "forward", place: None, why, remarks, schema };
        }
        Err(why) => {
            return Outlook { would: "nothing", place: None, why, remarks: Vec::new(), schema };
        }
    };
    let (would, why) = match would {
        Would::Create => ("create", "there is none of that title"),
        Would::Change => ("change", "something of it is different"),
        Would::Nothing => ("nothing", "it is as it is asked for"),
    };
    let (computer, partition) = (found.computer.to_string(), found.partition.to_string());
    let place = Some(Place { computer, partition });
    Outlook { would, place, why: why.to_owned(), remarks, schema }
}

#[derive(Deserialize)]
struct SchemaQuery {
    software_release: String,
    #[serde(default)]
    project: Option<String>,
}

/// What a Software Release says of its parameters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Described {
    /// Its name and words, and its `types` with their schemas.
    software: Value,
}

async fn schema(
    State(app): Shared,
    caller: Caller,
    Asked(query): Asked<SchemaQuery>,
) -> Result<Json<Described>, ApiError> {
    addressed("`software_release`", &query.software_release)?;
    let project = app.project_for(&caller, query.project.as_deref()).await?;
    let url = SoftwareUrl::new(query.software_release);
    match app.desk.schema(&project, &url).await? {
        Ok(software) => Ok(Json(Described { software })),
        Err(why) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("what {url} says of its parameters cannot be read: {why}"),
        )),
    }
}
