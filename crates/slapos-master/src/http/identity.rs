//! `/api/v1` about who may do what: people, projects, tokens, certificates, and the audit log.
//!
//! A token and a key are told once, in the answer that makes them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slapos_slap::token::{TokenKind, digest, new_token};
use slapos_slap::{ComputerId, PartitionId};
use slapos_sys::Secret;

use super::access::{Audited, Caller, Route, Rule};
use super::api::take::{Asked, Body, Named, Pair};
use super::evidence::Evidence;
use super::own::not_yours;
use super::{ApiError, App, audit, text};
use crate::error::StoreError;
use crate::store::{Holder, Named as Listed, Window, check_name, cursor};
use crate::view::{MadeCertificate, MadeComputer, MadeToken, Person, Project, Revoked};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = people();
    routes.extend(projects());
    routes.extend(computers());
    routes.push(Route::get("/api/v1/authority", Rule::ANYBODY, authority));
    routes.push(Route::get("/api/v1/audit", Rule::OPERATOR, audit_log));
    routes
}

fn people() -> Vec<Route> {
    let (user, tokens) = ("/api/v1/users/{name}", "/api/v1/users/{name}/tokens");
    let token = "/api/v1/users/{name}/tokens/{id}";
    let everybody = Audited::Everybody;
    vec![
        Route::get("/api/v1/users", Rule::OPERATOR, users),
        Route::post("/api/v1/users", Rule::OPERATOR, add_user).audited(everybody),
        Route::delete(user, Rule::OPERATOR, remove_user).audited(everybody),
        Route::get(tokens, Rule::USER, user_tokens),
        Route::post(tokens, Rule::USER, add_user_token).audited(everybody),
        Route::delete(tokens, Rule::USER, revoke_user_tokens).audited(everybody),
        Route::delete(token, Rule::USER, revoke_user_token).audited(everybody),
    ]
}

fn projects() -> Vec<Route> {
    let (project, member) = ("/api/v1/projects/{name}", "/api/v1/projects/{name}/members/{user}");
    let everybody = Audited::Everybody;
    vec![
        Route::get("/api/v1/projects", Rule::USER, list_projects),
        Route::post("/api/v1/projects", Rule::OPERATOR, add_project).audited(everybody),
        Route::delete(project, Rule::OPERATOR, remove_project).audited(everybody),
        Route::put(member, Rule::OPERATOR, add_member).audited(everybody),
        Route::delete(member, Rule::OPERATOR, remove_member).audited(everybody),
    ]
}

fn computers() -> Vec<Route> {
    let token = "/api/v1/computers/{id}/token";
    let certificate = "/api/v1/computers/{id}/certificate";
    let part = "/api/v1/computers/{id}/partitions/{partition}/token";
    let everybody = Audited::Everybody;
    vec![
        Route::post("/api/v1/computers", Rule::USER, add_computer).audited(everybody),
        Route::get(token, Rule::USER_OR_NODE, computer_tokens),
        Route::post(token, Rule::USER_OR_NODE, add_computer_token).audited(everybody),
        Route::delete(token, Rule::USER_OR_NODE, revoke_computer_tokens).audited(everybody),
        Route::post(certificate, Rule::USER_OR_NODE, add_certificate).audited(everybody),
        Route::delete(certificate, Rule::USER_OR_NODE, revoke_certificates).audited(everybody),
        Route::post(part, Rule::NODE, add_partition_token).audited(everybody),
        Route::delete(part, Rule::NODE, revoke_partition_tokens).audited(everybody),
    ]
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    after: String,
    limit: Option<i64>,
}

impl Page {
    /// What identifies the last item of the part before; empty at the beginning.
    fn after(&self) -> Result<String, ApiError> {
        let window = Window { after: self.after.clone(), ..Window::default() };
        Ok(window.keys(1)?.into_iter().flatten().next().unwrap_or_default())
    }

    /// How many, within bounds.
    fn limit(&self) -> Result<i64, ApiError> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=500 => Ok(limit),
            _ => Err(ApiError::bad_request("`limit` is between 1 and 500")),
        }
    }
}

/// A list of which one more than the limit was looked for, with where the next page begins if there
/// is one; `key` says what identifies an item.
fn page<T>(
    mut found: Vec<T>,
    limit: i64,
    item: impl Fn(T) -> Value,
    key: impl Fn(&T) -> String,
) -> Response {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|last| cursor(&[key(last)]));
    let items: Vec<_> = found.into_iter().map(item).collect();
    Json(json!({"items": items, "next": next})).into_response()
}

fn created(body: impl Serialize) -> Answer {
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

fn done() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewName {
    name: String,
}

async fn users(State(app): Shared, Asked(wanted): Asked<Page>) -> Answer {
    let limit = wanted.limit()?;
    let users = app.store.users(&wanted.after()?, limit + 1).await?;
    Ok(named::<Person>(users, limit))
}

fn named<T: From<Listed> + Serialize>(list: Vec<Listed>, limit: i64) -> Response {
    page(list, limit, |one| json!(T::from(one)), |one| one.name.clone())
}

async fn add_user(State(app): Shared, Body(NewName { name }): Body<NewName>) -> Answer {
    audit::about(&name);
    created(Person::from(app.store.add_user(&name).await?))
}

async fn remove_user(State(app): Shared, Named(name): Named) -> Answer {
    app.store.remove_user(&name).await?;
    done()
}

async fn list_projects(State(app): Shared, caller: Caller, Asked(wanted): Asked<Page>) -> Answer {
    let limit = wanted.limit()?;
    let member = match &caller {
        Caller::Operator => None,
        Caller::User(name) => Some(name.as_str()),
        Caller::Computer(_) | Caller::Partition(..) => return Err(not_yours()),
    };
    let projects = app.store.projects(member, &wanted.after()?, limit + 1).await?;
    Ok(named::<Project>(projects, limit))
}

async fn add_project(State(app): Shared, Body(NewName { name }): Body<NewName>) -> Answer {
    audit::about(&name);
    created(Project::from(app.store.add_project(&name).await?))
}

async fn remove_project(State(app): Shared, Named(name): Named) -> Answer {
    app.store.remove_project(&name).await?;
    done()
}

async fn add_member(State(app): Shared, Pair(project, user): Pair) -> Answer {
    app.store.add_member(&project, &user).await?;
    done()
}

async fn remove_member(State(app): Shared, Pair(project, user): Pair) -> Answer {
    app.store.remove_member(&project, &user).await?;
    done()
}

/// A person about himself.
fn myself(caller: &Caller, name: String) -> Result<Holder, ApiError> {
    match caller {
        Caller::Operator => {}
        Caller::User(own) if *own == name => {}
        // As if there were none.
        Caller::User(_) => {
            return Err(StoreError::NotFound(format!("there is no user {name}")).into());
        }
        Caller::Computer(_) | Caller::Partition(..) => return Err(not_yours()),
    }
    Ok(Holder::User(name))
}

async fn user_tokens(State(app): Shared, caller: Caller, Named(name): Named) -> Answer {
    tokens(&app, &myself(&caller, name)?).await
}

async fn tokens(app: &App, holder: &Holder) -> Answer {
    let tokens = app.store.tokens(holder).await?;
    Ok(Json(json!({"items": tokens, "next": null})).into_response())
}

async fn add_user_token(
    State(app): Shared,
    caller: Caller,
    Extension(shown): Extension<Evidence>,
    Named(name): Named,
    Body(wanted): Body<NewToken>,
) -> Answer {
    give_token(&app, &myself(&caller, name)?, &shown, wanted).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    #[serde(default)]
    label: String,
    /// Seconds, from 1 to 3155760000 (100 years); without them it lasts until it is revoked. It ends with
    /// the token it is made with.
    expires_in: Option<i64>,
}

/// The longest time that a token may be said to last, in seconds: 100 years.
const LONGEST_LIFE: i64 = 36_525 * 86_400;

async fn give_token(app: &App, holder: &Holder, shown: &Evidence, wanted: NewToken) -> Answer {
    let NewToken { label, expires_in } = wanted;
    if label.len() > 200 || label.chars().any(char::is_control) {
        return Err(ApiError::bad_request("a label is a line of at most 200 bytes"));
    }
    if expires_in.is_some_and(|seconds| !(1..=LONGEST_LIFE).contains(&seconds)) {
        return Err(ApiError::bad_request(format!(
            "`expires_in` is a number of seconds, from 1 to {LONGEST_LIFE} (100 years)"
        )));
    }
    let kind = match holder {
        Holder::User(_) => TokenKind::User,
        Holder::Computer(_) => TokenKind::Computer,
        Holder::Partition(..) => TokenKind::Partition,
    };
    let token = random_token(kind)?;
    let now = app.store.time();
    let end = expires_in.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000_000)));
    let digest = digest(token.expose());
    let (id, end) = app.store.add_token(holder, &digest, &label, end, shown.token()).await?;
    created(MadeToken { id, label, token: token.expose().to_owned(), expires_at: end })
}

fn random_token(kind: TokenKind) -> Result<Secret, ApiError> {
    new_token(kind)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn revoke_user_tokens(State(app): Shared, caller: Caller, Named(name): Named) -> Answer {
    revoke(&app, &myself(&caller, name)?, None).await
}

async fn revoke_user_token(State(app): Shared, caller: Caller, Pair(name, id): Pair) -> Answer {
    revoke(&app, &myself(&caller, name)?, Some(&id)).await
}

async fn revoke(app: &App, holder: &Holder, id: Option<&str>) -> Answer {
    let revoked = app.store.revoke_tokens(holder, id).await?;
    Ok(Json(Revoked { revoked }).into_response())
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewComputer {
    /// Also its identifier, which stays.
    title: String,
    project: Option<String>,
}

/// Makes a computer known before its node comes, and gives the token that the node needs.
async fn add_computer(
    State(app): Shared,
    caller: Caller,
    Extension(shown): Extension<Evidence>,
    Body(NewComputer { title, project }): Body<NewComputer>,
) -> Answer {
    let id = app.make_computer(&caller, &title, project.as_deref()).await?;
    let project = app.store.project_of_computer(&id).await?;
    let holder = Holder::Computer(id.clone());
    let token = random_token(TokenKind::Computer)?;
    let (digest, label) = (digest(token.expose()), "made with the computer");
    app.store.add_token(&holder, &digest, label, None, shown.token()).await?;
    let (id, token) = (id.to_string(), token.expose().to_owned());
    created(MadeComputer { id, title, project, token })
}

impl App {
    /// Makes a computer of that name known, in a project of the caller's.
    ///
    /// # Errors
    /// 409 when there is one, whosesoever it is; 400 when that cannot be a name.
    pub(super) async fn make_computer(
        &self,
        caller: &Caller,
        title: &str,
        project: Option<&str>,
    ) -> Result<ComputerId, ApiError> {
        audit::about(title);
        check_name("computer", title)?;
        let project = self.project_for(caller, project).await?;
        let computer = ComputerId::new(title);
        self.store.add_computer(&computer, &project).await?;
        Ok(computer)
    }

    async fn own_computer(&self, caller: &Caller, id: String) -> Result<ComputerId, ApiError> {
        let computer = ComputerId::new(id);
        self.allow_computer(caller, &computer).await?;
        Ok(computer)
    }
}

async fn computer_tokens(State(app): Shared, caller: Caller, Named(id): Named) -> Answer {
    let computer = app.own_computer(&caller, id).await?;
    tokens(&app, &Holder::Computer(computer)).await
}

async fn add_computer_token(
    State(app): Shared,
    caller: Caller,
    Extension(shown): Extension<Evidence>,
    Named(id): Named,
    Body(wanted): Body<NewToken>,
) -> Answer {
    let computer = app.own_computer(&caller, id).await?;
    give_token(&app, &Holder::Computer(computer), &shown, wanted).await
}

async fn revoke_computer_tokens(State(app): Shared, caller: Caller, Named(id): Named) -> Answer {
    let computer = app.own_computer(&caller, id).await?;
    revoke(&app, &Holder::Computer(computer), None).await
}

async fn add_certificate(State(app): Shared, caller: Caller, Named(id): Named) -> Answer {
    let computer = app.own_computer(&caller, id).await?;
    let pair = app.new_certificate(&computer, None).await?;
    let (certificate, key) = (pair.certificate, pair.key.expose().to_owned());
    created(MadeCertificate { certificate, key })
}

async fn revoke_certificates(State(app): Shared, caller: Caller, Named(id): Named) -> Answer {
    let computer = app.own_computer(&caller, id).await?;
    let revoked = app.store.revoke_certificates(&computer).await?;
    Ok(Json(Revoked { revoked }).into_response())
}

async fn partition_holder(
    app: &App,
    caller: &Caller,
    Pair(id, partition): Pair,
) -> Result<Holder, ApiError> {
    let (computer, partition) = (ComputerId::new(id), PartitionId::new(partition));
    app.allow_partition(caller, &computer, &partition).await?;
    Ok(Holder::Partition(computer, partition))
}

async fn add_partition_token(
    State(app): Shared,
    caller: Caller,
    Extension(shown): Extension<Evidence>,
    names: Pair,
    Body(wanted): Body<NewToken>,
) -> Answer {
    give_token(&app, &partition_holder(&app, &caller, names).await?, &shown, wanted).await
}

async fn revoke_partition_tokens(State(app): Shared, caller: Caller, names: Pair) -> Answer {
    revoke(&app, &partition_holder(&app, &caller, names).await?, None).await
}

/// The certificate of the Master's authority, by which others recognise the Master.
async fn authority(State(app): Shared) -> Answer {
    Ok(text(app.authority()?.certificate()))
}

async fn audit_log(State(app): Shared, Asked(wanted): Asked<Page>) -> Answer {
    app.write_audit().await;
    let limit = wanted.limit()?;
    let entries = app.store.audit(&wanted.after()?, limit + 1).await?;
    Ok(page(entries, limit, |entry| json!(entry), |entry| entry.id.clone()))
}
