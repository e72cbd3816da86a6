//! What the tap interfaces of partitions are routed by.

use std::collections::HashMap;

use slapos_slap::{ComputerId, PartitionDescription, PartitionId, Route};

use super::Tx;
use super::information::within;
use super::rows::{text, word};
use crate::error::StoreError;

/// Makes the route of a partition what its description says.
pub(super) async fn replace(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionDescription,
) -> Result<(), StoreError> {
    let reference = partition.reference.as_str();
    sqlx::query("DELETE FROM partition_route WHERE computer = $1 AND partition_reference = $2")
        .bind(computer.as_str())
        .bind(reference)
        .execute(&mut **tx)
        .await?;
    let Some(route) = partition.route() else { return Ok(()) };
    sqlx::query(
        "INSERT INTO partition_route \
         (computer, partition_reference, interface, address, gateway, netmask, network) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(computer.as_str())
    .bind(reference)
    .bind(route.interface)
    .bind(route.addr.to_string())
    .bind(route.gateway)
    .bind(route.netmask)
    .bind(route.network)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The routes of a computer's partitions; `only` one of them unless empty.
pub(super) async fn of_computer(
    tx: &mut Tx,
    computer: &ComputerId,
    only: &str,
) -> Result<HashMap<PartitionId, Route>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT partition_reference, interface, address, gateway, netmask, network \
         FROM partition_route WHERE computer = $1 {}",
        within("partition_reference", only)
    ));
    let rows = sqlx::query(sql).bind(computer.as_str()).bind(only).fetch_all(&mut **tx).await?;
    let mut routes = HashMap::with_capacity(rows.len());
    for row in &rows {
        let route = Route {
            interface: text(row, "interface")?,
            addr: word(row, "address")?,
            gateway: text(row, "gateway")?,
            netmask: text(row, "netmask")?,
            network: text(row, "network")?,
        };
        routes.insert(PartitionId::new(text(row, "partition_reference")?), route);
    }
    Ok(routes)
}
