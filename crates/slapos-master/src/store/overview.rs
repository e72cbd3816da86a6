//! All that is remembered, in one document.

use slapos_slap::{
    ComputerId, Overview, OverviewComputer, OverviewInstance, OverviewPartition, OverviewShared,
    OverviewSoftware, PartitionId, SoftwareUrl,
};
use sqlx::Row as _;

use super::information::addresses;
use super::rows::{INSTANCE_COLUMNS, InstanceRow, report, rfc3339, text, wire_timestamp, word};
use super::settings::read_settings;
use super::{Store, Tx, shared};
use crate::error::StoreError;

impl Store {
    /// Everything.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        let mut tx = self.read_long().await?;
        let computers = computers(&mut tx).await?;
        let mut partitions = Vec::new();
        for computer in &computers {
            partitions.extend(partitions_of(&mut tx, &computer.reference).await?);
        }
        Ok(Overview {
            partitions,
            computers,
            software: software(&mut tx).await?,
            instances: instances(&mut tx).await?,
            shared: shared::all(&mut tx).await?.into_iter().map(shared_instance).collect(),
        })
    }
}

async fn computers(tx: &mut Tx) -> Result<Vec<OverviewComputer>, StoreError> {
    let rows = sqlx::query(
        "SELECT reference, project, address, netmask, formatted_at, title, allocation_scope, labels, \
         network, capacity FROM computer ORDER BY reference",
    )
    .fetch_all(&mut **tx)
    .await?;
    let read = |row| {
        let formatted_at: Option<i64> = sqlx::Row::try_get(row, "formatted_at")?;
        Ok(OverviewComputer {
            reference: ComputerId::new(text(row, "reference")?),
            address: text(row, "address")?,
            netmask: text(row, "netmask")?,
            formatted_at: formatted_at.map(rfc3339),
            settings: Some(read_settings(row)?),
        })
    };
    rows.iter().map(read).collect()
}

async fn partitions_of(
    tx: &mut Tx,
    computer: &ComputerId,
) -> Result<Vec<OverviewPartition>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.reference, i.title FROM computer_partition p LEFT JOIN instance i \
         ON i.computer = p.computer AND i.partition_reference = p.reference \
         WHERE p.computer = $1 ORDER BY p.position",
    )
    .bind(computer.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let mut addresses = addresses(tx, computer, "").await?;
    let mut partitions = Vec::with_capacity(rows.len());
    for row in &rows {
        let reference = PartitionId::new(text(row, "reference")?);
        let title: Option<String> = row.try_get("title")?;
        partitions.push(OverviewPartition {
            computer: computer.clone(),
            busy: title.is_some(),
            ip_list: addresses.remove(&reference).unwrap_or_default(),
            reference,
        });
    }
    Ok(partitions)
}

async fn software(tx: &mut Tx) -> Result<Vec<OverviewSoftware>, StoreError> {
    let rows = sqlx::query(
        "SELECT computer, url, requested_state, reported_state, reported_message, reported_at \
         FROM software ORDER BY computer, url",
    )
    .fetch_all(&mut **tx)
    .await?;
    let read = |row| {
        let url = SoftwareUrl::new(text(row, "url")?);
        Ok(OverviewSoftware {
            computer: ComputerId::new(text(row, "computer")?),
            md5: url.md5_hex(),
            url,
            requested_state: word(row, "requested_state")?,
            reported: report(row)?,
        })
    };
    rows.iter().map(read).collect()
}

async fn instances(tx: &mut Tx) -> Result<Vec<OverviewInstance>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS} FROM instance i LEFT JOIN computer_partition p \
         ON p.computer = i.computer AND p.reference = i.partition_reference \
         ORDER BY i.computer, p.position"
    ));
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| InstanceRow::read(row).map(instance)).collect()
}

fn instance(row: InstanceRow) -> OverviewInstance {
    OverviewInstance {
        root_title: row.root_title().to_owned(),
        computer: row.computer,
        partition: row.partition,
        title: row.title,
        software: row.software,
        software_type: row.software_type,
        requested_state: row.requested_state,
        parameters: row.parameters,
        connection: row.connection,
        timestamp: Some(wire_timestamp(row.changed_at)),
        reported: row.reported,
        project: row.project,
        orphan_since: row.orphan_since.map(rfc3339),
    }
}

fn shared_instance(row: shared::SharedRow) -> OverviewShared {
    OverviewShared {
        reference: row.reference,
        project: row.project,
        orphan_since: row.orphan_since.map(rfc3339),
        computer: row.computer,
        partition: row.partition,
        software: row.software,
        software_type: row.software_type,
        parameters: row.parameters,
        connection: row.connection,
    }
}
