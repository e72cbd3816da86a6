//! The one door between a running instance and its Master. Recipes get this and nothing more, so
//! that none of them can know the node, the client or the token.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::error::SlapError;
use crate::types::{ComputerPartition, InstanceAnswer, InstanceRequest};

/// Why a door did not open, for people; the node adds which partition it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

impl From<SlapError> for PortError {
    fn from(error: SlapError) -> PortError {
        PortError(error.to_string())
    }
}

/// Why a request for an instance got no answer, in the Master's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum RequestError {
    /// The Master has no place for it (now), or does not know what is to be destroyed.
    #[error("{0}")]
    NotFound(String),
    /// The Master heard it and says no.
    #[error("{0}")]
    Refused(String),
    /// The Master could not be asked, or says nothing that can be relied on: nothing is known
    /// about the instance.
    #[error("{0}")]
    Unanswered(String),
}

impl From<SlapError> for RequestError {
    fn from(error: SlapError) -> RequestError {
        let text = error.to_string();
        match error {
            SlapError::NotFound { .. } => RequestError::NotFound(text),
            SlapError::Server { .. } if !error.is_temporary() => RequestError::Refused(text),
            _ => RequestError::Unanswered(text),
        }
    }
}

/// What a running instance may ask of its Master.
pub trait PartitionPort: Send + Sync {
    /// The partition as the Master described it when this run started.
    fn partition(&self) -> &ComputerPartition;

    /// Replaces the connection parameters of the instance.
    ///
    /// # Errors
    /// When the Master could not be told; nothing is stored then.
    fn publish(&self, connection: &IndexMap<String, String>) -> Result<(), PortError>;

    /// Replaces the connection parameters of a shared instance that this one hosts.
    ///
    /// # Errors
    /// When the Master could not be told, or knows no shared instance `reference` here.
    fn publish_shared(
        &self,
        reference: &str,
        connection: &IndexMap<String, String>,
    ) -> Result<(), PortError>;

    /// Asks for an instance, or changes one, in the tree of this one and in its name, whatever
    /// `requester` of the request says. `None` when the Master has not allocated it yet.
    ///
    /// # Errors
    /// Any [`RequestError`].
    fn request(&self, request: &InstanceRequest) -> Result<Option<InstanceAnswer>, RequestError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_about_the_request_is_a_refusal() {
        let of = |status| RequestError::from(SlapError::from_status("http://m/", "x", status, "w"));
        assert!(matches!(of(404), RequestError::NotFound(_)));
        assert!(matches!(of(400), RequestError::Refused(_)));
        assert!(matches!(of(500), RequestError::Refused(_)));
        assert!(matches!(of(503), RequestError::Unanswered(_)));
        assert!(matches!(of(401), RequestError::Unanswered(_)));
        assert_eq!(of(404).to_string(), "the Master at http://m/ answers 404 to /x: w");
    }
}
