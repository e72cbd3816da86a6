//! Instances by name or by place, each with all that is known of it.

use std::net::IpAddr;

use indexmap::IndexMap;
use slapos_slap::{ComputerId, InstanceState, PartitionId, Route, SoftwareRelease, SoftwareUrl};

use super::information::{access_status, addresses, software};
use super::instances::{instance_at, instance_of, tree};
use super::rows::{INSTANCE_COLUMNS, InstanceRow};
use super::shared::{self, SharedRow};
use super::{Store, Tx, require_computer, routes};
use crate::error::StoreError;

/// An instance, shared or not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InstanceDocument {
    /// Its title.
    pub(crate) title: String,
    /// The title of its tree's root; empty for a root.
    pub(crate) root: String,
    /// The project of its tree; empty for the operator's.
    pub(crate) project: String,
    /// Whether it is a place in another instance.
    pub(crate) shared: bool,
    /// How its host calls it; empty unless it is shared.
    pub(crate) reference: String,
    /// Where it, or its host, lives.
    pub(crate) computer: ComputerId,
    /// Where it, or its host, lives.
    pub(crate) partition: PartitionId,
    /// Its Software Release.
    pub(crate) software: SoftwareUrl,
    /// Its software type.
    pub(crate) software_type: String,
    /// What is wanted of it.
    pub(crate) state: InstanceState,
    /// The user's parameters.
    pub(crate) parameters: IndexMap<String, String>,
    /// What it published last.
    pub(crate) connection: IndexMap<String, String>,
    /// Network interface name and address; none of a shared one.
    pub(crate) ip_list: Vec<(String, IpAddr)>,
    /// What its tap interface is routed by.
    pub(crate) full_ip_list: Vec<Route>,
    /// Where it was asked to live.
    pub(crate) sla: IndexMap<String, String>,
    /// When something wanted of it, or of its host, changed last: microseconds since 1970.
    pub(crate) changed_at: i64,
    /// Its last report, in words.
    pub(crate) access_status: Option<String>,
}

impl Store {
    /// The instance of that title in the tree of `root`, which is empty for roots.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn named_instance(
        &self,
        project: &str,
        root: &str,
        title: &str,
    ) -> Result<Option<InstanceDocument>, StoreError> {
        let mut tx = self.read().await?;
        match instance_of(&mut tx, project, root, title).await? {
            Some(row) => own(&mut tx, row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The shared instance of that title which the tree of `root` asked for; `root` is empty for
    /// one that a user asked for.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn named_shared_instance(
        &self,
        project: &str,
        root: &str,
        title: &str,
    ) -> Result<Option<InstanceDocument>, StoreError> {
        let mut tx = self.read().await?;
        match shared::titled(&mut tx, project, root, title).await? {
            Some(row) => hosted(&mut tx, row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The instance in a partition.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn placed_instance(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Option<InstanceDocument>, StoreError> {
        let mut tx = self.read().await?;
        match instance_at(&mut tx, computer, partition).await? {
            Some(row) => own(&mut tx, row).await.map(Some),
            None => Ok(None),
        }
    }

    /// What was last reported of each instance of a project's tree, in words, by title.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn news_of_tree(
        &self,
        project: &str,
        root: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut tx = self.read().await?;
        let members = tree(&mut tx, project, root).await?.into_iter();
        let told =
            members.filter_map(|row| Some((row.title, row.reported.as_ref().map(access_status)?)));
        Ok(told.collect())
    }

    /// The instances of a computer in the order of its partitions, without their addresses.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn instances_on(
        &self,
        computer: &ComputerId,
    ) -> Result<Vec<InstanceDocument>, StoreError> {
        let mut tx = self.read().await?;
        require_computer(&mut tx, computer).await?;
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT {INSTANCE_COLUMNS} FROM instance i LEFT JOIN computer_partition p \
             ON p.computer = i.computer AND p.reference = i.partition_reference \
             WHERE i.computer = $1 ORDER BY p.position"
        ));
        let rows = sqlx::query(sql).bind(computer.as_str()).fetch_all(&mut *tx).await?;
        rows.iter().map(|row| InstanceRow::read(row).map(document)).collect()
    }

    /// The shared instances that the instance in a partition hosts.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn shared_instances_in(
        &self,
        computer: &ComputerId,
        partition: &PartitionId,
    ) -> Result<Vec<InstanceDocument>, StoreError> {
        let mut tx = self.read().await?;
        let rows =
            shared::hosted_on(&mut tx, computer, partition.as_str()).await?.remove(partition);
        Ok(rows.unwrap_or_default().into_iter().map(shared_document).collect())
    }

    /// The Software Releases supplied to a computer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn software_on(
        &self,
        computer: &ComputerId,
    ) -> Result<Vec<SoftwareRelease>, StoreError> {
        let mut tx = self.read().await?;
        require_computer(&mut tx, computer).await?;
        software(&mut tx, computer).await
    }
}

/// An instance with the addresses of its partition.
async fn own(tx: &mut Tx, row: InstanceRow) -> Result<InstanceDocument, StoreError> {
    let mut addresses = addresses(tx, &row.computer, row.partition.as_str()).await?;
    let mut routes = routes::of_computer(tx, &row.computer, row.partition.as_str()).await?;
    Ok(InstanceDocument {
        ip_list: addresses.remove(&row.partition).unwrap_or_default(),
        full_ip_list: routes.remove(&row.partition).into_iter().collect(),
        ..document(row)
    })
}

/// A shared instance with the time of its host.
async fn hosted(tx: &mut Tx, row: SharedRow) -> Result<InstanceDocument, StoreError> {
    let host = instance_at(tx, &row.computer, &row.partition).await?;
    Ok(InstanceDocument {
        changed_at: host.map_or(0, |host| host.changed_at),
        ..shared_document(row)
    })
}

fn document(row: InstanceRow) -> InstanceDocument {
    InstanceDocument {
        access_status: row.reported.as_ref().map(access_status),
        title: row.title,
        root: row.root,
        project: row.project,
        shared: false,
        reference: String::new(),
        computer: row.computer,
        partition: row.partition,
        software: row.software,
        software_type: row.software_type,
        state: row.requested_state,
        parameters: row.parameters,
        connection: row.connection,
        ip_list: Vec::new(),
        full_ip_list: Vec::new(),
        sla: row.filter,
        changed_at: row.changed_at,
    }
}

fn shared_document(row: SharedRow) -> InstanceDocument {
    InstanceDocument {
        title: row.title,
        root: row.root,
        project: row.project,
        shared: true,
        reference: row.reference,
        computer: row.computer,
        partition: row.partition,
        software: row.software,
        software_type: row.software_type,
        state: InstanceState::Started,
        parameters: row.parameters,
        connection: row.connection,
        ip_list: Vec::new(),
        full_ip_list: Vec::new(),
        sla: IndexMap::new(),
        changed_at: 0,
        access_status: None,
    }
}
