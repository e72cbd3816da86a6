//! `slapos.cookbook:jsondump`: the options of a section as a JSON file.
//!
//! Options:
//! - `json-output`: the file to write, mode 0600;
//! - every other option, except `recipe` and those that begin with `_` or `<`, is a key of the
//!   object in it; typed values keep their type. Keys are sorted.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal};
use crate::jinja::json;

/// The recipe.
pub(crate) struct JsonDump;

impl Recipe for JsonDump {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("json-output")?);
        let is_hidden =
            |name: &str| matches!(name, "json-output" | "recipe") || name.starts_with(['_', '<']);
        let values = common::typed(&init.options()).into_iter();
        let values = values.filter(|(name, _)| !is_hidden(name));
        let pairs = values.map(|(name, value)| (Literal::Str(name), value)).collect();
        let style = json::Style { indent: Some(2), ..json::Style::default() };
        let text = json::text(&Literal::Dict(pairs), style);
        Ok(Box::new(common::Files(vec![(path, text, 0o600)])))
    }
}
