//! Whether parameters are what a Software Release says of them: `software.cfg.json` beside the
//! profile, and the JSON schemas that it names.
//!
//! What a request does not change is not judged again, which is most of them. A schema that cannot be
//! read judges nothing. What is here happens in processes of its own, see [`super::bench`]: one reads
//! what is on the network, which [`super::library`] keeps, and others judge by that.
//!
//! Parameters are one JSON document in the parameter `_` (`json-in-xml`), or texts (`xml`). A text
//! of the latter also fits where it reads as the number or truth value that the schema asks for,
//! because nothing else can be sent.

mod bundle;
mod network;
mod reading;
mod source;
#[cfg(test)]
mod tests;
mod web;

use std::sync::Arc;

use jsonschema::{PatternOptions, Retrieve, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use slapos_slap::{DEFAULT_SOFTWARE_TYPE, InstanceRequest};
use utoipa::ToSchema;

use self::bundle::bundle;

pub(crate) use reading::{Reading, read};
pub(crate) use source::{Documents, Origin, Texts};
pub use web::Web;

/// The name that the default type had.
const OLD_DEFAULT: &str = "RootSoftwareInstance";

/// The most that is told of what does not fit.
const MOST_ERRORS: usize = 20;

/// How far a pattern may look back: what is written in a schema must not keep us busy.
const BACKTRACKING: usize = 100_000;

/// Something in the parameters that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaError {
    /// Where: `$` is all of it, `$.a[0]` the first item of `a`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// What a schema says of the parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Whether there is a schema that could be read.
    pub readable: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What does not fit.
    pub errors: Vec<SchemaError>,
}

impl Verdict {
    /// There is no schema that judges, and why.
    pub(crate) fn unreadable(why: impl Into<String>) -> Verdict {
        Verdict { readable: false, why: why.into(), errors: Vec::new() }
    }
}

/// Judges the parameters of a request.
pub(crate) fn judge(documents: &Arc<Documents>, request: &InstanceRequest) -> Verdict {
    match try_judge(documents, request) {
        Ok(errors) => Verdict { readable: true, why: String::new(), errors },
        Err(why) => Verdict::unreadable(why),
    }
}

fn try_judge(
    documents: &Arc<Documents>,
    request: &InstanceRequest,
) -> Result<Vec<SchemaError>, String> {
    let software = documents.software()?;
    let entry = entry(&software, &request.software_type, request.shared)
        .ok_or_else(|| format!("it describes no software type {}", request.software_type))?;
    let reference = text(entry, "request").ok_or("it names no schema of parameters")?;
    let (base, schema) = documents.named(reference)?;
    let validator = jsonschema::options()
        .with_base_uri(base)
        .with_retriever(Retriever(Arc::clone(documents)))
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACKING))
        .build(&schema)
        .map_err(|error| format!("the schema {reference} cannot be used: {error}"))?;
    let given = match is_json(&software, entry, request) {
        true => match document(request) {
            Ok(document) => document,
            Err(error) => return Ok(vec![error]),
        },
        false => fitting_texts(&validator, request),
    };
    Ok(errors(&validator, &given))
}

/// All that a Software Release says of its parameters, for forms: its types with their schemas. What
/// cannot be read is `null`.
///
/// # Errors
/// Why nothing can be read.
pub(crate) fn describe(documents: &Documents) -> Result<Value, String> {
    let software = documents.software()?;
    let types = software.get("software-type").and_then(Value::as_object);
    let types: Vec<Value> = types
        .into_iter()
        .flatten()
        .map(|(id, entry)| {
            let schema = |key| text(entry, key).and_then(|name| documents.named(name).ok());
            let schema = |key| schema(key).map(|(base, schema)| bundle(documents, &base, schema));
            json!({
                "id": id,
                "software_type": text(entry, "software-type").unwrap_or(id),
                "title": entry.get("title"),
                "description": entry.get("description"),
                "shared": entry.get("shared").and_then(Value::as_bool).unwrap_or(false),
                "serialisation": text(entry, "serialisation").or(text(&software, "serialisation")),
                "index": entry.get("index"),
                "request_schema": schema("request"),
                "response_schema": schema("response"),
            })
        })
        .collect();
    Ok(json!({
        "name": software.get("name"),
        "title": software.get("title").or_else(|| software.get("name")),
        "description": software.get("description"),
        "serialisation": software.get("serialisation"),
        "types": types,
    }))
}

/// What the Software Release says of a type. Entries may have another name than their type.
fn entry<'s>(software: &'s Value, kind: &str, shared: bool) -> Option<&'s Value> {
    let kind = if kind == OLD_DEFAULT { DEFAULT_SOFTWARE_TYPE } else { kind };
    let types = software.get("software-type")?.as_object()?;
    let named =
        |id: &str| if id == OLD_DEFAULT { DEFAULT_SOFTWARE_TYPE.to_owned() } else { id.to_owned() };
    let exact = types.iter().find(|(id, entry)| {
        let of = named(text(entry, "software-type").unwrap_or(id));
        of == kind && entry.get("shared").and_then(Value::as_bool).unwrap_or(false) == shared
    });
    exact.map(|(_, entry)| entry).or_else(|| types.get(kind).filter(|_| !shared))
}

fn text<'s>(value: &'s Value, key: &str) -> Option<&'s str> {
    value.get(key)?.as_str()
}

/// Whether the parameters are one document. Where the Software Release does not say, it shows.
fn is_json(software: &Value, entry: &Value, request: &InstanceRequest) -> bool {
    match text(entry, "serialisation").or(text(software, "serialisation")) {
        Some("xml") => false,
        Some("json-in-xml") => true,
        _ => request.parameters.contains_key("_"),
    }
}

/// The document in `_`. Without it, the parameters are taken as they are, as the original does.
fn document(request: &InstanceRequest) -> Result<Value, SchemaError> {
    let Some(text) = request.parameters.get("_") else { return Ok(texts(request)) };
    let mut document: Value = serde_json::from_str(text).map_err(|error| SchemaError {
        path: "$".to_owned(),
        message: format!("the parameter _ is no JSON: {error}"),
    })?;
    if let Value::Object(items) = &mut document {
        items.shift_remove("$schema");
    }
    Ok(document)
}

fn texts(request: &InstanceRequest) -> Value {
    let items = request.parameters.iter().filter(|(key, _)| *key != "$schema");
    Value::Object(
        items.map(|(key, text)| (key.clone(), text.clone().into())).collect::<Map<_, _>>(),
    )
}

/// The texts, and in place of those that do not fit as texts the values that they read as.
fn fitting_texts(validator: &jsonschema::Validator, request: &InstanceRequest) -> Value {
    let mut given = texts(request);
    let wrong: Vec<String> = validator
        .iter_errors(&given)
        .take(MOST_ERRORS * 10)
        .map(|error| error.instance_path().to_string())
        .collect();
    if let Value::Object(items) = &mut given {
        for (key, value) in items.iter_mut() {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let Some(text) = value.as_str().filter(|_| wrong.contains(&pointer)) else { continue };
            // Python writes truth values with a capital.
            let read = match text {
                "True" => Ok(Value::Bool(true)),
                "False" => Ok(Value::Bool(false)),
                text => serde_json::from_str(text),
            };
            if let Ok(read @ (Value::Number(_) | Value::Bool(_))) = read {
                *value = read;
            }
        }
    }
    given
}

fn errors(validator: &jsonschema::Validator, given: &Value) -> Vec<SchemaError> {
    let told = validator.iter_errors(given).take(MOST_ERRORS);
    told.map(|error| SchemaError {
        path: json_path(&error.instance_path().to_string()),
        message: shortened(&error.to_string()),
    })
    .collect()
}

/// A JSON pointer as people write it.
fn json_path(pointer: &str) -> String {
    let mut path = "$".to_owned();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        match part.parse::<u64>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) => {
                path.push('.');
                path.push_str(&part);
            }
        }
    }
    path
}

/// Messages repeat what was given, which may be long.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 300;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// What a schema refers to, by the same rules as the schema itself.
struct Retriever(Arc<Documents>);

impl Retrieve for Retriever {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0.absolute(uri.as_str()).map_err(Into::into)
    }
}
