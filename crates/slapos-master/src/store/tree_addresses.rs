//! Where the instances of one tree are on the network: what firewalls of nodes let through.

use std::net::IpAddr;

use slapos_slap::{ComputerId, PartitionId};

use super::information::addresses;
use super::instances::{require_instance, tree};
use super::{Store, require_partition};
use crate::error::StoreError;

impl Store {
    /// Network interface name and address of every instance of the tree that the instance in a
    /// partition belongs to, its own included, in the order of computers and of formatting.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such partition, or no instance in it.
    pub async fn tree_addresses(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Vec<(String, IpAddr)>, StoreError> {
        let mut tx = self.read().await?;
        require_partition(&mut tx, computer, partition).await?;
        let instance = require_instance(&mut tx, computer, partition).await?;
        let mut found = Vec::new();
        for member in tree(&mut tx, &instance.project, instance.root_title()).await? {
            let of = member.partition.as_str();
            let mut known = addresses(&mut tx, &member.computer, of).await?;
            found.extend(known.remove(&member.partition).unwrap_or_default());
        }
        Ok(found)
    }
}
