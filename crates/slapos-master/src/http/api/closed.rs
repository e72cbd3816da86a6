//! Words of which there are only some: as types they are texts, and the OpenAPI document says which
//! there are.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::store::{KINDS, SOFTWARE_STATES};

/// Wanted of an instance.
const INSTANCE: [&str; 3] = ["started", "stopped", "destroyed"];

/// Wanted of a Software Release.
const SUPPLY: [&str; 2] = ["available", "destroyed"];

const SCOPE: [&str; 3] = ["open", "closed", "drain"];

/// Whether a computer is heard of.
const PRESENCE: [&str; 3] = ["ok", "silent", "never"];

/// Of which member of which schema there are which words.
const CLOSED: [(&str, &str, &[&str]); 13] = [
    ("Change", "state", &INSTANCE),
    ("Computer", "allocation_scope", &SCOPE),
    ("Computer", "state", &PRESENCE),
    ("ComputerSettings", "allocation_scope", &SCOPE),
    ("Elsewhere", "state", &INSTANCE),
    ("Instance", "state", &INSTANCE),
    ("MasterInfo", "database", &["sqlite", "postgresql"]),
    ("Me", "kind", &["operator", "user", "computer", "partition"]),
    ("Outlook", "would", &["create", "change", "nothing", "forward"]),
    ("SetComputer", "allocation_scope", &SCOPE),
    ("Software", "requested_state", &SUPPLY),
    ("Supply", "state", &SUPPLY),
    ("Wish", "state", &INSTANCE),
];

/// The words of parameters called `state`, by path.
const STATES: [(&str, &[&str]); 3] = [
    ("/api/v1/computers", &PRESENCE),
    ("/api/v1/instances", &["started", "stopped", "destroyed", "error"]),
    ("/api/v1/software", &SOFTWARE_STATES),
];

/// Adds the words to the schemas.
pub(super) fn close(schemas: &mut BTreeMap<String, Value>) {
    for (schema, member, words) in CLOSED {
        let place = schemas.get_mut(schema).and_then(|schema| property(schema, member));
        if let Some(place) = place {
            // What may be left out may be `null` as well.
            let is_open = place.get("type").is_some_and(Value::is_array);
            let mut all: Vec<Value> = words.iter().map(|word| json!(word)).collect();
            all.extend(is_open.then_some(Value::Null));
            place.insert("enum".into(), all.into());
        }
    }
    if let Some(kind) = schemas.get_mut("Event").and_then(|schema| property(schema, "kind")) {
        let words = KINDS.map(|(kind, _)| kind);
        let said = KINDS.map(|(kind, words)| format!("`{kind}`: {words}"));
        kind.insert("enum".into(), json!(words));
        kind.insert("description".into(), json!(format!("What happened. {}.", said.join("; "))));
    }
}

/// The words of the parameter `state` there, if it has one.
pub(super) fn states(path: &str) -> Option<Value> {
    let found = STATES.iter().find(|(place, _)| *place == path);
    found.map(|(_, words)| json!({"type": "string", "enum": words}))
}

/// A member of a schema, also of one that is put together from several.
fn property<'s>(schema: &'s mut Value, member: &str) -> Option<&'s mut Map<String, Value>> {
    let own = schema.get("properties").is_some_and(|all| all.get(member).is_some());
    let parts = match own {
        true => return schema.get_mut("properties")?.get_mut(member)?.as_object_mut(),
        false => schema.get_mut("allOf")?.as_array_mut()?,
    };
    parts.iter_mut().find_map(|part| property(part, member))
}

#[cfg(test)]
mod tests {
    use slapos_slap::{AllocationScope, InstanceState, SoftwareState};

    use super::*;

    #[test]
    fn the_words_are_those_that_are_read() {
        assert!(INSTANCE.iter().all(|word| word.parse::<InstanceState>().is_ok()));
        assert!(SUPPLY.iter().all(|word| word.parse::<SoftwareState>().is_ok()));
        assert!(SCOPE.iter().all(|word| word.parse::<AllocationScope>().is_ok()));
    }

    #[test]
    fn every_closed_member_is_in_the_document() {
        let document: Value = serde_json::from_str(&super::super::openapi::text()).unwrap();
        let schemas = &document["components"]["schemas"];
        for (schema, member, words) in CLOSED {
            let mut found = schemas[schema].clone();
            let found = property(&mut found, member).map(|place| place["enum"].clone());
            let found = found.unwrap_or_else(|| panic!("{schema} has no {member}"));
            assert_eq!(found[0], words[0], "{schema} {member}");
        }
        assert_eq!(schemas["Event"]["properties"]["kind"]["enum"][0], KINDS[0].0);
        for (path, words) in STATES {
            let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
            let state = parameters.iter().find(|one| one["name"] == "state").unwrap();
            assert_eq!(state["schema"]["enum"], json!(words), "{path}");
        }
    }

    #[test]
    fn the_document_is_in_plain_words_and_its_schemas_have_names() {
        let text = super::super::openapi::text();
        assert!(!text.contains("[`") && !text.contains("`Some("), "a link of rustdoc");
        let document: Value = serde_json::from_str(&text).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in ["New", "BTreeMap", "HashMap", "Vec"] {
            assert!(!schemas.contains_key(name), "{name} says nothing");
        }
    }
}
