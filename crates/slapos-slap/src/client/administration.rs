//! Our own Master's JSON API, for those who say who may do what.

use serde_json::Value;

use super::SlapClient;
use crate::error::SlapError;

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Look at it.
    Get,
    /// Make one.
    Post,
    /// Put it there.
    Put,
    /// Take it away.
    Delete,
}

impl SlapClient {
    /// Asks `api/v1/<route>`, with a JSON body for [`Verb::Post`] and [`Verb::Put`]; the answer is
    /// `null` when the Master has nothing to say.
    ///
    /// # Errors
    /// The Master's refusal in its words, among others.
    pub fn administer(&self, verb: Verb, route: &str, body: &Value) -> Result<Value, SlapError> {
        let reply = self.transport.json(verb, &format!("api/v1/{route}"), body)?;
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&reply.body).map_err(|error| SlapError::Protocol {
            url: self.base_url().to_owned(),
            reason: format!("{}: its answer is not JSON: {error}", reply.route),
        })
    }

    /// The certificate of the Master's own authority, as PEM.
    ///
    /// # Errors
    /// When the Master has none, because it has no TLS.
    pub fn authority(&self) -> Result<String, SlapError> {
        Ok(self.transport.get("api/v1/authority", &[])?.body)
    }
}
