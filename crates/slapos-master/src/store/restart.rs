//! What a person wants of one instance, whatever its tree asks: its services started anew.

use slapos_slap::{ChangeKind, ComputerId, InstanceState, PartitionId};

use super::instances::{require_instance, touch};
use super::rows::later_than;
use super::{Store, require_partition};
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
}
