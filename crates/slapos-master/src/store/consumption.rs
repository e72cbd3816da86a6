//! What nodes report as used: the last report of each resource, by whom it was used.
//!
//! Nothing is summed up: what a Master bills for is for whoever reads the reports. What an instance
//! used goes with it.

use std::collections::BTreeMap;

use slapos_slap::usage::{Movement, Transaction};
use slapos_slap::{ComputerId, PartitionId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::listing::find_instance;
use super::pools::Kind;
use super::rows::{rfc3339, text};
use super::{Scope, Store, Tx, require_computer};
use crate::error::StoreError;
use crate::view::{Usage, Used};

/// So many are written by one statement to a server: who writes has others wait. To a file they go one by
/// one, as entries of the audit log do.
const AT_ONCE: usize = 100;

/// So many resources are kept of each user, the last ones: an instance invents their names.
const RESOURCES: usize = 200;

/// The longest name of a resource that is kept, in bytes.
const LONGEST_NAME: usize = 256;

/// How long what is not reported again is kept, in microseconds: 90 days.
const KEPT_FOR: i64 = 90 * 86_400 * 1_000_000;

/// What is told of a row.
const COLUMNS: &str = "used_by, resource, title, quantity, start_date, stop_date, told_at";

/// By whom what was used, and what is told of it last.
type Row<'a> = ((&'a str, &'a str), (&'a Transaction, &'a Movement));

impl Store {
    /// Keeps what a computer's node reports as used.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn consumed(
        &self,
        computer: &ComputerId,
        journal: &[Transaction],
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        require_computer(&mut tx, computer).await?;
        let at_once = if tx.kind() == Kind::Sqlite { 1 } else { AT_ONCE };
        for some in latest(computer, journal).chunks(at_once) {
            keep(&mut tx, computer, some, now).await?;
            // A file answers at once, always.
            tokio::task::consume_budget().await;
        }
        sqlx::query("DELETE FROM consumption WHERE computer = $1 AND told_at < $2")
            .bind(computer.as_str())
            .bind(now.saturating_sub(KEPT_FOR))
            .execute(&mut *tx)
            .await?;
        bound(&mut tx, computer).await?;
        tx.commit().await
    }

    /// What was last reported as used on a computer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the computer is not known.
    pub(crate) async fn usage_of_computer(
        &self,
        computer: &ComputerId,
    ) -> Result<Usage, StoreError> {
        let mut tx = self.read_long().await?;
        require_computer(&mut tx, computer).await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM consumption WHERE computer = $1 ORDER BY used_by, resource"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(computer.as_str());
        read(&query.fetch_all(&mut *tx).await?)
    }

    /// What was last reported as used by an instance.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such instance in the scope.
    pub(crate) async fn usage_of_instance(
        &self,
        scope: &Scope,
        guid: &str,
    ) -> Result<Usage, StoreError> {
        let mut tx = self.read_long().await?;
        let (row, is_shared) = find_instance(&mut tx, scope, guid).await?;
        if is_shared {
            // That of its host is its host's.
            return Ok(Usage { usage: Vec::new() });
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM consumption WHERE computer = $1 AND used_by = $2 \
             ORDER BY resource"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(text(&row, "computer")?)
            .bind(text(&row, "partition_reference")?);
        read(&query.fetch_all(&mut *tx).await?)
    }
}

fn latest<'a>(computer: &'a ComputerId, journal: &'a [Transaction]) -> Vec<Row<'a>> {
    let all = journal.iter().flat_map(|transaction| {
        transaction.movements.iter().map(move |movement| {
            let by = movement.reference.as_deref().unwrap_or(computer.as_str());
            ((by, movement.resource.as_str()), (transaction, movement))
        })
    });
    let mut counts = BTreeMap::new();
    let named = all.filter(|((_, resource), _)| resource.len() <= LONGEST_NAME);
    let each = named.collect::<BTreeMap<_, _>>().into_iter();
    each.filter(|((by, _), _)| {
        let count = counts.entry(*by).or_insert(0);
        *count += 1;
        *count <= RESOURCES
    })
    .collect()
}

/// Forgets what is more than is kept of each user.
async fn bound(tx: &mut Tx, computer: &ComputerId) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM consumption WHERE computer = $1 AND (used_by, resource) IN \
         (SELECT used_by, resource FROM (SELECT used_by, resource, row_number() OVER \
         (PARTITION BY used_by ORDER BY told_at DESC, resource) AS place FROM consumption \
         WHERE computer = $1) AS ranked WHERE place > {RESOURCES})"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(computer.as_str()).execute(&mut **tx).await?;
    Ok(())
}

async fn keep(
    tx: &mut Tx,
    computer: &ComputerId,
    some: &[Row<'_>],
    now: i64,
) -> Result<(), StoreError> {
    let row = |number: usize| {
        let value = |column| format!("${}", number * 6 + column);
        format!("($1, {}, $2)", (3..=8).map(value).collect::<Vec<_>>().join(", "))
    };
    let rows = (0..some.len()).map(row).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO consumption (computer, used_by, resource, title, quantity, start_date, \
         stop_date, told_at) VALUES {rows} ON CONFLICT (computer, used_by, resource) DO UPDATE \
         SET title = excluded.title, quantity = excluded.quantity, \
         start_date = excluded.start_date, stop_date = excluded.stop_date, \
         told_at = excluded.told_at"
    );
    // Of many lengths: none but the shortest is worth being kept.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(some.len() == 1);
    query = query.bind(computer.as_str()).bind(now);
    for ((by, resource), (transaction, movement)) in some {
        query = query
            .bind(*by)
            .bind(*resource)
            .bind(movement.title.as_deref().unwrap_or_default())
            .bind(movement.quantity.as_str())
            .bind(transaction.start_date.as_str())
            .bind(transaction.stop_date.as_str());
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Forgets what the instance in a partition used.
pub(super) async fn forget(
    tx: &mut Tx,
    computer: &ComputerId,
    partition: &PartitionId,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM consumption WHERE computer = $1 AND used_by = $2")
        .bind(computer.as_str())
        .bind(partition.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn read(rows: &[AnyRow]) -> Result<Usage, StoreError> {
    let one = |row: &AnyRow| {
        Ok(Used {
            by: text(row, "used_by")?,
            resource: text(row, "resource")?,
            title: text(row, "title")?,
            quantity: text(row, "quantity")?,
            start: text(row, "start_date")?,
            stop: text(row, "stop_date")?,
            told_at: rfc3339(row.try_get("told_at")?),
        })
    };
    Ok(Usage { usage: rows.iter().map(one).collect::<Result<_, StoreError>>()? })
}
