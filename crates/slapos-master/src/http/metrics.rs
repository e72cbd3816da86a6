//! `GET /metrics`: the Master in numbers, and the nodes as they tell of themselves, in the text form
//! of Prometheus. The numbers of several Masters are told by each; those of nodes are the same at all.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::access::{Route, Rule};
use super::{ApiError, App, with_type};
use crate::view::Metrics as NodeNumbers;

type Labels = Vec<(&'static str, String)>;

/// Up to how many seconds, each.
const TIMES: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// What was done so far.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Histogram, fn() -> Histogram>,
    allocations: Family<Labels, Counter>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let histogram: fn() -> Histogram = || Histogram::new(TIMES);
        let requests = Family::new_with_constructor(histogram);
        let allocations = Family::default();
        let mut registry = Registry::with_prefix("slapos_master");
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
        Metrics { registry, requests, allocations }
    }
}

impl Metrics {
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
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = encode(&mut text, &app.metrics.registry);
    let end = "# EOF\n";
    text.truncate(text.len().saturating_sub(if text.ends_with(end) { end.len() } else { 0 }));
    gauge(
        &mut text,
        "slapos_master_listeners",
        "Who listens to events",
        [(String::new(), app.listeners.count().to_string())],
    );
    nodes(&mut text, &app.store.list_metrics().await?);
    text.push_str(end);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(with_type(kind, text))
}

/// The numbers of nodes, by computer.
fn nodes(text: &mut String, nodes: &[(String, NodeNumbers)]) {
    type Number = (&'static str, &'static str, fn(&NodeNumbers) -> Option<String>);
    let numbers: [Number; 7] = [
        ("load", "Load average over one minute", |node| Some(node.load.to_string())),
        ("memory_bytes", "Memory", |node| Some(node.memory.total.to_string())),
        ("memory_available_bytes", "Memory left", |node| Some(node.memory.available.to_string())),
        ("disk_bytes", "File system of the instances", |node| Some(node.disk.total.to_string())),
        ("disk_available_bytes", "File system of the instances: left", |node| {
            Some(node.disk.available.to_string())
        }),
        ("services_running", "Services that run", |node| {
            node.services.map(|services| services.running.to_string())
        }),
        ("services_failed", "Services that could not be kept running", |node| {
            node.services.map(|services| services.failed.to_string())
        }),
    ];
    for (name, help, number) in numbers {
        let values = nodes.iter().filter_map(|(computer, node)| {
            Some((format!("{{computer=\"{}\"}}", escaped(computer)), number(node)?))
        });
        gauge(text, &format!("slapos_node_{name}"), help, values);
    }
}

/// A number for each set of labels.
fn gauge(
    text: &mut String,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (String, String)>,
) {
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} gauge");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use slapos_slap::{Room, Services};

    use super::*;

    #[test]
    fn numbers_of_nodes_have_their_computer_as_label() {
        let node = NodeNumbers {
            load: 0.5,
            memory: Room { total: 10, available: 4 },
            disk: Room::default(),
            services: Some(Services { running: 3, failed: 1 }),
            at: String::new(),
        };
        let unseen = NodeNumbers { services: None, at: String::new(), ..node };
        let mut text = String::new();
        nodes(&mut text, &[("a\"b".to_owned(), node), ("c".to_owned(), unseen)]);
        assert!(!text.contains("services_running{computer=\"c\"}"), "{text}");
        assert!(text.contains("slapos_node_load{computer=\"a\\\"b\"} 0.5\n"), "{text}");
        assert!(text.contains("# TYPE slapos_node_memory_available_bytes gauge\n"), "{text}");
        assert!(text.contains("slapos_node_services_failed{computer=\"a\\\"b\"} 1\n"), "{text}");
    }
}
