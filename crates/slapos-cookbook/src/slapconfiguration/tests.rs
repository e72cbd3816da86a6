//! Schemas as parameters meet them.

#![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

use std::path::Path;

use serde_json::{Value, json};

use super::schema::{Changes, Schema};

const ALL: Changes = Changes { defaults: true, unstringify: true };

/// The instance after the check, or what is wrong with it.
fn checked(schema: &Value, instance: Value, changes: Changes) -> Result<Value, String> {
    let directory = tempfile::tempdir().unwrap();
    let mut common = json!({
        "$defs": {"port": {"type": "integer", "default": 80}},
        "type": "object",
        "properties": {"name": {"$ref": "#/$defs/name"}},
    });
    common["$defs"]["name"] = json!({"type": "string", "default": "n"});
    std::fs::write(directory.path().join("common.json"), common.to_string()).unwrap();
    let path = directory.path().join("a b.json");
    std::fs::write(&path, schema.to_string()).unwrap();
    let mut instance = instance;
    match Schema::load(&path)?.check(&mut instance, changes)? {
        errors if errors.is_empty() => Ok(instance),
        errors => Err(errors.join("\n")),
    }
}

#[test]
fn errors_say_where() {
    let schema = json!({
        "type": "object",
        "required": ["a"],
        "additionalProperties": false,
        "properties": {"list": {"items": {"properties": {"n": {"type": "integer"}}}}},
    });
    let instance = json!({"list": [{}, {"n": "7"}], "other": 1});
    insta::assert_snapshot!(checked(&schema, instance, Changes::default()).unwrap_err(), @r#"
    $.list[1].n: "7" is not of type "integer"
    $: Additional properties are not allowed ('other' was unexpected)
    $: "a" is a required property
    "#);
}

#[test]
fn defaults_come_from_schemas_that_apply_only() {
    let schema = json!({
        "properties": {
            "port": {"$ref": "common.json#/$defs/port"},
            "properties": {"default": {}, "properties": {"deep": {"default": [1]}}},
        },
        "allOf": [{"properties": {"all": {"default": true}}}],
        "oneOf": [
            {"required": ["x"], "properties": {"x": {}, "only-x": {"default": 1}}},
            {"required": ["y"], "properties": {"y": {}, "only-y": {"default": 2}}},
        ],
        "patternProperties": {"^p": {"properties": {"by-pattern": {"default": 3}}}},
        "additionalProperties": {"properties": {"other": {"default": 4}}},
        "if": {"required": ["y"], "properties": {"if": {"default": 5}}},
        "then": {"properties": {"then": {"default": 6}}},
        "else": {"properties": {"else": {"default": 7}}},
        "not": {"required": ["z"], "properties": {"z": {"default": 1}}},
        "$ref": "common.json",
    });
    let made = checked(&schema, json!({"y": {}, "p": {}}), ALL).unwrap();
    insta::assert_snapshot!(made, @r#"{"y":{"other":4},"p":{"by-pattern":3},"all":true,"if":5,"name":"n","only-y":2,"port":80,"properties":{"by-pattern":3,"deep":[1]},"then":6}"#);
}

#[test]
fn texts_become_what_the_schema_wants() {
    let schema = json!({
        "properties": {
            "i": {"$ref": "common.json#/$defs/port"},
            "b": {"type": ["null", "boolean"]},
            "s": {"type": ["string", "integer"]},
            "n": {"type": "integer", "maximum": 10},
            "list": {"items": {"type": "integer"}},
        },
    });
    let instance = json!({"i": " 1_0 ", "b": "True", "s": "5", "list": ["1"]});
    let only = Changes { unstringify: true, ..Changes::default() };
    insta::assert_snapshot!(checked(&schema, instance.clone(), only).unwrap(), @r#"{"i":10,"b":true,"s":5,"list":["1"]}"#);
    insta::assert_snapshot!(checked(&schema, json!({"n": "11", "b": "true"}), only).unwrap_err(), @r#"$.b: "true" is not of types "null", "boolean""#);
    insta::assert_snapshot!(checked(&schema, json!({"n": "11"}), only).unwrap_err(), @"$.n: 11 is greater than the maximum of 10");
    insta::assert_snapshot!(checked(&schema, instance, Changes::default()).unwrap_err(), @r#"
    $.i: " 1_0 " is not of type "integer"
    $.b: "True" is not of types "null", "boolean"
    $.list[0]: "1" is not of type "integer"
    "#);
}

#[test]
fn what_cannot_be_is_said() {
    let two = json!({
        "properties": {"a": {"default": 1}},
        "allOf": [{"properties": {"a": {"default": 2}}}],
    });
    insta::assert_snapshot!(checked(&two, json!({}), ALL).unwrap_err(), @"the schema has two defaults for `a`, 1 and 2");
    let endless = json!({"properties": {"a": {"$ref": "#", "default": {}}}});
    assert!(checked(&endless, json!({}), ALL).unwrap_err().contains("without end"));
    let wrong = json!({"properties": {"a": {"type": "integer", "default": "x"}}});
    insta::assert_snapshot!(checked(&wrong, json!({}), ALL).unwrap_err(), @r#"$.a: "x" is not of type "integer""#);
    let away = json!({"$ref": "https://example.com/x.json"});
    assert!(checked(&away, json!({}), ALL).unwrap_err().contains("schemas are not downloaded"));
    let none = json!({"type": "no such type"});
    assert!(checked(&none, json!({}), ALL).unwrap_err().contains("is no schema"));
    assert!(Schema::load(Path::new("/no/such")).is_err());
}
