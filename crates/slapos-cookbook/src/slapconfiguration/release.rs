//! What a Software Release says of the parameters of its instances: the file `software.cfg.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use slapos_slap::DEFAULT_SOFTWARE_TYPE;

use super::schema::{self, Schema};

/// The older name of the default software type.
const OLD_DEFAULT: &str = "RootSoftwareInstance";

/// The description of one software type.
pub(super) struct Release {
    path: PathBuf,
    json: Value,
    software_type: String,
}

impl Release {
    /// Reads the description at `path`, to which `.json` is added if it is missing.
    pub(super) fn read(path: &Path, software_type: &str) -> Result<Self, String> {
        let mut path = path.to_owned().into_os_string();
        if !path.to_string_lossy().ends_with(".json") {
            path.push(".json");
        }
        let path = PathBuf::from(path);
        let json = schema::read(&path)?;
        let software_type = match software_type {
            "" | OLD_DEFAULT => DEFAULT_SOFTWARE_TYPE,
            other => other,
        };
        Ok(Self { path, json, software_type: software_type.to_owned() })
    }

    fn types(&self) -> Option<&serde_json::Map<String, Value>> {
        self.json.get("software-type").and_then(Value::as_object)
    }

    /// Whether parameters are JSON in the parameter `_`, rather than a text each.
    pub(super) fn is_json_in_xml(&self) -> Result<bool, String> {
        let own = self.types().and_then(|types| types.get(&self.software_type));
        let own = own.and_then(|own| own.get("serialisation"));
        match own.or_else(|| self.json.get("serialisation")).and_then(Value::as_str) {
            Some("json-in-xml") => Ok(true),
            Some("xml") => Ok(false),
            other => Err(format!(
                "{} has the `serialisation` `{}`, which must be `xml` or `json-in-xml`",
                self.path.display(),
                other.unwrap_or_default()
            )),
        }
    }

    /// The schema of the instance's parameters.
    pub(super) fn main_schema(&self) -> Result<Schema, String> {
        let own = self.types().and_then(|types| types.get(&self.software_type));
        self.request(own, "software type")
    }

    /// The schema of the parameters of shared instances.
    pub(super) fn shared_schema(&self) -> Result<Schema, String> {
        let is_shared = |(name, found): &(&String, &Value)| {
            let named = found.get("software-type").and_then(Value::as_str);
            named.unwrap_or(name) == self.software_type
                && found.get("shared") == Some(&Value::Bool(true))
        };
        let mut types = self.types().into_iter().flatten();
        self.request(types.find(is_shared).map(|(_, found)| found), "shared software type")
    }

    fn request(&self, found: Option<&Value>, what: &str) -> Result<Schema, String> {
        let request = found.and_then(|found| found.get("request")).and_then(Value::as_str);
        let Some(request) = request else {
            return Err(format!(
                "{} has no schema for the {what} `{}`",
                self.path.display(),
                self.software_type
            ));
        };
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        match request.strip_prefix("file://") {
            Some(path) => Schema::load(Path::new(path)),
            None if request.contains("://") => Err(format!(
                "{} names the schema {request}, and schemas are not downloaded",
                self.path.display()
            )),
            None => Schema::load(&directory.join(request)),
        }
    }
}
