//! Requests: which partition an instance gets, and when something of it has changed.
//!
//! A request is one transaction from the search to the answer. The rules:
//! - the requester's tree decides which instance a title means, whatever computer it is on;
//! - a new instance gets the first free partition, in the order of formatting, of the computer
//!   named by `computer_guid`, or else of the Master's own one;
//! - a child is never more alive than the root of its tree;
//! - the timestamp changes only when something wanted has changed.

use slapos_slap::{
    Change, ChangeKind, ComputerId, DEFAULT_SOFTWARE_TYPE, InstanceAnswer, InstanceRequest,
    InstanceState, PartitionId,
};

use super::information::{access_status, addresses};
use super::instances::{instance_at, instance_of};
use super::rows::{InstanceRow, later_than, text, to_column, wire_timestamp};
use super::{Store, Tx, changes, require_computer};
use crate::error::StoreError;

impl Store {
    /// Makes or changes an instance.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no room, or nothing to destroy.
    pub async fn request(&self, request: &InstanceRequest) -> Result<InstanceAnswer, StoreError> {
        let mut request = request.clone();
        if request.software_type.is_empty() {
            DEFAULT_SOFTWARE_TYPE.clone_into(&mut request.software_type);
        }
        let mut tx = self.write().await?;
        let root = root_of_requester(&mut tx, &request).await?;
        let answer = if request.shared {
            self.request_shared(&mut tx, &request, &root).await?
        } else {
            self.request_instance(&mut tx, &request, &root).await?
        };
        tx.commit().await?;
        Ok(answer)
    }

    async fn request_instance(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        root: &str,
    ) -> Result<InstanceAnswer, StoreError> {
        let now = self.now();
        let found = instance_of(tx, root, request.title.as_str()).await?;
        let limit = match root {
            "" => InstanceState::Started,
            root => instance_of(tx, "", root)
                .await?
                .map_or(InstanceState::Started, |root| root.requested_state),
        };
        let row = match found {
            Some(former) => {
                let wanted = wish(&former, request, limit, now);
                if wanted != former {
                    update(tx, &wanted).await?;
                    note(tx, &wanted, now).await?;
                }
                wanted
            }
            None if request.state == Some(InstanceState::Destroyed) => {
                let title = &request.title;
                return Err(StoreError::NotFound(format!(
                    "there is no instance {title}, so nothing is to be destroyed"
                )));
            }
            None => self.allocate(tx, request, root, limit, now).await?,
        };
        answer(tx, row).await
    }

    /// Puts a new instance in the first free partition.
    async fn allocate(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        root: &str,
        limit: InstanceState,
        now: i64,
    ) -> Result<InstanceRow, StoreError> {
        let computer = self.computer_for(request);
        require_computer(tx, &computer).await?;
        let Some(partition) = free_partition(tx, &computer).await? else {
            return Err(no_room(tx, &computer, request).await?);
        };
        let row = InstanceRow {
            computer,
            partition,
            title: request.title.to_string(),
            root: root.to_owned(),
            software: request.software.clone(),
            software_type: request.software_type.clone(),
            requested_state: request.state.unwrap_or(InstanceState::Started).max(limit),
            parameters: request.parameters.clone(),
            connection: indexmap::IndexMap::new(),
            changed_at: now,
            reported: None,
            filter: request.sla.clone(),
        };
        insert(tx, &row).await?;
        note(tx, &row, now).await?;
        Ok(row)
    }

    /// The computer that a request may use.
    pub(super) fn computer_for(&self, request: &InstanceRequest) -> ComputerId {
        let named = request.sla.get("computer_guid").filter(|name| !name.is_empty());
        named.map_or_else(|| self.home.clone(), ComputerId::new)
    }
}

/// The title of the tree that the requester belongs to; empty when a user asks, which is also
/// how a requester is taken whose partition has no instance.
async fn root_of_requester(tx: &mut Tx, request: &InstanceRequest) -> Result<String, StoreError> {
    let Some((computer, partition)) = &request.requester else {
        return Ok(String::new());
    };
    let found = instance_at(tx, computer, partition).await?;
    Ok(found.map(|instance| instance.root_title().to_owned()).unwrap_or_default())
}

/// The instance as the request wants it; equal to the former one when nothing changes.
fn wish(
    former: &InstanceRow,
    request: &InstanceRequest,
    limit: InstanceState,
    now: i64,
) -> InstanceRow {
    let mut wanted = former.clone();
    wanted.requested_state = request.state.unwrap_or(former.requested_state).max(limit);
    wanted.software = request.software.clone();
    wanted.software_type.clone_from(&request.software_type);
    wanted.parameters.clone_from(&request.parameters);
    // Maps compare without regard to order.
    if wanted != *former {
        wanted.changed_at = later_than(former.changed_at, now);
    }
    // Nothing of the instance changes by it, so its node need not look at it again.
    wanted.filter.clone_from(&request.sla);
    wanted
}

async fn note(tx: &mut Tx, row: &InstanceRow, now: i64) -> Result<(), StoreError> {
    let change = Change::of_partition(ChangeKind::Request, &row.partition);
    changes::note(tx, &row.computer, &change.state(row.requested_state.as_str()), now).await
}

async fn free_partition(
    tx: &mut Tx,
    computer: &ComputerId,
) -> Result<Option<PartitionId>, StoreError> {
    let row = sqlx::query(
        "SELECT p.reference FROM computer_partition p LEFT JOIN instance i \
         ON i.computer = p.computer AND i.partition_reference = p.reference \
         WHERE p.computer = $1 AND i.title IS NULL ORDER BY p.position LIMIT 1",
    )
    .bind(computer.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| Ok(PartitionId::new(text(&row, "reference")?))).transpose()
}

/// Why there is no free partition. Begins as the original's message does, which others look for.
async fn no_room(
    tx: &mut Tx,
    computer: &ComputerId,
    request: &InstanceRequest,
) -> Result<StoreError, StoreError> {
    let rows = sqlx::query("SELECT reference FROM computer_partition WHERE computer = $1")
        .bind(computer.as_str())
        .fetch_all(&mut **tx)
        .await?;
    let reason = match rows.len() {
        0 => "has no partition yet: run `slapos node format` there".to_owned(),
        1 => "has 1 partition, which is in use: destroy its instance or format more".to_owned(),
        n => format!("has {n} partitions, all in use: destroy an instance or format more"),
    };
    Ok(StoreError::NotFound(format!(
        "No free computer partition found for: {}. Computer {computer} {reason}",
        request.title
    )))
}

async fn insert(tx: &mut Tx, row: &InstanceRow) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO instance (computer, partition_reference, title, root, software, \
         software_type, requested_state, parameters, connection, changed_at, filter) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(row.computer.as_str())
    .bind(row.partition.as_str())
    .bind(row.title.as_str())
    .bind(row.root.as_str())
    .bind(row.software.as_str())
    .bind(row.software_type.as_str())
    .bind(row.requested_state.as_str())
    .bind(to_column(&row.parameters))
    .bind(to_column(&row.connection))
    .bind(row.changed_at)
    .bind(to_column(&row.filter))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn update(tx: &mut Tx, row: &InstanceRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE instance SET software = $3, software_type = $4, requested_state = $5, \
         parameters = $6, changed_at = $7, filter = $8 \
         WHERE computer = $1 AND partition_reference = $2",
    )
    .bind(row.computer.as_str())
    .bind(row.partition.as_str())
    .bind(row.software.as_str())
    .bind(row.software_type.as_str())
    .bind(row.requested_state.as_str())
    .bind(to_column(&row.parameters))
    .bind(row.changed_at)
    .bind(to_column(&row.filter))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn answer(tx: &mut Tx, row: InstanceRow) -> Result<InstanceAnswer, StoreError> {
    let mut addresses = addresses(tx, &row.computer, row.partition.as_str()).await?;
    Ok(InstanceAnswer {
        ip_list: addresses.remove(&row.partition).unwrap_or_default(),
        guid: Some(format!("{}-{}", row.computer, row.partition)),
        partition: row.partition,
        computer: row.computer,
        connection: row.connection,
        parameters: row.parameters,
        state: row.requested_state,
        software_type: row.software_type,
        software_url: row.software,
        timestamp: Some(wire_timestamp(row.changed_at)),
        access_status: row.reported.as_ref().map(access_status),
    })
}
