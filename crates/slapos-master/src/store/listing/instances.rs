//! Instances and shared instances, as one list: first those that have a partition, by it, then the
//! shared ones, by reference.

use slapos_slap::{ComputerId, InstanceState, PartitionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::columns::{INSTANCE_PROJECT, SHARED_PROJECT, instances_of, shared_of};
use super::computers::address;
use super::query::Query;
use super::{Scope, Window};
use crate::error::StoreError;
use crate::store::information::addresses;
use crate::store::rows::{report, rfc3339, text, texts};
use crate::store::{Store, Tx};
use crate::view::{Instance, InstanceDetail, Page, PromiseCounts, Texts, TreeName};

/// Which instances are wanted; what is empty does not narrow the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstanceFilter {
    pub(crate) project: String,
    /// The title of the tree's root.
    pub(crate) tree: String,
    pub(crate) computer: String,
    /// The wanted state, or `error` for those that reported one last; of shared ones, those whose host did.
    pub(crate) state: String,
    pub(crate) software: String,
}

/// The keys of a cursor: which of the two lists, and the key there.
pub(super) const OWN: &str = "i";
pub(super) const SHARED: &str = "s";

impl Store {
    /// Instances.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor or a state that is none.
    pub(crate) async fn list_instances(
        &self,
        scope: &Scope,
        window: &Window,
        filter: &InstanceFilter,
    ) -> Result<Page<Instance>, StoreError> {
        let keys =
            window.keys(3)?.unwrap_or_else(|| vec![OWN.into(), String::new(), String::new()]);
        known(&filter.state)?;
        let mut tx = self.read_long().await?;
        let mut items = Vec::new();
        if keys[0] == OWN {
            items = own(&mut tx, scope, window, filter, &keys[1..]).await?;
        }
        let missing = window.fetch().saturating_sub(items.len());
        if missing > 0 {
            let after = if keys[0] == SHARED { keys[1].as_str() } else { "" };
            items.extend(shared(&mut tx, scope, (window, missing), filter, after).await?);
        }
        Ok(window.page(items, key))
    }

    /// One instance with all that belongs to it, by guid or, if shared, reference.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, or none in the scope.
    pub(crate) async fn show_instance(
        &self,
        scope: &Scope,
        guid: &str,
    ) -> Result<InstanceDetail, StoreError> {
        let mut tx = self.read_long().await?;
        let (row, shared) = find(&mut tx, scope, guid).await?;
        let instance = if shared { read_shared(&row)? } else { read(&row)? };
        let computer = ComputerId::new(instance.computer.as_str());
        let mut found = addresses(&mut tx, &computer, &instance.partition).await?;
        let own = found.remove(&PartitionId::new(instance.partition.as_str())).unwrap_or_default();
        let shared_instances = if shared {
            Vec::new()
        } else {
            hosted(&mut tx, scope, &instance.computer, &instance.partition).await?
        };
        Ok(InstanceDetail {
            parameters: sorted(&row, "parameters")?,
            connection: sorted(&row, "connection")?,
            sla: if shared { Texts::new() } else { sorted(&row, "filter")? },
            addresses: own.into_iter().map(address).collect(),
            shared_instances,
            remarks: Vec::new(),
            instance,
        })
    }
}

/// What identifies an instance in the list.
fn key(instance: &Instance) -> Vec<String> {
    if instance.shared {
        return vec![SHARED.to_owned(), instance.guid.clone(), String::new()];
    }
    vec![OWN.to_owned(), instance.computer.clone(), instance.partition.clone()]
}

const COLUMNS: &str = "i.computer, i.partition_reference, i.title, i.root, i.software, \
     i.software_type, i.requested_state, i.changed_at, i.reported_state, i.reported_message, \
     i.reported_at, i.parameters, i.connection, i.filter, i.asked_by, i.orphan_since, \
     (SELECT count(*) FROM promise p WHERE p.computer = i.computer \
      AND p.partition_reference = i.partition_reference) AS promises, \
     (SELECT count(*) FROM promise p WHERE p.computer = i.computer \
      AND p.partition_reference = i.partition_reference AND p.failed = 1) AS broken";

pub(super) fn select() -> Query {
    select_joined("")
}

/// The same, of those that `join` leaves.
pub(super) fn select_joined(join: &str) -> Query {
    Query::new(&format!("SELECT {COLUMNS}, {INSTANCE_PROJECT} AS project FROM instance i{join}"))
}

pub(super) fn select_shared() -> Query {
    let of_host = |column: &str| {
        format!(
            "(SELECT i.{column} FROM instance i WHERE i.computer = s.computer \
             AND i.partition_reference = s.partition_reference) AS {column}"
        )
    };
    // The host's words may be about others.
    Query::new(&format!(
        "SELECT s.reference, s.computer, s.partition_reference, s.title, s.root, s.software, \
         s.software_type, s.parameters, s.connection, s.asked_by, s.orphan_since, {}, {}, \
         '' AS reported_message, {SHARED_PROJECT} AS project \
         FROM shared_instance s",
        of_host("reported_state"),
        of_host("reported_at"),
    ))
}

/// Requires a state by which instances can be told apart.
fn known(state: &str) -> Result<(), StoreError> {
    if ["", "error"].contains(&state) || state.parse::<InstanceState>().is_ok() {
        return Ok(());
    }
    let message = format!(
        "no instance is in the state {state:?}: started, stopped, destroyed, or error for those that \
         reported one"
    );
    Err(StoreError::Invalid(message))
}

async fn own(
    tx: &mut Tx,
    scope: &Scope,
    window: &Window,
    filter: &InstanceFilter,
    keys: &[String],
) -> Result<Vec<Instance>, StoreError> {
    let columns = ["i.computer", "i.partition_reference"];
    let state =
        if filter.state == "error" { "i.reported_state = ?" } else { "i.requested_state = ?" };
    let query = instances_of(select(), scope)
        .after(&columns, (!keys[0].is_empty()).then_some(keys))
        .if_given(&format!("{INSTANCE_PROJECT} = ?"), &filter.project)
        .if_given("(i.root = ? OR (i.root = '' AND i.title = ?))", &filter.tree)
        .if_given("i.computer = ?", &filter.computer)
        .if_given(state, &filter.state)
        .if_given("i.software = ?", &filter.software)
        .search(
            &["i.title", "i.software", "i.computer || '-' || i.partition_reference"],
            &window.search,
        );
    let rows = query.rows(tx, "i.computer, i.partition_reference", window.fetch()).await?;
    rows.iter().map(read).collect()
}

async fn shared(
    tx: &mut Tx,
    scope: &Scope,
    (window, limit): (&Window, usize),
    filter: &InstanceFilter,
    after: &str,
) -> Result<Vec<Instance>, StoreError> {
    // They are always wanted started: a request to destroy one removes it. What is reported of them is
    // what their host reports.
    let state = match filter.state.as_str() {
        "" | "started" => "",
        "error" => "error",
        _ => return Ok(Vec::new()),
    };
    let of_host = "EXISTS (SELECT 1 FROM instance i WHERE i.computer = s.computer \
         AND i.partition_reference = s.partition_reference AND i.reported_state = ?)";
    let query = shared_of(select_shared(), scope)
        .if_given(of_host, state)
        .if_given("s.reference > ?", after)
        .if_given(&format!("{SHARED_PROJECT} = ?"), &filter.project)
        .if_given("(s.root = ? OR (s.root = '' AND s.title = ?))", &filter.tree)
        .if_given("s.computer = ?", &filter.computer)
        .if_given("s.software = ?", &filter.software)
        .search(&["s.reference", "s.title", "s.software"], &window.search);
    query.rows(tx, "s.reference", limit).await?.iter().map(read_shared).collect()
}

/// The row of an instance, and whether it is a shared one.
pub(in crate::store) async fn find(
    tx: &mut Tx,
    scope: &Scope,
    guid: &str,
) -> Result<(AnyRow, bool), StoreError> {
    // The computer's name may have dashes too: each is tried as the border.
    let borders: Vec<_> =
        guid.match_indices('-').map(|(at, _)| (&guid[..at], &guid[at + 1..])).collect();
    for (computer, partition) in borders.into_iter().rev().take(16) {
        let query = instances_of(select(), scope)
            .and("i.computer = ? AND i.partition_reference = ?", [computer, partition]);
        if let Some(row) = query.rows(tx, "i.computer", 1).await?.pop() {
            return Ok((row, false));
        }
    }
    let query = shared_of(select_shared(), scope).and("s.reference = ?", [guid]);
    match query.rows(tx, "s.reference", 1).await?.pop() {
        Some(row) => Ok((row, true)),
        None => Err(StoreError::NotFound(format!("there is no instance {guid}"))),
    }
}

/// The shared instances that an instance serves, as far as the scope has them.
async fn hosted(
    tx: &mut Tx,
    scope: &Scope,
    computer: &str,
    partition: &str,
) -> Result<Vec<Instance>, StoreError> {
    let query = shared_of(select_shared(), scope)
        .and("s.computer = ? AND s.partition_reference = ?", [computer, partition]);
    query.all(tx, "s.reference").await?.iter().map(read_shared).collect()
}

/// The instances on a computer, as far as the scope has them.
pub(super) async fn of_computer(
    tx: &mut Tx,
    scope: &Scope,
    computer: &ComputerId,
) -> Result<Vec<Instance>, StoreError> {
    let query = instances_of(select(), scope).and("i.computer = ?", [computer.as_str()]);
    query.all(tx, "i.partition_reference").await?.iter().map(read).collect()
}

pub(super) fn read(row: &AnyRow) -> Result<Instance, StoreError> {
    let common = common(row)?;
    let total = row.try_get("promises")?;
    let promises = PromiseCounts { total, failed: row.try_get("broken")? };
    Ok(Instance {
        guid: format!("{}-{}", common.computer, common.partition),
        state: text(row, "requested_state")?,
        reported: report(row)?.map(Into::into),
        promises: (total > 0).then_some(promises),
        changed_at: Some(rfc3339(row.try_get("changed_at")?)),
        ..common
    })
}

pub(super) fn read_shared(row: &AnyRow) -> Result<Instance, StoreError> {
    let common = common(row)?;
    let served = !texts(row, "connection")?.is_empty();
    let host = report(row)?.filter(|told| served || told.state == "error");
    Ok(Instance {
        guid: text(row, "reference")?,
        shared: true,
        state: "started".to_owned(),
        reported: host.map(Into::into),
        host: Some(format!("{}-{}", common.computer, common.partition)),
        ..common
    })
}

/// What rows of both kinds have.
fn common(row: &AnyRow) -> Result<Instance, StoreError> {
    let (title, root) = (text(row, "title")?, text(row, "root")?);
    let project = text(row, "project")?;
    Ok(Instance {
        guid: String::new(),
        tree: tree(&project, &root, &title),
        root: root.is_empty(),
        shared: false,
        software_release: text(row, "software")?,
        software_type: text(row, "software_type")?,
        state: String::new(),
        reported: None,
        promises: None,
        changed_at: None,
        host: None,
        asked_by: Some(text(row, "asked_by")?).filter(|guid| !guid.is_empty()),
        orphan_since: row.try_get::<Option<i64>, _>("orphan_since")?.map(rfc3339),
        computer: text(row, "computer")?,
        partition: text(row, "partition_reference")?,
        project,
        title,
    })
}

fn tree(project: &str, root: &str, title: &str) -> TreeName {
    let title = if root.is_empty() { title } else { root };
    TreeName { project: project.to_owned(), title: title.to_owned() }
}

/// A column of parameters, by name.
fn sorted(row: &AnyRow, column: &str) -> Result<Texts, StoreError> {
    Ok(texts(row, column)?.into_iter().collect())
}
