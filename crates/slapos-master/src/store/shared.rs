//! Shared instances ("slaves"): places in an instance that exists, which serves them all.
//!
//! Which instance serves it is a policy ([`crate::allocation`]). Whatever changes in the list of a
//! host counts as a change of the host.

use std::collections::HashMap;

use indexmap::IndexMap;
use slapos_slap::{
    ChangeKind, ComputerId, InstanceAnswer, InstanceRequest, InstanceState, PartitionId,
    SoftwareUrl,
};
use sqlx::any::AnyRow;

use super::feed::{self, Entry};
use super::information::{addresses, of_trees, within};
use super::instances::{instance_at, touch, touch_root};
use super::listing::Query;
use super::request::{Origin, Would};
use super::rows::{text, texts, to_column};
use super::{Store, Tx};
use crate::error::StoreError;

const COLUMNS: &str = "reference, computer, partition_reference, title, root, software, \
     software_type, parameters, connection, project, asked_by, orphan_since";

/// A shared instance as stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SharedRow {
    /// How its host calls it: the title of the requester's root, `_`, the title; of a project, that
    /// and `_` before it. It stays when the root gets another title.
    pub(super) reference: String,
    pub(super) computer: ComputerId,
    pub(super) partition: PartitionId,
    pub(super) project: String,
    pub(super) title: String,
    pub(super) root: String,
    pub(super) software: SoftwareUrl,
    pub(super) software_type: String,
    pub(super) parameters: IndexMap<String, String>,
    pub(super) connection: IndexMap<String, String>,
    /// The instance that asked last, as `<computer>-<partition>`; empty for a user.
    pub(super) asked_by: String,
    /// Since when that instance does not ask for it any more.
    pub(super) orphan_since: Option<i64>,
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
            project: text(row, "project")?,
            asked_by: text(row, "asked_by")?,
            orphan_since: sqlx::Row::try_get(row, "orphan_since")?,
        })
    }
}

/// What those who listen to everything hear of a shared instance: they are those of its own tree.
pub(super) fn told_of(row: &SharedRow, kind: &str) -> Entry {
    let tree = if row.root.is_empty() { &row.title } else { &row.root };
    let (tree, project) = (Some(tree.clone()), Some(row.project.clone()));
    Entry { tree, project, ..Entry::on(kind, &row.computer) }
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
            touch_root(&mut tx, &row.project, &row.root, now).await?;
            feed::tell(&mut tx, &told_of(&row, "connection"), now).await?;
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
        origin: &Origin,
    ) -> Result<(InstanceAnswer, Would), StoreError> {
        let now = self.now();
        let former = titled(tx, &origin.project, &origin.root, request.title.as_str()).await?;
        if request.state == Some(InstanceState::Destroyed) {
            let Some(former) = former else {
                return Err(StoreError::NotFound(format!(
                    "there is no shared instance {}, so nothing is to be destroyed",
                    base_reference(origin, request.title.as_str())
                )));
            };
            remove(tx, &former).await?;
            touch_host(tx, &former, now).await?;
            return Ok((answer(tx, former, InstanceState::Destroyed).await?, Would::Change));
        }
        let wanted = self.wanted_shared(tx, request, origin, former.as_ref()).await?;
        let would = place(tx, former.as_ref(), &wanted, now).await?;
        Ok((answer(tx, wanted, InstanceState::Started).await?, would))
    }

    /// The shared instance as the request wants it.
    async fn wanted_shared(
        &self,
        tx: &mut Tx,
        request: &InstanceRequest,
        origin: &Origin,
        former: Option<&SharedRow>,
    ) -> Result<SharedRow, StoreError> {
        let (computer, partition) = self.host_for(tx, request, origin, former).await?;
        let reference = match former {
            Some(former) => former.reference.clone(),
            None => new_reference(tx, origin, request.title.as_str()).await?,
        };
        Ok(SharedRow {
            reference,
            computer,
            partition,
            project: origin.project.clone(),
            title: request.title.to_string(),
            root: origin.root.clone(),
            software: request.software.clone(),
            software_type: request.software_type.clone(),
            parameters: request.parameters.clone(),
            connection: former.map(|row| row.connection.clone()).unwrap_or_default(),
            asked_by: origin.asked_by(),
            orphan_since: None,
        })
    }
}

/// Puts a shared instance where it is wanted, as it is wanted. Its hosts are told, unless what
/// changed is not for them.
async fn place(
    tx: &mut Tx,
    former: Option<&SharedRow>,
    wanted: &SharedRow,
    now: i64,
) -> Result<Would, StoreError> {
    let Some(former) = former else {
        insert(tx, wanted).await?;
        touch_host(tx, wanted, now).await?;
        return Ok(Would::Create);
    };
    if former == wanted {
        return Ok(Would::Nothing);
    }
    let as_asked = SharedRow {
        asked_by: wanted.asked_by.clone(),
        orphan_since: wanted.orphan_since,
        ..former.clone()
    };
    remove(tx, former).await?;
    insert(tx, wanted).await?;
    if as_asked == *wanted {
        return Ok(Would::Nothing);
    }
    touch_host(tx, former, now).await?;
    touch_host(tx, wanted, now).await?;
    Ok(Would::Change)
}

fn base_reference(origin: &Origin, title: &str) -> String {
    match origin.project.as_str() {
        "" => format!("{}_{title}", origin.root),
        project => format!("{project}_{}_{title}", origin.root),
    }
}

/// A reference that no other shared instance has: two trees may give the same one, such as `a_b`
/// with `c` and `a` with `b_c`.
async fn new_reference(tx: &mut Tx, origin: &Origin, title: &str) -> Result<String, StoreError> {
    let base = base_reference(origin, title);
    let mut reference = base.clone();
    let mut number = 2_u64;
    while find(tx, &reference).await?.is_some() {
        reference = format!("{base}-{number}");
        number += 1;
    }
    Ok(reference)
}

/// All shared instances, by reference.
pub(super) async fn all(tx: &mut Tx) -> Result<Vec<SharedRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM shared_instance ORDER BY reference");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **tx).await?;
    rows.iter().map(SharedRow::read).collect()
}

/// The shared instances that a computer hosts, by partition; `only` one of them unless empty.
pub(super) async fn hosted_on(
    tx: &mut Tx,
    computer: &ComputerId,
    only: &str,
) -> Result<HashMap<PartitionId, Vec<SharedRow>>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM shared_instance WHERE computer = $1 {} ORDER BY reference",
        within("partition_reference", only)
    ));
    let rows = sqlx::query(sql).bind(computer.as_str()).bind(only).fetch_all(&mut **tx).await?;
    let mut hosted: HashMap<PartitionId, Vec<SharedRow>> = HashMap::new();
    for row in &rows {
        let row = SharedRow::read(row)?;
        hosted.entry(row.partition.clone()).or_default().push(row);
    }
    Ok(hosted)
}

/// Removes the shared instances that the tree of that root asked for; their hosts are told.
pub(super) async fn remove_of_root(
    tx: &mut Tx,
    project: &str,
    root: &str,
    now: i64,
) -> Result<(), StoreError> {
    for row in of_root(tx, project, root).await? {
        remove(tx, &row).await?;
        touch_host(tx, &row, now).await?;
    }
    Ok(())
}

/// The shared instances that the tree of that root asked for.
pub(super) async fn of_root(
    tx: &mut Tx,
    project: &str,
    root: &str,
) -> Result<Vec<SharedRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM shared_instance WHERE project = $1 AND root = $2 ORDER BY reference"
    );
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(project).bind(root).fetch_all(&mut **tx).await?;
    rows.iter().map(SharedRow::read).collect()
}

/// The shared instance of that title in a tree; `root` is empty for those of users.
pub(super) async fn titled(
    tx: &mut Tx,
    project: &str,
    root: &str,
    title: &str,
) -> Result<Option<SharedRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM shared_instance WHERE project = $1 AND root = $2 AND title = $3"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(project)
        .bind(root)
        .bind(title)
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(SharedRow::read).transpose()
}

/// The shared instances that users asked for; only those of that title if one is given.
pub(super) async fn of_users(
    tx: &mut Tx,
    projects: Option<&[String]>,
    title: Option<&str>,
) -> Result<Vec<SharedRow>, StoreError> {
    let query = Query::new(&format!("SELECT {COLUMNS} FROM shared_instance"));
    let query = of_trees(query, projects, title);
    query.all(tx, "reference").await?.iter().map(SharedRow::read).collect()
}

pub(super) async fn find(tx: &mut Tx, reference: &str) -> Result<Option<SharedRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM shared_instance WHERE reference = $1");
    let row =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(reference).fetch_optional(&mut **tx).await?;
    row.as_ref().map(SharedRow::read).transpose()
}

async fn insert(tx: &mut Tx, row: &SharedRow) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO shared_instance ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
         $10, $11, $12)"
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
        .bind(row.project.as_str())
        .bind(row.asked_by.as_str())
        .bind(row.orphan_since)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn remove(tx: &mut Tx, row: &SharedRow) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM shared_instance WHERE reference = $1")
        .bind(row.reference.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn touch_host(tx: &mut Tx, row: &SharedRow, now: i64) -> Result<(), StoreError> {
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
        master_url: None,
    })
}
