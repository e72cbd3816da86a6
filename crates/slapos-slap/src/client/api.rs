//! Our own Master's JSON API, below `api/v1`.
//!
//! Invariant: what names a thing is one part of the path, whatever characters it has; it never leads to
//! another route.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::SlapClient;
use super::person::{self, KeyPair};
use crate::error::SlapError;
use crate::words::ComputerId;

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Look at it.
    Get,
    /// Make one.
    Post,
    /// Put it there.
    Put,
    /// Change it.
    Patch,
    /// Take it away.
    Delete,
}

impl Verb {
    /// As HTTP has it.
    pub(super) fn method(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
        }
    }
}

/// How much of a list is asked for at once: as much as the Master gives.
const PAGE: &str = "500";

impl SlapClient {
    /// Does something with what `path` names below `api/v1`, one part of the path each; the answer is
    /// `null` when the Master has nothing to say.
    ///
    /// # Errors
    /// The Master's refusal in its words, among others.
    pub fn json(
        &self,
        verb: Verb,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Value, SlapError> {
        self.call(verb, path, &[], body)
    }

    /// Looks at what `path` and `query` name.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub fn look(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, SlapError> {
        self.call(Verb::Get, path, query, None)
    }

    /// All items of a list, page by page.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub fn list(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, SlapError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut asked = query.to_vec();
            asked.push(("limit", PAGE));
            asked.extend(after.as_deref().map(|after| ("after", after)));
            let mut page = self.look(path, &asked)?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(found)) => items.extend(found),
                _ => return Err(self.unexpected(&path.join("/"), "it is no list")),
            }
            after = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    fn call(
        &self,
        verb: Verb,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, SlapError> {
        let url = self.transport.resource(path, query)?;
        let reply = self.transport.json(verb, &url, body)?;
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&reply.body).map_err(|error| self.protocol(&reply, &error.to_string()))
    }

    /// What an answer about `path` says.
    pub(super) fn read_api<T: DeserializeOwned>(
        &self,
        path: &[&str],
        answer: Value,
    ) -> Result<T, SlapError> {
        serde_json::from_value(answer)
            .map_err(|error| self.unexpected(&path.join("/"), &error.to_string()))
    }

    /// What is sent about `path`.
    pub(super) fn worded(&self, path: &[&str], body: &impl Serialize) -> Result<Value, SlapError> {
        serde_json::to_value(body)
            .map_err(|error| self.unexpected(&path.join("/"), &error.to_string()))
    }

    /// A new certificate for the node of a computer; former ones stay good.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the computer is not known, [`SlapError::Server`] with status 409
    /// when the Master gives out none.
    pub fn computer_certificate(&self, computer: &ComputerId) -> Result<KeyPair, SlapError> {
        let path = ["computers", computer.as_str(), "certificate"];
        let pair = self.json(Verb::Post, &path, Some(&json!({})))?;
        person::pair_of(pair).map_err(|reason| self.unexpected(&path.join("/"), reason))
    }

    /// The certificate of the Master's own authority, as PEM.
    ///
    /// # Errors
    /// When the Master has none, because it has no TLS.
    pub fn authority(&self) -> Result<String, SlapError> {
        let url = self.transport.url("api/v1/authority")?;
        Ok(self.transport.json(Verb::Get, &url, None)?.body)
    }
}
