//! Parameters from a file: `slapos request --parameters-file`.

use std::fmt::Display;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value as Json;
use slapos_node::NodeError;
use slapos_slap::instance_xml::xml2dict;
use slapos_slap::{DEFAULT_SOFTWARE_TYPE, SlapClient, SlapError, SoftwareUrl, Value};

use crate::cli::Serialisation;

/// The parameter that holds all others as JSON.
const ALL: &str = "_";

/// Of what the parameters are.
pub(crate) struct Subject<'a> {
    pub(crate) master: &'a SlapClient,
    pub(crate) software: &'a SoftwareUrl,
    pub(crate) software_type: &'a str,
    pub(crate) shared: bool,
}

/// The parameters of a file as they are sent.
pub(crate) fn from_file(
    path: &Path,
    forced: Option<Serialisation>,
    subject: &Subject<'_>,
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
                None => subject.declared()?,
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

impl Subject<'_> {
    /// The form that the Software Release asks for, as the Master reads it or, where that is not one
    /// of ours, as its schema beside it says.
    fn declared(&self) -> Result<Serialisation, NodeError> {
        let said = match self.master.software_schema(self.software) {
            Ok(software) => of_type(&software, self.software_type, self.shared),
            Err(SlapError::NotFound { .. }) => return beside(self.software, self.software_type),
            Err(error) => return Err(error.into()),
        };
        said.ok_or_else(|| unknown(self.software, "its schema does not say it"))
    }
}

fn unknown(software: &SoftwareUrl, reason: &str) -> NodeError {
    NodeError::user(format!("it is not known how {software} takes parameters: {reason}"))
        .hint("say it: --force-serialisation xml, or json-in-xml")
}

fn form(word: Option<&str>) -> Option<Serialisation> {
    match word? {
        "xml" => Some(Serialisation::Xml),
        "json-in-xml" => Some(Serialisation::JsonInXml),
        _ => None,
    }
}

/// What a Master of ours read: its types are a list.
fn of_type(software: &Json, software_type: &str, shared: bool) -> Option<Serialisation> {
    let named = if software_type.is_empty() { DEFAULT_SOFTWARE_TYPE } else { software_type };
    let types = software["types"].as_array()?;
    let found = types.iter().find(|one| one["software_type"] == named && one["shared"] == shared);
    form(found.map_or(&software["serialisation"], |one| &one["serialisation"]).as_str())
}

/// That a Software Release, as far as the Master reads what it says, does not describe that type. It
/// may have it all the same: many describe only those that people are to ask for.
pub(crate) fn strange_type(
    master: &SlapClient,
    software: &SoftwareUrl,
    software_type: &str,
) -> Option<String> {
    let said = master.software_schema(software).ok()?;
    let known = types_of(&said);
    let strange = !known.is_empty() && !known.iter().any(|kind| kind == current(software_type));
    strange.then(|| {
        format!(
            "{software} describes no software type {software_type}, but {}: a slip of the pen?",
            known.join(", ")
        )
    })
}

/// The types that are described, as a Master of ours read them.
fn types_of(said: &Json) -> Vec<String> {
    let types = said["types"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = types.iter().flat_map(|one| [&one["software_type"], &one["id"]]);
    let mut names: Vec<_> =
        names.filter_map(|name| name.as_str()).map(|name| current(name).to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The present name of a type: the default had another one.
fn current(software_type: &str) -> &str {
    match software_type {
        "" | "RootSoftwareInstance" => DEFAULT_SOFTWARE_TYPE,
        other => other,
    }
}

/// What the schema beside a Software Release says.
fn beside(software: &SoftwareUrl, software_type: &str) -> Result<Serialisation, NodeError> {
    if software.as_str().contains("://") {
        return Err(unknown(software, "its schema is not on this machine"));
    }
    let schema = format!("{software}.json");
    let wrong = |error: &dyn Display| unknown(software, &format!("{schema}: {error}"));
    let text = std::fs::read_to_string(&schema).map_err(|error| wrong(&error))?;
    let json: Json = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    let named = if software_type.is_empty() { DEFAULT_SOFTWARE_TYPE } else { software_type };
    let of_type = json["software-type"][named]["serialisation"].as_str();
    let word = of_type.or_else(|| json["serialisation"].as_str());
    form(word).ok_or_else(|| wrong(&"it does not say it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_that_are_described() {
        let said = json!({"types": [
            {"id": "RootSoftwareInstance", "software_type": "RootSoftwareInstance"},
            {"id": "default-slave", "software_type": "default"},
            {"id": "one/first", "software_type": "one"},
        ]});
        assert_eq!(types_of(&said), ["default", "default-slave", "one", "one/first"]);
        assert!(types_of(&json!({"types": []})).is_empty(), "nothing is known");
        assert_eq!([current(""), current("nope")], ["default", "nope"]);
    }

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
    fn a_master_of_ours_says_which() {
        let one = |kind: &str, shared: bool, form: &str| json!({"software_type": kind, "shared": shared, "serialisation": form});
        let types = [one("default", false, "xml"), one("default", true, "json-in-xml")];
        let software = json!({"serialisation": "xml", "types": types});
        assert_eq!(of_type(&software, "", false), Some(Serialisation::Xml));
        assert_eq!(of_type(&software, "default", true), Some(Serialisation::JsonInXml));
        assert_eq!(of_type(&software, "other", false), Some(Serialisation::Xml));
        assert_eq!(of_type(&json!({"types": []}), "", false), None);
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
        assert_eq!(beside(&url, "").unwrap(), Serialisation::Xml);
        assert_eq!(beside(&url, "other").unwrap(), Serialisation::JsonInXml);
        let error = beside(&"http://x/software.cfg".into(), "").unwrap_err();
        insta::assert_snapshot!(error, @"it is not known how http://x/software.cfg takes parameters: its schema is not on this machine");
    }
}
