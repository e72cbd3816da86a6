//! What the API tells.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use slapos_slap::{ComputerId, SoftwareUrl};

use super::super::access::{Caller, Route, Rule};
use super::super::{ApiError, App, text};
use super::take::{Asked, Named};
use crate::store::{InstanceFilter, Scope, Window};
use crate::view::{MasterInfo, Me};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

/// How much of a list is told unless the caller says.
const USUAL: usize = 100;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/me", Rule::KNOWN, me),
        Route::get("/api/v1/computers", Rule::USER_OR_NODE, computers),
        Route::get("/api/v1/computers/{id}", Rule::USER_OR_NODE, computer),
        Route::get("/api/v1/software", Rule::USER_OR_NODE, software),
        Route::get("/api/v1/software/log", Rule::USER_OR_NODE, log),
        Route::get("/api/v1/instances", Rule::USER_OR_NODE, instances),
        Route::get("/api/v1/instances/{guid}", Rule::USER_OR_NODE, instance),
        Route::get("/api/v1/instances/{guid}/promises", Rule::USER_OR_NODE, promises),
        Route::get("/api/v1/instances/{guid}/usage", Rule::USER_OR_NODE, usage),
        Route::get("/api/v1/computers/{id}/usage", Rule::USER_OR_NODE, computer_usage),
        Route::get("/api/v1/forwarded", Rule::USER, forwarded),
        Route::get("/api/v1/trees", Rule::USER, trees),
        Route::get("/api/v1/trees/{guid}", Rule::USER, tree),
        Route::get("/api/v1/search", Rule::USER, search),
        Route::get("/api/v1/summary", Rule::USER_OR_NODE, summary),
    ]
}

/// The parameters that lists have.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListWish {
    limit: Option<usize>,
    after: String,
    search: String,
    project: String,
    computer: String,
    state: String,
    tree: String,
    software: String,
}

impl ListWish {
    fn window(&self) -> Result<Window, ApiError> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=crate::store::MOST).contains(&limit) {
            let most = crate::store::MOST;
            return Err(ApiError::bad_request(format!("`limit` must be between 1 and {most}")));
        }
        Ok(Window { limit, after: self.after.clone(), search: self.search.clone() })
    }

    /// Refuses what this list is not narrowed by.
    fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let given = [
            ("project", &self.project),
            ("computer", &self.computer),
            ("state", &self.state),
            ("tree", &self.tree),
            ("software", &self.software),
        ];
        let strange = given.iter().find(|(name, text)| !text.is_empty() && !known.contains(name));
        match strange {
            None => Ok(()),
            Some((name, _)) => {
                Err(ApiError::bad_request(format!("this list has no parameter `{name}`")))
            }
        }
    }
}

fn json(body: &impl Serialize) -> Answer {
    Ok(Json(body).into_response())
}

async fn me(State(app): Shared, caller: Caller) -> Answer {
    let (kind, name) = match &caller {
        Caller::Operator => ("operator", String::new()),
        Caller::User(name) => ("user", name.clone()),
        Caller::Computer(computer) => ("computer", computer.to_string()),
        Caller::Partition(computer, partition) => ("partition", format!("{computer}-{partition}")),
    };
    let projects = match app.seen_by(&caller).await? {
        Scope::Projects(projects) => projects,
        _ => Vec::new(),
    };
    let (database, era) = app.store.identity().await?;
    let master = MasterInfo { version: env!("CARGO_PKG_VERSION"), database, era };
    json(&Me { kind, name, projects, master })
}

async fn computers(State(app): Shared, caller: Caller, Asked(wish): Asked<ListWish>) -> Answer {
    wish.only(&["state"])?;
    let scope = app.seen_by(&caller).await?;
    json(&app.store.list_computers(&scope, &wish.window()?, &wish.state).await?)
}

async fn computer(State(app): Shared, caller: Caller, Named(id): Named) -> Answer {
    let scope = app.seen_by(&caller).await?;
    json(&app.store.show_computer(&scope, &ComputerId::new(id)).await?)
}

async fn software(State(app): Shared, caller: Caller, Asked(wish): Asked<ListWish>) -> Answer {
    wish.only(&["computer", "state"])?;
    let scope = app.seen_by(&caller).await?;
    let window = wish.window()?;
    json(&app.store.list_software(&scope, &window, &wish.computer, &wish.state).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogWish {
    computer: String,
    url: String,
}

async fn log(State(app): Shared, caller: Caller, Asked(wish): Asked<LogWish>) -> Answer {
    let scope = app.seen_by(&caller).await?;
    let (computer, url) = (ComputerId::new(wish.computer), SoftwareUrl::new(wish.url));
    Ok(text(app.store.build_log(&scope, &computer, &url).await?))
}

async fn instances(State(app): Shared, caller: Caller, Asked(wish): Asked<ListWish>) -> Answer {
    let scope = app.seen_by(&caller).await?;
    let window = wish.window()?;
    let filter = InstanceFilter {
        project: wish.project,
        tree: wish.tree,
        computer: wish.computer,
        state: wish.state,
        software: wish.software,
    };
    json(&app.store.list_instances(&scope, &window, &filter).await?)
}

async fn instance(State(app): Shared, caller: Caller, Named(guid): Named) -> Answer {
    let scope = app.seen_by(&caller).await?;
    json(&app.store.show_instance(&scope, &guid).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    since: Option<String>,
}

async fn promises(
    State(app): Shared,
    caller: Caller,
    Named(guid): Named,
    Asked(wish): Asked<Since>,
) -> Answer {
    let since =
        wish.since.as_deref().map_or(Ok(i64::MIN), |text| super::node::time("since", text))?;
    let scope = app.seen_by(&caller).await?;
    json(&app.store.show_promises(&scope, &guid, since).await?)
}

async fn usage(State(app): Shared, caller: Caller, Named(guid): Named) -> Answer {
    let scope = app.seen_by(&caller).await?;
    json(&app.store.usage_of_instance(&scope, &guid).await?)
}

/// Also of what is others' there, so it is for whose the computer is.
async fn computer_usage(State(app): Shared, caller: Caller, Named(id): Named) -> Answer {
    let computer = ComputerId::new(id);
    app.allow_computer(&caller, &computer).await?;
    json(&app.store.usage_of_computer(&computer).await?)
}

async fn trees(State(app): Shared, caller: Caller, Asked(wish): Asked<ListWish>) -> Answer {
    wish.only(&["project"])?;
    let scope = app.seen_by(&caller).await?;
    json(&app.store.list_trees(&scope, &wish.window()?, &wish.project).await?)
}

async fn forwarded(State(app): Shared, caller: Caller, Asked(wish): Asked<ListWish>) -> Answer {
    wish.only(&["project"])?;
    let scope = app.seen_by(&caller).await?;
    json(&app.store.list_forwarded(&scope, &wish.window()?, &wish.project).await?)
}

async fn tree(State(app): Shared, caller: Caller, Named(guid): Named) -> Answer {
    let scope = app.seen_by(&caller).await?;
    json(&app.store.show_tree(&scope, &guid).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Looked {
    q: String,
}

async fn search(State(app): Shared, caller: Caller, Asked(Looked { q }): Asked<Looked>) -> Answer {
    if q.trim().is_empty() {
        return Err(ApiError::bad_request("`q` is empty: say what to look for"));
    }
    let scope = app.seen_by(&caller).await?;
    json(&app.store.find_everywhere(&scope, q.trim()).await?)
}

async fn summary(State(app): Shared, caller: Caller) -> Answer {
    let scope = app.seen_by(&caller).await?;
    json(&app.store.summary(&scope).await?)
}
