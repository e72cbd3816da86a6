//! Computers, and one of them with all that is on it.

use std::collections::HashMap;

use slapos_slap::{ComputerId, NodeMetrics};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::columns::{COMPUTER_SETTINGS, computers_of};
use super::query::Query;
use super::{Scope, Window, instances, software};
use crate::error::StoreError;
use crate::store::information::addresses;
use crate::store::rows::{rfc3339, text};
use crate::store::{Store, Tx};
use crate::view::{
    Address, Computer, ComputerDetail, Metrics, Page, Partition, PartitionCounts, SoftwareCounts,
};

/// After that many microseconds without a sign of it a computer is silent: three times as long as
/// may pass between two signs that are noted.
pub(super) const SILENT: i64 = 15 * 60 * 1_000_000;

impl Store {
    /// Computers by reference; `state` (`ok`, `silent`, `never`) narrows the list unless empty.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor or a state that is none.
    pub(crate) async fn list_computers(
        &self,
        scope: &Scope,
        window: &Window,
        state: &str,
    ) -> Result<Page<Computer>, StoreError> {
        let keys = window.keys(1)?;
        let mut tx = self.read_long().await?;
        let query = in_state(computers_of(select(), scope), state, self.now())?
            .after(&["c.reference"], keys.as_deref())
            .search(&["c.reference", "c.title", "c.address"], &window.search);
        let rows = query.rows(&mut tx, "c.reference", window.fetch()).await?;
        let items: Result<Vec<_>, _> = rows.iter().map(|row| read(row, self.now())).collect();
        Ok(window.page(items?, |computer| vec![computer.id.clone()]))
    }

    /// A computer with its partitions and Software Releases.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not known, or not in the scope.
    pub(crate) async fn show_computer(
        &self,
        scope: &Scope,
        computer: &ComputerId,
    ) -> Result<ComputerDetail, StoreError> {
        let mut tx = self.read_long().await?;
        let query = computers_of(select(), scope).and("c.reference = ?", [computer.as_str()]);
        let rows = query.rows(&mut tx, "c.reference", 1).await?;
        let Some(row) = rows.first() else {
            return Err(StoreError::NotFound(format!("there is no computer {computer}")));
        };
        Ok(ComputerDetail {
            computer: read(row, self.now())?,
            partition_list: partitions(&mut tx, scope, computer).await?,
            software_list: software::of_computer(&mut tx, computer).await?,
            metrics: metrics(&mut tx, computer).await?,
        })
    }
}

pub(super) fn select() -> Query {
    Query::new(&format!(
        "SELECT c.reference, c.address, c.formatted_at, {COMPUTER_SETTINGS}, k.contact_at, \
         (SELECT count(*) FROM computer_partition p WHERE p.computer = c.reference) AS total, \
         (SELECT count(*) FROM instance i WHERE i.computer = c.reference) AS busy, \
         (SELECT count(*) FROM software s WHERE s.computer = c.reference) AS releases, \
         (SELECT count(*) FROM software s WHERE s.computer = c.reference \
          AND s.reported_state = 'error') AS broken, \
         (SELECT count(*) FROM software s WHERE s.computer = c.reference \
          AND s.reported_state = 'building') AS building \
         FROM computer c LEFT JOIN computer_contact k ON k.computer = c.reference"
    ))
}

pub(super) fn read(row: &AnyRow, now: i64) -> Result<Computer, StoreError> {
    let time = |column: &str| row.try_get::<Option<i64>, _>(column);
    let contact = time("contact_at")?;
    let labels = text(row, "labels")?;
    Ok(Computer {
        id: text(row, "reference")?,
        title: text(row, "title")?,
        project: text(row, "project")?,
        address: text(row, "address")?,
        formatted_at: time("formatted_at")?.map(rfc3339),
        last_contact_at: contact.map(rfc3339),
        allocation_scope: text(row, "allocation_scope")?,
        labels: serde_json::from_str(&labels)
            .map_err(|error| StoreError::Damaged(format!("labels of a computer: {error}")))?,
        network: text(row, "network")?,
        capacity: row.try_get("capacity")?,
        partitions: PartitionCounts { total: row.try_get("total")?, busy: row.try_get("busy")? },
        software: SoftwareCounts {
            total: row.try_get("releases")?,
            error: row.try_get("broken")?,
            building: row.try_get("building")?,
        },
        state: presence(contact, now),
    })
}

/// A computer whose last sign `k` is older than the time that is given as text.
pub(super) const SILENT_BEFORE: &str = "k.contact_at < CAST(CAST(? AS TEXT) AS BIGINT)";

/// Only those in that state, as [`presence`] calls it; all of them if it is empty.
pub(super) fn in_state(query: Query, state: &str, now: i64) -> Result<Query, StoreError> {
    let limit = now.saturating_sub(SILENT).to_string();
    Ok(match state {
        "" => query,
        "never" => query.and("k.contact_at IS NULL", []),
        "silent" => query.and(SILENT_BEFORE, [limit.as_str()]),
        "ok" => query.and("k.contact_at >= CAST(CAST(? AS TEXT) AS BIGINT)", [limit.as_str()]),
        other => {
            let message = format!("no computer is in the state {other:?}: ok, silent, or never");
            return Err(StoreError::Invalid(message));
        }
    })
}

fn presence(contact: Option<i64>, now: i64) -> &'static str {
    match contact {
        None => "never",
        Some(at) if now.saturating_sub(at) > SILENT => "silent",
        Some(_) => "ok",
    }
}

/// The partitions of a computer in the order of formatting, with those instances that the scope has.
async fn partitions(
    tx: &mut Tx,
    scope: &Scope,
    computer: &ComputerId,
) -> Result<Vec<Partition>, StoreError> {
    let rows = sqlx::query(
        "SELECT reference FROM computer_partition WHERE computer = $1 ORDER BY position",
    )
    .bind(computer.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let mut addresses = addresses(tx, computer, "").await?;
    let found = instances::of_computer(tx, scope, computer).await?;
    let mut instances: HashMap<String, _> =
        found.into_iter().map(|instance| (instance.partition.clone(), instance)).collect();
    let mut partitions = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = text(row, "reference")?;
        let own = addresses.remove(&id.as_str().into()).unwrap_or_default();
        partitions.push(Partition {
            addresses: own.into_iter().map(address).collect(),
            instance: instances.remove(&id),
            id,
        });
    }
    Ok(partitions)
}

pub(super) fn address((interface, address): (String, std::net::IpAddr)) -> Address {
    Address { interface, address: address.to_string() }
}

async fn metrics(tx: &mut Tx, computer: &ComputerId) -> Result<Option<Metrics>, StoreError> {
    let row = sqlx::query("SELECT metrics, told_at FROM computer_metrics WHERE computer = $1")
        .bind(computer.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(read_metrics).transpose()
}

pub(super) fn read_metrics(row: &AnyRow) -> Result<Metrics, StoreError> {
    let NodeMetrics { load, memory, disk, services } = serde_json::from_str(&text(row, "metrics")?)
        .map_err(|error| StoreError::Damaged(format!("metrics of a computer: {error}")))?;
    Ok(Metrics { load, memory, disk, services, at: rfc3339(row.try_get("told_at")?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_heard_of_for_long_is_silent() {
        assert_eq!(presence(None, 5), "never");
        assert_eq!(presence(Some(5), 5 + SILENT), "ok");
        assert_eq!(presence(Some(5), 6 + SILENT), "silent");
    }
}
