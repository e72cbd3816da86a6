//! The configuration of a promise, as checks read it.

use std::str::FromStr;

use super::super::discover::Header;

/// The options `config-...` of a promise.
pub(super) struct Options<'h> {
    header: &'h Header,
}

impl<'h> Options<'h> {
    pub(super) fn new(header: &'h Header) -> Self {
        Self { header }
    }

    /// A value as text; `None` if it is absent or empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let text = match self.header.config.get(key)? {
            serde_json::Value::Null => return None,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn required(&self, key: &str) -> Result<String, String> {
        let module = &self.header.module;
        self.text(key).ok_or_else(|| format!("`{module}` needs the option `config-{key}`"))
    }

    pub(super) fn number<T: FromStr>(&self, key: &str, default: T) -> Result<T, String> {
        let Some(text) = self.text(key) else {
            return Ok(default);
        };
        text.trim().parse().map_err(|_| format!("`config-{key}` must be a number, not `{text}`"))
    }

    /// Whether an option that is written 0 or 1 is not 0.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        self.number(key, i64::from(default)).map(|number| number != 0)
    }

    /// Whether the value is one of `words`, in any case.
    pub(super) fn is_any(&self, key: &str, words: &[&str]) -> bool {
        self.text(key).is_some_and(|text| words.contains(&text.to_lowercase().as_str()))
    }
}
