//! JSON schemas: checking parameters, and changing them as their schemas say. With `applied`, the
//! only place that knows the crate `jsonschema`.
//!
//! A schema *applies* to an object of the instance when the object was checked against it with
//! success on a path of schemas that were all met: the branches of `oneOf` and the like that were
//! not met do not count, nor does what `unevaluatedProperties` has, as in the original. Only
//! schemas that apply give defaults and types.
//!
//! Invariants: nothing but files is read, and `format` is not checked, as in the original.

use std::path::{Path, PathBuf};

use jsonschema::{Keyword, Registry, Retrieve, Uri, ValidationError, Validator};
use serde_json::{Map, Value};

use super::applied::Applied;

/// How often defaults may bring objects that get defaults themselves.
const DEEPEST: usize = 32;
/// How the path of a keyword ends that stands for another schema.
const REFERENCES: [&str; 3] = ["/$ref", "/$dynamicRef", "/$recursiveRef"];
/// The keyword below which the original takes no schema to apply.
const UNEVALUATED: &str = "/unevaluatedProperties";

/// A schema with all that it refers to.
pub(crate) struct Schema {
    root: Value,
    base: String,
    registry: Registry<'static>,
}

/// What is to be done to the parameters besides checking them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    /// Missing properties get the `default` of their schema.
    pub(crate) defaults: bool,
    /// The texts of integers and booleans count as such, and become such.
    pub(crate) unstringify: bool,
}

impl Schema {
    /// The schema in the file `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let root = read(path)?;
        let bad =
            |error: &dyn std::fmt::Display| format!("{} is no schema: {error}", path.display());
        let base = jsonschema::uri::from_str(&uri_of(path)).map_err(|error| bad(&error))?;
        let base = base.as_str().to_owned();
        let registry = Registry::new()
            .retriever(Disk)
            .add(&base, root.clone())
            .and_then(jsonschema::RegistryBuilder::prepare)
            .map_err(|error| bad(&error))?;
        Ok(Self { root, base, registry })
    }

    /// Checks `instance` and, if it is right, makes the changes and checks it again. What is
    /// wrong with it, one line each: `$.path: what`.
    pub(crate) fn check(
        &self,
        instance: &mut Value,
        changes: Changes,
    ) -> Result<Vec<String>, String> {
        let validator = self.validator(changes.unstringify)?;
        let errors = errors(&validator, instance);
        if !errors.is_empty() || !(changes.defaults || changes.unstringify) {
            return Ok(errors);
        }
        let applied = self.applied(&validator, instance)?;
        if changes.unstringify {
            for schema in &applied {
                schema.unstringify(instance);
            }
        }
        if changes.defaults {
            self.set_defaults(&validator, applied, instance)?;
        }
        Ok(self::errors(&validator, instance))
    }

    fn validator(&self, unstringify: bool) -> Result<Validator, String> {
        let mut options = jsonschema::options()
            .with_registry(&self.registry)
            .with_base_uri(self.base.clone())
            .should_validate_formats(false);
        if unstringify {
            options = options.with_keyword("type", |_, value, _| Ok(Box::new(Type::of(value))));
        }
        options.build(&self.root).map_err(|error| format!("{} is no schema: {error}", self.base))
    }

    fn applied(&self, validator: &Validator, instance: &Value) -> Result<Vec<Applied<'_>>, String> {
        let evaluation = validator.evaluate(instance);
        let mut applied = Vec::new();
        // Below the unit of a schema are those of its keywords, below these those of schemas; but
        // a reference has no unit besides that of the schema it leads to.
        let mut pending = vec![(evaluation.root(), true)];
        while let Some((unit, below_keyword)) = pending.pop() {
            let path = unit.evaluation_path().as_str();
            let is_schema = below_keyword || REFERENCES.iter().any(|name| path.ends_with(name));
            if !unit.valid() || (!is_schema && path.ends_with(UNEVALUATED)) {
                continue;
            }
            if is_schema {
                let place = unit.instance_location().as_str();
                let location = unit.schema_location();
                applied.extend(Applied::new(&self.registry, &self.base, location, place)?);
            }
            pending.extend(unit.children().map(|child| (child, !is_schema)));
        }
        Ok(applied)
    }

    /// Sets defaults, then those of the objects that came with defaults.
    fn set_defaults<'s>(
        &'s self,
        validator: &Validator,
        mut applied: Vec<Applied<'s>>,
        instance: &mut Value,
    ) -> Result<(), String> {
        for _ in 0..DEEPEST {
            let new = super::applied::set_defaults(&applied, instance)?;
            if new.is_empty() {
                return Ok(());
            }
            applied = self.applied(validator, instance)?;
            applied.retain(|schema| new.iter().any(|place| schema.is_at_or_below(place)));
        }
        Err(format!("the defaults of {} bring other defaults without end", self.base))
    }
}

fn errors(validator: &Validator, instance: &Value) -> Vec<String> {
    let errors = validator.iter_errors(instance);
    errors.map(|error| format!("{}: {error}", json_path(&error))).collect()
}

/// Where in the instance, as `$.name[0]`.
fn json_path(error: &ValidationError<'_>) -> String {
    let mut path = "$".to_owned();
    let pointer = error.instance_path().as_str();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        match token.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) => path.push_str(&format!(".{token}")),
        }
    }
    path
}

/// The keyword `type`, for which the texts of integers and booleans are such.
struct Type(Vec<String>);

impl Type {
    fn of(value: &Value) -> Self {
        let names = match value {
            Value::Array(names) => names.as_slice(),
            name => std::slice::from_ref(name),
        };
        Self(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    fn accepts(&self, instance: &Value) -> bool {
        self.0.iter().any(|name| match name.as_str() {
            "null" => instance.is_null(),
            "boolean" => unstringified(name, instance).is_boolean(),
            "object" => instance.is_object(),
            "array" => instance.is_array(),
            "string" => instance.is_string(),
            "number" => instance.is_number(),
            "integer" => is_integer(&unstringified(name, instance)),
            _ => false,
        })
    }
}

fn is_integer(value: &Value) -> bool {
    let whole = |number: f64| number.fract() == 0.0;
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(whole)
}

impl<'i> Keyword<'i> for Type {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.accepts(instance) {
            return Ok(());
        }
        let names: Vec<String> = self.0.iter().map(|name| format!("\"{name}\"")).collect();
        let types = if names.len() == 1 { "type" } else { "types" };
        let message = format!("{instance} is not of {types} {}", names.join(", "));
        Err(ValidationError::custom(message))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.accepts(instance)
    }
}

/// `value` as the type called `name`, if it is a text of that; else as it is.
pub(super) fn unstringified(name: &str, value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return value.clone();
    };
    match (name, text) {
        ("boolean", "True") => Value::Bool(true),
        ("boolean", "False") => Value::Bool(false),
        ("integer", _) => integer(text).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}

/// As Python's `int` reads a text: blanks around, a sign, `_` between digits.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_whole = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    if !digits.split('_').all(is_whole) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// Reads what schemas refer to.
struct Disk;

impl Retrieve for Disk {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        match path_of(uri.as_str()) {
            Some(path) => read(&path).map_err(Into::into),
            None => Err(format!("{uri} is not a file; schemas are not downloaded").into()),
        }
    }
}

/// The JSON in a file.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let text = slapos_sys::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is no JSON: {error}", path.display()))
}

fn uri_of(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

fn path_of(uri: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = uri.strip_prefix("file://")?.split(['?', '#']).next()?;
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut pieces = path.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

/// An object, or an empty one for anything else.
pub(super) fn object(value: Value) -> Value {
    if value.is_object() { value } else { Value::Object(Map::new()) }
}
