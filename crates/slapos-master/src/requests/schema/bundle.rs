//! A schema and all that it refers to, as one document: who fills in a form reads no other.

use std::collections::{HashMap, VecDeque};

use serde_json::{Map, Value};
use url::Url;

use super::source::Documents;

/// The schema at that address, in which references to other documents have become references to
/// copies of them below `$defs`. What cannot be read stays a reference.
pub(super) fn bundle(documents: &Documents, base: &str, mut schema: Value) -> Value {
    let Ok(root) = Url::parse(base) else { return schema };
    let mut bundle = Bundle { documents, known: HashMap::new(), waiting: VecDeque::new() };
    bundle.known.insert(without_fragment(&root), Some("#".to_owned()));
    bundle.rewrite(&mut schema, &root);
    let mut copies = Vec::new();
    // A copy may refer to others: their number is bounded by what may be read.
    while let Some((name, address, mut copy)) = bundle.waiting.pop_front() {
        bundle.rewrite(&mut copy, &address);
        copies.push((name, copy));
    }
    if let (Value::Object(members), false) = (&mut schema, copies.is_empty()) {
        let defs = members.entry("$defs").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(defs) = defs {
            defs.extend(copies);
        }
    }
    schema
}

fn without_fragment(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.into()
}

/// What was met so far.
struct Bundle<'d> {
    documents: &'d Documents,
    /// Where the copy of a document is, by address; nowhere if it cannot be read.
    known: HashMap<String, Option<String>>,
    /// Copies whose own references are still as they were.
    waiting: VecDeque<(String, Url, Value)>,
}

impl Bundle<'_> {
    fn rewrite(&mut self, value: &mut Value, base: &Url) {
        match value {
            Value::Object(members) => {
                for (key, member) in members.iter_mut() {
                    match member {
                        Value::String(text) if key == "$ref" => {
                            if let Some(moved) = self.moved(text, base) {
                                *text = moved;
                            }
                        }
                        member => self.rewrite(member, base),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rewrite(item, base)),
            _ => {}
        }
    }

    /// What a reference is called in the bundle.
    fn moved(&mut self, reference: &str, base: &Url) -> Option<String> {
        let target = base.join(reference).ok()?;
        let fragment = target.fragment().unwrap_or_default();
        // A name within a document is found in no copy of it.
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return None;
        }
        let place = self.place(&target)?;
        Some(format!("{place}{fragment}"))
    }

    /// Where the document is in the bundle, which it is put into if it can be read.
    fn place(&mut self, target: &Url) -> Option<String> {
        let address = without_fragment(target);
        if let Some(known) = self.known.get(&address) {
            return known.clone();
        }
        let read = self.documents.absolute(&address).ok();
        let place = read.map(|document| {
            let name = format!("bundled-{}", self.known.len());
            let place = format!("#/$defs/{name}");
            self.waiting.push_back((name, target.clone(), document));
            place
        });
        self.known.insert(address, place.clone());
        place
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use slapos_slap::SoftwareUrl;

    use super::super::web::Web;
    use super::*;

    #[test]
    fn what_a_schema_refers_to_is_in_it() {
        let release = tempfile::tempdir().unwrap();
        let write = |name: &str, schema: Value| {
            std::fs::write(release.path().join(name), schema.to_string()).unwrap();
        };
        let schema = json!({"properties": {
            "own": {"$ref": "#/$defs/word"},
            "other": {"$ref": "./other.json#/$defs/size"},
            "again": {"$ref": "other.json"},
            "gone": {"$ref": "gone.json"},
        }, "$defs": {"word": {"type": "string"}}});
        write(
            "other.json",
            json!({"$defs": {"size": {"$ref": "#/$defs/n"}, "n": {"$ref": "third.json"}, "back": {"$ref": "input.json#/properties/own"}}}),
        );
        write("third.json", json!({"type": "number"}));
        let path = release.path().join("software.cfg").display().to_string();
        let software = SoftwareUrl::new(path);
        let documents = Documents::of(&software, "", Web::default(), Arc::default()).unwrap();
        let base = Url::from_file_path(release.path().join("input.json")).unwrap();
        let found = bundle(&documents, base.as_str(), schema);
        assert_eq!(
            found,
            json!({"properties": {
                "own": {"$ref": "#/$defs/word"},
                "other": {"$ref": "#/$defs/bundled-1/$defs/size"},
                "again": {"$ref": "#/$defs/bundled-1"},
                "gone": {"$ref": "gone.json"},
            }, "$defs": {
                "word": {"type": "string"},
                "bundled-1": {"$defs": {
                    "size": {"$ref": "#/$defs/bundled-1/$defs/n"},
                    "n": {"$ref": "#/$defs/bundled-3"},
                    "back": {"$ref": "#/properties/own"},
                }},
                "bundled-3": {"type": "number"},
            }})
        );
    }
}
