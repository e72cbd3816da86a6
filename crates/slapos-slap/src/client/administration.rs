//! Our own Master's JSON API, for those who say who may do what.

use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

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
    /// Take it away.
    Delete,
}

/// A name as a part of a path.
fn segment(name: &str) -> String {
    byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
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

    /// A new certificate for the node of a computer; former ones stay good.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the computer is not known, [`SlapError::Server`] with status 409
    /// when the Master gives out none.
    pub fn computer_certificate(&self, computer: &ComputerId) -> Result<KeyPair, SlapError> {
        let route = format!("computers/{}/certificate", segment(computer.as_str()));
        let pair = self.administer(Verb::Post, &route, &json!({}))?;
        person::pair_of(pair).map_err(|reason| SlapError::Protocol {
            url: self.base_url().to_owned(),
            reason: format!("api/v1/{route}: {reason}"),
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
