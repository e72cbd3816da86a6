//! What a node is told about its computer, and a user about his instance trees.

use std::collections::HashMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use slapos_slap::{
    Computer, ComputerId, ComputerPartition, InstanceInfo, PartitionId, Report, SoftwareRelease,
    SoftwareUrl, Value,
};
use sqlx::Row as _;

use super::listing::Query;
use super::rows::{INSTANCE_COLUMNS, InstanceRow, text, wire_timestamp, word};
use super::shared::{self, SharedRow};
use super::{Store, Tx, require_partition, routes};
use crate::error::StoreError;

/// The addresses of partitions, by partition.
type Addresses = HashMap<PartitionId, Vec<(String, IpAddr)>>;

/// The state of what is told about a computer: the database, and a number in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision {
    era: String,
    number: i64,
}

#[cfg(test)]
impl Revision {
    pub(crate) fn of(era: &str, number: i64) -> Revision {
        Revision { era: era.to_owned(), number }
    }
}

impl Store {
    /// Everything wanted of a computer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not known.
    pub async fn computer(&self, computer: &ComputerId) -> Result<Computer, StoreError> {
        Ok(self.computer_at(computer).await?.1)
    }

    /// Everything wanted of a computer, and of which revision that is at least.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not known.
    pub(crate) async fn computer_at(
        &self,
        computer: &ComputerId,
    ) -> Result<(Revision, Computer), StoreError> {
        let mut tx = self.read().await?;
        // First: a change that is seen halfway, where that can happen, must not count as seen.
        let revision = revision(&mut *tx, computer).await?;
        let found = Computer {
            id: computer.clone(),
            software: software(&mut tx, computer).await?,
            partitions: partitions(&mut tx, computer, None).await?,
        };
        Ok((revision, found))
    }

    /// The present revision of what [`Store::computer`] tells: as long as it is the same, so is
    /// that, whichever Master asks.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn revision(&self, computer: &ComputerId) -> Result<Revision, StoreError> {
        revision(&mut self.reader().await?, computer).await
    }

    /// Everything wanted of one partition.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not known.
    pub async fn partition(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<ComputerPartition, StoreError> {
        let mut tx = self.read().await?;
        require_partition(&mut tx, computer, partition).await?;
        let found = partitions(&mut tx, computer, Some(partition)).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::Damaged(format!("partition {partition} vanished")))
    }

    /// The root instances, shared ones last; only the one of that title if one is given.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn instance_trees(
        &self,
        title: Option<&str>,
    ) -> Result<Vec<InstanceInfo>, StoreError> {
        self.trees_in(None, title).await
    }

    /// The same of some projects only.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn trees_in(
        &self,
        projects: Option<&[String]>,
        title: Option<&str>,
    ) -> Result<Vec<InstanceInfo>, StoreError> {
        let mut tx = self.read().await?;
        let roots = roots(&mut tx, projects, title).await?.into_iter().map(tree);
        let shared = shared::of_users(&mut tx, projects, title).await?.into_iter();
        Ok(roots.chain(shared.map(shared_tree)).collect())
    }

    /// The references of the known computers.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn computers(&self) -> Result<Vec<ComputerId>, StoreError> {
        let mut tx = self.read().await?;
        let rows = sqlx::query("SELECT reference FROM computer ORDER BY reference")
            .fetch_all(&mut *tx)
            .await?;
        rows.iter().map(|row| Ok(ComputerId::new(text(row, "reference")?))).collect()
    }
}

async fn revision(
    executor: impl sqlx::Executor<'_, Database = sqlx::Any>,
    computer: &ComputerId,
) -> Result<Revision, StoreError> {
    let row =
        sqlx::query("SELECT c.revision, e.name FROM computer c, era e WHERE c.reference = $1")
            .bind(computer.as_str())
            .fetch_optional(executor)
            .await?;
    let row = row.ok_or_else(|| StoreError::no_computer(computer))?;
    Ok(Revision { era: text(&row, "name")?, number: row.try_get("revision")? })
}

async fn roots(
    tx: &mut Tx,
    projects: Option<&[String]>,
    title: Option<&str>,
) -> Result<Vec<InstanceRow>, StoreError> {
    let query = Query::new(&format!("SELECT {INSTANCE_COLUMNS} FROM instance i"));
    let query = of_trees(query, projects, title);
    query.all(tx, "title").await?.iter().map(InstanceRow::read).collect()
}

/// Only the roots, of these projects, and of that title, where they are given.
pub(super) fn of_trees(query: Query, projects: Option<&[String]>, title: Option<&str>) -> Query {
    let query = query.and("root = ''", []);
    let query = match projects {
        Some(projects) => query.one_of("project", projects),
        None => query,
    };
    match title {
        Some(title) => query.and("title = ?", [title]),
        None => query,
    }
}

fn tree(row: InstanceRow) -> InstanceInfo {
    InstanceInfo {
        project: row.project,
        title: row.title,
        software: row.software,
        software_type: row.software_type,
        shared: false,
        requested_state: row.requested_state.to_string(),
        parameters: row.parameters,
        connection: row.connection,
        news: None,
    }
}

fn shared_tree(row: SharedRow) -> InstanceInfo {
    InstanceInfo {
        project: row.project,
        title: row.title,
        software: row.software,
        software_type: row.software_type,
        shared: true,
        requested_state: "unused".to_owned(),
        parameters: row.parameters,
        connection: row.connection,
        news: None,
    }
}

pub(super) async fn software(
    tx: &mut Tx,
    computer: &ComputerId,
) -> Result<Vec<SoftwareRelease>, StoreError> {
    let rows = sqlx::query(
        "SELECT url, requested_state FROM software WHERE computer = $1 ORDER BY requested_at, url",
    )
    .bind(computer.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let read = |row| {
        let url = SoftwareUrl::new(text(row, "url")?);
        Ok(SoftwareRelease { url, state: word(row, "requested_state")? })
    };
    rows.iter().map(read).collect()
}

/// All partitions of a computer, or the one given, in the order of formatting.
async fn partitions(
    tx: &mut Tx,
    computer: &ComputerId,
    only: Option<&PartitionId>,
) -> Result<Vec<ComputerPartition>, StoreError> {
    let only = only.map_or("", PartitionId::as_str);
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT reference FROM computer_partition WHERE computer = $1 {} ORDER BY position",
        within("reference", only)
    ));
    let known = sqlx::query(sql).bind(computer.as_str()).bind(only).fetch_all(&mut **tx).await?;
    let mut addresses = addresses(tx, computer, only).await?;
    let mut routes = routes::of_computer(tx, computer, only).await?;
    let mut instances = instances(tx, computer, only).await?;
    let mut hosted = shared::hosted_on(tx, computer, only).await?;
    let mut all = Vec::with_capacity(known.len());
    for row in &known {
        let id = PartitionId::new(text(row, "reference")?);
        let mut partition = ComputerPartition::free(computer.clone(), id);
        partition.ip_list = addresses.remove(&partition.id).unwrap_or_default();
        partition.full_ip_list = routes.remove(&partition.id).into_iter().collect();
        if let Some(instance) = instances.remove(&partition.id) {
            fill(&mut partition, instance);
        }
        let slaves = hosted.remove(&partition.id).unwrap_or_default();
        partition.slave_instance_list = slaves.into_iter().map(slave_entry).collect();
        all.push(partition);
    }
    Ok(all)
}

/// The condition that the column is `$2`, unless that is empty: all in one statement would have the
/// database look at all partitions of the computer.
pub(super) fn within(column: &str, only: &str) -> String {
    if only.is_empty() { String::new() } else { format!("AND {column} = $2") }
}

/// Puts an instance in a free partition.
fn fill(partition: &mut ComputerPartition, instance: InstanceRow) {
    partition.root_instance_title = instance.root_title().to_owned();
    partition.instance_title = instance.title;
    partition.requested_state = instance.requested_state;
    partition.software = Some(instance.software);
    partition.software_type = instance.software_type;
    partition.parameters = instance.parameters;
    partition.connection = instance.connection;
    partition.filter = instance.filter;
    partition.timestamp = Some(wire_timestamp(instance.changed_at));
    partition.restart = instance.restart_at.map(wire_timestamp);
    partition.access_status = instance.reported.as_ref().map(access_status);
}

/// The last report in the words that nodes and users look for.
pub(super) fn access_status(report: &Report) -> String {
    match report.state.as_str() {
        "error" => format!("#error {}", report.message),
        "started" => "#access Instance correctly started".to_owned(),
        state => format!("#access Instance correctly {state}"),
    }
}

/// A shared instance as its host sees it. What SLAP adds wins over the user's parameters.
fn slave_entry(row: SharedRow) -> IndexMap<String, Value> {
    let mut entry: IndexMap<String, Value> =
        row.parameters.into_iter().map(|(key, value)| (key, Value::str(value))).collect();
    entry.insert("slave_title".to_owned(), Value::str(&row.reference));
    entry.insert("slave_reference".to_owned(), Value::str(row.reference));
    entry.insert("slap_software_type".to_owned(), Value::str(row.software_type));
    entry
}

/// The addresses of a computer's partitions; `only` one of them unless empty.
pub(super) async fn addresses(
    tx: &mut Tx,
    computer: &ComputerId,
    only: &str,
) -> Result<Addresses, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT partition_reference, interface, address FROM partition_address \
         WHERE computer = $1 {} ORDER BY partition_reference, position",
        within("partition_reference", only)
    ));
    let rows = sqlx::query(sql).bind(computer.as_str()).bind(only).fetch_all(&mut **tx).await?;
    let mut addresses = Addresses::new();
    for row in &rows {
        let partition = PartitionId::new(text(row, "partition_reference")?);
        let entry = (row.try_get("interface")?, word(row, "address")?);
        addresses.entry(partition).or_default().push(entry);
    }
    Ok(addresses)
}

async fn instances(
    tx: &mut Tx,
    computer: &ComputerId,
    only: &str,
) -> Result<HashMap<PartitionId, InstanceRow>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT {INSTANCE_COLUMNS} FROM instance i WHERE i.computer = $1 {}",
        within("i.partition_reference", only)
    ));
    let rows = sqlx::query(sql).bind(computer.as_str()).bind(only).fetch_all(&mut **tx).await?;
    let mut instances = HashMap::with_capacity(rows.len());
    for row in &rows {
        let instance = InstanceRow::read(row)?;
        instances.insert(instance.partition.clone(), instance);
    }
    Ok(instances)
}
