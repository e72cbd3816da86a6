//! Whether answers are what the OpenAPI document says of them, word for word: what it does not name must
//! not be there.

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::http::api::openapi;

/// The document.
pub(super) struct Answers(Value);

impl Answers {
    pub(super) fn new() -> Answers {
        Answers(serde_json::from_str(&openapi::text()).unwrap())
    }

    /// What is wrong with an answer of a route.
    pub(super) fn wrong(
        &self,
        method: &Method,
        path: &str,
        status: u16,
        body: &str,
    ) -> Option<String> {
        let place = format!("{method} {path}: {status}");
        let operation = &self.0["paths"][path][method.as_str().to_lowercase()];
        let described = &operation["responses"][status.to_string()];
        if described.is_null() {
            return Some(format!("{place} is not described"));
        }
        let content = &described["content"];
        let schema = &content["application/json"]["schema"];
        if schema.is_null() {
            // A text, or nothing at all.
            let something = !body.is_empty() && content.is_null();
            return something.then(|| format!("{place}: nothing is said of the body {body}"));
        }
        let answer: Value = serde_json::from_str(body).unwrap();
        let validator = jsonschema::validator_for(&self.closed(schema)).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        (!errors.is_empty()).then(|| format!("{place}: {errors:?}"))
    }

    /// The schema with all that it refers to, in which no object has members that are not named.
    fn closed(&self, schema: &Value) -> Value {
        let Value::Object(mut whole) = self.open(schema) else { return schema.clone() };
        let names = whole.contains_key("properties") || whole.contains_key("allOf");
        if names && !whole.contains_key("additionalProperties") {
            whole.insert("unevaluatedProperties".to_owned(), json!(false));
        }
        Value::Object(whole)
    }

    /// The same, for a schema that is a part of an object's.
    fn open(&self, schema: &Value) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.open(self.0.pointer(reference.trim_start_matches('#')).unwrap());
        }
        let Value::Object(members) = schema else { return schema.clone() };
        let each = |(name, value): (&String, &Value)| {
            let closed = match (name.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    let close =
                        |(name, schema): (&String, &Value)| (name.clone(), self.closed(schema));
                    Value::Object(properties.iter().map(close).collect::<Map<_, _>>())
                }
                ("allOf", Value::Array(parts)) => {
                    parts.iter().map(|part| self.open(part)).collect()
                }
                ("oneOf" | "anyOf", Value::Array(kinds)) => {
                    kinds.iter().map(|kind| self.closed(kind)).collect()
                }
                ("items" | "additionalProperties", schema) => self.closed(schema),
                (_, other) => other.clone(),
            };
            (name.clone(), closed)
        };
        Value::Object(members.iter().map(each).collect())
    }
}

#[test]
fn what_is_not_described_is_seen() {
    let answers = Answers::new();
    let wrong = |body: &Value| {
        answers.wrong(&Method::POST, "/api/v1/users/{name}/tokens", 201, &body.to_string())
    };
    let mut answer = json!({"id": "i", "label": "", "token": "t"});
    assert_eq!(wrong(&answer), None);
    answer["more"] = json!(1);
    assert!(wrong(&answer).unwrap().contains("more"));
    assert!(wrong(&json!({"id": "i", "label": ""})).unwrap().contains("token"));
}
