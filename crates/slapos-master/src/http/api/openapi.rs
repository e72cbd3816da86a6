//! The OpenAPI document of the API: who may call what comes from the list of routes, what is sent
//! and answered from the very types that do it, and the words from [`super::operations`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::Response;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::access::{May, Route, Rule};
use super::super::with_type;
use super::{PROOF_PATH, closed, operations};

/// What the routes of the API begin with.
const API: &str = "/api/v1/";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/openapi.json", Rule::ANYBODY, tell)]
}

async fn tell() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(text);
    with_type("application/json", DOCUMENT.clone())
}

/// The document as text, as it is committed.
pub(crate) fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// What is known of a route beside its rule.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    schemas: Schemas,
}

type Schemas = Vec<(String, RefOr<Schema>)>;

impl Operation {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        summary: &'static str,
    ) -> Operation {
        Operation {
            method,
            path,
            summary,
            description: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// More words.
    pub(super) fn says(self, description: &'static str) -> Operation {
        Operation { description, ..self }
    }

    /// A parameter that may be left out.
    pub(super) fn may(self, name: &str, description: &str) -> Operation {
        let closed = (name == "state").then(|| closed::states(self.path)).flatten();
        let schema = closed.unwrap_or_else(|| json!({"type": "string"}));
        self.parameter(name, false, &schema, description)
    }

    /// A parameter that is needed.
    pub(super) fn needs(self, name: &str, description: &str) -> Operation {
        self.parameter(name, true, &json!({"type": "string"}), description)
    }

    fn parameter(mut self, name: &str, required: bool, schema: &Value, text: &str) -> Operation {
        self.parameters.push(json!({
            "name": name, "in": "query", "required": required, "description": text,
            "schema": schema,
        }));
        self
    }

    /// It takes a JSON body of that type.
    pub(super) fn takes<T: ToSchema>(mut self) -> Operation {
        let schema = self.schema::<T>();
        let content = json!({"application/json": {"schema": schema}});
        self.body = Some(json!({"required": true, "content": content}));
        self
    }

    /// It answers with JSON of that type.
    pub(super) fn gives<T: ToSchema>(mut self, status: u16, text: &str) -> Operation {
        let schema = self.schema::<T>();
        let content = json!({"application/json": {"schema": schema}});
        self.answers.push((status, json!({"description": text, "content": content})));
        self
    }

    /// It answers with a part of a list of such things, in which one may look for a text.
    pub(super) fn lists<T: ToSchema>(self) -> Operation {
        self.pages::<T>().may("search", "only what has this text in its names or addresses")
    }

    /// It answers with a part of a list of such things.
    pub(super) fn pages<T: ToSchema>(self) -> Operation {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": crate::store::MOST});
        self.listing::<T>()
            .parameter("limit", false, &limit, "how many at most; 100 if left out")
            .may("after", "the `next` of the part before")
    }

    /// It answers with a list of such things.
    pub(super) fn listing<T: ToSchema>(mut self) -> Operation {
        let schema = json!({
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": self.schema::<T>()},
                "next": {
                    "type": ["string", "null"],
                    "description": "the value of `after` for the next part; null at the end",
                },
            },
        });
        let content = json!({"application/json": {"schema": schema}});
        self.answers.push((200, json!({"description": "a part of the list", "content": content})));
        self
    }

    /// It answers with a JSON object that is described elsewhere.
    pub(super) fn gives_object(mut self, text: &str) -> Operation {
        let content = json!({"application/json": {"schema": {"type": "object"}}});
        self.answers.push((200, json!({"description": text, "content": content})));
        self
    }

    /// It answers with something that is no JSON.
    pub(super) fn gives_text(mut self, kind: &str, text: &str) -> Operation {
        let content = json!({kind: {"schema": {"type": "string"}}});
        self.answers.push((200, json!({"description": text, "content": content})));
        self
    }

    /// It answers with server-sent events, those called `change` with data of that type.
    pub(super) fn streams<T: ToSchema>(mut self, text: &str) -> Operation {
        let change = self.schema::<T>();
        let content = json!({"text/event-stream": {
            "schema": {"type": "string", "description": "lines `event:`, `id:` and `data:`, and an empty one"},
            "x-events": {
                "change": {"data": change},
                "resync": {"data": {"type": "string", "maxLength": 0}},
            },
        }});
        self.answers.push((200, json!({"description": text, "content": content})));
        self
    }

    /// It answers with a status alone.
    pub(super) fn done(mut self, status: u16, text: &str) -> Operation {
        self.answers.push((status, json!({"description": text})));
        self
    }

    fn schema<T: ToSchema>(&mut self) -> Value {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), <T as PartialSchema>::schema()));
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// The whole document.
fn document() -> Value {
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let operations = operations::all();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in super::super::routes() {
        let method = route.method.as_str();
        let known = operations.iter().find(|o| o.method == method && o.path == route.path);
        let described = known.map_or_else(|| classic(&route), |o| operation(o, &route));
        paths.entry(route.path).or_default().insert(method.to_lowercase(), described);
        for (name, schema) in known.iter().flat_map(|operation| &operation.schemas) {
            schemas.insert(name.clone(), json!(schema));
        }
    }
    closed::close(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SlapOS Master",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0"},
            "description": "Routes under /api/v1 are JSON, and their errors problems (RFC 9457). \
                Others are those of classic SLAP and its relatives, listed with who may call them. \
                `x-callers` says how far each kind of caller may go: `all`, `own` (what is theirs) or \
                `no`; the operator may do everything.",
        },
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"problem": problem()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "the token as password, under any name",
                },
            },
        },
    })
}

fn operation(operation: &Operation, route: &Route) -> Value {
    let mut value = outline(route);
    value.insert("summary".into(), json!(operation.summary));
    if !operation.description.is_empty() {
        value.insert("description".into(), json!(operation.description));
    }
    let mut parameters = path_parameters(route.path);
    parameters.extend(operation.parameters.iter().cloned());
    if !parameters.is_empty() {
        value.insert("parameters".into(), json!(parameters));
    }
    if let Some(body) = &operation.body {
        value.insert("requestBody".into(), body.clone());
    }
    let mut responses = Map::new();
    for (status, answer) in &operation.answers {
        responses.insert(status.to_string(), answer.clone());
    }
    responses.insert("default".into(), refusal(route));
    value.insert("responses".into(), Value::Object(responses));
    Value::Object(value)
}

/// A route that is described elsewhere.
fn classic(route: &Route) -> Value {
    let mut value = outline(route);
    let parameters = path_parameters(route.path);
    if !parameters.is_empty() {
        value.insert("parameters".into(), json!(parameters));
    }
    if route.method == axum::http::Method::POST {
        // Of JSON-RPC, whose methods are named with points, and else of classic SLAP.
        let kind = if route.path.contains('.') {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let content = json!({kind: {"schema": {"type": "object"}}});
        value.insert("requestBody".into(), json!({"content": content}));
    }
    let text = json!({"description": "as the protocol of the route has it"});
    value.insert("responses".into(), json!({"default": text}));
    Value::Object(value)
}

/// What all operations have.
fn outline(route: &Route) -> Map<String, Value> {
    let words = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path: String = route.path.trim_matches('/').chars().map(words).collect();
    let id = format!("{}_{path}", route.method.as_str().to_lowercase());
    let tag = if route.path.starts_with(API) { "api" } else { "other" };
    let mut value = Map::new();
    value.insert("operationId".into(), json!(id));
    value.insert("tags".into(), json!([tag]));
    value.insert("x-callers".into(), callers(route.rule));
    if route.rule.anybody {
        value.insert("security".into(), json!([]));
    }
    value
}

fn callers(rule: Rule) -> Value {
    let word = |may: May| match may {
        May::Not => "no",
        May::Own => "own",
        May::All => "all",
    };
    json!({
        "anybody": rule.anybody,
        "user": word(rule.user),
        "computer": word(rule.computer),
        "partition": word(rule.partition),
    })
}

/// The names in braces.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let parameter = |(name, _): (&str, &str)| {
        json!({"name": name.trim_start_matches('*'), "in": "path", "required": true,
            "schema": {"type": "string"}})
    };
    names.map(parameter).collect()
}

/// How it is refused.
fn refusal(route: &Route) -> Value {
    if route.path == PROOF_PATH {
        let text = json!({"text/plain": {"schema": {"type": "string"}}});
        return json!({"description": "what is wrong, as text", "content": text});
    }
    json!({"$ref": "#/components/responses/problem"})
}

fn problem() -> Value {
    let schema = json!({
        "type": "object",
        "required": ["status", "title"],
        "properties": {
            "status": {"type": "integer"},
            "title": {"type": "string", "description": "what is wrong, and what to do"},
            "errors": {
                "type": "array",
                "description": "with 422: where parameters do not fit the schema of their Software \
                    Release, at most twenty",
                "items": {"$ref": "#/components/schemas/SchemaError"},
            },
        },
    });
    json!({
        "description": "what is wrong: 400 not understood, 401 nobody that is known, 403 not for the \
            caller, 404 not there or not the caller's, 405 no such method (`Allow`), 408 the body did not \
            come in time, 409 against what is there, 413 too large, 415 not JSON, 422 parameters against their schema, 429 and 503 come again later (`Retry-After`)",
        "content": {"application/problem+json": {"schema": schema}},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Where the document is committed, from the crate.
    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

    #[test]
    fn the_committed_document_is_what_is_generated() {
        if std::env::var_os("SLAPOS_WRITE_OPENAPI").is_some() {
            slapos_sys::fs::write_atomic(COMMITTED.as_ref(), text().as_bytes(), 0o644).unwrap();
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(
            committed == text(),
            "docs/openapi.json is not what the routes are: run this test with \
             SLAPOS_WRITE_OPENAPI=1 and commit what it writes"
        );
    }

    #[test]
    fn every_route_of_the_api_is_described_and_nothing_else() {
        let described: BTreeSet<_> =
            operations::all().iter().map(|o| (o.method.to_owned(), o.path)).collect();
        let routes = super::super::super::routes();
        let ours = routes.iter().filter(|route| route.path.starts_with(API));
        let routed: BTreeSet<_> =
            ours.map(|route| (route.method.as_str().to_owned(), route.path)).collect();
        let missing: Vec<_> = routed.difference(&described).collect();
        assert!(missing.is_empty(), "without words in operations.rs: {missing:?}");
        let routes: BTreeSet<_> =
            routes.iter().map(|route| (route.method.as_str().to_owned(), route.path)).collect();
        let gone: Vec<_> = described.difference(&routes).collect();
        assert!(gone.is_empty(), "described, and not there: {gone:?}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }
}
