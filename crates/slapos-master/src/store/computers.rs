//! Computers and the Software Releases supplied to them.

use slapos_slap::{
    Change, ChangeKind, ComputerDescription, ComputerId, PartitionDescription, SoftwareState,
    SoftwareUrl,
};
use sqlx::Row as _;

use super::offers::recount;
use super::{Store, Tx, changes, require_computer, routes};
use crate::error::StoreError;

impl Store {
    /// Takes over how a computer is formatted. Free partitions that are no longer described are
    /// forgotten; described ones keep their instances.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a partition that is no longer described holds an instance;
    /// nothing is changed then.
    pub async fn format(&self, description: &ComputerDescription) -> Result<(), StoreError> {
        let now = self.now();
        let computer = &description.reference;
        let mut tx = self.write().await?;
        refuse_to_forget_instances(&mut tx, description).await?;
        sqlx::query(
            "INSERT INTO computer (reference, address, netmask, formatted_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (reference) DO UPDATE \
             SET address = excluded.address, netmask = excluded.netmask, \
             formatted_at = excluded.formatted_at",
        )
        .bind(computer.as_str())
        .bind(description.address.as_str())
        .bind(description.netmask.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        forget_partitions(&mut tx, description).await?;
        let mut position = last_position(&mut tx, computer).await?;
        for partition in &description.partitions {
            position += 1;
            keep_partition(&mut tx, computer, partition, position).await?;
        }
        recount(&mut tx, computer).await?;
        changes::note(&mut tx, computer, &Change::new(ChangeKind::Format), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Wants a Software Release on a computer, or no longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub async fn supply(
        &self,
        url: &SoftwareUrl,
        computer: &ComputerId,
        state: SoftwareState,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        sqlx::query(
            "INSERT INTO software (computer, url, requested_state, requested_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (computer, url) DO UPDATE \
             SET requested_state = excluded.requested_state, \
             requested_at = excluded.requested_at",
        )
        .bind(computer.as_str())
        .bind(url.as_str())
        .bind(state.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
        recount(&mut tx, computer).await?;
        let change = Change::of_software(ChangeKind::Supply, url).state(state.as_str());
        changes::note(&mut tx, computer, &change, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Requires that all instances of the computer live in described partitions.
async fn refuse_to_forget_instances(
    tx: &mut Tx,
    description: &ComputerDescription,
) -> Result<(), StoreError> {
    let computer = &description.reference;
    let busy = sqlx::query(
        "SELECT p.reference, i.title FROM computer_partition p JOIN instance i \
         ON i.computer = p.computer AND i.partition_reference = p.reference \
         WHERE p.computer = $1 ORDER BY p.position",
    )
    .bind(computer.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let mut lost = Vec::new();
    for row in &busy {
        let reference: String = row.try_get("reference")?;
        if !description.partitions.iter().any(|kept| kept.reference.as_str() == reference) {
            let title: String = row.try_get("title")?;
            lost.push(format!("{reference} (instance {title})"));
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "{computer} was not formatted anew: partitions that are in use are missing from its new \
         list: {}; destroy their instances first, or format with these partitions; nothing was \
         changed",
        lost.join(", ")
    )))
}

/// Deletes the partitions that are not described.
async fn forget_partitions(
    tx: &mut Tx,
    description: &ComputerDescription,
) -> Result<(), StoreError> {
    let known = sqlx::query("SELECT reference FROM computer_partition WHERE computer = $1")
        .bind(description.reference.as_str())
        .fetch_all(&mut **tx)
        .await?;
    for row in known {
        let reference: String = row.try_get("reference")?;
        if description.partitions.iter().any(|kept| kept.reference.as_str() == reference) {
            continue;
        }
        sqlx::query("DELETE FROM computer_partition WHERE computer = $1 AND reference = $2")
            .bind(description.reference.as_str())
            .bind(reference)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn last_position(tx: &mut Tx, computer: &ComputerId) -> Result<i64, StoreError> {
    let last = sqlx::query(
        "SELECT position FROM computer_partition WHERE computer = $1 \
         ORDER BY position DESC LIMIT 1",
    )
    .bind(computer.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    last.map_or(Ok(0), |row| Ok(row.try_get("position")?))
}

/// Makes the partition unless it is known, and replaces its addresses.
async fn keep_partition(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionDescription,
    position: i64,
) -> Result<(), StoreError> {
    let reference = partition.reference.as_str();
    sqlx::query(
        "INSERT INTO computer_partition (computer, reference, position) VALUES ($1, $2, $3) \
         ON CONFLICT (computer, reference) DO NOTHING",
    )
    .bind(computer.as_str())
    .bind(reference)
    .bind(position)
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM partition_address WHERE computer = $1 AND partition_reference = $2")
        .bind(computer.as_str())
        .bind(reference)
        .execute(&mut **tx)
        .await?;
    routes::replace(tx, computer, partition).await?;
    let interface = partition.interface_name();
    for (place, address) in (0_i64..).zip(&partition.addresses) {
        sqlx::query(
            "INSERT INTO partition_address \
             (computer, partition_reference, position, interface, address, netmask) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(computer.as_str())
        .bind(reference)
        .bind(place)
        .bind(interface)
        .bind(address.addr.to_string())
        .bind(address.netmask.as_str())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
