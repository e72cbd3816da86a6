//! What the methods take, and what is said of a body that is something else.
//!
//! The API is defined by JSON schemas of a small kind: objects with fields of a few types. They are
//! tables here. What is wrong is told in the words of the validator that the original uses, which
//! names the shallowest fault, and of several the first in the order of the schema.

use serde_json::Value as Json;

use super::python::repr;

/// What an object has to be.
pub(super) struct Schema {
    /// The fields that may not be left out.
    pub(super) required: &'static [&'static str],
    /// The fields it may have.
    pub(super) fields: &'static [(&'static str, Kind)],
    /// Fields beyond these.
    pub(super) others: Others,
}

/// What becomes of fields that the schema does not name.
pub(super) enum Others {
    Refused,
    Ignored,
    /// They are texts.
    Texts,
}

/// What a field holds.
pub(super) enum Kind {
    Text,
    /// A text of at most so many characters.
    Short(usize),
    /// One of these texts.
    Word(&'static [&'static str]),
    Truth,
    Number,
    /// An object with whatever is in it.
    Anything,
    Object(&'static Schema),
    List(&'static Schema),
}

/// A fault and how deep it is.
type Fault = (usize, String);

impl Schema {
    /// An object of these fields, all of them required, and nothing else.
    pub(super) const fn of(
        required: &'static [&'static str],
        fields: &'static [(&'static str, Kind)],
    ) -> Schema {
        Schema { required, fields, others: Others::Refused }
    }

    /// Why a body is not what is taken; `None` when it is.
    pub(super) fn verdict(&self, body: &Json) -> Option<String> {
        let mut faults = Vec::new();
        self.examine(body, 0, &mut faults);
        // The first of the shallowest: `min_by_key` keeps the first.
        faults.into_iter().min_by_key(|(depth, _)| *depth).map(|(_, message)| message)
    }

    fn examine(&self, json: &Json, depth: usize, faults: &mut Vec<Fault>) {
        let Some(object) = json.as_object() else {
            return mismatch(json, "object", depth, faults);
        };
        for name in self.required.iter().filter(|name| !object.contains_key(**name)) {
            faults.push((depth, format!("{} is a required property", quoted(name))));
        }
        let known = |name: &String| self.fields.iter().any(|(field, _)| field == name);
        let others: Vec<_> = object.iter().filter(|(name, _)| !known(name)).collect();
        match self.others {
            Others::Ignored => {}
            Others::Texts => {
                others.iter().for_each(|(_, value)| Kind::Text.examine(value, depth + 1, faults));
            }
            Others::Refused if others.is_empty() => {}
            Others::Refused => {
                let names: Vec<_> = others.iter().map(|(name, _)| quoted(name)).collect();
                let verb = if names.len() == 1 { "was" } else { "were" };
                let names = names.join(", ");
                let message =
                    format!("Additional properties are not allowed ({names} {verb} unexpected)");
                faults.push((depth, message));
            }
        }
        for (name, kind) in self.fields {
            if let Some(value) = object.get(*name) {
                kind.examine(value, depth + 1, faults);
            }
        }
    }
}

impl Kind {
    fn examine(&self, json: &Json, depth: usize, faults: &mut Vec<Fault>) {
        match (self, json) {
            (Kind::Text, Json::String(_))
            | (Kind::Truth, Json::Bool(_))
            | (Kind::Number, Json::Number(_))
            | (Kind::Anything, Json::Object(_)) => {}
            (Kind::Short(longest), Json::String(text)) if text.chars().count() <= *longest => {}
            (Kind::Short(_), Json::String(_)) => {
                faults.push((depth, format!("{} is too long", repr(json))));
            }
            (Kind::Word(words), Json::String(text)) if words.contains(&text.as_str()) => {}
            (Kind::Word(words), _) => {
                let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
                let message = format!("{} is not one of [{}]", repr(json), words.join(", "));
                faults.push((depth, message));
            }
            (Kind::Object(schema), _) => schema.examine(json, depth, faults),
            (Kind::List(schema), Json::Array(items)) => {
                items.iter().for_each(|item| schema.examine(item, depth + 1, faults));
            }
            (Kind::Text | Kind::Short(_), _) => mismatch(json, "string", depth, faults),
            (Kind::Truth, _) => mismatch(json, "boolean", depth, faults),
            (Kind::Number, _) => mismatch(json, "number", depth, faults),
            (Kind::Anything, _) => mismatch(json, "object", depth, faults),
            (Kind::List(_), _) => mismatch(json, "array", depth, faults),
        }
    }
}

fn mismatch(json: &Json, wanted: &str, depth: usize, faults: &mut Vec<Fault>) {
    faults.push((depth, format!("{} is not of type '{wanted}'", repr(json))));
}

fn quoted(text: &str) -> String {
    repr(&Json::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ITEM: Schema =
        Schema { required: &["id"], fields: &[("id", Kind::Text)], others: Others::Ignored };
    const SLA: Schema =
        Schema { required: &[], fields: &[("delay", Kind::Number)], others: Others::Texts };
    const SCHEMA: Schema = Schema::of(
        &["title", "state"],
        &[
            ("title", Kind::Short(3)),
            ("state", Kind::Word(&["on", "off"])),
            ("shared", Kind::Truth),
            ("parameters", Kind::Anything),
            ("sla", Kind::Object(&SLA)),
            ("items", Kind::List(&ITEM)),
        ],
    );

    #[test]
    fn what_fits_has_no_fault() {
        let body = json!({"title": "éèà", "state": "on", "shared": true, "parameters": {"a": [1]},
            "sla": {"delay": 1.5, "x": "y"}, "items": [{"id": "a", "more": 1}]});
        assert_eq!(SCHEMA.verdict(&body), None);
    }

    #[test]
    fn faults_are_told_as_the_original_does() {
        let fault = |json: Json| SCHEMA.verdict(&json).unwrap_or_default();
        insta::assert_snapshot!(fault(json!([])), @"[] is not of type 'object'");
        insta::assert_snapshot!(fault(json!({})), @"'title' is a required property");
        insta::assert_snapshot!(fault(json!({"title": 1, "state": "on", "it's": 1})), @r#"Additional properties are not allowed ("it's" was unexpected)"#);
        insta::assert_snapshot!(fault(json!({"title": 1, "state": "on"})), @"1 is not of type 'string'");
        insta::assert_snapshot!(fault(json!({"title": "abcd", "state": "on"})), @"'abcd' is too long");
        insta::assert_snapshot!(fault(json!({"title": "a", "state": null})), @"None is not one of ['on', 'off']");
        insta::assert_snapshot!(fault(json!({"title": "a", "state": "on", "shared": 1})), @"1 is not of type 'boolean'");
        insta::assert_snapshot!(fault(json!({"title": "a", "state": "on", "sla": {"x": 1, "delay": true}})), @"1 is not of type 'string'");
        insta::assert_snapshot!(fault(json!({"title": "a", "state": "on", "items": [{}, 1]})), @"'id' is a required property");
    }
}
