//! What the schemas that apply to objects of an instance say of missing and of stringified
//! properties.

use std::collections::BTreeMap;

use jsonschema::{Registry, uri};
use serde_json::{Map, Value};

use super::schema::unstringified;

/// How many `$ref` lead to a `type` or a `default` at most.
const LONGEST: usize = 32;

/// A schema with `properties` that applies to an object of the instance.
pub(super) struct Applied<'r> {
    registry: &'r Registry<'static>,
    /// The document that references in the schema start from.
    base: String,
    properties: &'r Map<String, Value>,
    /// Where the object is: a JSON pointer.
    place: String,
}

impl<'r> Applied<'r> {
    /// The schema at `location`, unless it has no `properties`.
    pub(super) fn new(
        registry: &'r Registry<'static>,
        root: &str,
        location: &str,
        place: &str,
    ) -> Result<Option<Self>, String> {
        let reference = match location.contains('#') {
            true => location.to_owned(),
            false => format!("{root}#{location}"),
        };
        let (found, base) = look_up(registry, root, &reference)?;
        let properties = found.get("properties").and_then(Value::as_object);
        let place = place.to_owned();
        Ok(properties.map(|properties| Self { registry, base, properties, place }))
    }

    /// Whether the object is the one at the JSON pointer `place`, or inside of that.
    pub(super) fn is_at_or_below(&self, place: &str) -> bool {
        let rest = self.place.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Gives texts of integers and booleans the type that the schema wants.
    pub(super) fn unstringify(&self, instance: &mut Value) {
        let Some(object) = instance.pointer_mut(&self.place).and_then(Value::as_object_mut) else {
            return;
        };
        for (name, schema) in self.properties {
            let Some(value) = object.get_mut(name).filter(|value| value.is_string()) else {
                continue;
            };
            let types = match self.keyword("type", schema) {
                Some(Value::Array(types)) => types,
                Some(single) => vec![single],
                None => continue,
            };
            let types = types.iter().filter_map(Value::as_str);
            let mut read = types.map(|wanted| unstringified(wanted, value));
            if let Some(read) = read.find(|read| !read.is_string()) {
                *value = read;
            }
        }
    }

    /// `keyword` of a schema, or of the one that its `$ref` leads to.
    fn keyword(&self, keyword: &str, schema: &Value) -> Option<Value> {
        let (mut schema, mut base) = (schema, self.base.clone());
        for _ in 0..LONGEST {
            if let Some(value) = schema.get(keyword) {
                return Some(value.clone());
            }
            let reference = schema.get("$ref")?.as_str()?;
            (schema, base) = look_up(self.registry, &base, reference).ok()?;
        }
        None
    }
}

/// What `reference` leads to from the document `base`, and the document where that is.
fn look_up<'r>(
    registry: &'r Registry<'static>,
    base: &str,
    reference: &str,
) -> Result<(&'r Value, String), String> {
    let bad = |error: &dyn std::fmt::Display| format!("cannot find `{reference}`: {error}");
    let base = uri::from_str(base).map_err(|error| bad(&error))?;
    let found = registry.resolver(base).lookup(reference).map_err(|error| bad(&error))?;
    Ok((found.contents(), found.resolver().base_uri().as_str().to_owned()))
}

/// Sets the properties that are missing and have a default, and tells where.
pub(super) fn set_defaults(
    applied: &[Applied<'_>],
    instance: &mut Value,
) -> Result<Vec<String>, String> {
    let mut wanted: BTreeMap<(&str, &str), Value> = BTreeMap::new();
    for schema in applied {
        let Some(object) = instance.pointer(&schema.place).and_then(Value::as_object) else {
            continue;
        };
        for (name, property) in schema.properties {
            let Some(default) = schema.keyword("default", property) else { continue };
            if object.contains_key(name) {
                continue;
            }
            let known = wanted.entry((&schema.place, name)).or_insert_with(|| default.clone());
            if *known != default {
                return Err(format!(
                    "the schema has two defaults for `{name}`, {known} and {default}"
                ));
            }
        }
    }
    let mut places = Vec::new();
    for ((place, name), default) in wanted {
        if let Some(object) = instance.pointer_mut(place).and_then(Value::as_object_mut) {
            places.push(format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")));
            object.insert(name.to_owned(), default);
        }
    }
    Ok(places)
}
