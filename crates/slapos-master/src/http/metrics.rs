//! `GET /metrics`: the Master in numbers, and the nodes as they tell of themselves, in the text form
//! of Prometheus. The numbers of several Masters are told by each; those of nodes are the same at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use slapos_slap::Services;

use super::access::{Route, Rule};
use super::{ApiError, App, with_type};
use crate::requests::Desk;
use crate::store::Store;
use crate::view::{Metrics as Machine, NodeNumbers};

type Labels = Vec<(&'static str, String)>;

/// Numbers of nodes, by computer.
type Numbers = Family<Labels, Gauge<f64, AtomicU64>>;

/// Up to how many seconds, each.
const TIMES: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// What was done so far.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Histogram, fn() -> Histogram>,
    allocations: Family<Labels, Counter>,
    listeners: Gauge,
}

impl Metrics {
    /// Those of a Master with that store and desk.
    pub(super) fn new(store: &Store, desk: &Desk) -> Metrics {
        let histogram: fn() -> Histogram = || Histogram::new(TIMES);
        let requests = Family::new_with_constructor(histogram);
        let (allocations, listeners) = (Family::default(), Gauge::default());
        let mut registry = Registry::with_prefix("slapos_master");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let build = Info::new(vec![("version", version), ("database", store.kind().to_owned())]);
        registry.register("build", "What answers", build);
        registry.register(
            "request_seconds",
            "How long requests took until their answer began",
            requests.clone(),
        );
        registry.register(
            "instance_requests",
            "What came of requests for instances",
            Family::clone(&allocations),
        );
        registry.register("listeners", "Who listens to events", listeners.clone());
        store.waits().register(&mut registry);
        desk.register(&mut registry);
        Metrics { registry, requests, allocations, listeners }
    }

    /// Counts what came of a request for an instance.
    pub(super) fn requested<T, E>(&self, result: &Result<T, E>) {
        let outcome = if result.is_ok() { "placed" } else { "refused" };
        self.allocations.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/metrics", Rule::OPERATOR, tell)]
}

/// Takes the time of a request.
pub(super) async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // The route and never the address, of which there are too many.
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or("other", MatchedPath::as_str).to_owned();
    let method = word(request.method()).to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = vec![("method", method), ("route", route), ("status", status)];
    app.metrics.requests.get_or_create(&labels).observe(started.elapsed().as_secs_f64());
    response
}

/// The word of a method. What else callers may think of is one word, so that they make no numbers.
fn word(method: &Method) -> &str {
    let known =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    if known.contains(method) { method.as_str() } else { "other" }
}

async fn tell(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let nodes = nodes(&app.store.node_numbers().await?);
    app.metrics.listeners.set(i64::try_from(app.listeners.count()).unwrap_or(i64::MAX));
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = encode_registry(&mut text, &app.metrics.registry)
        .and_then(|()| encode_registry(&mut text, &nodes))
        .and_then(|()| encode_eof(&mut text));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(with_type(kind, text))
}

/// A number of a node: what it is called, what it means, and how it is had.
type Number<T> = (&'static str, &'static str, fn(&T) -> f64);

/// What nodes tell of their machines.
const MACHINE: [Number<Machine>; 5] = [
    ("load", "Load average over one minute", |node| node.load),
    ("memory_bytes", "Memory", |node| node.memory.total as f64),
    ("memory_available_bytes", "Memory left", |node| node.memory.available as f64),
    ("disk_bytes", "File system of the instances", |node| node.disk.total as f64),
    ("disk_available_bytes", "File system of the instances: left", |node| {
        node.disk.available as f64
    }),
];

/// What their supervisors tell of services.
const SERVICES: [Number<Services>; 2] = [
    ("services_running", "Services that run", |services| services.running.into()),
    ("services_failed", "Services that could not be kept running", |services| {
        services.failed.into()
    }),
];

/// What the Master knows of every node.
const KNOWN: [Number<NodeNumbers>; 2] = [
    ("partitions_free", "Partitions without an instance", |node| {
        let busy: i64 = node.instances.values().sum();
        node.partitions.saturating_sub(busy).max(0) as f64
    }),
    ("releases_failed", "Software Releases that could not be built", |node| {
        node.releases_failed as f64
    }),
];

/// What promises came to: all, and those that failed.
const PROMISES: [Number<(i64, i64)>; 2] = [
    ("promises", "Promises of the instances", |promises| promises.0 as f64),
    ("promises_failed", "Promises that are not kept", |promises| promises.1 as f64),
];

/// The numbers of nodes, by computer.
fn nodes(nodes: &BTreeMap<String, NodeNumbers>) -> Registry {
    let mut registry = Registry::with_prefix("slapos_node");
    register(&mut registry, &KNOWN, nodes, |node| Some(node));
    register(&mut registry, &PROMISES, nodes, |node| node.promises.as_ref());
    register(&mut registry, &MACHINE, nodes, |node| node.machine.as_ref());
    register(&mut registry, &SERVICES, nodes, |node| node.machine.as_ref()?.services.as_ref());
    let contact: Number<i64> = (
        "last_contact_timestamp_seconds",
        "When a node was heard of last, within five minutes",
        |at| *at as f64 / 1e6,
    );
    register(&mut registry, &[contact], nodes, |node| node.contact_at.as_ref());
    let instances = Numbers::default();
    for (computer, node) in nodes {
        for (state, count) in &node.instances {
            let labels = vec![("computer", computer.clone()), ("state", state.clone())];
            instances.get_or_create(&labels).set(*count as f64);
        }
    }
    let help = "Instances as they are wanted; `error` where that could not be done";
    registry.register("instances", help, instances);
    registry
}

/// Adds numbers of those nodes of which there are any.
fn register<T>(
    registry: &mut Registry,
    numbers: &[Number<T>],
    nodes: &BTreeMap<String, NodeNumbers>,
    of: fn(&NodeNumbers) -> Option<&T>,
) {
    for (name, help, number) in numbers {
        let family = Numbers::default();
        for (computer, node) in nodes {
            if let Some(some) = of(node) {
                let labels = vec![("computer", computer.clone())];
                family.get_or_create(&labels).set(number(some));
            }
        }
        registry.register(*name, *help, family);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(node: NodeNumbers) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &nodes(&[("a\"b".to_owned(), node)].into())).unwrap();
        text
    }

    #[test]
    fn numbers_of_nodes_have_their_computer_as_label() {
        let text = told(NodeNumbers {
            contact_at: Some(2_500_000),
            partitions: 3,
            instances: [("started".to_owned(), 1), ("error".to_owned(), 1)].into(),
            releases_failed: 0,
            promises: Some((4, 1)),
            machine: Some(Machine {
                load: 0.5,
                memory: slapos_slap::Room { total: 10, available: 4 },
                disk: slapos_slap::Room::default(),
                services: Some(Services { running: 3, failed: 1 }),
                at: String::new(),
            }),
        });
        for line in [
            "slapos_node_load{computer=\"a\\\"b\"} 0.5\n",
            "# TYPE slapos_node_memory_available_bytes gauge\n",
            "slapos_node_services_failed{computer=\"a\\\"b\"} 1.0\n",
            "slapos_node_partitions_free{computer=\"a\\\"b\"} 1.0\n",
            "slapos_node_promises_failed{computer=\"a\\\"b\"} 1.0\n",
            "slapos_node_instances{computer=\"a\\\"b\",state=\"error\"} 1.0\n",
            "slapos_node_last_contact_timestamp_seconds{computer=\"a\\\"b\"} 2.5\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn what_a_node_does_not_stand_for_is_not_told() {
        let text = told(NodeNumbers { partitions: 1, ..NodeNumbers::default() });
        assert!(text.contains("slapos_node_partitions_free{computer=\"a\\\"b\"} 1.0\n"), "{text}");
        for name in ["load", "promises", "promises_failed", "last_contact_timestamp_seconds"] {
            assert!(!text.contains(&format!("slapos_node_{name}{{")), "{name} is in {text}");
        }
    }
}
