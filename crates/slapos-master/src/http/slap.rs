//! The classic SLAP routes.
//!
//! Answers have the texts that the original documents, `Ignored` included, because scripts
//! compare them; where the original ignores a report, ours is stored. Unknown computers and
//! partitions are 404, which clients take as "not found", and not the original's 500.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use slapos_slap::convert::{
    answer_to_value, computer_to_value, description_from_value, ip_list_to_value, partition_id,
    partition_to_value, request_from_form, texts_from_value,
};
use slapos_slap::marshal::{dumps, loads};
use slapos_slap::usage::read_journal;
use slapos_slap::{ComputerId, PartitionId, SoftwareState, Value};

use super::access::{Audited, Caller, Route, Rule};
use super::certificates::Pair;
use super::params::Params;
use super::renderings::Topic;
use super::{ApiError, App, audit, hateoas, text, xml};
use crate::error::StoreError;
use crate::store::Freed;

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = node_routes();
    routes.extend(instance_routes());
    routes.extend([
        Route::post("/supplySupply", Rule::USER, supply),
        Route::post("/requestComputerPartition", Rule::OWN, request).audited(Audited::Changes),
        Route::get("/getSoftwareReleaseListFromSoftwareProduct", Rule::KNOWN, software_product),
        Route::get("/getHateoasUrl", Rule::KNOWN, hateoas_url),
        Route::get("/getRunId", Rule::KNOWN, |State(app): Shared| async move { text(&app.run_id) }),
    ]);
    routes
}

/// What a node says and asks about its computer.
fn node_routes() -> Vec<Route> {
    vec![
        Route::get("/getComputerInformation", Rule::NODE, computer_information),
        Route::get("/getFullComputerInformation", Rule::NODE, computer_information),
        // Thousands of partitions.
        Route::post("/loadComputerConfigurationFromXML", Rule::NODE, format).body(16 << 20),
        Route::post("/destroyedSoftwareRelease", Rule::NODE, software_destroyed),
        software_report("/buildingSoftwareRelease", "building"),
        software_report("/availableSoftwareRelease", "available"),
        software_report("/softwareReleaseError", "error"),
        Route::post("/destroyedComputerPartition", Rule::NODE, destroyed),
        Route::post("/useComputer", Rule::NODE, use_computer),
        Route::post("/computerBang", Rule::USER_OR_NODE, computer_bang),
        Route::post("/requestComputer", Rule::USER, request_computer).audited(Audited::Everybody),
        Route::post("/generateComputerCertificate", Rule::USER_OR_NODE, computer_certificate)
            .audited(Audited::Everybody),
        Route::post("/revokeComputerCertificate", Rule::USER_OR_NODE, revoke_certificate)
            .audited(Audited::Everybody),
    ]
}

/// What an instance, or its node for it, says and asks.
fn instance_routes() -> Vec<Route> {
    vec![
        Route::get("/registerComputerPartition", Rule::OWN, computer_partition),
        Route::post("/setComputerPartitionConnectionXml", Rule::INSTANCE, set_connection),
        Route::post("/softwareInstanceBang", Rule::OWN, bang),
        Route::post("/softwareInstanceRename", Rule::OWN, rename).audited(Audited::Everybody),
        instance_report("/startedComputerPartition", "started"),
        instance_report("/stoppedComputerPartition", "stopped"),
        instance_report("/softwareInstanceError", "error"),
        Route::post(
            "/updateComputerPartitionRelatedInstanceList",
            Rule::INSTANCE,
            related_instances,
        ),
        Route::get("/getComputerPartitionStatus", Rule::OWN, status),
        Route::get("/getComputerPartitionCertificate", Rule::INSTANCE, certificate)
            .audited(Audited::Given),
        Route::get("/getHostingSubscriptionIpList", Rule::INSTANCE, tree_addresses),
    ]
}

fn marshalled(value: &Value) -> Answer {
    Ok(xml(dumps(value)?))
}

/// The computer that a request names, which must be the caller's own.
async fn own_computer(app: &App, caller: &Caller, params: &Params) -> Result<ComputerId, ApiError> {
    let computer = params.computer()?;
    app.allow_computer(caller, &computer).await?;
    Ok(computer)
}

/// The partition that a request names, whose instance must be the caller's own.
async fn own_partition(
    app: &App,
    caller: &Caller,
    params: &Params,
) -> Result<(ComputerId, PartitionId), ApiError> {
    let (computer, partition) = (params.computer()?, params.partition()?);
    app.allow_partition(caller, &computer, &partition).await?;
    Ok((computer, partition))
}

/// The computer and the partition, where the answer is the same for all: nothing is asked of clients
/// that name none.
async fn own_if_named(app: &App, caller: &Caller, params: &Params) -> Result<(), ApiError> {
    if params.optional("computer_partition_id").is_some() {
        own_partition(app, caller, params).await?;
    } else if params.optional("computer_id").is_some() {
        own_computer(app, caller, params).await?;
    }
    Ok(())
}

async fn use_computer(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let computer = own_computer(&app, &caller, &params).await?;
    let journal = read_journal(params.require("use_string")?)
        .map_err(|error| ApiError::bad_request(format!("use_string: {error}")))?;
    app.store.consumed(&computer, &journal).await?;
    Ok(text("OK"))
}

async fn status(State(app): Shared, caller: Caller, params: Params) -> Answer {
    own_if_named(&app, &caller, &params).await?;
    marshalled(&Value::str("Not implemented."))
}

async fn computer_information(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let computer = own_computer(&app, &caller, &params).await?;
    let topic = Topic { computer, partition: None };
    app.node_of_operator(&caller, &topic.computer).await?;
    let present = app.store.revision(&topic.computer).await?;
    if let Some(document) = app.renderings.get(&topic, &present) {
        return Ok(xml(document));
    }
    let (revision, computer) = app.store.computer_at(&topic.computer).await?;
    let document = Bytes::from(dumps(&computer_to_value(&computer))?);
    app.renderings.put(&topic, revision, &document);
    Ok(xml(document))
}

async fn computer_partition(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let computer = params.require("computer_reference")?.into();
    let partition = partition_id(params.require("computer_partition_reference")?)?;
    app.allow_partition(&caller, &computer, &partition).await?;
    let present = app.store.revision(&computer).await?;
    let topic = Topic { computer, partition: Some(partition.clone()) };
    if let Some(document) = app.renderings.get(&topic, &present) {
        return Ok(xml(document));
    }
    // Found later: if it is of a later revision, nobody is given it again under this one.
    let partition = app.store.partition(&topic.computer, &partition).await?;
    let document = Bytes::from(dumps(&partition_to_value(&partition))?);
    app.renderings.put(&topic, present, &document);
    Ok(xml(document))
}

async fn format(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let description = description_from_value(&loads(params.require("xml")?)?)?;
    app.allow_computer(&caller, &description.reference).await?;
    app.store.format(&description).await?;
    Ok(text("done"))
}

async fn supply(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (url, computer) = (params.software()?, own_computer(&app, &caller, &params).await?);
    let state: SoftwareState = params.require("state")?.parse()?;
    audit::about(audit::supply(&computer, &url, state));
    app.store.supply(&url, &computer, state).await?;
    let url = Value::str(url.as_str()).repr();
    Ok(text(format!("Supplied {url} to be {state}")))
}

async fn request(State(app): Shared, caller: Caller, headers: HeaderMap, params: Params) -> Answer {
    let request = request_from_form(|name| params.optional(name))?;
    let project = app.allow_request(&caller, &request).await?;
    let origin = hateoas::origin(&headers);
    let (answer, _) = app.request(&project, &request, &origin).await?;
    marshalled(&answer_to_value(&answer)?)
}

async fn set_connection(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    let connection = texts_from_value(&loads(params.require("connection_xml")?)?)?;
    match params.optional("slave_reference") {
        None => {
            app.store.set_connection(&computer, &partition, &connection).await?;
        }
        Some(slave) => {
            app.store.set_shared_connection(&computer, &partition, slave, &connection).await?;
        }
    }
    Ok(text("done"))
}

async fn bang(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    app.store.bang(&computer, &partition).await?;
    Ok(text("OK"))
}

async fn computer_bang(State(app): Shared, caller: Caller, params: Params) -> Answer {
    app.store.bang_computer(&own_computer(&app, &caller, &params).await?).await?;
    marshalled(&Value::str(""))
}

async fn rename(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    let title = params.require("new_name")?;
    if title.is_empty() {
        return Err(ApiError::bad_request("the new name is empty"));
    }
    if app.store.rename(&computer, &partition, title).await? {
        return Ok(text("done"));
    }
    Ok(text(unknown_partition(computer.as_str(), &partition)))
}

async fn destroyed(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    Ok(text(match app.store.destroyed(&computer, &partition).await {
        Ok(Freed::Yes) => "OK".to_owned(),
        Ok(Freed::Unknown) => unknown_partition(computer.as_str(), &partition),
        Ok(Freed::ChildrenFirst(children)) => {
            let names: Vec<&str> = children.iter().map(PartitionId::as_str).collect();
            let names = names.join(", ");
            format!("Not destroying yet because this partition has child partitions: {names}")
        }
        // Refusals of this route are texts with status 200, which clients compare with `OK`.
        Err(StoreError::Conflict(reason)) => reason,
        Err(error) => return Err(error.into()),
    }))
}

fn unknown_partition(computer: &str, partition: &PartitionId) -> String {
    format!("Unknown partition '{partition}' on '{computer}'")
}

async fn software_destroyed(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (url, computer) = (params.software()?, own_computer(&app, &caller, &params).await?);
    app.store.software_destroyed(&url, &computer).await?;
    Ok(text("OK"))
}

fn software_report(path: &'static str, state: &'static str) -> Route {
    let report = move |State(app): Shared, caller: Caller, params: Params| async move {
        let (url, computer) = (params.software()?, own_computer(&app, &caller, &params).await?);
        let message = params.message();
        app.store.report_software(&url, &computer, state, &message).await?;
        Answer::Ok(text("Ignored"))
    };
    Route::post(path, Rule::NODE, report)
}

fn instance_report(path: &'static str, state: &'static str) -> Route {
    let report = move |State(app): Shared, caller: Caller, params: Params| async move {
        let (computer, partition) = own_partition(&app, &caller, &params).await?;
        let message = params.message();
        app.store.report_instance(&computer, &partition, state, &message).await?;
        Answer::Ok(text("Ignored"))
    };
    Route::post(path, Rule::INSTANCE, report)
}

/// Which instances an instance still asks for. Others are marked, and stay.
async fn related_instances(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    let titles = titles(loads(params.require("instance_reference_xml")?)?)?;
    app.store.still_asked_for(&computer, &partition, &titles).await?;
    Ok(text("Ignored"))
}

fn titles(value: Value) -> Result<Vec<String>, ApiError> {
    let wrong = || ApiError::bad_request("instance_reference_xml: a list of texts is expected");
    let Value::List(items) = value else { return Err(wrong()) };
    let title = |item| match item {
        Value::Str(title) => Ok(title),
        _ => Err(wrong()),
    };
    items.into_iter().map(title).collect()
}

async fn certificate(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    pair(&app.partition_certificate(&computer, &partition).await?)
}

fn pair(given: &Pair) -> Answer {
    let (certificate, key) = (Value::str(&given.certificate), Value::str(given.key.expose()));
    marshalled(&Value::dict([("certificate", certificate), ("key", key)]))
}

/// Makes a computer known, in the only project that the caller has.
async fn request_computer(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let title = params.require("computer_title")?;
    let computer = app.make_computer(&caller, title, None).await?;
    marshalled(&computer_to_value(&app.store.computer(&computer).await?))
}

/// A new certificate for a computer; former ones stay good.
async fn computer_certificate(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let computer = own_computer(&app, &caller, &params).await?;
    pair(&app.new_certificate(&computer, None).await?)
}

/// Takes all certificates of a computer and of its partitions back.
async fn revoke_certificate(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let computer = own_computer(&app, &caller, &params).await?;
    app.store.revoke_certificates(&computer).await?;
    marshalled(&Value::None)
}

/// The tree's addresses: which nodes a firewall lets through.
async fn tree_addresses(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (computer, partition) = own_partition(&app, &caller, &params).await?;
    marshalled(&ip_list_to_value(&app.store.tree_addresses(&computer, &partition).await?))
}

/// The Software Release that a name stands for, if it does.
async fn software_product(State(app): Shared, params: Params) -> Answer {
    match (params.optional("software_product_reference"), params.optional("software_release_url")) {
        (Some(name), None) => {
            let url = app.products.get(name).map(|url| Value::str(url.as_str()));
            marshalled(&Value::List(url.into_iter().collect()))
        }
        _ => Err(ApiError::bad_request("give \"software_product_reference\", and nothing else")),
    }
}

async fn hateoas_url(headers: HeaderMap) -> Response {
    text(format!("{}/hateoas/", hateoas::origin(&headers)))
}
