//! Shared instances ("slaves"): places in an instance that exists, which serves them all.
//!
//! A shared instance lives in the first instance of its Software Release and type on the
//! computer asked for, or in the one that `instance_guid` names. Whatever changes in the list of
//! a host counts as a change of the host.

use std::collections::HashMap;

use indexmap::IndexMap;
use slapos_slap::{
    ChangeKind, ComputerId, InstanceAnswer, InstanceRequest, InstanceState, PartitionId,
    SoftwareUrl,
};
use sqlx::any::AnyRow;

use super::information::addresses;
use super::instances::{instance_at, touch, touch_root};
use super::rows::{INSTANCE_COLUMNS, InstanceRow, text, texts, to_column};
use super::{Store, Tx, require_computer};
use crate::error::StoreError;

const COLUMNS: &str = "reference, computer, partition_reference, title, root, software, \
     software_type, parameters, connection";

/// A shared instance as stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SharedRow {
    /// The title of the requester's root, `_`, the title.
    pub(super) reference: String,
    pub(super) computer: ComputerId,
    pub(super) partition: PartitionId,
    pub(super) title: String,
    pub(super) root: String,
    pub(super) software: SoftwareUrl,
    pub(super) software_type: String,
    pub(super) parameters: IndexMap<String, String>,
    pub(super) connection: IndexMap<String, String>,
}

impl SharedRow {
    fn read(row: &AnyRow) -> Result<SharedRow, StoreError> {
        Ok(SharedRow {
            reference: text(row, "reference")?,
            computer: ComputerId::new(text(row, "computer")?),
            partition: PartitionId::new(text(row, "partition_reference")?),
            title: text(row, "title")?,
            root: text(row, "root")?,
            software: SoftwareUrl::new(text(row, "software")?),
            software_type: text(row, "software_type")?,
            parameters: texts(row, "parameters")?,
            connection: texts(row, "connection")?,
        })
    }
}

impl Store {
    /// Replaces what a host publishes for a shared instance. If that changes anything, the root of
    /// the tree that asked for it is processed again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the partition hosts none of that reference.
    pub async fn set_shared_connection(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
        reference: &str,
        connection: &IndexMap<String, String>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        let hosted = find(&mut tx, reference)
            .await?
            .filter(|row| row.computer == *computer && row.partition == *partition);
        let Some(row) = hosted else {
            return Err(StoreError::NotFound(format!(
                "partition {partition} of {computer} hosts no shared instance {reference}"
            )));
        };
        if row.connection != *connection {
            touch_root(&mut tx, &row.root, now).await?;
        }
        sqlx::query("UPDATE shared_instance SET connection = $2 WHERE reference = $1")
            .bind(reference)
            .bind(to_column(connection))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes, changes or removes a shared instance.
    pub(super) async fn request_shared(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        root: &str,
    ) -> Result<InstanceAnswer, StoreError> {
        let now = self.now();
        let reference = format!("{root}_{}", request.title);
        let former = find(tx, &reference).await?;
        if request.state == Some(InstanceState::Destroyed) {
            let Some(former) = former else {
                return Err(StoreError::NotFound(format!(
                    "there is no shared instance {reference}, so nothing is to be destroyed"
                )));
            };
            remove(tx, &former).await?;
            touch_host(tx, &former, now).await?;
            return answer(tx, former, InstanceState::Destroyed).await;
        }
        let host = self.host_for(tx, request, former.as_ref()).await?;
        let wanted = SharedRow {
            reference,
            computer: host.computer,
            partition: host.partition,
            title: request.title.to_string(),
            root: root.to_owned(),
            software: request.software.clone(),
            software_type: request.software_type.clone(),
            parameters: request.parameters.clone(),
            connection: former.as_ref().map(|row| row.connection.clone()).unwrap_or_default(),
        };
        if former.as_ref() != Some(&wanted) {
            if let Some(former) = &former {
                remove(tx, former).await?;
                touch_host(tx, former, now).await?;
            }
            insert(tx, &wanted).await?;
            touch_host(tx, &wanted, now).await?;
        }
        answer(tx, wanted, InstanceState::Started).await
    }

    /// The instance that is to serve a request: the present host if it still fits.
    async fn host_for(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        former: Option<&SharedRow>,
    ) -> Result<InstanceRow, StoreError> {
        let computer = self.computer_for(request);
        require_computer(tx, &computer).await?;
        let named = request.sla.get("instance_guid").map(String::as_str).unwrap_or_default();
        let fits = |host: &InstanceRow| {
            let (computer, partition) = (&host.computer, &host.partition);
            host.software == request.software
                && host.software_type == request.software_type
                && (named.is_empty()
                    || named == partition.as_str()
                    || named == format!("{computer}-{partition}"))
        };
        if let Some(former) = former
            && let Some(host) = instance_at(tx, &former.computer, &former.partition).await?
            && fits(&host)
        {
            return Ok(host);
        }
        let candidates = of_software(tx, &computer, &request.software).await?;
        candidates.into_iter().find(fits).ok_or_else(|| {
            let (software, kind) = (&request.software, &request.software_type);
            StoreError::NotFound(format!(
                "No partition corresponding to slave request: {}. Computer {computer} has no \
                 instance of {software} with type {kind}{}",
                request.title,
                if named.is_empty() { String::new() } else { format!(" named {named}") }
            ))
        })
    }
}

/// All shared instances, by reference.
pub(super) async fn all(tx: &mut Tx) -> Result<Vec<SharedRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM shared_instance ORDER BY reference");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **tx).await?;
    rows.iter().map(SharedRow::read).collect()
}

/// The shared instances that a computer hosts, by partition.
pub(super) async fn hosted_on(
    tx: &mut Tx,
    computer: &ComputerId,
) -> Result<HashMap<PartitionId, Vec<SharedRow>>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM shared_instance WHERE computer = $1 ORDER BY reference");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(computer.as_str()).fetch_all(&mut **tx).await?;
    let mut hosted: HashMap<PartitionId, Vec<SharedRow>> = HashMap::new();
    for row in &rows {
        let row = SharedRow::read(row)?;
        hosted.entry(row.partition.clone()).or_default().push(row);
    }
    Ok(hosted)
}

/// Removes the shared instances that the tree of that root asked for; their hosts are told.
pub(super) async fn remove_of_root(tx: &mut Tx, root: &str, now: i64) -> Result<(), StoreError> {
    for row in &of_root(tx, root).await? {
        remove(tx, row).await?;
        touch_host(tx, row, now).await?;
    }
    Ok(())
}

/// The shared instances that the tree of that root asked for, by reference; those that users asked
/// for when it is empty.
pub(super) async fn of_root(tx: &mut Tx, root: &str) -> Result<Vec<SharedRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM shared_instance WHERE root = $1 ORDER BY reference");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(root).fetch_all(&mut **tx).await?;
    rows.iter().map(SharedRow::read).collect()
}

/// The shared instance of that title that users asked for.
pub(super) async fn of_user(tx: &mut Tx, title: &str) -> Result<Option<SharedRow>, StoreError> {
    find(tx, &format!("_{title}")).await
}

async fn find(tx: &mut Tx, reference: &str) -> Result<Option<SharedRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM shared_instance WHERE reference = $1");
    let row =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(reference).fetch_optional(&mut **tx).await?;
    row.as_ref().map(SharedRow::read).transpose()
}

/// The instances of a Software Release on a computer, in the order of formatting.
async fn of_software(
    tx: &mut Tx,
    computer: &ComputerId,
    software: &SoftwareUrl,
) -> Result<Vec<InstanceRow>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS} FROM instance i LEFT JOIN computer_partition p \
         ON p.computer = i.computer AND p.reference = i.partition_reference \
         WHERE i.computer = $1 AND i.software = $2 ORDER BY p.position"
    ));
    let rows = sqlx::query(sql)
        .bind(computer.as_str())
        .bind(software.as_str())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(InstanceRow::read).collect()
}

async fn insert(tx: &mut Tx, row: &SharedRow) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO shared_instance ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(row.reference.as_str())
        .bind(row.computer.as_str())
        .bind(row.partition.as_str())
        .bind(row.title.as_str())
        .bind(row.root.as_str())
        .bind(row.software.as_str())
        .bind(row.software_type.as_str())
        .bind(to_column(&row.parameters))
        .bind(to_column(&row.connection))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn remove(tx: &mut Tx, row: &SharedRow) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM shared_instance WHERE reference = $1")
        .bind(row.reference.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn touch_host(tx: &mut Tx, row: &SharedRow, now: i64) -> Result<(), StoreError> {
    match instance_at(tx, &row.computer, &row.partition).await? {
        Some(host) => touch(tx, &host, host.requested_state, ChangeKind::Request, now).await,
        None => Ok(()),
    }
}

async fn answer(
    tx: &mut Tx,
    row: SharedRow,
    state: InstanceState,
) -> Result<InstanceAnswer, StoreError> {
    let mut addresses = addresses(tx, &row.computer, row.partition.as_str()).await?;
    Ok(InstanceAnswer {
        ip_list: addresses.remove(&row.partition).unwrap_or_default(),
        guid: None,
        partition: row.partition,
        computer: row.computer,
        connection: row.connection,
        parameters: row.parameters,
        state,
        software_type: row.software_type,
        software_url: row.software,
        timestamp: None,
        access_status: None,
    })
}
