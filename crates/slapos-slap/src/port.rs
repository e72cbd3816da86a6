//! The one door between a running instance and its Master. Recipes get this and nothing more, so
//! that none of them can know the node, the client or the token.

use indexmap::IndexMap;

use crate::types::ComputerPartition;

/// Why a door did not open, for people; the node adds which partition it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

impl From<crate::SlapError> for PortError {
    fn from(error: crate::SlapError) -> PortError {
        PortError(error.to_string())
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
}
