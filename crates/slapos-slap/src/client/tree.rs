//! What hooks of a node ask and tell: the addresses of an instance tree, and usage.

use std::net::IpAddr;

use super::SlapClient;
use crate::convert;
use crate::error::SlapError;
use crate::words::{ComputerId, PartitionId};

impl SlapClient {
    /// Network interface name and address of every instance of the tree that the instance in a
    /// partition belongs to.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when no instance is there, or the Master does not tell.
    pub fn tree_addresses(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Vec<(String, IpAddr)>, SlapError> {
        let query =
            [("computer_id", computer.as_str()), ("computer_partition_id", partition.as_str())];
        let reply = self.transport.get("getHostingSubscriptionIpList", &query)?;
        self.read(&reply, convert::ip_list_from_value)
    }

    /// Hands in a usage report, a journal: see [`crate::usage`].
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn use_computer(&self, computer: &ComputerId, journal: &str) -> Result<(), SlapError> {
        self.post("useComputer", &[("computer_id", computer.as_str()), ("use_string", journal)])
    }
}
