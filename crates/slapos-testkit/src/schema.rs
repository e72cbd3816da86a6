//! A JSON schema that is made to take for ever.

use serde_json::{Value, json};

/// A schema that nobody comes to the end of who judges by it: twelve levels, each of which has all of the
/// next ten times.
pub fn endless_schema() -> Value {
    let mut levels = serde_json::Map::new();
    for level in 0..12 {
        let next = json!({"$ref": format!("#/$defs/level{}", level + 1)});
        levels.insert(format!("level{level}"), json!({"allOf": vec![next; 10]}));
    }
    levels.insert("level12".to_owned(), json!({"type": "object"}));
    json!({"$ref": "#/$defs/level0", "$defs": levels})
}
