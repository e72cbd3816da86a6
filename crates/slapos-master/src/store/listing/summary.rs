//! How all is, in numbers, and what fails: what one wants to know first. Counting reads an index from end
//! to end, so its cost grows with what there is: it is for people who look, not for programs that ask often.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::columns::{computers_of, instances_of};
use super::query::Query;
use super::{Scope, computers, instances, software};
use crate::error::StoreError;
use crate::store::{Store, Tx};
use crate::view::{
    ComputerSummary, Failing, InstanceSummary, PartitionCounts, SoftwareSummary, Summary,
};

/// How many of a kind that fail are named.
const NAMED: usize = 20;

/// An instance `i` that told an error, or has a broken promise.
const FAILS: &str = "(i.reported_state = 'error' OR EXISTS (SELECT 1 FROM promise p \
     WHERE p.computer = i.computer AND p.partition_reference = i.partition_reference \
     AND p.failed = 1))";

impl Store {
    /// All that the scope has, counted, and the first of what fails.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn summary(&self, scope: &Scope) -> Result<Summary, StoreError> {
        let silent_before = self.now().saturating_sub(computers::SILENT).to_string();
        let mut tx = self.read().await?;
        let instances = instance_counts(&mut tx, scope).await?;
        Ok(Summary {
            computers: computer_counts(&mut tx, scope, &silent_before).await?,
            software: software_counts(&mut tx, scope).await?,
            partitions: partition_counts(&mut tx, scope).await?,
            trees: number(&instances, "trees")?,
            instances: InstanceSummary {
                total: number(&instances, "total")?,
                started: number(&instances, "started")?,
                failed: number(&instances, "failed")?,
            },
            failing: failing(&mut tx, scope, self.now()).await?,
        })
    }
}

/// How many rows fulfil a condition; never `NULL`.
fn counted(condition: &str, name: &str) -> String {
    format!("CAST(COALESCE(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS BIGINT) AS {name}")
}

fn number(row: &AnyRow, column: &str) -> Result<i64, StoreError> {
    Ok(row.try_get(column)?)
}

/// The one row of a query that counts.
async fn one(tx: &mut Tx, query: Query) -> Result<AnyRow, StoreError> {
    let row = query.all(tx, "1").await?.into_iter().next();
    row.ok_or_else(|| StoreError::Damaged("a count has no row".to_owned()))
}

async fn computer_counts(
    tx: &mut Tx,
    scope: &Scope,
    silent_before: &str,
) -> Result<ComputerSummary, StoreError> {
    let from = "FROM computer c LEFT JOIN computer_contact k ON k.computer = c.reference";
    let never = counted("k.contact_at IS NULL", "never");
    let all = computers_of(Query::new(&format!("SELECT count(*) AS total, {never} {from}")), scope);
    let all = one(tx, all).await?;
    let silent = computers_of(Query::new(&format!("SELECT count(*) AS silent {from}")), scope)
        .and(computers::SILENT_BEFORE, [silent_before]);
    let silent = number(&one(tx, silent).await?, "silent")?;
    let (total, never) = (number(&all, "total")?, number(&all, "never")?);
    Ok(ComputerSummary { total, ok: total - never - silent, silent, never })
}

async fn software_counts(tx: &mut Tx, scope: &Scope) -> Result<SoftwareSummary, StoreError> {
    let states = ["available", "building", "error"]
        .map(|state| counted(&format!("s.reported_state = '{state}'"), state));
    let query = Query::new(&format!(
        "SELECT count(*) AS total, {} FROM software s JOIN computer c ON c.reference = s.computer",
        states.join(", ")
    ));
    let row = one(tx, computers_of(query, scope)).await?;
    Ok(SoftwareSummary {
        total: number(&row, "total")?,
        available: number(&row, "available")?,
        building: number(&row, "building")?,
        error: number(&row, "error")?,
    })
}

async fn partition_counts(tx: &mut Tx, scope: &Scope) -> Result<PartitionCounts, StoreError> {
    let mut found = [0, 0];
    for (count, table) in found.iter_mut().zip(["computer_partition", "instance"]) {
        let query = Query::new(&format!(
            "SELECT count(*) AS total FROM {table} t JOIN computer c ON c.reference = t.computer"
        ));
        *count = number(&one(tx, computers_of(query, scope)).await?, "total")?;
    }
    Ok(PartitionCounts { total: found[0], busy: found[1] })
}

async fn instance_counts(tx: &mut Tx, scope: &Scope) -> Result<AnyRow, StoreError> {
    let query = Query::new(&format!(
        "SELECT count(*) AS total, {}, {}, {} FROM instance i",
        counted("i.root = ''", "trees"),
        counted("i.requested_state = 'started'", "started"),
        counted(FAILS, "failed"),
    ));
    one(tx, instances_of(query, scope)).await
}

async fn failing(tx: &mut Tx, scope: &Scope, now: i64) -> Result<Failing, StoreError> {
    let silent = computers::in_state(computers_of(computers::select(), scope), "silent", now)?;
    let silent = silent.rows(tx, "c.reference", NAMED).await?;
    let software = computers_of(software::select(), scope).and("s.reported_state = 'error'", []);
    let software = software.rows(tx, "s.computer, s.url", NAMED).await?;
    let instances = instances_of(instances::select(), scope).and(FAILS, []);
    let instances = instances.rows(tx, "i.computer, i.partition_reference", NAMED).await?;
    Ok(Failing {
        computers: silent.iter().map(|row| computers::read(row, now)).collect::<Result<_, _>>()?,
        software: software.iter().map(software::read).collect::<Result<_, _>>()?,
        instances: instances.iter().map(instances::read).collect::<Result<_, _>>()?,
    })
}
