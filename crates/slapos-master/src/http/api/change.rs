//! What people change by the API. Every change may be asked for again: what is already as wanted is
//! left alone, except that a bang is a bang each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use indexmap::IndexMap;
use serde::Deserialize;
use slapos_slap::{
    ComputerId, InstanceRequest, InstanceState, PartitionId, SoftwareState, SoftwareUrl,
};
use utoipa::ToSchema;

use super::super::access::{Audited, Caller, Route, Rule};
use super::super::{ApiError, App, audit, hateoas};
use super::elsewhere;
use super::take::{self, Body, Named, addressed, named};
use crate::error::StoreError;
use crate::store::{Scope, Would};
use crate::view::{Instance, InstanceDetail, Texts};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;
type Done = Result<StatusCode, ApiError>;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::put("/api/v1/software", Rule::USER, supply),
        Route::post("/api/v1/instances", Rule::USER, request),
        Route::patch("/api/v1/instances/{guid}", Rule::USER, change),
        Route::post("/api/v1/instances/{guid}/bang", Rule::USER_OR_NODE, bang),
        Route::delete("/api/v1/computers/{id}", Rule::USER, remove_computer)
            .audited(Audited::Everybody),
        Route::post("/api/v1/computers/{id}/bang", Rule::USER_OR_NODE, bang_computer),
    ]
}

/// A Software Release wanted on a computer, or no longer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Supply {
    computer: String,
    /// The URL, or absolute path, of its profile.
    url: String,
    /// `available` or `destroyed`.
    state: String,
}

async fn supply(State(app): Shared, caller: Caller, Body(wish): Body<Supply>) -> Done {
    addressed("`url`", &wish.url)?;
    named("`computer`", &wish.computer)?;
    let (computer, url) = (ComputerId::new(wish.computer), SoftwareUrl::new(wish.url));
    let state: SoftwareState = wish.state.parse()?;
    app.allow_computer(&caller, &computer).await?;
    audit::about(audit::supply(&computer, &url, state));
    app.store.supply(&url, &computer, state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A wish for an instance: made, or changed when one of that title exists in the project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    title: String,
    /// The project of the tree; the caller's only one if left out.
    #[serde(default)]
    project: Option<String>,
    software_release: String,
    /// `default` if left out.
    #[serde(default)]
    software_type: Option<String>,
    /// They replace the former ones. What has a structure is one parameter `_`, as JSON.
    #[serde(default, deserialize_with = "take::texts")]
    parameters: BTreeMap<String, String>,
    /// `started`, `stopped` or `destroyed`; as it is, or `started`, if left out.
    #[serde(default)]
    state: Option<String>,
    /// Where it may live, such as `computer_guid`.
    #[serde(default, deserialize_with = "take::texts")]
    sla: BTreeMap<String, String>,
    /// Whether a place in an instance that exists is asked for.
    #[serde(default)]
    shared: bool,
}

impl Wish {
    /// The project of what it asks for: the one that it names, as SLAP does (`project_guid`) or by
    /// itself, or else the caller's only one.
    pub(super) async fn project_for(&self, app: &App, caller: &Caller) -> Result<String, ApiError> {
        let by_sla = || self.sla.get("project_guid").filter(|name| !name.is_empty());
        let named = self.project.as_ref().or_else(by_sla);
        let project = app.project_for(caller, named.map(String::as_str)).await?;
        if matches!(caller, Caller::Operator) && self.project.is_none() && !project.is_empty() {
            app.store.require_project(&project).await?;
        }
        Ok(project)
    }

    pub(super) fn into_request(self) -> Result<InstanceRequest, ApiError> {
        named("`title`", &self.title)?;
        if self.state.as_deref() != Some("destroyed") {
            titled(&self.title)?;
        }
        addressed("`software_release`", &self.software_release)?;
        let mut request = InstanceRequest::new(self.title.as_str(), self.software_release.as_str());
        if let Some(kind) = self.software_type.filter(|kind| !kind.is_empty()) {
            named("`software_type`", &kind)?;
            request.software_type = kind;
        }
        request.parameters = self.parameters.into_iter().collect();
        request.state = self.state.map(|state| state.parse()).transpose()?;
        request.sla = known(self.sla, self.shared)?;
        request.shared = self.shared;
        Ok(request)
    }
}

/// Requires a title that is read as what it is. An instance that has another one is changed by its guid.
fn titled(title: &str) -> Result<(), ApiError> {
    slapos_slap::check_title(title).map_err(|why| ApiError::bad_request(format!("`title` {why}")))
}

/// What nodes know as `rollback`; empty is as if it were left out.
const ROLLBACKS: [&str; 4] = ["", "off", "configuration", "promise-gated"];

/// An SLA, unless there is something in it that nobody knows.
fn known(sla: Texts, shared: bool) -> Result<IndexMap<String, String>, ApiError> {
    let sla: IndexMap<String, String> = sla.into_iter().collect();
    let given = |key: &str| sla.get(key).map(String::as_str);
    let days = given("retention_delay").map(str::parse::<f64>);
    if days.is_some_and(|days| !days.is_ok_and(|days| days.is_finite() && days >= 0.0)) {
        let message = "`sla`: retention_delay is a number of days, such as 1.5";
        return Err(ApiError::bad_request(message));
    }
    if given("rollback").is_some_and(|word| !ROLLBACKS.contains(&word)) {
        let message = "`sla`: rollback is off, configuration or promise-gated";
        return Err(ApiError::bad_request(message));
    }
    if !shared && given("instance_guid").is_some_and(|guid| !guid.is_empty()) {
        let message = "`sla`: instance_guid names what serves a shared instance, and this is none";
        return Err(ApiError::bad_request(message));
    }
    match slapos_slap::sla::unknown_keys(&sla).first() {
        None => Ok(sla),
        Some(key) => Err(ApiError::bad_request(format!(
            "`sla` cannot have {key:?}: what is known is {}",
            slapos_slap::sla::known_keys()
        ))),
    }
}

async fn request(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Answer {
    let scope = app.seen_by(&caller).await?;
    let project = wish.project_for(&app, &caller).await?;
    let request = wish.into_request()?;
    audit::about(audit::wish(&project, &request));
    keepable(&request).map_err(|why| ApiError::new(StatusCode::CONFLICT, why))?;
    let origin = hateoas::origin(&headers);
    let (answer, done) = app.request(&project, &request, &origin).await?;
    if done.is_none() {
        return Ok(elsewhere::answered(&project, &request, answer));
    }
    if request.shared && request.state == Some(InstanceState::Destroyed) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let status = match done {
        Some(Would::Create) => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let guid = app.store.meant_by(&project, &request).await?.ok_or_else(|| gone(&request))?;
    let shown = app.store.show_instance(&scope, &guid).await?;
    let remarks = app.store.remarks(&project, &request, &answer.computer).await?;
    Ok((status, Json(InstanceDetail { remarks, ..shown })).into_response())
}

/// The request was granted, and somebody was quicker to take back what it made.
fn gone(request: &InstanceRequest) -> ApiError {
    let message = format!("{} has been destroyed in the meantime: ask again", request.title);
    ApiError::new(StatusCode::CONFLICT, message)
}

/// Requires a wish that will be kept: SLAP takes some that never are.
///
/// # Errors
/// Why not, in words.
pub(super) fn keepable(request: &InstanceRequest) -> Result<(), String> {
    match request.state {
        Some(state @ InstanceState::Stopped) if request.shared => Err(format!(
            "a shared instance cannot be {state}: it is there, or destroyed; what serves it can be"
        )),
        _ => Ok(()),
    }
}

/// What is to become different of an instance; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Change {
    title: Option<String>,
    /// `started`, `stopped` or `destroyed`.
    state: Option<String>,
    software_release: Option<String>,
    software_type: Option<String>,
    /// They replace the former ones.
    parameters: Option<BTreeMap<String, String>>,
    sla: Option<BTreeMap<String, String>>,
}

impl Change {
    /// What changes, for the audit log. Parameters may be secret.
    fn words(&self) -> String {
        let texts = [
            ("title", &self.title),
            ("state", &self.state),
            ("software_release", &self.software_release),
            ("software_type", &self.software_type),
        ];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?)));
        let mut words: Vec<_> = texts.map(|(key, text)| format!("{key}={text}")).collect();
        words.extend(self.parameters.is_some().then(|| "parameters".to_owned()));
        words.extend(self.sla.is_some().then(|| "sla".to_owned()));
        words.join(", ")
    }
}

async fn change(
    State(app): Shared,
    caller: Caller,
    headers: HeaderMap,
    Named(guid): Named,
    Body(change): Body<Change>,
) -> Answer {
    audit::about(format_args!("{guid}: {}", change.words()));
    let scope = app.seen_by(&caller).await?;
    let former = app.store.show_instance(&scope, &guid).await?;
    let title = change.title.clone().filter(|title| *title != former.instance.title);
    if let Some(title) = &title {
        named("`title`", title)?;
        titled(title)?;
        if former.instance.shared {
            let message = "a shared instance has its title for good: ask for another one";
            return Err(ApiError::new(StatusCode::CONFLICT, message));
        }
    }
    let gone = former.instance.shared && change.state.as_deref() == Some("destroyed");
    let place = place(&former.instance);
    let mut request = wanted(&former, change)?;
    if let Some(request) = &mut request {
        request.requester = requester(&app, &former.instance).await?;
    }
    let (store, project) = (&app.store, former.instance.project.as_str());
    let (desk, origin) = (&app.desk, hateoas::origin(&headers));
    // Before a title is changed by which it is found.
    let remarks = match &request {
        Some(request) => store.remarks(project, request, &place.0).await?,
        None => Vec::new(),
    };
    match (request, title) {
        (Some(request), Some(title)) => {
            desk.request_renamed(store, project, &request, &title, &origin).await.map(drop)?;
        }
        (Some(request), None) => {
            app.request(project, &request, &origin).await.map(drop)?;
        }
        (None, Some(title)) => store.rename(&place.0, &place.1, &title).await.map(drop)?,
        (None, None) => {}
    }
    if gone {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let shown = app.store.show_instance(&scope, &guid).await?;
    Ok(Json(InstanceDetail { remarks, ..shown }).into_response())
}

/// The request that makes an instance what the change says; none if it says nothing about that.
fn wanted(former: &InstanceDetail, change: Change) -> Result<Option<InstanceRequest>, ApiError> {
    let Change { title: _, state, software_release, software_type, parameters, sla } = change;
    let instance = &former.instance;
    let says = [state.is_some(), software_release.is_some(), software_type.is_some()];
    if !says.contains(&true) && parameters.is_none() && sla.is_none() {
        return Ok(None);
    }
    if instance.shared && !instance.root {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("an instance of the tree {} asks for it: change that one", instance.tree.title),
        ));
    }
    let software = software_release.unwrap_or_else(|| instance.software_release.clone());
    addressed("`software_release`", &software)?;
    let mut request = InstanceRequest::new(instance.title.as_str(), software.as_str());
    request.software_type = software_type.unwrap_or_else(|| instance.software_type.clone());
    request.state = state.map(|state| state.parse()).transpose()?;
    request.shared = instance.shared;
    request.parameters = given(parameters, &former.parameters);
    request.sla = match sla {
        Some(sla) => known(sla, instance.shared)?,
        None => given(None, &former.sla),
    };
    keepable(&request).map_err(|why| ApiError::new(StatusCode::CONFLICT, why))?;
    Ok(Some(request))
}

/// In whose name a member of a tree is changed: that of the instance which asks for it, so that it
/// stays asked for.
async fn requester(
    app: &App,
    instance: &Instance,
) -> Result<Option<(ComputerId, PartitionId)>, ApiError> {
    if instance.root {
        return Ok(None);
    }
    let Some(guid) = &instance.asked_by else { return Ok(Some(place(instance))) };
    // Who asked may be gone, and another tree may be where it was.
    Ok(Some(match app.store.show_instance(&Scope::All, guid).await {
        Ok(asker) if asker.instance.tree == instance.tree => place(&asker.instance),
        Ok(_) | Err(StoreError::NotFound(_)) => place(instance),
        Err(error) => return Err(error.into()),
    }))
}

/// The new texts, or else the former ones.
fn given(new: Option<Texts>, former: &Texts) -> IndexMap<String, String> {
    new.unwrap_or_else(|| former.clone()).into_iter().collect()
}

/// Where an instance lives.
pub(super) fn place(instance: &Instance) -> (ComputerId, PartitionId) {
    (ComputerId::new(instance.computer.as_str()), PartitionId::new(instance.partition.as_str()))
}

async fn bang(State(app): Shared, caller: Caller, Named(guid): Named) -> Done {
    let scope = app.seen_by(&caller).await?;
    let shown = app.store.show_instance(&scope, &guid).await?;
    if shown.instance.shared {
        let message = "a shared instance cannot be banged: bang the one that serves it";
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    let (computer, partition) = place(&shown.instance);
    app.store.bang(&computer, &partition).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_computer(State(app): Shared, caller: Caller, Named(id): Named) -> Done {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    app.store.remove_computer(&computer).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn bang_computer(State(app): Shared, caller: Caller, Named(id): Named) -> Done {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    app.store.bang_computer(&computer).await?;
    Ok(StatusCode::NO_CONTENT)
}
