//! What a person wants of one instance, whatever its tree asks: its services started anew, or
//! another state.

use slapos_slap::{ChangeKind, ComputerId, InstanceState, PartitionId};

use super::instances::{instance_of, require_instance, touch};
use super::rows::later_than;
use super::{Store, Tx, require_partition};
use crate::error::StoreError;

impl Store {
    /// Wants the services of the instance in a partition started anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no instance; [`StoreError::Conflict`] when it is not
    /// wanted started.
    pub async fn restart(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_partition(&mut tx, computer, partition).await?;
        let instance = require_instance(&mut tx, computer, partition).await?;
        if instance.requested_state != InstanceState::Started {
            return Err(StoreError::Conflict(format!(
                "the instance {} is wanted {}, so that there is nothing to restart: request it \
                 as started",
                instance.title, instance.requested_state
            )));
        }
        let at = later_than(instance.restart_at.unwrap_or(0), now);
        sqlx::query(
            "UPDATE instance SET restart_at = $3 WHERE computer = $1 AND partition_reference = $2",
        )
        .bind(computer.as_str())
        .bind(partition.as_str())
        .bind(at)
        .execute(&mut *tx)
        .await?;
        let state = instance.requested_state;
        // Also for nodes that know nothing of restarts: they process it again, at least.
        touch(&mut tx, &instance, state, ChangeKind::Restart, now).await?;
        tx.commit().await
    }

    /// Wants another state of the instance in a partition. A child is never more alive than its
    /// root, and its tree may ask for another state again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no instance; [`StoreError::Conflict`] when its root
    /// does not let it live.
    pub async fn set_state(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        state: InstanceState,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_partition(&mut tx, computer, partition).await?;
        let instance = require_instance(&mut tx, computer, partition).await?;
        if !instance.root.is_empty()
            && let Some(root) = instance_of(&mut tx, &instance.project, "", &instance.root).await?
            && state < root.requested_state
        {
            return Err(StoreError::Conflict(format!(
                "the instance {} cannot be {state}, because the root of its tree, {}, is wanted {}",
                instance.title, root.title, root.requested_state
            )));
        }
        if instance.requested_state != state {
            touch(&mut tx, &instance, state, ChangeKind::Request, now).await?;
        }
        tx.commit().await
    }

    /// Where the instance of that guid lives: `<computer>-<partition>`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn locate(&self, guid: &str) -> Result<(ComputerId, PartitionId), StoreError> {
        let mut tx = self.read().await?;
        // Both parts may have hyphens.
        for (at, _) in guid.match_indices('-') {
            let (computer, partition) = (&guid[..at], &guid[at + 1..]);
            if is_instance(&mut tx, computer, partition).await? {
                return Ok((ComputerId::new(computer), PartitionId::new(partition)));
            }
        }
        Err(StoreError::NotFound(format!("there is no instance {guid}")))
    }
}

async fn is_instance(tx: &mut Tx, computer: &str, partition: &str) -> Result<bool, StoreError> {
    let row =
        sqlx::query("SELECT title FROM instance WHERE computer = $1 AND partition_reference = $2")
            .bind(computer)
            .bind(partition)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.is_some())
}
