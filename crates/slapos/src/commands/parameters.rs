//! Parameters from a file: `slapos request --parameters-file`.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value as Json;
use slapos_node::NodeError;
use slapos_slap::instance_xml::xml2dict;
use slapos_slap::{DEFAULT_SOFTWARE_TYPE, SoftwareUrl, Value};

use crate::cli::Serialisation;

/// The parameter that holds all others as JSON.
const ALL: &str = "_";

/// The parameters of a file as they are sent.
pub(crate) fn from_file(
    path: &Path,
    forced: Option<Serialisation>,
    software: &SoftwareUrl,
    software_type: &str,
) -> Result<IndexMap<String, String>, NodeError> {
    let named = |reason: &str| NodeError::user(format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error.to_string()))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        // It comes from a Master, which has it in the right form.
        Some("xml") => xml2dict(&text).map_err(|error| named(&error.to_string())),
        Some("yaml" | "yml") => Err(named("YAML is not read").hint("write it as JSON")),
        _ => {
            let json: Json =
                serde_json::from_str(&text).map_err(|error| named(&error.to_string()))?;
            let form = match forced {
                Some(form) => form,
                None => declared(software, software_type)?,
            };
            serialised(&json, form).ok_or_else(|| named("it is not a JSON object"))
        }
    }
}

/// The parameters of a JSON object; `None` if it is none.
fn serialised(json: &Json, form: Serialisation) -> Option<IndexMap<String, String>> {
    let object = json.as_object()?;
    let alone = object.len() == 1 && object.contains_key(ALL);
    if form == Serialisation::JsonInXml && !alone {
        return Some([(ALL.to_owned(), format!("{json:#}"))].into());
    }
    let text = |(key, value): (&String, &Json)| (key.clone(), Value::from(value).to_text());
    Some(object.iter().map(text).collect())
}

/// The form that the schema beside a Software Release asks for.
fn declared(software: &SoftwareUrl, software_type: &str) -> Result<Serialisation, NodeError> {
    let unknown = |reason: String| {
        NodeError::user(format!("it is not known how {software} takes parameters: {reason}"))
            .hint("say it: --force-serialisation xml, or json-in-xml")
    };
    if software.as_str().contains("://") {
        return Err(unknown("its schema is not on this machine".to_owned()));
    }
    let schema = format!("{software}.json");
    let text = std::fs::read_to_string(&schema);
    let text = text.map_err(|error| unknown(format!("{schema}: {error}")))?;
    let json: Json =
        serde_json::from_str(&text).map_err(|error| unknown(format!("{schema}: {error}")))?;
    let named = if software_type.is_empty() { DEFAULT_SOFTWARE_TYPE } else { software_type };
    let of_type = json["software-type"][named]["serialisation"].as_str();
    match of_type.or_else(|| json["serialisation"].as_str()) {
        Some("xml") => Ok(Serialisation::Xml),
        Some("json-in-xml") => Ok(Serialisation::JsonInXml),
        other => Err(unknown(format!("{schema} says {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms() {
        let parameters = json!({"a": 1, "b": {"c": true}});
        let xml = serialised(&parameters, Serialisation::Xml).unwrap();
        assert_eq!(xml["a"], "1");
        assert_eq!(xml["b"], "{'c': True}");
        let all = serialised(&parameters, Serialisation::JsonInXml).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&all["_"]).unwrap(), parameters);
        let ready = serialised(&json!({"_": "{}"}), Serialisation::JsonInXml).unwrap();
        assert_eq!(ready["_"], "{}");
        assert_eq!(serialised(&json!([]), Serialisation::Xml), None);
    }

    #[test]
    fn the_schema_says_which() {
        let directory = tempfile::tempdir().unwrap();
        let profile = directory.path().join("software.cfg");
        let url = SoftwareUrl::new(profile.display().to_string());
        let schema = directory.path().join("software.cfg.json");
        let text = json!({"serialisation": "xml",
            "software-type": {"default": {}, "other": {"serialisation": "json-in-xml"}}});
        slapos_sys::fs::write_atomic(&schema, text.to_string().as_bytes(), 0o644).unwrap();
        assert_eq!(declared(&url, "").unwrap(), Serialisation::Xml);
        assert_eq!(declared(&url, "other").unwrap(), Serialisation::JsonInXml);
        let error = declared(&"http://x/software.cfg".into(), "").unwrap_err();
        insta::assert_snapshot!(error, @"it is not known how http://x/software.cfg takes parameters: its schema is not on this machine");
    }
}
