//! Reads of the network all that a Software Release says of its parameters: the description, the
//! schemas that it names, and whatever these refer to, before anything is judged by it.
//!
//! Documents that are known at a time are read side by side, [`HANDS`] at most. All together have at
//! most [`MOST_BYTES`] and take at most [`TIME`]; what is not read for that reason says so in its place.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::network::Network;
use super::source::{Documents, MOST, Texts, is_standard, parsed, read_file, shown};

/// How long it may take to read a Software Release.
const TIME: Duration = Duration::from_secs(12);

/// How many documents are read at a time.
const HANDS: usize = 6;

/// The size of all documents, in bytes.
const MOST_BYTES: usize = 4 << 20;

/// What was read of a Software Release.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The documents of the network.
    pub(crate) texts: Texts,
    /// Why there is nothing to judge by: its description cannot be read.
    pub(crate) failed: Option<String>,
    /// Whether a host was reached; nothing if none was tried.
    pub(crate) reached: Option<bool>,
}

impl Reading {
    /// Nothing was read.
    pub(crate) fn failed(why: impl Into<String>) -> Reading {
        Reading { texts: Texts::new(), failed: Some(why.into()), reached: None }
    }
}

/// Reads all.
pub(crate) fn read(documents: &Documents) -> Reading {
    let description = match documents.description() {
        Ok(description) => description,
        Err(why) => return Reading::failed(why),
    };
    let network = Network::new(documents.web().clone(), TIME);
    let mut reader = Reader { documents, network, found: Texts::new(), bytes: 0 };
    let first = vec![description.clone()];
    let mut wave = reader.look(first, |document, _| described(documents, document));
    while !wave.is_empty() {
        wave = reader.look(wave, references);
    }
    let failed = reader.found.get(description.as_str()).and_then(|text| text.clone().err());
    // Files are read when they are needed.
    reader.found.retain(|address, _| !address.starts_with("file:"));
    Reading { reached: reader.network.reached(), texts: reader.found, failed }
}

struct Reader<'d> {
    documents: &'d Documents,
    network: Network,
    /// All documents so far.
    found: Texts,
    bytes: usize,
}

impl Reader<'_> {
    /// Reads these; what they name that is not known yet.
    fn look(&mut self, wave: Vec<Url>, named: impl Fn(&Value, &Url) -> Vec<Url>) -> Vec<Url> {
        let texts = self.texts(&wave);
        let mut next = Vec::new();
        for (url, text) in wave.into_iter().zip(texts) {
            let document = text.and_then(|text| self.fitting(&url, &text));
            if let Ok(document) = &document {
                next.extend(named(document, &url));
            }
            // Without the spaces.
            self.found.insert(url.into(), document.map(|document| document.to_string()));
        }
        let mut met = HashSet::new();
        next.retain(|url| {
            let may = self.documents.permitted(url.as_str()).is_ok();
            may && !self.found.contains_key(url.as_str()) && met.insert(url.clone())
        });
        next.truncate(MOST.saturating_sub(self.found.len()));
        next
    }

    fn fitting(&mut self, url: &Url, text: &str) -> Result<Value, String> {
        self.bytes += text.len();
        match self.bytes > MOST_BYTES {
            true => {
                Err(format!("{}: its documents are larger than {MOST_BYTES} bytes", shown(url)))
            }
            false => parsed(url, text),
        }
    }

    /// What is at these addresses, in their order.
    fn texts(&self, wave: &[Url]) -> Vec<Result<String, String>> {
        let places: Vec<_> = wave.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let hand = || {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some((url, place)) = wave.get(turn).zip(places.get(turn)) else { break };
                place.get_or_init(|| self.text(url));
            }
        };
        thread::scope(|scope| {
            for _ in 1..wave.len().min(HANDS) {
                // Where there are no more threads, fewer do the same.
                let _ = thread::Builder::new().spawn_scoped(scope, hand);
            }
            hand();
        });
        let read = places.into_iter().map(OnceLock::into_inner);
        read.map(|text| text.unwrap_or_else(|| Err("it was not read".to_owned()))).collect()
    }

    fn text(&self, url: &Url) -> Result<String, String> {
        match url.scheme() {
            "file" => read_file(url),
            _ => self.network.text(url),
        }
    }
}

/// The schemas that a description names.
fn described(documents: &Documents, description: &Value) -> Vec<Url> {
    let types = description.get("software-type").and_then(Value::as_object);
    let entries = types.into_iter().flat_map(|types| types.values());
    let names = entries.flat_map(|entry| [entry.get("request"), entry.get("response")]);
    let names = names.flatten().filter_map(Value::as_str);
    names.filter_map(|name| documents.place(name).ok().map(without_fragment)).collect()
}

/// The documents that a schema refers to.
fn references(schema: &Value, address: &Url) -> Vec<Url> {
    let mut found = Vec::new();
    refer(schema, address, address, &mut found);
    found
}

/// `base` is what the schema says of its own address. Forms go by the real one, so both are tried.
fn refer(value: &Value, address: &Url, base: &Url, found: &mut Vec<Url>) {
    match value {
        Value::Object(members) => {
            // The latter in the fourth draft.
            let own = members.get("$id").or(members.get("id")).and_then(Value::as_str);
            let own = own.and_then(|own| base.join(own).ok());
            let base = own.as_ref().unwrap_or(base);
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("$ref" | "$schema", Value::String(name)) => {
                        let places = [base, address].map(|base| base.join(name).ok());
                        let places = places.into_iter().flatten().map(without_fragment);
                        found.extend(places.filter(|url| !is_standard(url)));
                    }
                    (_, member) => refer(member, address, base, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| refer(item, address, base, found)),
        _ => {}
    }
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use slapos_testkit::serve_texts;

    use super::super::Web;
    use super::*;

    fn reading(software: &str) -> Reading {
        let web = Web { https: false, http: false, hosts: vec!["127.0.0.1".to_owned()] };
        read(&Documents::of(&software.into(), "", web, Arc::default()).unwrap())
    }

    /// The names of what was read, and `!` before that of what could not be.
    fn names(reading: &Reading) -> Vec<String> {
        let name = |address: &str| address.rsplit('/').next().unwrap_or_default().to_owned();
        let mut names: Vec<_> = reading
            .texts
            .iter()
            .map(|(address, text)| match text {
                Ok(_) => name(address),
                Err(_) => format!("!{}", name(address)),
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_that_belongs_to_a_release_is_read() {
        let port = serve_texts(&[
            (
                "/software.cfg.json",
                r#"{"software-type": {
                    "a": {"request": "in.json", "response": "out.json"},
                    "b": {"request": "in.json#/x"}, "c": {"request": "http://10.0.0.1/never.json"}}}"#,
            ),
            (
                "/in.json",
                r##"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {
                    "a": {"$ref": "deep/one.json#/x"}, "b": {"$ref": "#/own"}}}"##,
            ),
            ("/deep/one.json", r#"{"x": [{"$ref": "two.json"}, {"$ref": "../gone.json"}]}"#),
            ("/deep/two.json", "no JSON"),
            ("/out.json", r#"{"$id": "other/it.json", "not": {"id": "", "$ref": "base.json"}}"#),
            ("/other/base.json", "{}"),
        ]);
        let reading = reading(&format!("http://127.0.0.1:{port}/s/software.cfg"));
        assert_eq!((reading.failed.as_deref(), reading.reached), (None, Some(true)));
        insta::assert_snapshot!(names(&reading).join(" "), @"!base.json !gone.json !two.json base.json in.json one.json out.json software.cfg.json");
    }

    #[test]
    fn a_release_without_a_description_has_failed() {
        let port = serve_texts(&[]);
        let reading = reading(&format!("http://127.0.0.1:{port}/s/software.cfg"));
        assert!(reading.failed.unwrap().contains("404"));
        assert_eq!(reading.reached, Some(true), "somebody answered");
    }

    #[test]
    fn of_a_release_in_files_only_the_network_is_read() {
        let port = serve_texts(&[("/far.json", "{}")]);
        let directory = tempfile::tempdir().unwrap();
        let description = json!({"software-type": {"default": {"request": "near.json"}}});
        let near = json!({"$ref": format!("http://127.0.0.1:{port}/far.json")});
        for (name, document) in [("software.cfg.json", description), ("near.json", near)] {
            std::fs::write(directory.path().join(name), document.to_string()).unwrap();
        }
        let reading = reading(&directory.path().join("software.cfg").display().to_string());
        assert_eq!((names(&reading), reading.failed), (vec!["far.json".to_owned()], None));
    }

    #[test]
    fn there_is_an_end_to_what_is_read() {
        let many: Vec<_> =
            (0..2 * MOST).map(|number| json!({"$ref": format!("{number}.json")})).collect();
        let many: &str = json!({ "allOf": many }).to_string().leak();
        let large: &str = json!({"pad": " ".repeat(1_000_000)}).to_string().leak();
        let large_ones = (0..6).map(|number| format!("{number}.large.json"));
        let types: serde_json::Map<_, _> = std::iter::once("many.json".to_owned())
            .chain(large_ones)
            .map(|name| (name.clone(), json!({ "request": name })))
            .collect();
        let description: &str = json!({ "software-type": types }).to_string().leak();
        let texts: &[(&str, &str)] =
            vec![("software.cfg.json", description), ("many.json", many), ("large.json", large)]
                .leak();
        let reading = reading(&format!("http://127.0.0.1:{}/software.cfg", serve_texts(texts)));
        assert_eq!((reading.texts.len(), &reading.failed), (MOST, &None));
        let large = |text: &&Result<String, String>| {
            text.as_ref().is_err_and(|why| why.contains("are larger than 4194304 bytes"))
        };
        assert!(reading.texts.values().filter(large).count() >= 2, "{:?}", names(&reading));
        let size: usize = reading.texts.values().flatten().map(String::len).sum();
        assert!(size <= MOST_BYTES, "{size}");
    }
}
